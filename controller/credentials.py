"""Secrets that the controller reads: systemd's credentials where there are any, else files that only its user can read."""

import os
import secrets as chance
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from controller.ca import write_once
from controller.errors import ConfigWrong

DIRECTORY_ENV: Final = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what LoadCredential= names; in memory, readable by the service alone."""
SECRET_MODE: Final = 0o600
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


def find(name: str, fallback: Path) -> Path:
    """Where a secret lies: the credential of that name if systemd gave one, else the file."""
    given = os.environ.get(DIRECTORY_ENV)
    if given and (Path(given) / name).is_file():
        return Path(given) / name
    return fallback


def read(name: str, fallback: Path, make: Callable[[], bytes] | None = None) -> tuple[bytes, bool]:
    """A secret, and whether it was made just now (with `make`, when there was none). Raises ConfigWrong."""
    path = find(name, fallback)
    try:
        if path == fallback and path.stat().st_mode & 0o077:
            raise ConfigWrong(f"{path} can be read by others: `chmod 600 {path}`, and take it as known to them")
        return path.read_bytes(), False
    except FileNotFoundError as error:
        if make is None:
            raise ConfigWrong(
                f"{fallback} is missing, and systemd gave no credential {name}: restore it from a backup"
            ) from error
    except OSError as error:
        raise ConfigWrong(f"{path} cannot be read ({error.strerror}): it belongs to the controller's user") from error
    fallback.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        write_once(fallback, make(), mode=SECRET_MODE)
    return fallback.read_bytes(), True


class Vault:
    """Seals short secrets for the database under a key that is not in it."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigWrong(f"the vault's key has {len(key)} bytes instead of {KEY_BYTES}: restore it from a backup")
        self._key = key

    def _for(self, purpose: str) -> bytes:
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"loa {purpose}".encode()).derive(self._key)

    def seal(self, purpose: str, whose: str, secret: bytes) -> str:
        """The secret, encrypted for one purpose and one person."""
        nonce = chance.token_bytes(NONCE_BYTES)
        return (nonce + AESGCM(self._for(purpose)).encrypt(nonce, secret, whose.encode())).hex()

    def open(self, purpose: str, whose: str, sealed: str) -> bytes | None:
        """What was sealed; None when it is another person's, another vault's or damaged."""
        try:
            raw = bytes.fromhex(sealed)
            return AESGCM(self._for(purpose)).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], whose.encode())
        except (InvalidTag, ValueError):
            return None
