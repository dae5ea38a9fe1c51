"""A batch of nodes from a spreadsheet: all of it, or one sentence that names the line and nothing on the disk."""

import json
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from protocol.enrolment import read_claim, verifier_of
from protocol.node_id import is_valid
from provisioning.errors import InputRefused
from provisioning.papers import read_paper
from provisioning.site import Site, write_site
from provisioning.sites import read_sites

HEAD = "tên,thôn,mã,khuếch đại\n"
NODE = "3QBMGF42PY"
JRAI = "Buôn Prơ̆ng, H’Dơ̆k"
BAHNAR = "Plei Ƀĭch Kơ̆n Ô̆"


def table(*lines: str, head: str = HEAD) -> bytes:
    return (head + "\n".join(lines) + "\n").encode()


def names(content: bytes) -> list[str]:
    return [each.name for each in read_sites(content, province="52")]


@pytest.fixture
def site(root: Path) -> Path:
    """The folder with a site file, as the controller would write it."""
    paper = read_paper(root / "root.json")
    assert paper.raw is not None
    made = Site(
        broker_host="loa.example.vn",
        broker_port=8883,
        media_url="https://loa.example.vn:8443",
        enrol_url="https://loa.example.vn:8444",
        roots_pem="-----BEGIN CERTIFICATE-----\n",
        root=paper.raw,
        root_digest=paper.digest,
    )
    write_site(root / "site.json", made)
    return root


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "head", ["name,settlement,node,amplifier", "TÊN,Mã thôn,mã cụm loa,Khuếch đại", "tên,Thôn code,ma,amplifier"]
)
def test_a_table_is_read_as_excel_and_people_write_it(mark, delimiter, head):
    content = f"{head}\r\nLoa thôn 1,52.24076.001,{NODE.lower()},gpio:17?on_ms=500\r\n,,,\r\n".replace(",", delimiter).encode()
    (only,) = read_sites(mark + content, province="52")
    assert (only.name, only.settlement, only.node) == ("Loa thôn 1", "52.24076.001", NODE)
    assert (only.amplifier, only.sink, only.line) == ("gpio:17?on_ms=500", None, 2)


def test_letters_of_every_language_here_come_through_in_one_spelling():
    decomposed = "Buo\u0302n Pro\u031b\u0306ng"
    content = table(f'"{JRAI}",52.24076.001,,', f"{BAHNAR},52.24076.002,,", f"{decomposed},52.24076.003,,")
    assert names(content) == [JRAI, BAHNAR, "Buôn Prơ̆ng"]


