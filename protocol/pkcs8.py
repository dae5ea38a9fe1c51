"""Key files against guessing: PKCS#8 encrypted under scrypt (RFC 7914, RFC 8018 PBES2) with AES-256-CBC.

Written by hand because `cryptography` writes PBKDF2 of 2,048 rounds, cheap to guess by the million. It reads scrypt by itself;
the `openssl` program reads no file of this cost, for it gives scrypt at most 32 MiB.
"""

import base64
import os
import textwrap
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7

COST_N: Final = 2**17
"""With r = 8: 128 MiB and about half a second for each guess (RFC 7914 names 2^14 for logins, 2^20 for files)."""
BLOCK_R: Final = 8
PARALLEL_P: Final = 1
SALT_BYTES: Final = 16
AES_BLOCK_BYTES: Final = 16
AES_KEY_BYTES: Final = 32
_SEQUENCE: Final = 0x30
_OCTETS: Final = 0x04
_INTEGER: Final = 0x02
_LONG_FORM: Final = 0x80
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT: Final = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC: Final = bytes.fromhex("060960864801650304012a")
_LABEL: Final = "ENCRYPTED PRIVATE KEY"


def _tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < _LONG_FORM:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(length))) + length + content


def _integer(value: int) -> bytes:
    return _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def encrypt(plain: bytes, passphrase: bytes, *, cost_n: int = COST_N) -> bytes:
    """The PEM of a PKCS#8 private key (DER), encrypted under a passphrase."""
    salt, start = os.urandom(SALT_BYTES), os.urandom(AES_BLOCK_BYTES)
    secret = Scrypt(salt=salt, length=AES_KEY_BYTES, n=cost_n, r=BLOCK_R, p=PARALLEL_P).derive(passphrase)
    padder = PKCS7(AES_BLOCK_BYTES * 8).padder()
    cipher = Cipher(AES256(secret), CBC(start)).encryptor()
    closed = cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
    costs = _tlv(_SEQUENCE, _tlv(_OCTETS, salt), _integer(cost_n), _integer(BLOCK_R), _integer(PARALLEL_P))
    derive = _tlv(_SEQUENCE, _SCRYPT, costs)
    scheme = _tlv(_SEQUENCE, _AES_256_CBC, _tlv(_OCTETS, start))
    algorithm = _tlv(_SEQUENCE, _PBES2, _tlv(_SEQUENCE, derive, scheme))
    der = _tlv(_SEQUENCE, algorithm, _tlv(_OCTETS, closed))
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {_LABEL}-----\n{lines}\n-----END {_LABEL}-----\n".encode()
