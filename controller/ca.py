"""A small certificate authority for TLS between nodes, broker and controller: EC P-256, one level, files in one folder.

It says only who may open a connection and under which name. What a node obeys is signed elsewhere (protocol): whoever
steals this CA can connect to the broker, and cannot make one loudspeaker sound.
"""

import ipaddress
import os
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.enrolment import read_request
from protocol.errors import Malformed

CA_DAYS: Final = 20 * 365
"""The life of a pole and its cabinet: every node pins this CA, so changing it means a visit to each."""
LEAF_DAYS: Final = 5 * 365
"""Servers and operators on the controller's own machine, which renews them at two thirds. Long, because a server whose
certificate ran out would keep every warning silent, and on that machine lies the CA's key as well."""
NODE_LIFE: Final = timedelta(days=90)
"""A node renews at two thirds, and afterwards as long as it was not revoked: two years in a store room do no harm."""
LIST_LIFE: Final = timedelta(days=20 * 365)
"""A revocation list that ran out would shut out every node, so it does not: who holds back a newer one holds the broker."""
BACKDATED: Final = timedelta(days=1)
"""A node whose clock is some hours slow must accept a certificate made today."""
CERTIFICATE: Final = "ca.crt"
KEY: Final = "ca.key"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""No `+`, `#`, `/` or space: the name becomes the MQTT user name and a level of topics."""


class CaError(Exception):
    """The CA's folder or a request to it is wrong; the sentence says which and what to do."""


@dataclass(frozen=True, slots=True)
class Authority:
    """An opened CA."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """What the others pin."""
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its unencrypted key, both PEM; the key is to be written 0600 and nowhere else."""

    cert_pem: bytes
    key_pem: bytes


def create_ca(folder: Path, name: str, *, now: datetime | None = None, stem: str = "ca") -> Authority:
    """Make a CA in a folder (0700, key 0600). Raises CaError rather than overwrite one: every node would be lost."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file, certificate_file = folder / f"{stem}.key", folder / f"{stem}.crt"
    if key_file.exists() or certificate_file.exists():
        raise CaError(f"{folder} holds a CA already; use it, or choose another folder (a new CA means visiting every node)")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = _usage(certificates=True)
    certificate = (
        _builder(subject, subject, key.public_key(), timedelta(days=CA_DAYS), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_once(key_file, _pem(key), mode=0o600)
    write_once(certificate_file, certificate.public_bytes(Encoding.PEM), mode=0o644)
    return Authority(certificate, key)


def load_ca(folder: Path, stem: str = "ca") -> Authority:
    """Open the CA of a folder. Raises CaError when there is none, or its two files do not belong together."""
    try:
        key = load_pem_private_key((folder / f"{stem}.key").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / f"{stem}.crt").read_bytes())
    except FileNotFoundError as error:
        raise CaError(f"no CA in {folder} ({error.filename} is missing): run `loa init`, or restore it from a backup") from error
    except (ValueError, TypeError) as error:
        raise CaError(f"the CA in {folder} cannot be read ({error}): restore it from a backup") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise CaError(f"{stem}.key and {stem}.crt in {folder} do not belong together: restore both from one backup")
    return Authority(certificate, key)


def issue(
    ca: Authority,
    common_name: str,
    *,
    server_names: Sequence[str] = (),
    client: bool = True,
    days: int = LEAF_DAYS,
    life: timedelta | None = None,
    now: datetime | None = None,
) -> Issued:
    """A new key and certificate. `server_names` (DNS names and addresses) make it a server's; a node's name is its id."""
    if not _NAME.fullmatch(common_name):
        raise CaError(f"`{common_name}` cannot be a name here: use letters, digits, `.`, `_`, `-`, at most 64, no space")
    if not client and not server_names:
        raise CaError(f"`{common_name}` would be neither client nor server: give server names, or client=True")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    life = life or timedelta(days=days)
    cert_pem = _sign_leaf(ca, subject, key.public_key(), _alternative(server_names), client=client, life=life, now=now)
    return Issued(cert_pem, _pem(key))


def issue_for_request(
    ca: Authority, request_pem: bytes, common_name: str, *, life: timedelta = NODE_LIFE, now: datetime | None = None
) -> bytes:
    """A client certificate for a key that stays with its owner. Raises CaError for a request that is not this owner's."""
    try:
        public = read_request(common_name, request_pem)
    except Malformed as error:
        raise CaError(f"{error}: make it anew") from error
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    return _sign_leaf(ca, subject, public, [], client=True, life=life, now=now)


def renew(
    ca: Authority, cert_pem: bytes, *, days: int = LEAF_DAYS, now: datetime | None = None, also: Sequence[x509.Certificate] = ()
) -> bytes:
    """The same name, names, uses and public key with new dates: the private key never leaves its owner.

    Raises CaError if neither this CA nor one of `also` issued it.
    """
    old = x509.load_pem_x509_certificate(cert_pem)
    if not any(issued_by(old, root) for root in (ca.certificate, *also)):
        raise CaError("this certificate is of another CA: enrol its owner anew")
    public = old.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise CaError("this certificate has no elliptic-curve key: issue a new one")
    client = ExtendedKeyUsageOID.CLIENT_AUTH in old.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    try:
        names = list(old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    return _sign_leaf(ca, old.subject, public, names, client=client, life=timedelta(days=days), now=now)


def issued_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    """Whether this root signed it."""
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def revocation_list(ca: Authority, serials: Sequence[int], *, now: datetime | None = None) -> bytes:
    """The certificates of this CA that count no more, signed by it, as PEM."""
    start = (now or datetime.now(UTC)) - BACKDATED
    builder = x509.CertificateRevocationListBuilder(ca.certificate.subject, start, start + LIST_LIFE)
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(start).build()
        builder = builder.add_revoked_certificate(revoked)
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def client_context(ca_file: Path, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """TLS 1.3 towards our own servers: only this CA is trusted, host names are checked, our certificate is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(ca_file)
    if cert_file is not None:
        context.load_cert_chain(cert_file, key_file)
    return context


def write_once(path: Path, content: bytes, *, mode: int) -> None:
    """Write a new file with its mode from the first byte, fsynced. Raises FileExistsError rather than overwrite."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sign_leaf(
    ca: Authority,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    names: Sequence[x509.GeneralName],
    *,
    client: bool,
    life: timedelta,
    now: datetime | None,
) -> bytes:
    uses = [ExtendedKeyUsageOID.SERVER_AUTH] * bool(names) + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
    usage = _usage(certificates=False)
    builder = (
        _builder(subject, ca.certificate.subject, public, life, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, life: timedelta, now: datetime | None
) -> x509.CertificateBuilder:
    made = now or datetime.now(UTC)
    start = made - min(BACKDATED, life / 2)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(made + life)
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    """A CA signs certificates and revocation lists, a leaf signs handshakes; EC keys encipher nothing."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(server_names: Sequence[str]) -> list[x509.GeneralName]:
    """DNS names and addresses as a certificate lists them. Raises CaError for what is neither."""
    names: list[x509.GeneralName] = []
    for text in server_names:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(text)))
        except ValueError:
            try:
                names.append(x509.DNSName(text.encode("idna").decode("ascii")))
            except ValueError as error:
                raise CaError(f"`{text}` is neither an address nor a host name: correct the server's names") from error
    return names


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
