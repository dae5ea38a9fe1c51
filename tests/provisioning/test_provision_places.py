"""Placements and node folders."""

import json
import os
import stat
from pathlib import Path

import pytest
from cryptography import x509

from protocol import keys
from protocol.documents import ChainLink, Key, Person, Power, Role
from protocol.errors import Malformed
from protocol.node_id import is_valid
from provisioning import enrol
from provisioning.ceremony import build_grant, build_placement, build_root, links, next_seq
from provisioning.errors import InputRefused

SECRET = ("--passphrase-file", "passphrase", "--yes")
NUMBERS = {"52": 100_000_052, "52.24076": 24_076_000, "52.24076.001": 24_076_001}
LINKS = enrol.Links(ca_pem=b"ca", root=b"{}", root_digest="0" * 64, broker_host="h", broker_port=8883, media_url="https://h:8443")


def _public() -> str:
    return keys.public_hex(keys.new_key())


def test_a_placement_is_signed_offline_and_verifies(root: Path, provision):
    (root / "areas.json").write_text(json.dumps([{"id": area, "no": no} for area, no in NUMBERS.items()]))
    node = enrol.draw_node_id(os.urandom)
    new = ("placement", "new", "--node", node, "--area", "52.24076.001", "--report-key", _public(), "--areas", "areas.json")
    assert provision(*new, "--out", "p.json").code == 0
    assert provision("placement", "sign", "p.json", "--root", "root.json", "--key", "binh.key", *SECRET).code == 0
    shown = json.loads(provision("show", "p.json", "--root", "root.json", "--json").out)
    assert shown["verified"] is True
    assert [link["area"] for link in shown["payload"]["body"]["chain"]] == [*NUMBERS, node]
    assert shown["payload"]["body"]["station"] == "52.24076"


@pytest.mark.parametrize(
    ("node", "area", "report_key", "sentence"),
    [
        ("0000000001", "52.24076.001", "aa" * 32, "no node id"),
        (None, "52.99999", "aa" * 32, "'52.99999' has no number"),
        (None, "52.24076.001.004", "aa" * 32, "at most 3"),
        (None, "52.24076.001", "00" * 32, "small order"),
        (None, "52.24076.001", "short", "report"),
    ],
)
def test_a_wrong_placement_is_a_sentence(root: Path, provision, node, area, report_key, sentence):
    (root / "areas.json").write_text(json.dumps([{"id": each, "no": no} for each, no in NUMBERS.items()]))
    node = node or enrol.draw_node_id(os.urandom)
    words = (
        "placement",
        "new",
        "--node",
        node,
        "--area",
        area,
        "--report-key",
        report_key,
        "--areas",
        "areas.json",
        "--out",
        "p.json",
    )
    said = provision(*words)
    assert said.code == 1
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert not (root / "p.json").exists()


def test_node_ids_are_drawn_until_one_is_valid():
    draws = iter([bytes([255] * 8), bytes(range(8)), *[bytes([n] * 8) for n in range(40)]])
    assert is_valid(enrol.draw_node_id(lambda count: next(draws)[:count]))


def test_a_folder_is_private_and_its_request_is_the_nodes_own(tmp_path: Path):
    node = enrol.draw_node_id(os.urandom)
    fresh = enrol.begin(tmp_path / "n", node)
    assert stat.S_IMODE((tmp_path / "n").stat().st_mode) == 0o700
    for name in ("node.key", "report.key"):
        assert stat.S_IMODE((tmp_path / "n" / name).stat().st_mode) == 0o600
    request = x509.load_pem_x509_csr(fresh.request_pem)
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == f"CN={node}"
    assert keys.public_hex(keys.from_pem((tmp_path / "n" / "report.key").read_bytes(), None)) == fresh.report_key


