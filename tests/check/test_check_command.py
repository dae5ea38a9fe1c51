"""`loa-agent check` as a technician runs it: real agent, serve and broker; what it prints, and with which status it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from protocol.checks import PARTS, CheckSheet
from tests.enrol.conftest import agents, field
from tests.enrol.field import Field, wait
from tests.terminal import said_on_terminal

__all__ = ["agents", "field"]


def run(toml: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "edge_agent", "check", "--config", str(toml), *more]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


def sheet(toml: Path, *more: str):
    done = run(toml, "--json", *more)
    found = msgspec.json.decode(done.stdout, type=CheckSheet)
    assert done.returncode == (1 if found.is_red else 0), done.stderr
    return {each.name: each for each in found.checks}


def test_a_node_that_waits_then_obeys_is_red_for_its_digits_then_green(field: Field, agents):
    card = field.card()
    toml = card.folder / "node.toml"
    agents(field.agent(card))
    came = field.until(card.node, "pending")
    wait(lambda: field.certificate(card).exists(), "it has its certificate")
    found = sheet(toml, "--silent")
    assert list(found) == list(PARTS)
    assert (found["enrolment"].verdict, came.digits in found["enrolment"].todo) == ("bad", True)
    assert found["link"].verdict == "good", found["link"]
    assert all(name in found["link"].seen for name in ("broker", "media", "enrol"))
    assert (found["time"].verdict, found["storage"].verdict, found["sound"].verdict) == ("good", "good", "unknown")
    field.approve(card.node)
    wait((card.folder / "state/placed").exists, "the node knows its place")
    found = sheet(toml, "--silent")
    assert found["enrolment"].verdict == "good"
    assert not [each for each in found.values() if each.verdict == "bad" and each.name != "signal"], found
    refusals = field.hq.http.get("/v1/refusals").json()
    assert not [each for each in refusals if card.node in each["topic"]], "a check alarms nobody"


def test_a_revoked_node_reads_that_it_is_refused(field: Field, agents):
    card = field.card()
    agent = agents(field.agent(card))
    field.until(card.node, "pending")
    wait(lambda: f"as {card.node} (" in field.hq.log("broker"), "it is linked to the broker")
    agent.stop()
    field.revoke(card.node)

    def refused() -> bool:
        return "refuses this node's certificate" in sheet(card.folder / "node.toml", "--silent")["link"].seen

    wait(refused, "the broker knows the list of revoked ones")


def test_each_part_is_one_line_with_its_verdict_and_no_colours_in_a_pipe(field: Field):
    done = run(field.card().folder / "node.toml", "--silent")
    assert done.returncode == 1
    head, *lines = done.stdout.splitlines()
    assert head.startswith("cụm loa / node ")
    assert [name for line in lines for name in PARTS.values() if f" {name} " in line] == list(PARTS.values())
    assert "never started" in next(line for line in lines if PARTS["enrolment"] in line)
    assert "\x1b" not in done.stdout


def test_on_a_terminal_bad_is_red(field: Field):
    toml = field.card().folder / "node.toml"
    words = [sys.executable, "-m", "edge_agent", "check", "--silent", "--config", str(toml)]
    status, said = said_on_terminal(words)
    assert status == 1
    assert "\x1b[1;31mHỎNG / BAD" in said


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("[broker]", "[brokers]", "brokers"),
        ("sink = ", 'sink = "speaker"\nclock_ = ', "board"),
        ('ca = "', 'ca = "no-', "pins.ca"),
    ],
)
def test_a_wrong_configuration_is_its_own_sentence_and_status_78(field: Field, old, new, key):
    toml = field.card().folder / "node.toml"
    text = toml.read_text()
    assert old in text
    toml.write_text(text.replace(old, new, 1))
    done = run(toml)
    assert (done.returncode, done.stdout) == (78, "")
    (line,) = done.stderr.splitlines()
    assert str(toml) in line
    assert key in line


def test_the_agents_own_start_pays_nothing_for_it():
    code = "import sys, edge_agent.__main__; print([n for n in sys.modules if n.startswith(('edge_agent.check', 'dbus_fast'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
