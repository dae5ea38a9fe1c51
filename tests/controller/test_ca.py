"""The CA, judged by OpenSSL itself: real handshakes over a socket pair with Python's strict verification."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.ca import CA_DAYS, LEAF_DAYS, CaError, client_context, create_ca, issue, load_ca, renew

NODE = "0123456789"


@pytest.fixture
def ca(tmp_path):
    return create_ca(tmp_path / "ca", "Loa Gia Lai")


def certificate(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def uses(pem: bytes) -> set[x509.ObjectIdentifier]:
    return set(certificate(pem).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def shake(folder, server, client, *, ca_pem: bytes, client_ca_pem: bytes, host: str) -> dict:
    """One handshake in memory; gives the client's certificate as the server saw it."""
    for name, content in {"s.crt": server.cert_pem, "s.key": server.key_pem, "s.ca": ca_pem}.items():
        (folder / name).write_bytes(content)
    for name, content in {"c.crt": client.cert_pem, "c.key": client.key_pem, "c.ca": client_ca_pem}.items():
        (folder / name).write_bytes(content)
    inner = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inner.verify_flags |= ssl.VERIFY_X509_STRICT
    inner.verify_mode = ssl.CERT_REQUIRED
    inner.load_verify_locations(folder / "s.ca")
    inner.load_cert_chain(folder / "s.crt", folder / "s.key")
    outer = client_context(folder / "c.ca", folder / "c.crt", folder / "c.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [inner.wrap_bio(to_server, to_client, server_side=True), outer.wrap_bio(to_client, to_server, server_hostname=host)]
    done = set()
    for _ in range(20):
        for end in ends:
            if end not in done:
                try:
                    end.do_handshake()
                    done.add(end)
                except ssl.SSLWantReadError:
                    pass
    assert len(done) == 2
    assert ends[0].version() == "TLSv1.3"
    return ends[0].getpeercert()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_node_and_a_server_of_one_ca_meet_under_strict_checks(ca, tmp_path, host):
    server = issue(ca, "broker", server_names=["localhost", "127.0.0.1", "::1"], client=False)
    seen = shake(tmp_path, server, issue(ca, NODE), ca_pem=ca.certificate_pem, client_ca_pem=ca.certificate_pem, host=host)
    assert seen["subject"] == ((("commonName", NODE),),)


def test_a_server_under_another_name_is_refused(ca, tmp_path):
    server = issue(ca, "broker", server_names=["localhost"], client=False)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(tmp_path, server, issue(ca, NODE), ca_pem=ca.certificate_pem, client_ca_pem=ca.certificate_pem, host="other")


def test_a_certificate_of_another_ca_is_refused_by_the_server(ca, tmp_path):
    server = issue(ca, "broker", server_names=["localhost"], client=False)
    stranger = issue(create_ca(tmp_path / "other", "Loa Gia Lai"), NODE)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shake(tmp_path, server, stranger, ca_pem=ca.certificate_pem, client_ca_pem=ca.certificate_pem, host="localhost")


def test_a_node_cannot_pose_as_a_server(ca, tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError, match=r"purpose|certificate"):
        shake(
            tmp_path, issue(ca, "localhost"), issue(ca, NODE), ca_pem=ca.certificate_pem,
            client_ca_pem=ca.certificate_pem, host="localhost",
        )  # fmt: skip


def test_a_server_certificate_opens_no_door_as_a_client(ca, tmp_path):
    server = issue(ca, "broker", server_names=["localhost"], client=False)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shake(tmp_path, server, server, ca_pem=ca.certificate_pem, client_ca_pem=ca.certificate_pem, host="localhost")


def test_a_node_cannot_issue_certificates(ca):
    leaf = certificate(issue(ca, NODE).cert_pem)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert ca.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_dates_begin_a_day_early_and_last_as_written(ca):
    now = datetime(2026, 1, 15, 12, tzinfo=UTC)
    leaf = certificate(issue(ca, NODE, now=now).cert_pem)
    assert leaf.not_valid_before_utc == now - timedelta(days=1)
    assert leaf.not_valid_after_utc == now + timedelta(days=LEAF_DAYS)
    assert ca.certificate.not_valid_after_utc - ca.certificate.not_valid_before_utc == timedelta(days=CA_DAYS + 1)


def test_an_existing_ca_is_never_overwritten(ca, tmp_path):
    before = (tmp_path / "ca" / "ca.key").read_bytes()
    with pytest.raises(CaError, match="holds a CA already"):
        create_ca(tmp_path / "ca", "Loa")
    (tmp_path / "ca" / "ca.crt").unlink()
    with pytest.raises(CaError, match="holds a CA already"):
        create_ca(tmp_path / "ca", "Loa")
    assert (tmp_path / "ca" / "ca.key").read_bytes() == before


def test_only_the_owner_reads_the_key(ca, tmp_path):
    assert (tmp_path / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ca").stat().st_mode & 0o777 == 0o700


def test_a_ca_reopened_from_its_folder_issues_on(ca, tmp_path):
    again = load_ca(tmp_path / "ca")
    server = issue(ca, "broker", server_names=["localhost"], client=False)
    shake(tmp_path, server, issue(again, NODE), ca_pem=ca.certificate_pem, client_ca_pem=again.certificate_pem, host="localhost")


def test_a_folder_without_or_with_half_a_ca_is_named(ca, tmp_path):
    with pytest.raises(CaError, match="no CA in"):
        load_ca(tmp_path / "nowhere")
    create_ca(tmp_path / "second", "Loa")
    (tmp_path / "ca" / "ca.key").write_bytes((tmp_path / "second" / "ca.key").read_bytes())
    with pytest.raises(CaError, match="do not belong together"):
        load_ca(tmp_path / "ca")
    (tmp_path / "ca" / "ca.key").write_bytes(b"torn")
    with pytest.raises(CaError, match="cannot be read"):
        load_ca(tmp_path / "ca")


@pytest.mark.parametrize("name", ["", "+", "#", "a/b", "a b", "a\nuser controller", "x" * 65, "-a", "đài"])
def test_no_name_can_reach_into_topics_or_the_acl(ca, name):
    with pytest.raises(CaError, match="cannot be a name"):
        issue(ca, name)


def test_a_certificate_is_for_something(ca):
    with pytest.raises(CaError, match="neither client nor server"):
        issue(ca, "broker", client=False)
    with pytest.raises(CaError, match="neither an address nor a host name"):
        issue(ca, "broker", server_names=["x" * 300])


def test_renewal_keeps_name_key_and_uses_and_moves_the_dates(ca):
    old = issue(ca, "broker", server_names=["localhost", "127.0.0.1"], client=True)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    new = certificate(renew(ca, old.cert_pem, now=now))
    was = certificate(old.cert_pem)
    assert new.public_key() == was.public_key()
    assert new.subject == was.subject
    assert new.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "broker"
    assert new.extensions.get_extension_for_class(x509.SubjectAlternativeName) == was.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert uses(renew(ca, old.cert_pem)) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert new.not_valid_after_utc == now + timedelta(days=LEAF_DAYS)
    assert new.serial_number != was.serial_number
    node = issue(ca, NODE)
    assert uses(renew(ca, node.cert_pem)) == {ExtendedKeyUsageOID.CLIENT_AUTH}


def test_a_strangers_certificate_is_not_renewed(ca, tmp_path):
    stranger = issue(create_ca(tmp_path / "other", "Loa Gia Lai"), NODE)
    with pytest.raises(CaError, match="another CA"):
        renew(ca, stranger.cert_pem)
