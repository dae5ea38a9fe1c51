"""A release from bundle to two signatures, with real files; what no node would take is refused before anybody signs."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from protocol.documents import Root
from protocol.envelope import payload_of
from protocol.release import Release
from tests.provisioning.bundles import make_bundle
from tests.provisioning.conftest import ROOT_TOML, run_provision

SECRET = ("--passphrase-file", "passphrase", "--yes")
NEW = ("release", "new", "loa.raucb", "--root", "root.json", "--out", "release.json")
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl signs the bundles (apt: openssl)")


def _json(said) -> dict:
    assert said.code == 0, said.err
    return json.loads(said.out)


@pytest.fixture(scope="session")
def furnished(ceremony: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose role `release` two of its persons have, and a bundle; copied for each test."""
    people = tmp_path_factory.mktemp("desk") / "here"
    shutil.copytree(ceremony, people)
    table = ROOT_TOML + 'release = {persons = ["binh", "chi"], threshold = 2}\n'
    (people / "root.toml").write_text(table)
    assert run_provision(people, "root", "new", "root.toml", "--out", "root.json").code == 0
    for person in ("an", "binh"):
        assert run_provision(people, "root", "sign", "root.json", "--key", f"{person}.key", *SECRET).code == 0
    make_bundle(people / "loa.raucb")
    return people


@pytest.fixture
def desk(furnished: Path, tmp_path: Path) -> Path:
    shutil.copytree(furnished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def _sign(folder: Path, person: str, *more: str):
    words = ("release", "sign", "release.json", "--root", "root.json", "--key", f"{person}.key", *SECRET, *more)
    return run_provision(folder, *words)


def test_a_release_counts_once_two_persons_of_the_desk_signed_what_the_bundle_is(desk: Path, provision):
    manifest = make_bundle(desk / "loa.raucb", content=b"x" * 5_000)
    whole = (desk / "loa.raucb").read_bytes()
    assert provision(*NEW, "--floor", "5").code == 0
    one, two = (_json(_sign(desk, person, "--bundle", "loa.raucb", "--json")) for person in ("binh", "chi"))
    assert (one["complete"], "1 of 2 persons" in one["why"], two["complete"]) == (False, True, True)
    made = payload_of((desk / "release.json").read_bytes().strip())
    root = payload_of((desk / "root.json").read_bytes().strip())
    assert isinstance(made, Release)
    assert isinstance(root, Root)
    assert (made.subject, made.area, made.body.version, made.body.build, made.body.floor) == (
        "loa-node",
        root.area,
        "2026.11.2",
        7,
        5,
    )
    assert made.body.bundle.sha256 == hashlib.sha256(whole).hexdigest()
    assert made.body.bundle.bytes == len(whole)
    assert made.body.manifest == hashlib.sha256(manifest).hexdigest()
    shown = _json(provision("show", "release.json", "--root", "root.json", "--json"))
    assert (shown["verified"], sorted(shown["signers"])) == (True, ["binh", "chi"])


def test_show_says_machine_version_floor_and_hashes(desk: Path, provision):
    assert provision(*NEW, "--floor", "5").code == 0
    said = provision("release", "show", "release.json")
    sha256 = hashlib.sha256((desk / "loa.raucb").read_bytes()).hexdigest()
    for words in ("loa-node", "2026.11.2, build 7", "no build below 5", sha256):
        assert words in said.out


def test_a_person_of_the_root_without_the_role_signs_no_release(desk: Path, provision):
    assert provision(*NEW, "--floor", "5").code == 0
    said = _sign(desk, "an")
    assert said.code == 1
    assert "would count for nothing" in said.err


def test_nobody_signs_for_a_bundle_that_is_another_than_the_named_one(desk: Path, provision):
    assert provision(*NEW, "--floor", "5").code == 0
    before = (desk / "release.json").read_bytes()
    make_bundle(desk / "loa.raucb", content=b"another")
    said = _sign(desk, "binh", "--bundle", "loa.raucb")
    assert said.code == 1
    assert "is not what release.json names" in said.err
    assert (desk / "release.json").read_bytes() == before


def test_a_later_release_keeps_the_floor_and_never_sinks_below_it(desk: Path, provision):
    assert provision(*NEW, "--floor", "5").code == 0
    make_bundle(desk / "next.raucb", build="8")
    words = ("release", "new", "next.raucb", "--root", "root.json", "--old", "release.json", "--out", "next.json")
    made = _json(provision(*words, "--json"))["payload"]
    old = _json(provision("release", "show", "release.json", "--json"))
    assert (made["body"]["floor"], made["prev"], made["seq"] > old["payload"]["seq"]) == (5, old["digest"], True)
    lower = provision(
        "release", "new", "next.raucb", "--root", "root.json", "--old", "release.json", "--out", "l.json", "--floor", "4"
    )
    assert lower.code == 1
    assert "lowers the floor" in lower.err


@pytest.mark.parametrize(
    ("bundle", "more", "sentence"),
    [
        ({"build": "4"}, ("--floor", "5"), "below the floor"),
        ({"build": "nightly"}, ("--floor", "0"), "--build"),
        ({}, ("--floor", "0", "--build", "8"), "leave --build out"),
        ({}, (), "--floor"),
        ({"format": "plain"}, ("--floor", "0"), "verity alone"),
        ({"compatible": "Loa Node"}, ("--floor", "0"), "does not fit"),
        ({"version": "mười một"}, ("--floor", "0"), "does not fit"),
    ],
)
def test_what_no_node_would_take_is_a_sentence_and_no_draft(desk: Path, provision, bundle, more, sentence):
    make_bundle(desk / "loa.raucb", **bundle)
    said = provision(*NEW, *more)
    assert said.code == 1
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert not (desk / "release.json").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:-1],
        lambda whole: whole[:-8],
        lambda whole: whole[:-8] + (1 << 40).to_bytes(8, "big"),
        lambda whole: whole[:-8] + (5).to_bytes(8, "big"),
        lambda whole: b"\x30\x84" + (12).to_bytes(8, "big"),
    ],
)
def test_what_is_no_bundle_is_named_as_such(desk: Path, provision, damage):
    whole = (desk / "loa.raucb").read_bytes()
    (desk / "loa.raucb").write_bytes(damage(whole))
    said = provision(*NEW, "--floor", "0")
    assert said.code == 1
    assert "loa.raucb" in said.err
    assert "Traceback" not in said.err
