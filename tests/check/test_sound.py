"""The test tone at the pole: with real processes, measured in the samples, and the agent running again behind it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_agent.check import sound as sound_module
from edge_agent.check import unit
from edge_agent.check.sound import judge, sound
from edge_agent.check.tone import Heard
from edge_agent.commands import PutDocument, PutOrder
from edge_agent.drivers.store.database import Database
from edge_agent.drivers.system import SILENT, SOUNDING
from edge_agent.events import KeptDocument
from protocol.checks import CheckSheet
from protocol.documents import Hours
from protocol.envelope import payload_of
from protocol.rules import slot_of
from tests.audio import peak_dbfs, read_wav, rms_dbfs, sounding_runs
from tests.commune import EVERY_DAY, sidecar
from tests.drivers.memory_of import order

RATE = 48_000


def words(toml: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "edge_agent", "check", "--config", str(toml), "--json", *more]


def check(systemd, toml: Path, *more: str):
    """Run the command; the sheet, and what was said before the tone."""
    done = subprocess.run(words(toml, *more), env=systemd.environment, capture_output=True, timeout=120, check=False)
    assert done.stdout, done.stderr.decode()
    return {each.name: each for each in msgspec.json.decode(done.stdout, type=CheckSheet).checks}, done.stderr.decode()


def powered(toml: Path) -> list[tuple[str, int]]:
    lines = (toml.parents[3] / "amp.log").read_text().splitlines()
    return [(word, int(at)) for at, word in (line.split() for line in lines)]


def test_the_tone_sounds_at_its_level_with_the_amplifier_warm_and_the_agent_runs_again(systemd, toml):
    before = systemd.start()
    found, said = check(systemd, toml)
    assert found["sound"].verdict == "good", found["sound"]
    assert "-23.0 dBFS" in found["sound"].seen
    assert said.index("LOA SẮP KÊU") < said.index("THE LOUDSPEAKER WILL SOUND")
    wav = toml.parent / "out.wav"
    rate, samples = read_wav(wav)
    ((first, last),) = sounding_runs(samples)
    tone = samples[first : last + 1]
    assert (rate, abs(len(tone) - 2 * RATE) < RATE // 100) == (RATE, True)
    assert peak_dbfs(tone) == pytest.approx(-20.0, abs=0.1)
    assert rms_dbfs(tone) == pytest.approx(-23.0, abs=0.1)
    assert np.abs(np.fft.rfft(tone[:RATE])).argmax() == 1_000
    origin_ns = sidecar(wav)["first_sample_mono_ns"]
    heard_ns, silent_ns = (origin_ns + index * 1_000_000_000 // RATE for index in (first, last))
    on_ns = next(at for word, at in powered(toml) if word == "on")
    off_ns = next(at for word, at in powered(toml) if word == "off" and at > on_ns)
    assert heard_ns - on_ns >= 300_000_000
    assert 0 <= off_ns - silent_ns <= 5_000_000_000
    assert systemd.runs
    assert systemd.pid != before
    assert not systemd.timer
    assert [line.split()[:2] for line in systemd.asked[1:]] == [
        ["systemctl", "show"],
        ["systemd-run", "--quiet"],
        ["systemctl", "stop"],
        ["systemctl", "start"],
        ["systemctl", "stop"],
    ]


def test_silent_leaves_the_tone_out_and_the_agent_running(systemd, toml):
    before = systemd.start()
    asked = len(systemd.asked)
    found, said = check(systemd, toml, "--silent")
    assert (found["sound"].verdict, said) == ("unknown", "")
    assert (systemd.pid, systemd.runs, len(systemd.asked)) == (before, True, asked)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_in_the_middle_of_the_tone_it_takes_the_power_and_starts_the_agent(systemd, toml, number):
    before = systemd.start()
    child = subprocess.Popen(words(toml), env=systemd.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: "on" in [word for word, _ in powered(toml)], "the amplifier has power")
    child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert powered(toml)[-1][0] == "off"
    assert systemd.runs
    assert systemd.pid != before
    assert not systemd.timer


def test_killed_outright_it_leaves_a_timer_that_starts_the_agent_and_no_power(systemd, toml):
    systemd.start()
    child = subprocess.Popen(words(toml), env=systemd.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: "on" in [word for word, _ in powered(toml)], "the amplifier has power")
    child.kill()
    child.communicate(timeout=60)
    assert systemd.timer
    armed = (systemd.home / "timer").read_text()
    assert "--on-active=90" in armed
    assert armed.strip().endswith("systemctl start loa-agent.service")
    wait_for(lambda: powered(toml)[-1][0] == "off", "the amplifier is off")


def test_an_agent_that_cannot_be_stopped_is_told_and_nothing_sounds(systemd, toml):
    systemd.start()
    systemd.break_("systemctl", "stop")
    found, _said = check(systemd, toml)
    assert (found["sound"].verdict, "it is broken" in found["sound"].seen) == ("bad", True)
    assert "on" not in [word for word, _ in powered(toml)]
    assert systemd.runs


def test_a_second_check_beside_the_first_stops_nothing(systemd, toml):
    before = systemd.start()
    (systemd.home / "timer").touch()
    found, _said = check(systemd, toml)
    assert (found["sound"].verdict, "already loaded" in found["sound"].seen) == ("bad", True)
    assert (systemd.pid, systemd.runs, systemd.timer) == (before, True, True)


def test_a_card_that_is_not_there_is_bad_and_the_agent_is_started_all_the_same(systemd, commune):
    before = systemd.start()
    toml = commune.nodes[commune.add_node("52.24076.001", sink="alsa:plughw:77")]
    found, _said = check(systemd, toml)
    assert found["sound"].verdict == "bad"
    assert "[board]" in found["sound"].todo
    assert systemd.runs
    assert systemd.pid != before


def remember(toml: Path, *writes) -> None:
    """What the agent's memory holds before the check."""
    folder = toml.parent / "state"
    folder.mkdir(exist_ok=True)
    with contextlib.closing(Database(folder / "node.db")) as database:
        database.begin(1)
        database.write(writes)


