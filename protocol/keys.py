"""Ed25519 keys of persons and nodes: made, encrypted under a passphrase, opened to seal."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner

from protocol import pkcs8
from protocol.errors import Malformed


class KeyUnreadable(Malformed):
    """A key file cannot be opened: a wrong passphrase, or no Ed25519 key in it."""

    code = "key-unreadable"


def new_key() -> Ed25519PrivateKey:
    """A fresh private key from the system's randomness."""
    return Ed25519PrivateKey.generate()


def public_hex(key: Ed25519PrivateKey) -> str:
    """The 32 public bytes in hex, as grants and placements name them."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def to_pem(key: Ed25519PrivateKey, passphrase: str | None) -> bytes:
    """PKCS#8 PEM; encrypted (scrypt) unless `passphrase` is None (a key kept by file rights). Raises Malformed."""
    if passphrase == "":
        raise Malformed("an empty passphrase protects nothing: give one, or None for a key kept by file rights")
    if passphrase is None:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pkcs8.encrypt(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), passphrase.encode())


def from_pem(pem: bytes, passphrase: str | None) -> Ed25519PrivateKey:
    """Open a key file, also an older one under PBKDF2. Raises KeyUnreadable with what is wrong."""
    try:
        key = load_pem_private_key(pem, None if passphrase is None else passphrase.encode())
    except TypeError as error:
        what = "it is encrypted: give its passphrase" if passphrase is None else "it is not encrypted: give no passphrase"
        raise KeyUnreadable(what) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnreadable("wrong passphrase, or no private key in it that is read here") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnreadable("not an Ed25519 key")
    return key


def sealer(key: Ed25519PrivateKey) -> CryptoSigner:
    """Something that `seal` can sign with."""
    return CryptoSigner(key)
