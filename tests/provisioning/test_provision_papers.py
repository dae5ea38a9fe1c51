"""Roots and grants from draft to whole, with real files; what cannot count is refused before it is signed."""

import json
from pathlib import Path

import pytest

from protocol.envelope import open_pinned_root

SECRET = ("--passphrase-file", "passphrase", "--yes")


def _json(said) -> dict:
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_a_root_is_whole_only_after_the_second_person(people: Path, provision):
    draft = _json(provision("root", "new", "root.toml", "--out", "root.json", "--json"))
    first = _json(provision("root", "sign", "root.json", "--key", "an.key", *SECRET, "--json"))
    second = _json(provision("root", "sign", "root.json", "--key", "binh.key", *SECRET, "--json"))
    assert draft["digest"] == first["digest"] == second["digest"]
    assert (first["complete"], second["complete"]) == (False, True)
    open_pinned_root((people / "root.json").read_bytes().strip(), draft["digest"])


def test_a_grant_counts_after_two_delegates_signed_and_show_says_by_whom(root: Path, provision):
    assert provision("grant", "new", "grant.toml", "--out", "grant.json").code == 0
    assert _json(provision("show", "grant.json", "--json"))["draft"] is True
    assert provision("show", "grant.json", "--root", "root.json").code == 1
    one = _json(provision("grant", "sign", "grant.json", "--root", "root.json", "--key", "an.key", *SECRET, "--json"))
    assert (one["complete"], "1 of 2 persons" in one["why"]) == (False, True)
    two = _json(provision("grant", "sign", "grant.json", "--root", "root.json", "--key", "chi.key", *SECRET, "--json"))
    assert two["complete"] is True
    shown = _json(provision("show", "grant.json", "--root", "root.json", "--json"))
    assert (shown["verified"], sorted(shown["signers"])) == (True, ["an", "chi"])
    readable = provision("show", "grant.json", "--root", "root.json").out
    assert "Chủ tịch UBND xã Phú Túc" in readable
    assert "GOOD" in readable


def test_show_does_not_believe_a_root_with_another_digest(root: Path, provision):
    said = provision("show", "root.json", "--root", "root.json", "--pin", "0" * 64)
    assert said.code == 1
    assert "pinned is 0000" in said.err


def test_a_changed_byte_is_seen(root: Path, provision):
    provision("grant", "new", "grant.toml", "--out", "grant.json")
    provision("grant", "sign", "grant.json", "--root", "root.json", "--key", "an.key", "--key", "binh.key", *SECRET)
    sealed = json.loads((root / "grant.json").read_text())
    sealed["signatures"][0]["sig"] = sealed["signatures"][1]["sig"]
    (root / "grant.json").write_text(json.dumps(sealed))
    said = provision("show", "grant.json", "--root", "root.json")
    assert said.code == 1
    assert "DOES NOT COUNT" in said.err


def test_a_key_that_has_no_part_in_it_signs_nothing(root: Path, provision):
    provision("grant", "new", "grant.toml", "--out", "grant.json")
    before = (root / "grant.json").read_bytes()
    said = provision("grant", "sign", "grant.json", "--root", "root.json", "--key", "chu-tich.key", *SECRET)
    assert said.code == 1
    assert "would count for nothing" in said.err
    assert (root / "grant.json").read_bytes() == before


def test_the_same_person_cannot_sign_twice(root: Path, provision):
    before = (root / "root.json").read_bytes()
    said = provision("root", "sign", "root.json", "--key", "an.key", *SECRET)
    assert said.code == 1
    assert "another person signs next" in said.err
    assert (root / "root.json").read_bytes() == before


