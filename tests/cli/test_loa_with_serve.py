"""`loa` end to end: a real serve, a real broker, real key files; the refused changes nothing, the missed is taken up."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.cli.loa_office import COMMUNE, LOA, PASSPHRASE, SETTLEMENT, Office

TEXT = "Nước sông Ba lên nhanh, bà con lên nhà văn hóa ngay."
START = ("emergency", "start", "--area", SETTLEMENT, "--text-vi", TEXT, "--risk", "4", "--body", "UBND xã Phú Túc", "--yes")
RULE = "FREQ=DAILY;BYHOUR=5;BYMINUTE=30"


def key(office: Office, *names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--key", str(office.papers.key(name))))


@pytest.fixture
def running(office: Office) -> Office:
    """Broker and serve up, root and grants in force."""
    office.broker()
    office.child = office.serve()
    papers = office.papers
    said = office.loa("trust", "import", str(papers.wide), str(papers.grant), str(papers.root), "--yes", "--json")
    assert said.code == 0, said.err
    return office


def add_node(office: Office, name: str = "Loa nhà văn hóa", *more: str) -> dict:
    out = office.state.parent / f"node-{time.monotonic_ns()}"
    words = ("node", "add", "--name", name, "--settlement", SETTLEMENT, "--out", str(out), *more)
    return office.loa(*words, *key(office, "an"), "--json").json()


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "ban-tin.wav"
    subprocess.run(["espeak-ng", "-v", "vi", "-w", str(path), "Xin chào bà con, đây là bản tin buổi sáng của xã."], check=True)
    return path


@pytest.mark.timeout(600)  # a key file costs half a second of processor at each opening, and this day has many
def test_a_day_at_the_office(running: Office, sound: Path, tmp_path: Path):
    """One long run, since a serve is slow to start: trust, node, sound, programme, station, emergency, stop, records."""
    office = running
    status = office.loa("status", "--json").json()
    assert status["root_digest"]
    assert (office.state / "trust" / f"grant-{COMMUNE}.json").is_file()
    _areas(office, tmp_path)
    node = add_node(office)
    _node(office, node)
    _programme(office, sound, tmp_path)
    _station(office, tmp_path)
    _early(office, tmp_path)
    _network(office, node["node"], tmp_path)
    _emergency(office, node)
    _records(office)


def _areas(office: Office, tmp_path: Path) -> None:
    found = office.loa("area", "search", "krong pa", "--json").json()
    assert COMMUNE in {area["id"] for area in found}
    listed = office.loa("area", "list", "--under", COMMUNE, "--json").json()
    assert SETTLEMENT in {area["id"] for area in listed}
    csv = tmp_path / "more.csv"
    csv.write_text(f"id,name,level,parent\n{COMMUNE}.077,Buôn Mới,settlement,{COMMUNE}\n")
    assert office.loa("area", "add", str(csv), "--dry-run", "--json").json()["added"] == 1
    assert not office.loa("area", "search", "buon moi", "--json").json()
    assert office.loa("area", "add", str(csv), "--json").json()["added"] == 1
    assert office.loa("area", "search", "buon moi", "--json").json()[0]["id"] == f"{COMMUNE}.077"
    csv.write_text("id,name,level,parent\n99,Ở đâu,settlement,98\n")
    wrong = office.loa("area", "add", str(csv))
    assert (wrong.code, "Traceback" in wrong.err) == (1, False)


def _node(office: Office, made: dict) -> None:
    assert made["placed"] is True
    config = tomllib.loads(Path(made["config"]).read_text())
    assert config["identity"]["node"] == made["node"]
    assert config["broker"]["port"] == office.port
    shown = office.loa("node", "show", made["node"], "--json").json()
    assert (shown["placed"], shown["chain"][0]) == (True, "52")
    assert made["node"] in office.loa("node", "list").out
    draft = office.loa(
        "node", "add", "--name", "Hai", "--settlement", SETTLEMENT, "--out", str(office.state.parent / "hai"), "--json"
    )
    paper = Path(draft.json()["placement"])
    refused = office.loa("trust", "import", str(paper))
    assert "still a draft" in refused.err
    sign = ("placement", "sign", str(paper), "--root", str(office.papers.root), *key(office, "binh"), "--yes")
    signed = subprocess.run(
        [sys.executable, "-m", "provisioning", *sign], env=office.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert signed.returncode == 0, signed.stderr
    assert office.loa("trust", "import", str(paper)).code == 0
    gone = office.state.parent / "drei"
    wrong = office.loa("node", "add", "--name", "Ba", "--settlement", "52.99999", "--out", str(gone))
    assert wrong.code == 1
    assert not gone.exists()


def _programme(office: Office, sound: Path, tmp_path: Path) -> None:
    added = office.loa("media", "add", str(sound), "--title", "Bản tin sáng", "--json").json()
    assert added["title"] == "Bản tin sáng"
    assert added["sha256"] in {each["sha256"] for each in office.loa("media", "list", "--json").json()}
    plan = tmp_path / "plan.toml"
    plan.write_text(f'area = "{COMMUNE}"\n[[items]]\ntitle = "Bản tin sáng"\nrule = "{RULE}"\nmedia = "Bản tin sáng"\n')
    publish = ("programme", "publish", str(plan), *key(office, "chu-tich"))
    looked = office.loa(*publish, "--dry-run", "--json").json()
    assert looked["published"] is False
    assert looked["changes"][0].startswith("+ Bản tin sáng")
    assert office.loa("programme", "show", "--area", COMMUNE, "--json").json() == []
    assert office.loa(*publish, "--yes", "--json").json()["published"] is True
    plan.write_text(plan.read_text().replace("BYHOUR=5", "BYHOUR=17"))
    again = office.loa(*publish, "--yes", "--json").json()
    assert [line[0] for line in again["changes"]] == ["-", "+"]
    plan.write_text(plan.read_text().replace('media = "Bản tin sáng"', 'media = "Không có"'))
    wrong = office.loa(*publish, "--yes")
    assert (wrong.code, "no sound 'Không có'" in wrong.err) == (1, True)
    by_path = plan.read_text().replace('media = "Không có"', f'media = "{sound.name}"')
    plan.write_text(by_path)
    assert office.loa(*publish, "--yes").code == 0
    _previews(office, plan)
    withdrawn = office.loa("programme", "withdraw", "--area", COMMUNE, *key(office, "chu-tich"), "--yes", "--json").json()
    assert withdrawn["published"] is True
    assert office.loa("programme", "show", "--area", COMMUNE, "--json").json()[0]["programme"]["body"] == {"items": []}


def _previews(office: Office, plan: Path) -> None:
    look = ("programme", "preview", "--area", COMMUNE, "--json")
    stands = office.loa(*look).json()
    assert [len(group["nodes"]) for group in stands["groups"]] == [2]
    assert "no-rules" in {found["code"] for found in stands["findings"]}
    draft = plan.with_name("draft.toml")
    draft.write_text(plan.read_text().replace("BYHOUR=17", "BYHOUR=3"))
    seen = office.loa("programme", "preview", "--file", str(draft), "--days", "2")
    assert seen.code == 0, seen.err
    assert "03:30" in seen.out
    assert "chưa có quy định giờ hoạt động" in seen.out
    publish = ("programme", "publish", str(draft), *key(office, "chu-tich"), "--yes")
    for old, new, word in (
        ("FREQ=DAILY", "FREQ=DAILY;UNTIL=20200101T000000", "UNTIL"),
        ("media = ", 'order = [{item = "ma"}]\nmedia = ', "order"),
        ("[[items]]", 'order = [{item = "ma"}]\n[[items]]', "nobody has such a bulletin"),
    ):
        draft.write_text(plan.read_text().replace(old, new))
        refused = office.loa(*publish)
        assert (refused.code, "Traceback" in refused.err, word in refused.err) == (1, False, True), refused.err
    assert office.loa(*look).json()["groups"] == stands["groups"]


def _early(office: Office, tmp_path: Path) -> None:
    """With --yes nobody looks, so an error must be accepted by name; a warning passes."""
    plan = tmp_path / "early.toml"
    plan.write_text(
        f'area = "{COMMUNE}"\n[[items]]\ntitle = "Quá giờ"\nmedia = "Bản tin sáng"\nrule = "FREQ=DAILY;BYHOUR=23;BYMINUTE=0"\n'
    )
    publish = ("programme", "publish", str(plan), *key(office, "chu-tich"), "--yes", "--json")
    refused = office.loa(*publish)
    assert (refused.code, "--accept-findings" in refused.err) == (1, True), refused.err
    done = office.loa(*publish, "--accept-findings").json()
    assert (done["published"], [found["code"] for found in done["findings"]][:1]) == (True, ["quiet"])


def _station(office: Office, tmp_path: Path) -> None:
    rules = tmp_path / "station.toml"
    rules.write_text(f'area = "{COMMUNE}"\nvolume_db = -3.0\n[[hours]]\nfrom = "05:00"\nto = "21:30"\n')
    said = office.loa("station", "publish", str(rules), *key(office, "pho"), "--yes", "--json").json()
    assert said["published"] is True


def _network(office: Office, node: str, tmp_path: Path) -> None:
    table = tmp_path / "network.toml"
    table.write_text('fetch_from = "23:00"\nmonth_mb = 500\n')
    publish = ("network", "publish", str(table))
    assert "defaults" in office.loa("network", "show", node).out
    alone = office.loa(*publish, "--node", node, *key(office, "pho"), "--yes")
    assert (alone.code, "too-few-persons" in alone.err) == (1, True)
    both = key(office, "pho", "chu-tich")
    shown = office.loa(*publish, "--area", COMMUNE, *both, "--dry-run", "--json").json()
    assert shown["published"] is False
    assert node in shown["nodes"]
    assert office.loa(*publish, "--area", COMMUNE, *both, "--yes", "--json").json()["nodes"] == shown["nodes"]
    body = office.loa("network", "show", node, "--json").json()["body"]
    assert (body["fetch_from_min"], body["fetch_to_min"], body["month_bytes"]) == (1_380, 300, 500_000_000)
    assert office.loa(*publish, "--node", node, *both, "--yes", "--json").json()["nodes"] == [], "it has them already"
    table.write_text('fetch_from = "23:00"\nmonth_mb = 500\nbrokers = ["loa.example.vn", "203.0.113.7:443"]\n')
    shown = office.loa(*publish, "--node", node, *both, "--yes").out
    assert "as the node's card says -> loa.example.vn:8883, then 203.0.113.7:443" in shown
    assert "tự quay về" in shown
    assert "->" not in shown.partition("content may cost")[2].partition("\n")[0]
    said = office.loa("network", "show", node).out
    assert "203.0.113.7:443" in said
    assert "chưa báo gì" in said


def _emergency(office: Office, node: dict) -> None:
    sent = office.loa(*START, *key(office, "chu-tich"), "--json").json()
    assert sent["via"] == "serve"
    watched = office.loa("emergency", "watch", sent["incident"], "--once", "--json").json()
    assert node["node"] in {row["node"] for row in watched["rows"]}
    assert node["node"] or "Loa" in office.loa("emergency", "watch", "--once").out
    stopped = office.loa("emergency", "stop", "--incident", sent["incident"], *key(office, "pho"), "--json").json()
    assert (stopped["via"], stopped["incident"]) == ("serve", sent["incident"])
    lifted = office.loa("emergency", "lift", "--incident", sent["incident"], *key(office, "pho"), "--yes", "--json").json()
    assert lifted["via"] == "serve"


def _records(office: Office) -> None:
    assert office.loa("plays", "--json").json() == []
    assert isinstance(office.loa("refusals", "--json").json(), list)
    acts = {line["act"] for line in office.loa("audit", "--json").json()}
    assert {"document.submit", "order.start"} <= acts
    person = office.loa("people", "add", "h.yeo", "--full-name", "Rơ Châm H'Yéo", "--json").json()
    assert len(person["first_password"]) >= 10
    twice = office.loa("people", "add", "h.yeo", "--full-name", "Rơ Châm H'Yéo")
    assert (twice.code, "h.yeo" in twice.err) == (1, True)


def test_a_serve_that_hangs_is_passed_by_and_takes_the_order_up_when_it_is_back(running: Office):
    office = running
    node = add_node(office)
    office.child.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        said = office.loa(*START, *key(office, "chu-tich"), "--json")
        took_s = time.monotonic() - began
    finally:
        office.child.send_signal(signal.SIGCONT)
    sent = said.json()
    assert sent["via"] == "broker"
    assert "SENT WITHOUT SERVE" in said.err
    assert took_s < 30
    office.until(lambda: office.loa("emergency", "watch", sent["incident"], "--once", "--json").code == 0, "serve took it up")
    rows = office.loa("emergency", "watch", sent["incident"], "--once", "--json").json()["rows"]
    assert node["node"] in {row["node"] for row in rows}


def test_an_order_sent_while_serve_was_down_is_taken_up_at_its_next_start(running: Office):
    office = running
    office.child.send_signal(signal.SIGTERM)
    office.child.wait(timeout=30)
    sent = office.loa(*START, *key(office, "chu-tich"), "--json").json()
    assert sent["via"] == "broker"
    office.child = office.serve()
    office.until(lambda: office.loa("emergency", "watch", sent["incident"], "--once", "--json").code == 0, "serve took it up")


def test_a_clock_over_a_minute_off_signs_nothing(running: Office):
    said = running.loa(*START, *key(running, "chu-tich"), faketime="+90s")
    assert said.code == 1
    assert "clock is" in said.err
    assert "ahead of the server's" in said.err
    assert running.loa("emergency", "watch", "--once").code == 1


def test_a_clock_that_went_wrong_while_the_officer_read_signs_nothing(running: Office, tmp_path: Path):
    """The question waits for an hour or a second alike: what is dated is checked when it is dated."""
    wrong_by = tmp_path / "clock"
    wrong_by.write_text("+0s\n")
    preload = subprocess.run(["faketime", "-f", "+0s", "printenv", "LD_PRELOAD"], capture_output=True, text=True, check=True)
    clock = {"LD_PRELOAD": preload.stdout.strip(), "FAKETIME_TIMESTAMP_FILE": str(wrong_by), "FAKETIME_NO_CACHE": "1"}
    words = [word for word in (*LOA, *START, *key(running, "chu-tich")) if word != "--yes"]
    ours, theirs = os.openpty()
    with subprocess.Popen(words, env=running.env | clock, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        asked = b""
        while b"Start this" not in asked:
            asked += os.read(child.stderr.fileno(), 4096)
        wrong_by.write_text("-90s\n")
        os.write(ours, b"y\n")
        _out, err = child.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert child.returncode == 1
    assert "s behind the server's: nothing was signed" in err.decode()
    assert running.loa("emergency", "watch", "--once").code == 1


def test_documents_that_do_not_count_are_refused_with_the_reason(running: Office, tmp_path: Path):
    forged = json.loads(running.papers.grant.read_text())
    forged["signatures"] = forged["signatures"][:1]
    path = tmp_path / "grant.json"
    path.write_text(json.dumps(forged))
    before = (running.state / "trust" / f"grant-{COMMUNE}.json").read_bytes()
    said = running.loa("trust", "import", str(path))
    assert said.code == 1
    assert "grant.json" in said.err
    assert (running.state / "trust" / f"grant-{COMMUNE}.json").read_bytes() == before


def test_the_first_root_is_pinned_only_with_the_right_digest(office: Office):
    office.broker()
    office.serve()
    wrong = office.loa("trust", "import", str(office.papers.root), "--pin", "0" * 64)
    assert wrong.code == 1
    assert "not to be trusted" in wrong.err
    assert not (office.state / "trust" / "root.json").exists()
    alone = office.loa("trust", "import", str(office.papers.grant), "--yes")
    assert "import the root first" in alone.err
    assert PASSPHRASE not in alone.err


def test_a_node_takes_its_authority_with_it_and_a_wrong_key_enrols_nobody(running: Office):
    made = add_node(running)
    folder = Path(made["folder"])
    config = tomllib.loads((folder / "node.toml").read_text())
    assert config["pins"]["documents"] == ["grant-52.json", f"grant-{COMMUNE}.json", "placement.json"]
    assert (folder / f"grant-{COMMUNE}.json").read_bytes().strip() == running.papers.grant.read_bytes().strip()
    out = running.state.parent / "wrong"
    words = ("node", "add", "--name", "Sai", "--settlement", SETTLEMENT, "--out", str(out))
    said = running.loa(*words, *key(running, "chu-tich"))
    assert (said.code, "the power 'placement'" in said.err) == (1, True)
    assert not out.exists()
    assert len(running.loa("node", "list", "--json").json()) == 1


def test_one_node_alone_can_be_addressed_by_its_label(running: Office):
    """The loudspeaker test of a technician; who may not order in its commune may not order there either."""
    node = add_node(running)["node"]
    words = ("emergency", "start", "--exercise", "--area", node, "--text-vi", "Thử loa.", "--yes", "--json")
    sent = running.loa(*words, *key(running, "chu-tich")).json()
    shown = running.loa("emergency", "watch", sent["incident"], "--once", "--json").json()
    assert [row["node"] for row in shown["rows"]] == [node]
    refused = running.loa(*words, "--authority", COMMUNE, *key(running, "an"))
    assert (refused.code, "would refuse this order" in refused.err) == (1, True)


def test_a_node_with_the_same_label_is_placed_anew(running: Office):
    made = add_node(running)
    again = add_node(running, "Máy thay thế", "--node", made["node"])
    assert (again["placed"], again["area_no"]) == (True, made["area_no"])
    assert again["report_key"] != made["report_key"]
    assert running.loa("node", "retire", made["node"], "--yes").code == 0
    assert running.loa("node", "retire", "0000000001", "--yes").code == 1
