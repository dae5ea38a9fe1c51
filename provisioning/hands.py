"""A hand signs: a person's key, out of an encrypted file or on a token, opened for one command."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from protocol import keys
from protocol.envelope import Sealer
from provisioning import token
from provisioning.errors import InputRefused
from provisioning.keyfile import open_private
from provisioning.terminal import passphrase

KEY_HELP: Final = "A signer's key: a .key file, or a token as pkcs11:token=LABEL (repeat for several persons)."


class Hand(Struct, frozen=True):
    """One opened key: as it was named, what it signs with, and what it is known by."""

    where: str
    sealer: Sealer
    keyid: str
    public: str


def token_secret(where: str, uri: token.TokenUri, secret_file: Path | None) -> str:
    """The PIN: from the URI's pin-source, else as a passphrase. Raises InputRefused."""
    return token.pin_of(uri, "") if uri.pin_file is not None else passphrase(f"PIN of {where}", secret_file)


def open_hand(where: str, secret_file: Path | None) -> Hand:
    """Open a key file or a token's key, asking for passphrase or PIN. Raises InputRefused."""
    if token.is_token(where):
        uri = token.parse_uri(where)
        key = token.open_key(uri, token_secret(where, uri, secret_file))
        return Hand(where, key, key.keyid, key.public)
    opened = open_private(Path(where), passphrase(f"Passphrase of {where}", secret_file))
    sealer = keys.sealer(opened)
    return Hand(where, sealer, sealer.public_key.keyid, keys.public_hex(opened))


def open_hands(places: Sequence[str | os.PathLike[str]], secret_file: Path | None) -> tuple[Hand, ...]:
    """Open several, each another key. Raises InputRefused."""
    hands = tuple(open_hand(os.fspath(where), secret_file) for where in places)
    if len({hand.keyid for hand in hands}) != len(hands):
        raise InputRefused("one key was named twice: several persons sign with several keys")
    return hands