def test_a_root_follows_another_with_both_sides_signatures(root: Path, provision):
    text = (
        (root / "root.toml")
        .read_text()
        .replace('{persons = ["an", "binh"], threshold = 1}', '{persons = ["chi"], threshold = 1}')
    )
    (root / "second.toml").write_text(text)
    assert provision("root", "new", "second.toml", "--old", "root.json", "--out", "second.json").code == 0
    one = _json(provision("root", "sign", "second.json", "--old", "root.json", "--key", "an.key", *SECRET, "--json"))
    two = _json(provision("root", "sign", "second.json", "--old", "root.json", "--key", "chi.key", *SECRET, "--json"))
    assert (one["complete"], two["complete"]) == (False, True)
    assert _json(provision("show", "second.json", "--root", "root.json", "--json"))["payload"]["body"]["version"] == 2


def test_a_newer_grant_names_the_one_it_replaces(root: Path, provision):
    provision("grant", "new", "grant.toml", "--out", "grant.json")
    old = _json(
        provision("grant", "sign", "grant.json", "--root", "root.json", "--key", "an.key", "--key", "binh.key", *SECRET, "--json")
    )
    new = _json(provision("grant", "new", "grant.toml", "--old", "grant.json", "--out", "newer.json", "--json"))
    assert new["payload"]["prev"] == old["digest"]


def test_a_dry_run_signs_and_writes_nothing(root: Path, provision):
    assert provision("grant", "new", "grant.toml", "--out", "grant.json", "--dry-run").code == 0
    assert not (root / "grant.json").exists()
    provision("grant", "new", "grant.toml", "--out", "grant.json")
    before = (root / "grant.json").read_bytes()
    said = provision("grant", "sign", "grant.json", "--root", "root.json", "--key", "an.key", *SECRET, "--dry-run")
    assert said.code == 0
    assert (root / "grant.json").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('area = "52.24076"', "area = 52.24076", "area"),
        ('area = "52.24076"', 'area = "52/24076"', "area"),
        ("area_no = 24076000\n", "", "areas.json"),
        ("until = 2090-12-31", "until = 2020-01-01", "later `until`"),
        ("until = 2090-12-31", 'until = "tomorrow"', "until"),
        ('"chu-tich.pub"', '"gone.pub"', "gone.pub does not exist"),
        ('"chu-tich.pub"', '"an.pub"', "is the key of 'an'"),
        ('power = "stop"\npersons = ["chu-tich"]', 'power = "stop"\npersons = ["ma"]', "'ma', who is not among"),
        ('power = "stop"', 'power = "halt"', "halt"),
        ('power = "stop"', 'power = "stop"\nthreshold = 2', "asks for 2 persons"),
        ('power = "stop"', 'power = "programme"\nclasses = ["emergency"]', "never an item"),
        ("sound_max_s = 3600", "sound_max_s = 3600\nloud = true", "loud"),
        ('keys = ["chu-tich.pub"]', 'keys = ["chu-tich.pub"]\nservice = true', "at most 600"),
        ("[[powers]]", "[powers", "is not TOML"),
        ('area = "52.24076"', 'area = "52.24076"\nauthority = "53"', "does not stand above"),
    ],
)
def test_a_wrong_table_is_a_sentence_with_the_file_and_no_draft(root: Path, provision, old, new, sentence):
    text = (root / "grant.toml").read_text()
    assert old in text
    (root / "grant.toml").write_text(text.replace(old, new, 1))
    said = provision("grant", "new", "grant.toml", "--out", "grant.json")
    assert said.code == 1
    assert "grant.toml" in said.err
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert not (root / "grant.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"draft":"grant"}', b'{"payloadType":"x"}', b"[" * 5000])
def test_what_is_no_document_is_named_as_such(root: Path, provision, content):
    (root / "odd.json").write_bytes(content)
    for words in (("show", "odd.json"), ("grant", "sign", "odd.json", "--root", "root.json", "--key", "an.key", *SECRET)):
        said = provision(*words)
        assert said.code == 1
        assert "odd.json" in said.err
        assert "Traceback" not in said.err


def test_a_paper_of_another_kind_is_not_signed_by_mistake(root: Path, provision):
    said = provision("grant", "sign", "root.json", "--root", "root.json", "--key", "chi.key", *SECRET)
    assert said.code == 1
    assert "is a root, not a grant" in said.err
