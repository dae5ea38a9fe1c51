"""Claims, proofs and six digits, as both sides reckon them."""

from __future__ import annotations

import secrets

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from protocol.enrolment import (
    CLAIM_BYTES,
    EnrolRequest,
    claim_text,
    digits_of,
    make_request,
    proof_of,
    proves,
    public_bytes,
    public_of_request,
    read_claim,
    verifier_of,
)
from protocol.errors import Malformed

NODE, OTHER = "3QBMGF42PY", "HTJHZZBA9J"
REPORT = "ab" * 32


@given(st.binary(min_size=CLAIM_BYTES, max_size=CLAIM_BYTES))
def test_a_claim_is_read_back_from_its_label(claim):
    text = claim_text(claim)
    assert read_claim(text) == claim
    assert read_claim(text.lower().replace("-", "  ").replace("0", "o").replace("1", "l")) == claim


@pytest.mark.parametrize("text", ["", "A", "U" * 26, "Z" * 26, "0" * 25, "0" * 27, "ơ" * 26])
def test_what_cannot_be_a_claim_is_refused(text):
    with pytest.raises(Malformed):
        read_claim(text)


def test_a_claim_of_another_length_has_no_label():
    with pytest.raises(Malformed, match="16 bytes"):
        claim_text(b"short")


def asked(node=NODE, claim=b"c" * 16, key=None, report=REPORT):
    request = make_request(node, key or ec.generate_private_key(ec.SECP256R1()))
    proof = proof_of(verifier_of(node, claim), request, report)
    return EnrolRequest(node=node, request_pem=request, report_key=report, proof=proof)


def test_a_proof_holds_for_its_label_claim_and_keys_only():
    verifier = verifier_of(NODE, b"c" * 16)
    good = asked()
    assert proves(verifier, good)
    assert not proves(verifier_of(NODE, b"d" * 16), good)
    assert not proves(verifier_of(OTHER, b"c" * 16), good)
    for change in ({"report_key": "cd" * 32}, {"request_pem": asked().request_pem}, {"proof": "0" * 64}):
        fields = {name: getattr(good, name) for name in good.__struct_fields__} | change
        assert not proves(verifier, EnrolRequest(**fields))


def test_the_verifier_is_not_the_claim():
    claim = secrets.token_bytes(16)
    assert claim.hex() not in verifier_of(NODE, claim)


def test_a_request_tells_its_key_and_nothing_else_passes():
    key = ec.generate_private_key(ec.SECP256R1())
    request = make_request(NODE, key)
    assert public_of_request(NODE, request) == public_bytes(key.public_key())
    with pytest.raises(Malformed, match="another name"):
        public_of_request(OTHER, request)
    with pytest.raises(Malformed, match="P-256"):
        public_of_request(NODE, make_request(NODE, ec.generate_private_key(ec.SECP384R1())))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NODE)])
    names = x509.SubjectAlternativeName([x509.DNSName("broker")])
    more = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False)
    with pytest.raises(Malformed, match="more than a name"):
        public_of_request(NODE, more.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode())


@given(st.text(max_size=300))
def test_any_text_is_a_request_or_malformed(text):
    with pytest.raises(Malformed):
        public_of_request(NODE, text)


def test_a_request_whose_bytes_were_changed_is_malformed():
    request = make_request(NODE, ec.generate_private_key(ec.SECP256R1()))
    for at in range(30, len(request) - 30, 7):
        torn = request[:at] + ("A" if request[at] != "A" else "B") + request[at + 1 :]
        try:
            public_of_request(NODE, torn)
        except Malformed:
            continue
        raise AssertionError(f"byte {at} may be changed")


def test_six_digits_change_with_either_key():
    first = digits_of(b"tls", REPORT)
    assert len(first) == 7
    assert first == digits_of(b"tls", REPORT)
    others = {digits_of(b"tls2", REPORT), digits_of(b"tls", "cd" * 32)}
    assert first not in others
