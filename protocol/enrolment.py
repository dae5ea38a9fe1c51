"""Enrolment: what a node without a certificate says to the controller, what its one-time claim proves, what people compare.

Nothing here opens a network or a file. Whoever enrols gets a certificate and no more: what a node obeys is signed elsewhere.
"""

import hashlib
import hmac
import re
from typing import Annotated, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from msgspec import Meta, Struct

from protocol.errors import Malformed
from protocol.node_id import ALPHABET
from protocol.units import PublicKey, Sha256

CLAIM_BYTES: Final = 16
GROUPS: Final = (5, 5, 5, 5, 6)
"""128 bits are 26 letters of five bits: groups that an eye can hold."""
REQUEST_BYTES: Final = 4_096
ENROL_PATH: Final = "/enrol"
RENEW_PATH: Final = "/renew"
DIGITS: Final = 6
UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
"""What `cryptography` raises of bytes that are no request; fuzzing (`make fuzz`, csr) found the last two."""
_ALIKE: Final = str.maketrans("OIL", "011")

NodeId = Annotated[str, Meta(pattern=r"^[0-9A-HJKMNP-TV-Z]{10}\Z")]
Pem = Annotated[str, Meta(max_length=REQUEST_BYTES)]


class EnrolRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node's first word: its two public keys, and the proof that it holds the claim of this label."""

    node: NodeId
    request_pem: Pem
    report_key: PublicKey
    proof: Sha256


class RenewRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node with a certificate, valid or expired, asks for new dates; the request is signed by the key that it was made for."""

    node: NodeId
    request_pem: Pem


class Certified(Struct, frozen=True, kw_only=True):
    """The answer to both: the certificate, and whether a placement of this node is in force."""

    node: NodeId
    certificate_pem: str
    digits: str
    placed: bool = False


class ExpectedNode(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the technician's desk hands to the controller: the label, and what tells its claim without being it."""

    node: NodeId
    verifier: Sha256


def claim_text(claim: bytes) -> str:
    """A claim as the inside of the label shows it. Raises Malformed for another length."""
    if len(claim) != CLAIM_BYTES:
        raise Malformed(f"a claim has {CLAIM_BYTES} bytes, not {len(claim)}")
    value, letters = int.from_bytes(claim, "big"), ""
    for _ in range(sum(GROUPS)):
        value, digit = divmod(value, len(ALPHABET))
        letters = ALPHABET[digit] + letters
    groups, at = [], 0
    for length in GROUPS:
        groups.append(letters[at : at + length])
        at += length
    return "-".join(groups)


def read_claim(text: str) -> bytes:
    """The claim out of a label as typed; small letters, spaces, and O for 0 or I for 1 do no harm. Raises Malformed."""
    letters = re.sub(r"[\s-]", "", text).upper().translate(_ALIKE)
    if len(letters) != sum(GROUPS) or any(letter not in ALPHABET for letter in letters):
        raise Malformed(f"a claim is {sum(GROUPS)} letters and digits in groups, as inside the label; these are {len(letters)}")
    value = 0
    for letter in letters:
        value = value * len(ALPHABET) + ALPHABET.index(letter)
    if value >> (8 * CLAIM_BYTES):
        raise Malformed("this claim cannot have been made here: read the label again")
    return value.to_bytes(CLAIM_BYTES, "big")


def verifier_of(node: str, claim: bytes) -> str:
    """What the controller keeps in place of a claim: it proves itself against this, for this label alone."""
    return hashlib.sha256(b"loa claim v1\0" + node.encode() + b"\0" + claim).hexdigest()


def proof_of(verifier: str, request_pem: str, report_key: str) -> str:
    """The proof that whoever holds the claim means these two public keys."""
    said = b"loa enrol v1\0" + request_pem.encode() + b"\0" + report_key.encode()
    return hmac.new(bytes.fromhex(verifier), said, hashlib.sha256).hexdigest()


def proves(verifier: str, asked: EnrolRequest) -> bool:
    """Whether a proof is the one that the claim gives; takes as long for a wrong one as for a right one."""
    return hmac.compare_digest(proof_of(verifier, asked.request_pem, asked.report_key), asked.proof)


def new_tls_key() -> bytes:
    """A fresh EC P-256 key as unencrypted PEM: kept by file rights, never sent."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_request(node: str, key: ec.EllipticCurvePrivateKey) -> str:
    """A certificate request of this node by its own key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def public_of_request(node: str, request_pem: str) -> bytes:
    """The public key (SubjectPublicKeyInfo) of a request that this node's own key signed. Raises Malformed."""
    return public_bytes(read_request(node, request_pem.encode()))


def read_request(node: str, request_pem: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a certificate request, which signed it for this name and asks for nothing else. Raises Malformed."""
    try:  # each part is read only when it is asked for
        request = x509.load_pem_x509_csr(request_pem)
        public, signed, subject, more = request.public_key(), request.is_signature_valid, request.subject, len(request.extensions)
    except UNREADABLE as error:
        raise Malformed(f"the request of {node} cannot be read: {error}") from error
    if not signed or not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise Malformed(f"the request of {node} is not signed by a P-256 key of its own")
    if subject != x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)]) or more:
        raise Malformed(f"the request is for another name than {node}, or asks for more than a name")
    return public


def public_bytes(public: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as certificates carry it."""
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def digits_of(tls_public: bytes, report_key: str) -> str:
    """Six digits that stand for a node's two public keys, for two people on the telephone."""
    seen = hashlib.sha256(b"loa fingerprint v1\0" + hashlib.sha256(tls_public).digest() + bytes.fromhex(report_key)).digest()
    number = f"{int.from_bytes(seen[:8], 'big') % 10**DIGITS:0{DIGITS}}"
    return f"{number[:3]} {number[3:]}"
