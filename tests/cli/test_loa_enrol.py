"""From the technician's desk to a revoked node by the documented commands, with a real agent."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.loa_office import SETTLEMENT, Office
from tests.commune import AgentProcess


@pytest.fixture
def running(office: Office) -> Office:
    office.broker()
    office.serve()
    papers = office.papers
    said = office.loa("trust", "import", str(papers.wide), str(papers.grant), str(papers.root), "--yes", "--json")
    assert said.code == 0, said.err
    return office


def provision(office: Office, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provisioning", *words], env=office.env, capture_output=True, text=True, timeout=60, check=False
    )


def cards(office: Office, tmp_path: Path, *more: str) -> list[dict]:
    site = tmp_path / "site.json"
    pin = office.loa("node", "site", "--out", str(site), "--json").json()["root_digest"]
    clock = tmp_path / "in-step"
    clock.touch()
    board = ("--sink", f"wav:{tmp_path / 'out.wav'}", "--clock", str(clock), "--state", "state")
    made = provision(
        office, "node", "new", "--site", str(site), "--pin", pin, "--out", str(tmp_path / "cards"), *board, *more, "--json"
    )
    assert made.returncode == 0, made.stderr
    assert "PRIVATE" not in site.read_text()
    refused = provision(office, "node", "new", "--site", str(site), "--pin", "ab" * 32, "--out", str(tmp_path / "no"))
    assert (refused.returncode, "somebody changed" in refused.stderr) == (1, True)
    return json.loads(made.stdout)


def until_pending(office: Office, node: str) -> dict:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        found = next(each for each in office.loa("node", "pending", "--all", "--json").json() if each["node"] == node)
        if found["state"] == "pending":
            return found
    raise AssertionError(f"{node} did not come")


def test_a_card_a_label_six_digits_and_a_node_that_obeys(running: Office, tmp_path: Path):
    office = running
    first, second = cards(office, tmp_path, "--count", "2")
    claim = (Path(first["card"]) / "claim").read_text().strip()
    assert Path(first["labels"]).read_bytes().startswith(b"%PDF")
    assert claim not in Path(first["expect"]).read_text()
    for secret in (Path(first["card"]) / "claim", Path(first["labels"])):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    said = office.loa("node", "expect", first["expect"], second["expect"], "--json").json()
    assert {each["state"] for each in said} == {"expected"}
    early = office.loa(
        "node", "approve", first["node"], "--name", "Một", "--settlement", SETTLEMENT, "--out", str(tmp_path / "p.json")
    )
    assert "has not come yet" in early.err
    with AgentProcess(Path(first["card"]) / "node.toml"):
        came = until_pending(office, first["node"])
        words = ("node", "approve", first["node"], "--name", "Loa thôn 1", "--settlement", SETTLEMENT)
        signer = ("--key", str(office.papers.key("an")))
        wrong = office.loa(*words, "--digits", "000000" if came["digits"] != "000 000" else "111111", *signer)
        assert (wrong.code, "another machine used its claim" in wrong.err) == (1, True)
        assert office.loa(*words, "--digits", came["digits"], *signer, "--json").json()["placed"] is True
        assert office.loa("node", "show", first["node"], "--json").json()["placed"] is True
        office.until(
            lambda: office.loa("node", "show", first["node"], "--json").json()["online"] == "online", "the node is online"
        )
        gone = office.loa("node", "revoke", first["node"], "--why", "mất cắp", "--yes", "--json").json()
        assert gone["state"] == "revoked"
    again = office.loa(
        "node", "approve", first["node"], "--name", "Một", "--settlement", SETTLEMENT, *signer, "--digits", came["digits"]
    )
    assert "needs a new label" in again.err
    acts = {each["act"] for each in office.loa("audit", "--json").json()}
    assert {"node.expect", "node.claim", "node.enrol", "node.revoke"} <= acts


def test_the_roots_are_shown_and_rotated_by_command(running: Office):
    before = running.loa("ca", "show", "--json").json()
    assert [each["signs"] for each in before] == [True, False]
    after = running.loa("ca", "rotate", "--yes", "--json").json()
    assert [each["fingerprint"] for each in after] == [each["fingerprint"] for each in reversed(before)]
    assert len(running.loa("ca", "retire-old", "--yes", "--json").json()) == 1
    assert "no root stands by" in running.loa("ca", "rotate", "--yes").err