def kept(raw: bytes) -> PutDocument:
    payload = payload_of(raw)
    slot = slot_of(payload)
    assert slot is not None
    return PutDocument(slot, KeptDocument(raw, payload.kind, "ab" * 32, (), pending=False))


def placed(commune, toml: Path, *hours: Hours) -> None:
    """The node holds its placement, and operating rules of its commune."""
    placement = (toml.parent / "placement.json").read_bytes()
    station = commune.seal_as(commune.station(hours=hours))
    remember(toml, kept(placement), kept(station))


def test_while_an_alarm_stands_nothing_is_tried(toml):
    remember(toml, PutOrder(order(1, "sounding")))
    assert said_by(toml).outcome == "alarm"


def test_outside_the_stations_hours_the_test_is_silent_too(commune, toml):
    placed(commune, toml, Hours(days=EVERY_DAY, from_min=0, to_min=0))
    assert said_by(toml).outcome == "closed"
    assert not (toml.parent / "out.wav").exists()


def test_within_the_stations_hours_it_sounds(commune, toml):
    placed(commune, toml, Hours(days=EVERY_DAY, from_min=0, to_min=1440))
    assert said_by(toml).outcome == "sounded"


def test_where_hours_are_known_and_the_time_is_not_it_is_silent(commune, toml):
    placed(commune, toml, Hours(days=EVERY_DAY, from_min=0, to_min=1440))
    (toml.parent / "clock-in-step").unlink()
    assert said_by(toml).outcome == "no-clock"


def test_beside_an_agent_that_was_started_by_hand_nothing_sounds(toml):
    remember(toml)
    with contextlib.closing(Database(toml.parent / "state/node.db")):
        assert said_by(toml).outcome == "busy"


def said_by(toml: Path) -> Heard:
    tone = [sys.executable, "-m", "edge_agent.check.tone", "--config", str(toml)]
    done = subprocess.run(tone, capture_output=True, timeout=60, check=True)
    return msgspec.json.decode(done.stdout, type=Heard)


@pytest.mark.parametrize(
    ("heard", "verdict"),
    [
        (Heard(outcome="sounded", played_ms=2_000, rms_cdb=-2_301, peak_cdb=-2_000), "good"),
        (Heard(outcome="sounded", played_ms=2_000, rms_cdb=-2_901, peak_cdb=-2_600), "bad"),
        (Heard(outcome="sounded", played_ms=2_000, rms_cdb=-12_000, peak_cdb=-12_000), "bad"),
        (Heard(outcome="sounded", played_ms=900, rms_cdb=-2_301, peak_cdb=-2_000), "bad"),
        (Heard(outcome="failed", why="GPIO 17 cannot drive the amplifier"), "bad"),
        (Heard(outcome="memory", why="damaged"), "bad"),
        (Heard(outcome="alarm"), "unknown"),
        (Heard(outcome="closed"), "unknown"),
        (Heard(outcome="no-clock"), "unknown"),
        (Heard(outcome="busy"), "unknown"),
    ],
)
def test_green_is_two_seconds_at_the_level_asked_for(heard, verdict):
    found = judge(heard)
    assert found.verdict == verdict
    assert found.todo


def test_a_card_that_plays_at_this_moment_is_left_alone(tmp_path, monkeypatch, toml):
    status = tmp_path / "card0/pcm0p/sub0/status"
    status.parent.mkdir(parents=True)
    status.write_text("state: PREPARED\n")
    assert not unit.sounds_now(None, tmp_path)
    status.write_text("state: RUNNING\nowner_pid   : 4711\n")
    assert unit.sounds_now(None, tmp_path)
    assert unit.sounds_now(unit.Unit(active=False, status=SILENT), tmp_path), "an agent that is stopped knows of no other program"
    assert not unit.sounds_now(unit.Unit(active=True, status=SILENT), tmp_path), "under dmix a card runs while it is open"
    assert unit.sounds_now(unit.Unit(active=True, status=SOUNDING), tmp_path / "none")
    monkeypatch.setattr(sound_module.os, "geteuid", lambda: 0)
    monkeypatch.setattr(unit, "sounds_now", lambda _unit: True)
    assert sound(toml, silent=False).verdict == "unknown"


def test_the_tone_runs_as_the_agents_user_with_the_units_groups():
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    asked = unit.Unit(active=True, user="nobody", groups=("audio",)).as_agent
    said = subprocess.run(["id"], capture_output=True, text=True, check=True, **asked).stdout
    assert "uid=65534(nobody)" in said
    assert said.partition("groups=")[2].count("audio") == 1
    assert "(root)" not in said
    assert unit.Unit(active=True, user="no-such-user").as_agent == {}
    assert unit.Unit(active=True).as_agent == {}


def test_only_root_may_sound_it(monkeypatch, toml, capsys):
    monkeypatch.setattr(sound_module.os, "geteuid", lambda: 1000)
    found = sound(toml, silent=False)
    assert (found.verdict, "root" in found.seen) == ("unknown", True)
    assert not capsys.readouterr().err


def wait_for(look, what: str, within_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + within_s
    while True:
        with contextlib.suppress(FileNotFoundError):
            if look():
                return
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)