WRONG = {
    "an unknown column": (table("a,b", head="tên,thôn,màu\n"), 1, "không biết cột 'màu'"),
    "a column twice": (table("a,b,c", head="tên,thôn,name\n"), 1, "hai lần"),
    "a missing column": (table("a", head="tên\n"), 1, "settlement"),
    "an empty table": (table(), 2, "no site"),
    "nothing at all": (b"", 1, "missing"),
    "an empty name": (table("Loa,52.24076.001,,", ",52.24076.002,,"), 3, "tên để trống"),
    "a name that is too long": (table(f"{'ă' * 81},52.24076.001,,"), 2, "quá 80 chữ"),
    "a name that a spreadsheet would run": (table("=1+1,52.24076.001,,"), 2, "ký tự lạ"),
    "a name over two lines": (table('"Loa\nthôn",52.24076.001,,'), 3, "ký tự lạ"),
    "a commune for a settlement": (table("Loa,52.24076,,"), 2, "mã thôn"),
    "a settlement in words": (table("Loa,thôn 1,,"), 2, "mã thôn"),
    "another province": (table("Loa,64.24076.001,,"), 2, "province 52"),
    "a wrong node id": (table(f"Loa,52.24076.001,{NODE[:-1]}X,"), 2, "mã cụm loa"),
    "a node twice": (table(f"A,52.24076.001,{NODE},", f"B,52.24076.001,{NODE.lower()},"), 3, "dòng 2"),
    "a site twice": (table("Loa,52.24076.001,,", "B,52.24076.001,,", "loa,52.24076.001,,"), 4, "line 2"),
    "a wrong amplifier": (table("Loa,52.24076.001,,gpio:seventeen"), 2, "khuếch đại"),
    "a cell too many": (table("Loa,52.24076.001,,,"), 2, "có 5 ô"),
    "an open quote": (table('"Loa,52.24076.001,,'), 2, "CSV UTF-8"),
    "an old code page": (table("Loa,52.24076.001,,") + b"Bu\xf4n,52.24076.002,,\n", 3, "UTF-8"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_line_is_one_sentence_that_names_it(case):
    content, line, words = WRONG[case]
    with pytest.raises(InputRefused) as refused:
        read_sites(content, province="52")
    assert str(refused.value).startswith(f"dòng {line} / line {line}: ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_same_name_in_another_settlement_is_another_site():
    assert names(table("Loa 1,52.24076.001,,", "Loa 1,52.24076.002,,")) == ["Loa 1", "Loa 1"]


def test_a_batch_makes_a_card_for_every_line_one_pdf_and_a_list_for_whoever_approves(site: Path, provision):
    (site / "cum.csv").write_bytes(
        table(f"{JRAI.replace(',', '')},52.24076.001,{NODE},gpio:17?on_ms=500", f"{BAHNAR},52.24076.002,,")
    )
    said = provision("node", "new", "--site", "site.json", "--sites", "cum.csv", "--out", "cards", "--json")
    assert said.code == 0, said.err
    first, second = json.loads(said.out)
    assert (first["node"], second["name"], second["settlement"]) == (NODE, BAHNAR, "52.24076.002")
    assert is_valid(second["node"])
    for each, amplifier in ((first, "gpio:17?on_ms=500"), (second, "none")):
        card = site / each["card"]
        config = tomllib.loads((card / "node.toml").read_text())
        assert (config["identity"]["node"], config["board"]["amplifier"]) == (each["node"], amplifier)
        expected = json.loads((site / each["expect"]).read_text())
        assert expected == {"node": each["node"], "verifier": verifier_of(each["node"], read_claim((card / "claim").read_text()))}
    labels = site / "cards" / "labels.pdf"
    assert labels.read_bytes().startswith(b"%PDF")
    assert stat.S_IMODE(labels.stat().st_mode) == 0o600
    again = read_sites((site / "cards" / "nodes.csv").read_bytes(), province="52")
    assert [(each.node, each.name) for each in again] == [(each["node"], each["name"]) for each in (first, second)]
    assert not list((site / "cards").glob("*.txt"))


def test_a_wrong_line_leaves_nothing_on_the_disk(site: Path, provision):
    (site / "cum.csv").write_bytes(table("Loa 1,52.24076.001,,", ",52.24076.002,,"))
    said = provision("node", "new", "--site", "site.json", "--sites", "cum.csv", "--out", "cards")
    assert said.code == 1
    assert "line 3" in said.err
    assert not (site / "cards").exists()


def test_a_dry_run_says_what_would_be_made_and_writes_nothing(site: Path, provision):
    (site / "cum.csv").write_bytes(table(f"Loa 1,52.24076.001,{NODE},"))
    said = provision("node", "new", "--site", "site.json", "--sites", "cum.csv", "--out", "cards", "--dry-run")
    assert said.code == 0, said.err
    assert NODE in said.out
    assert "nothing was written" in said.out
    assert not (site / "cards").exists()


def test_a_batch_that_meets_an_older_card_makes_none_of_its_own(site: Path, provision):
    (site / "cum.csv").write_bytes(table("Loa 1,52.24076.001,,", f"Loa 2,52.24076.002,{NODE},"))
    (site / "cards" / NODE).mkdir(parents=True)
    said = provision("node", "new", "--site", "site.json", "--sites", "cum.csv", "--out", "cards")
    assert (said.code, "already exists" in said.err) == (1, True)
    assert [path.name for path in (site / "cards").iterdir()] == [NODE]


def test_a_machine_is_replaced_beside_the_batch_once_its_labels_are_gone(site: Path, provision):
    (site / "cum.csv").write_bytes(table("Loa 1,52.24076.001,,"))
    batch = ("node", "new", "--site", "site.json", "--sites", "cum.csv", "--out", "cards")
    assert provision(*batch).code == 0
    told = (site / "cards" / "nodes.csv").read_bytes()
    (site / "cards" / "labels.pdf").unlink()
    assert provision("node", "new", "--site", "site.json", "--out", "cards", "--node", NODE).code == 0
    assert (site / "cards" / NODE / "claim").is_file()
    assert (site / "cards" / "nodes.csv").read_bytes() == told
    (site / "cards" / "labels.pdf").unlink()
    again = provision(*batch)
    assert (again.code, "nodes.csv already exists" in again.err) == (1, True)


def test_a_disk_that_refuses_the_labels_keeps_no_card_of_the_batch(site: Path):
    """The cards' files are small, the labels are not: a limit on the size of files stands for a full disk."""
    words = ("node", "new", "--site", "site.json", "--out", "cards", "--count", "3")
    limited = ("prlimit", "--fsize=12000", sys.executable, "-m", "provisioning", *words)
    said = subprocess.run(limited, cwd=site, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 1
    assert "cannot write" in said.stderr
    assert "Traceback" not in said.stderr
    assert list((site / "cards").iterdir()) == []


def test_labels_with_claims_in_them_are_not_written_over(site: Path, provision):
    assert provision("node", "new", "--site", "site.json", "--out", "cards").code == 0
    said = provision("node", "new", "--site", "site.json", "--out", "cards")
    assert (said.code, "xóa" in said.err) == (1, True)
    assert len(list((site / "cards").glob("*.expect.json"))) == 1
