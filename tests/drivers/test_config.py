"""Every mistake in node.toml, made to a real folder and met by the real program: one sentence with file, key and remedy."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from controller import ca
from edge_agent import config as config_module
from edge_agent import material
from edge_agent.__main__ import Agent
from edge_agent.config import ConfigWrong, load
from edge_agent.drivers.slots import NoSlots
from edge_agent.drivers.slots.proxied import ProxiedSlots
from protocol import keys
from protocol.checks import CONFIG_WRONG
from tests.commune import Commune
from tests.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toml(tmp_path) -> Path:
    commune = Commune(tmp_path / "commune")
    return commune.nodes[commune.add_node("52.24076.001")]


def edit(pattern: str, by: str) -> Callable[[Path], None]:
    def change(toml: Path) -> None:
        text, count = re.subn(pattern, by, toml.read_text(), count=1, flags=re.MULTILINE)
        assert count == 1
        toml.write_text(text)

    return change


def without(name: str) -> Callable[[Path], None]:
    return lambda toml: (toml.parent / name).unlink()


def rubbish(name: str) -> Callable[[Path], None]:
    return lambda toml: (toml.parent / name).write_text("nothing of use")  # type: ignore[return-value]  # only done


def swapped(name: str) -> Callable[[Path], None]:
    """Another node's file in place of ours."""

    def change(toml: Path) -> None:
        other = ca.create_ca(toml.parent / "other", "another")
        issued = ca.issue(other, "0000000000")
        (toml.parent / name).write_bytes(issued.key_pem if name.endswith("key") else issued.cert_pem)

    return change


def encrypted(toml: Path) -> None:
    (toml.parent / "report.key").write_bytes(keys.to_pem(keys.new_key(), "secret"))


