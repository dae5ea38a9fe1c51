"""Key files of persons: an encrypted private key that never leaves its owner, and a public file beside it for the ceremony."""

from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol import keys
from protocol.keys import KeyUnreadable
from protocol.units import Name, PublicKey, ShortId, Strict
from provisioning.errors import InputRefused, WrongPassphrase
from provisioning.files import read_bytes, read_text, refuse_existing, write_whole

PASSPHRASE_MIN: Final = 8
PRIVATE_MODE: Final = 0o600


class PublicFile(Strict, frozen=True, kw_only=True):
    """What stands in F.pub: whose key it is, and its public half in hex."""

    person: ShortId
    name: Name
    public: PublicKey


def public_path(private: Path) -> Path:
    """Where the public file of a key file lies."""
    return private.with_suffix(".pub")


def check_passphrase(passphrase: str) -> str:
    """Refuse a passphrase that is too short to protect anything. Raises InputRefused."""
    if len(passphrase) < PASSPHRASE_MIN:
        raise InputRefused(f"the passphrase has {len(passphrase)} characters: use at least {PASSPHRASE_MIN}, best several words")
    return passphrase


def read_passphrase(path: Path) -> str:
    """The first line of a passphrase file. Raises InputRefused when it is empty or readable by others."""
    text = read_text(path, "passphrase file").partition("\n")[0].rstrip("\r")
    if not text:
        raise InputRefused(f"passphrase file {path} is empty: its first line is the passphrase")
    if path.stat().st_mode & 0o077:
        raise InputRefused(f"passphrase file {path} can be read by others: run `chmod 600 {path}`")
    return text


def describe(private: Path, *, person: str, name: str, public: str) -> PublicFile:
    """The public file of a new key. Raises InputRefused for a person id or name out of its limits."""
    try:
        return msgspec.convert({"person": person, "name": name, "public": public}, PublicFile)
    except msgspec.ValidationError as error:
        raise InputRefused(
            f"{private}: the person's id is small letters, digits, '.', '_', '-' (as 'nguyen-van-a'), "
            f"the name 1 to 200 characters: {error}"
        ) from error


def write_new(private: Path, *, person: str, name: str, passphrase: str) -> PublicFile:
    """Make a key: F.key (encrypted, 0600) and F.pub. Raises InputRefused, and then neither file is there."""
    key = keys.new_key()
    public = describe(private, person=person, name=name, public=keys.public_hex(key))
    refuse_existing(private, "key file")
    refuse_existing(public_path(private), "public file")
    write_whole(private, keys.to_pem(key, check_passphrase(passphrase)), mode=PRIVATE_MODE, new=True)
    write_public(public_path(private), public)
    return public


def write_public(path: Path, public: PublicFile) -> None:
    """Write F.pub. Raises InputRefused when it is there already."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(public)) + b"\n", new=True)


def read_public(path: Path) -> PublicFile:
    """Read F.pub. Raises InputRefused."""
    try:
        return msgspec.json.decode(read_bytes(path, "public key file"), type=PublicFile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRefused(
            f"public key file {path} is not one made by `loa-provision key new` ({error}): ask its owner for the .pub file"
        ) from error


def open_private(path: Path, passphrase: str | None) -> Ed25519PrivateKey:
    """Open F.key. Raises WrongPassphrase, or InputRefused for what is no key file."""
    pem = read_bytes(path, "key file")
    if b"PRIVATE KEY" not in pem:
        raise InputRefused(f"{path} is no key file: name the .key file that `loa-provision key new` made")
    try:
        return keys.from_pem(pem, passphrase)
    except KeyUnreadable as error:
        raise WrongPassphrase(f"key file {path} does not open: {error}") from error