def test_the_config_of_a_node_says_all_that_it_needs(tmp_path: Path):
    import tomllib

    fresh = enrol.begin(tmp_path / "n", enrol.draw_node_id(os.urandom))
    board = enrol.Board(sink='wav:/tmp/a "b".wav')
    config = tomllib.loads(enrol.finish(fresh, certificate_pem=b"crt", links=LINKS, board=board).read_text())
    assert config["identity"]["node"] == fresh.node
    assert config["board"]["sink"] == 'wav:/tmp/a "b".wav'
    assert config["pins"]["root_digest"] == "0" * 64
    assert config["broker"] == {"host": "h", "port": 8883}
    for name in ("certificate", "key", "report_key"):
        assert (tmp_path / "n" / config["identity"][name]).is_file()


def test_an_existing_folder_is_left_alone(tmp_path: Path):
    (tmp_path / "n").mkdir()
    with pytest.raises(InputRefused, match="already exists"):
        enrol.begin(tmp_path / "n", enrol.draw_node_id(os.urandom))
    assert not list((tmp_path / "n").iterdir())


def test_a_new_document_is_newer_than_all_that_is_known():
    assert next_seq(1_000) == 1_000
    assert next_seq(1_000, 5_000) == 5_001


def test_a_service_may_only_start_listed_recordings_so_often_a_day_within_one_commune():
    person = Person(id="tiep-am", name="Đài truyền thanh xã", service=True)
    key = Key(public=_public(), person="tiep-am")

    def grant(power: str = "emergency", area: str = "52.24076", **more) -> None:
        limits = {"sound_max_s": 600, "contents": ("6b" * 32,), "per_day": 3} | more
        classes = {"emergency": ("emergency",), "programme": ("normal",)}.get(power, ())
        held = Power(power=power, persons=("tiep-am",), classes=classes, **limits)
        build_grant(area=area, area_no=1, persons=(person,), keys=(key,), powers=(held,), until_ms=2_000, now_ms=1_000)

    grant()
    grant("exercise")
    for power in ("programme", "stop", "station", "network", "placement", "delegate", "live"):
        with pytest.raises(Malformed, match="may only hold emergency, exercise"):
            grant(power)
    for wrong, sentence in (
        ({"area": "52"}, "one commune"),
        ({"sound_max_s": 601}, "at most 600"),
        ({"sound_max_s": None}, "at most 600"),
        ({"contents": ()}, "list its recordings"),
        ({"per_day": None}, "list its recordings"),
    ):
        with pytest.raises(Malformed, match=sentence):
            grant(**wrong)


def test_limits_of_a_service_are_refused_where_there_is_none():
    person, key = Person(id="chu-tich", name="Chủ tịch"), Key(public=_public(), person="chu-tich")
    held = Power(power="emergency", persons=("chu-tich",), classes=("emergency",), contents=("6b" * 32,))
    with pytest.raises(Malformed, match="names no service"):
        build_grant(area="52.24076", area_no=1, persons=(person,), keys=(key,), powers=(held,), until_ms=2_000, now_ms=1_000)


def test_a_threshold_that_nobody_can_reach_is_refused():
    persons = (Person(id="a", name="A"), Person(id="b", name="B"))
    held = (Key(public=_public(), person="a"), Key(public=_public(), person="b", state="stolen"))
    role, single = Role(persons=("a", "b"), threshold=2), Role(persons=("a",), threshold=1)
    with pytest.raises(Malformed, match="only 1 of those"):
        build_root(area="52", area_no=1, persons=persons, keys=held, root=role, delegate=single, placement=single, now_ms=1)


def test_a_chain_that_does_not_end_in_a_node_places_nobody():
    with pytest.raises(Malformed, match="ends with its node"):
        build_placement(chain=links("52.24076", NUMBERS), report_key=_public(), now_ms=1)
    node = ChainLink(area=enrol.draw_node_id(os.urandom), area_no=9, level="node")
    with pytest.raises(Malformed, match="not in the chain"):
        build_placement(chain=(*links("52.24076", NUMBERS), node), report_key=_public(), now_ms=1, station="52.1")