MISTAKES = {
    "no file": (lambda toml: toml.unlink(), "", "no such file"),
    "a folder": (lambda toml: (toml.unlink(), toml.mkdir()), "", "cannot be read"),
    "not utf-8": (lambda toml: toml.write_bytes(b"\xff\xfe\x00"), "", "cannot be read"),
    "no toml": (edit(r"^\[pins\]$", "[pins"), "", "not TOML: .* line"),
    "a table missing": (edit(r"^\[controller\]\n.*$", ""), "controller", "missing"),
    "a key missing": (edit(r"^report_key = .*$", ""), "identity.report_key", "missing"),
    "an unknown key": (edit(r"^port = ", "prot = 1\nport = "), "broker.prot", "no such key"),
    "an unknown table": (edit(r"\A", "[brocker]\n"), "brocker", "no such key"),
    "a folder of its own": (edit(r"\A", 'file = "x"\n'), "file", "no such key"),
    "no node id": (edit(r'^node = ".*"$', 'node = "loa-1"'), "identity.node", "copy the 10 letters"),
    "a number for a name": (edit(r'^host = ".*"$', "host = 5"), "broker.host", "Expected `str`"),
    "a port in the host": (edit(r'^host = ".*"$', 'host = "h:8883"'), "broker.host", "without a port"),
    "a word for a clock": (edit(r'^clock = ".*"$', 'clock = "ntp"'), "board.clock", "'ntp' is neither chrony nor a path; write"),
    "a folder for a clock": (edit(r'^clock = ".*"$', 'clock = "/run"'), "board.clock", "/run is a folder; write the file in it"),
    "an empty clock": (edit(r'^clock = ".*"$', 'clock = ""'), "board.clock", "neither chrony nor a path"),
    "a number for a clock": (edit(r'^clock = ".*"$', "clock = 5"), "board.clock", "Expected `str`"),
    "an empty host": (edit(r'^host = ".*"$', 'host = ""'), "broker.host", "without a port"),
    "a port too high": (edit(r"^port = \d+$", "port = 70000"), "broker.port", "65535"),
    "plain http": (edit(r"https:", "http:"), "controller.media_url", "https://name:port"),
    "a path in the url": (edit(r'^(media_url = ".*)"$', r'\1/media"'), "controller.media_url", "https://name:port"),
    "an input without a name": (edit(r"^\[board\]$", '[board]\nfm = ""'), "board.fm", "arecord -L"),
    "a url port too high": (edit(r":\d+\"$", ':70000"'), "controller.media_url", "70000"),
    "a short digest": (edit(r'^root_digest = ".*"$', 'root_digest = "ab"'), "pins.root_digest", "64 letters"),
    "another root's digest": (edit(r'^root_digest = ".*"$', f'root_digest = "{"ab" * 32}"'), "pins.root", "same ceremony"),
    "no root": (without("root.json"), "pins.root", "copy it there"),
    "a root of rubbish": (rubbish("root.json"), "pins.root", "same ceremony"),
    "no ca": (without("ca.pem"), "pins.ca", "copy it there"),
    "a ca of rubbish": (rubbish("ca.pem"), "pins.ca", "copy ca.pem"),
    "no certificate": (without("node.crt"), "identity.certificate", "copy it there"),
    "a certificate of rubbish": (rubbish("node.crt"), "identity.certificate", "loa-provision node new"),
    "another's certificate": (swapped("node.crt"), "identity.certificate", "made for 0000000000"),
    "another's key": (swapped("node.key"), "identity.key", "not the key of node.crt"),
    "a key of rubbish": (rubbish("node.key"), "identity.key", "loa-provision node new"),
    "no report key": (without("report.key"), "identity.report_key", "copy it there"),
    "a report key of rubbish": (rubbish("report.key"), "identity.report_key", "loa-provision node new"),
    "an encrypted report key": (encrypted, "identity.report_key", "encrypted"),
    "a card's document missing": (without("placement.json"), r"pins.documents\[0\]", "copy it there"),
    "an unknown sink": (edit(r'^sink = ".*"$', 'sink = "speaker"'), "board.sink", "none of wav:"),
    "a sink nowhere": (edit(r'^sink = ".*"$', 'sink = "wav:/nowhere/a.wav"'), "board.sink", "no folder /nowhere"),
    "an unknown amplifier": (edit(r'^amplifier = ".*"$', 'amplifier = "on"'), "board.amplifier", "none of none"),
    "a GPIO chip that is not there": (
        edit(r'^amplifier = ".*"$', 'amplifier = "gpio:17?chip=/nowhere/gpiochip0"'),
        "board.amplifier",
        "name a GPIO chip",
    ),
    "a memory that is a file": (edit(r'^state = ".*"$', 'state = "ca.pem"'), "identity.state", "may write"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence_with_file_key_and_remedy(toml, name):
    change, key, remedy = MISTAKES[name]
    change(toml)
    with pytest.raises(ConfigWrong) as raised:
        Agent(load(toml))
    sentence = str(raised.value)
    assert sentence.startswith(f"{toml}: ")
    assert "\n" not in sentence.strip()
    assert re.search(f"key `{key}`: " if key else ": it |there is no", sentence)
    assert re.search(remedy, sentence), sentence
    assert "regex" not in sentence


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "edge_agent", *words], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize("name", ["no file", "no toml", "a key missing", "another's key", "an unknown sink"])
def test_the_program_ends_with_78_and_no_traceback(toml, name):
    MISTAKES[name][0](toml)
    done = run("--config", str(toml))
    assert done.returncode == CONFIG_WRONG
    assert done.stderr.startswith("loa-agent: ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_good_file_is_read_with_paths_beside_it(toml):
    config = load(toml)
    assert config.path("ca.pem") == (toml.parent / "ca.pem").resolve()
    assert config_module.Board() == type(config.board)()


def test_a_second_agent_of_the_same_node_is_turned_away_with_a_sentence(toml):
    words = [sys.executable, "-m", "edge_agent", "--config", str(toml)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, cwd=ROOT) as first:
        try:
            asyncio.run(until((toml.parent / "state" / "boots").exists, what="the first agent's start"))
            done = run("--config", str(toml))
            assert done.returncode == 1
            assert "another loa-agent uses it" in done.stderr
            assert "Traceback" not in done.stderr
            assert first.poll() is None
        finally:
            first.terminate()


@pytest.mark.parametrize(
    ("word", "set_up", "kept_by"),
    [
        ("", True, ProxiedSlots),
        ("", False, NoSlots),
        ('slots = "auto"', True, ProxiedSlots),
        ('slots = "none"', True, NoSlots),
        ('slots = "rauc"', False, ProxiedSlots),
    ],
)
def test_rauc_keeps_the_firmware_where_it_is_set_up_unless_the_card_says_otherwise(
    toml, tmp_path, monkeypatch, word, set_up, kept_by
):
    system_conf = tmp_path / "system.conf"
    if set_up:
        system_conf.touch()
    monkeypatch.setattr(material, "RAUC_CONFIG", system_conf)
    toml.write_text(toml.read_text().replace("[board]\n", f"[board]\n{word}\n"))

    def never(*_words):
        raise AssertionError("nothing is fetched or drawn by opening")

    slots = material.open_slots(load(toml), tmp_path, never, never, never, never, random.Random(1))
    assert isinstance(slots, kept_by)
