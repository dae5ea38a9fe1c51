"""The whole ceremony with the real program: from a plan, interrupted, at a terminal; its record; successors of its root."""

import json
import re
import shutil
import stat
from pathlib import Path

import pytest

from protocol.documents import Root
from protocol.envelope import open_pinned_root
from protocol.trust import public_key
from provisioning.keyfile import open_private
from tests.provisioning.conftest import PASSPHRASE, Said, run_provision

ROOTS = [f"goc-{number}" for number in range(1, 6)]
DELEGATES = [f"pq-{number}" for number in range(1, 4)]


def plan(**more: str) -> str:
    """A plan as people write it; `more` adds a line to a person."""
    lines = ['area = "52"', "area_no = 100000052", 'place = "Pleiku <b>"', 'witnesses = ["Chị Hoa & anh Lá"]']
    for names, role in ((ROOTS, "root"), (DELEGATES, "delegate")):
        for name in names:
            lines += ["[[persons]]", f'id = "{name}"', f'name = "Ông bà {name}"', f'roles = ["{role}"]']
            lines += [more.get(name.replace("-", "_"), 'passphrase_file = "passphrase"')]
    return "\n".join(lines) + "\n"


def begin(folder: Path, text: str) -> Path:
    (folder / "plan.toml").write_text(text)
    (folder / "passphrase").write_text(PASSPHRASE + "\n")
    (folder / "passphrase").chmod(0o600)
    return folder


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A ceremony from a plan, and what it said."""
    folder = begin(tmp_path_factory.mktemp("le"), plan())
    said = run_provision(folder, "keys", "ceremony", "--plan", "plan.toml", "--out", "le", "--yes", "--json")
    assert said.code == 0, said.err
    return folder, json.loads(said.out[said.out.index("{\n") :])


@pytest.fixture
def le(done, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(done[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def root_of(folder: Path, name: str = "le/root.json", digest: str | None = None) -> Root:
    raw = (folder / name).read_bytes().strip()
    said = run_provision(folder, "root", "show", name, "--json")
    return open_pinned_root(raw, digest or json.loads(said.out)["digest"])


def run(folder: Path, words: str) -> Said:
    return run_provision(folder, *words.split())


def test_a_plan_makes_every_key_and_a_root_that_three_of_five_signed(done):
    folder, told = done
    root = root_of(folder, digest=told["digest"])
    assert told["complete"] is True
    assert (root.body.root.threshold, root.body.root.persons) == (3, tuple(ROOTS))
    assert (root.body.delegate.threshold, root.body.delegate.persons) == (2, tuple(DELEGATES))
    assert root.body.placement.persons == tuple(DELEGATES)
    assert len(json.loads((folder / "le" / "root.json").read_text())["signatures"]) == 3
    for name in (*ROOTS, *DELEGATES):
        private = folder / "le" / f"{name}.key"
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
        assert b"ENCRYPTED" in private.read_bytes()
    assert stat.S_IMODE((folder / "le").stat().st_mode) == 0o700
    open_private(folder / "le" / "pq-3.key", PASSPHRASE)


def test_the_record_has_every_name_key_and_group_of_the_digest_and_no_secret(done):
    folder, told = done
    page = (folder / "le" / "bien-ban.html").read_text("utf-8")
    digest = told["digest"]
    for start in range(0, 64, 16):
        assert " ".join(digest[start + step : start + step + 4] for step in range(0, 16, 4)) in page
    for key in root_of(folder).body.keys:
        assert public_key(key.public).keyid[:16] in page
        assert f"Ông bà {key.person}" in page
    assert page.count("đã ký gốc") == 3
    assert "Pleiku &lt;b&gt;" in page
    assert "Chị Hoa &amp; anh Lá" in page
    assert "size: A4" in page
    assert PASSPHRASE not in page
    assert "PRIVATE KEY" not in page
    private = (folder / "le" / "goc-1.key").read_text().splitlines()[1]
    assert private not in page


def test_dry_run_checks_and_writes_nothing(tmp_path: Path):
    begin(tmp_path, plan())
    said = run(tmp_path, "keys ceremony --plan plan.toml --out le --dry-run")
    assert said.code == 0, said.err
    assert "root: 3 of 5" in said.out
    assert not (tmp_path / "le").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("goc-5", "goc-4"), "a person stands in it twice"),
        (('roles = ["delegate"]', 'roles = ["root"]'), "nobody has the role 'delegate'"),
        (('area = "52"', 'area = "52"\nthresholds = {root = 6}'), "only 5 of those named"),
        (('area = "52"', 'area = "52"\nthresholds = {root = 5}'), "at most 4 signatures"),
        (("area_no = 100000052\n", ""), "the number of area '52' is not known"),
        (('area = "52"', 'area = "52"\ncolour = "red"'), "colour"),
    ],
)
def test_a_plan_that_could_not_work_is_refused_before_a_key_is_made(tmp_path: Path, change, sentence):
    begin(tmp_path, plan().replace(*change))
    said = run(tmp_path, "keys ceremony --plan plan.toml --out le --yes")
    assert said.code == 1
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "le").exists()


def test_an_interrupted_ceremony_goes_on_where_it_stopped_and_makes_no_key_twice(tmp_path: Path):
    begin(tmp_path, plan(pq_1='passphrase_file = "not-there-yet"'))
    first = run(tmp_path, "keys ceremony --plan plan.toml --out le --yes")
    assert first.code == 1
    assert "not-there-yet does not exist" in first.err
    made = {path.name: path.read_bytes() for path in (tmp_path / "le").glob("*.key")}
    assert sorted(made) == [f"{name}.key" for name in ROOTS]
    shutil.copy(tmp_path / "passphrase", tmp_path / "not-there-yet")
    again = run(tmp_path, "keys ceremony --plan plan.toml --out le --yes")
    assert again.code == 0, again.err
    assert {name: (tmp_path / "le" / name).read_bytes() for name in made} == made
    assert root_of(tmp_path).body.version == 1


def test_people_who_sit_down_one_after_another_are_asked_for_everything(folder: Path, at_terminal):
    lines = [
        "52",
        "Pleiku",
        "2",
        "2",
        "Ông Một",
        "mot",
        "",
        "Bà Hai",
        "hai",
        "",
        "2",
        "2",
        "Ông Ba",
        "ba",
        "",
        "Bà Bốn",
        "bon",
        "",
    ]
    for _ in range(4):
        lines += [PASSPHRASE, PASSPHRASE]
    lines += ["y", "y", PASSPHRASE, "y", PASSPHRASE]
    (folder / "areas.json").write_text('[{"id": "52", "no": 100000052}]')
    code, shown = at_terminal("keys", "ceremony", "--out", "le", "--areas", "areas.json", lines=tuple(lines))
    assert code == 0, shown
    assert "mời vào chỗ" in shown
    assert PASSPHRASE not in shown
    root = root_of(folder)
    assert root.body.root.persons == ("mot", "hai")
    assert root.body.delegate.persons == ("ba", "bon")


# --- what follows the first root ---


def sign(folder: Path, file: str, old: str, *names: str) -> Said:
    keys = " ".join(f"--key le/{name}.key" for name in names)
    return run(folder, f"root sign {file} --old {old} {keys} --passphrase-file passphrase --yes --json")


def test_a_lost_root_key_is_replaced_by_three_of_the_four_that_are_left(le: Path):
    said = run(le, "key new --person goc-6 --name Sáu --out le/goc-6.key --passphrase-file passphrase")
    assert said.code == 0, said.err
    said = run(le, "root next le/root.json --retire goc-5 --add le/goc-6.pub=root --out root-2.json")
    assert said.code == 0, said.err
    told = json.loads(sign(le, "root-2.json", "le/root.json", "goc-1", "goc-2").out)
    assert told["complete"] is False
    assert json.loads(sign(le, "root-2.json", "le/root.json", "goc-3").out)["complete"] is True
    root = root_of(le, "root-2.json")
    assert root.body.root.persons == (*ROOTS, "goc-6"), "a retired person stays named, for what nodes hold by that key"
    assert {key.person: key.state for key in root.body.keys}["goc-5"] == "retired"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--retire goc-1 --retire goc-2 --retire goc-3", "only 2 of those named have an active key"),
        ("--stolen nobody", "neither a person nor a key here"),
        ("--add le/goc-1.pub=delegate", "is listed already"),
        ("--threshold root=5", "at most 4 signatures"),
        ("--threshold colour=2", "there is no 'colour' here"),
        ("--retire pq-1 --retire pq-2", "only 1 of those named"),
        ("--stolen pq-1 --stolen pq-2 --stolen pq-3", "would be left with nobody"),
        ("--add le/goc-1.pub", "write the .pub file and what its owner may do"),
        ("--floor yesterday", "yesterday"),
    ],
)
def test_a_root_that_nobody_could_sign_or_use_is_refused_as_a_draft(le: Path, words: str, sentence: str):
    said = run(le, f"root next le/root.json {words} --out root-2.json")
    assert said.code != 0
    assert sentence in re.sub(r"\s+", " ", said.err)
    assert "Traceback" not in said.err
    assert not (le / "root-2.json").exists()


def test_too_many_keys_at_once_cannot_be_signed_and_are_refused_as_a_draft(le: Path):
    for number in (6, 7, 8, 9):
        run(le, f"key new --person goc-{number} --name N --out le/goc-{number}.key --passphrase-file passphrase")
    more = " ".join(f"--retire goc-{number - 5} --add le/goc-{number}.pub=root" for number in (6, 7, 8, 9))
    said = run(le, f"root next le/root.json {more} --out root-2.json")
    assert said.code == 1
    assert "change fewer keys of the role 'root' in one version" in said.err


def test_a_stolen_key_stays_stolen_and_a_floor_is_lowered_by_the_next_root(le: Path):
    assert run(le, "root next le/root.json --stolen pq-2 --floor 2026-01-01 --out root-2.json").code == 0
    assert json.loads(sign(le, "root-2.json", "le/root.json", "goc-1", "goc-2", "goc-3").out)["complete"] is True
    said = run(le, "root next root-2.json --retire pq-2 --out root-3.json")
    assert said.code == 0, said.err
    second = root_of(le, "root-2.json")
    assert second.body.floor_reset_ms == 1_767_200_400_000
    assert second.body.delegate.persons == ("pq-1", "pq-3")
    third = json.loads((le / "root-3.json").read_text())["payload"]["body"]
    assert {key["person"]: key.get("state") for key in third["keys"]}["pq-2"] == "stolen"
    assert third.get("floor_reset_ms") is None
