"""chrony's own words: what a real chronyd says and what was recorded; and a chronyc that is missing, hangs or raves."""

from __future__ import annotations

import asyncio
import time

import pytest

from edge_agent.drivers.clock import ChronyClock, Rtc, chrony
from edge_agent.errors import TimeSourceFailed
from edge_agent.events import ClockChecked
from protocol.chrony import TEMPERATURE_PPM
from tests.chronyd import Chronyd, follower, free_udp_port, needs_chronyd, server
from tests.waiting import until

# Recorded from chronyd 4.3 on loopback; the second 8 s after its server had gone, the third of one 30 s away.
RECORDED = """
7F000001,127.0.0.1,4,1795581312.439691990,-0.000003152,0.000000347,0.000001684,0.223,0.022,1.343,0.000008474,0.000004240,0.5,Normal
7F000001,127.0.0.1,4,1795581312.439691990,-0.000004936,0.000000347,0.000001684,0.223,0.022,1.343,0.000008474,0.000023186,0.5,Normal
7F000001,127.0.0.1,4,1795581476.800204348,30.000020981,-0.000004250,0.000006278,-1.445,-0.573,44.352,0.000071414,0.000034784,0.3,Normal
7F7F0101,,3,1795581307.914048084,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,0.000000000,0.000000000,0.0,Normal
00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,Not synchronised
"""
IN_STEP, LEFT_ALONE, OFF_30_S, LOCAL, NEVER = RECORDED.split("\n")[1:-1]
READ_S = 1795581312.5


def changed(line: str, **fields: str) -> str:
    names = ("reference", "name", "stratum", "at", "offset", "last", "rms", "ppm", "residual", "skew", "delay", "dispersion")
    words = line.split(",")
    for name, word in fields.items():
        words[names.index(name)] = word
    return ",".join(words)


# --- its words ---


def test_the_bound_is_offset_dispersion_and_half_the_delay_and_grows_with_skew_and_temperature():
    line = changed(IN_STEP, offset="-0.150000000", delay="0.300000000", dispersion="0.050000000", skew="2.5")
    found = chrony.parse(line, READ_S)
    assert found.in_step
    assert found.error_ms == pytest.approx(150 + 150 + 50, abs=0.01)
    assert found.growth_ppm == 2.5 + TEMPERATURE_PPM


def test_what_was_measured_long_ago_is_worth_less():
    hour_later = chrony.parse(IN_STEP, READ_S + 3_600)
    assert hour_later.error_ms - chrony.parse(IN_STEP, READ_S).error_ms == pytest.approx(36, abs=0.1)
    assert chrony.parse(LEFT_ALONE, READ_S + 8).error_ms > chrony.parse(IN_STEP, READ_S).error_ms


@pytest.mark.parametrize(("line", "in_step"), [(IN_STEP, True), (OFF_30_S, True), (LOCAL, False), (NEVER, False)])
def test_following_nobody_is_not_in_step(line, in_step):
    assert chrony.parse(line, READ_S).in_step is in_step


@pytest.mark.parametrize(
    "line",
    ["", "506 Cannot talk to daemon", IN_STEP + ",more", IN_STEP.rpartition(",")[0], IN_STEP.replace("Normal", "Fine")]
    + [changed(IN_STEP, **{name: word}) for name in ("offset", "skew", "delay", "at") for word in ("nan", "inf", "x", "")],
)
def test_words_that_are_not_understood_are_a_failure_and_no_clock(line):
    with pytest.raises(TimeSourceFailed, match="its version is not known to us"):
        chrony.parse(line, READ_S)


# --- the real daemon ---


async def reading(clock: ChronyClock, good: str) -> None:
    async def look() -> None:
        while clock.instant().clock != good:
            await clock.open()
            await asyncio.sleep(0.05)

    await asyncio.wait_for(look(), 20)


@needs_chronyd
async def test_a_server_thirty_seconds_away_makes_the_bound_thirty_seconds(tmp_path):
    port = free_udp_port()
    daemons = [server(port, ahead_s=30), follower(port)]
    try:
        clock = ChronyClock(print, chronyc=daemons[1].chronyc, rtc=Rtc(tmp_path))
        await reading(clock, "good")
        bounds = [clock.instant().error_ms]
        while bounds[-1] >= 31_000 and len(bounds) < 100:  # the first sample's dispersion is a second by itself
            await asyncio.sleep(0.1)
            await clock.open()
            bounds.append(clock.instant().error_ms)
        assert min(bounds) >= 30_000
        assert bounds[-1] < 31_000
        assert all("Disabled control of system clock" in daemon.log for daemon in daemons), "this machine's clock is left alone"
    finally:
        for daemon in daemons:
            daemon.close()


@needs_chronyd
async def test_a_chronyd_that_goes_by_itself_is_no_clock(tmp_path):
    daemon: Chronyd = server(free_udp_port())
    try:
        clock = ChronyClock(print, chronyc=daemon.chronyc, rtc=Rtc(tmp_path))
        await until(daemon.socket.exists, what="its socket")
        assert (await clock._ask(5)).startswith("7F7F0101,")
        await clock.open()
        assert clock.instant().clock == "unknown"
    finally:
        daemon.close()


# --- a chronyc that plays ill ---


def scripted(path, events=None, script='cat "$0"') -> ChronyClock:
    """A chronyc that says what a file holds, and fails without the file."""
    emit = print if events is None else events.append
    return ChronyClock(emit, chronyc=("sh", "-c", script, str(path)), rtc=Rtc(path.parent))


def now_line(age_s: float = 0.0) -> str:
    return changed(IN_STEP, at=f"{time.time() - age_s:.9f}")


async def test_after_three_hours_without_a_measurement_it_is_left_alone(tmp_path):
    said = tmp_path / "said"
    clock = scripted(said)
    said.write_text(now_line(10_000))
    await clock.open()
    assert clock.instant().clock == "good"
    said.write_text(now_line(11_000))
    await clock.open()
    assert clock.instant().clock == "holdover"
    assert clock.instant().error_ms >= 110, "10 ppm of three hours"


async def test_a_daemon_that_starts_anew_leaves_what_was_known(tmp_path):
    said = tmp_path / "said"
    clock = scripted(said)
    for line, state in ((NEVER, "unknown"), (now_line(), "good"), (NEVER, "holdover"), (now_line(), "good"), (LOCAL, "holdover")):
        said.write_text(line)
        await clock.open()
        assert clock.instant().clock == state
    assert clock.instant().error_ms < 10


async def test_a_chronyc_that_is_not_there_is_a_failure_with_a_remedy(tmp_path):
    clock = ChronyClock(print, chronyc=(str(tmp_path / "chronyc"),), rtc=Rtc(tmp_path))
    await clock.open()
    with pytest.raises(TimeSourceFailed, match="install chrony, or name a sync file"):
        await clock.run()
    assert clock.instant().clock == "unknown"


async def test_a_chronyc_that_hangs_is_ended_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr(chrony, "DEADLINE_S", 0.2)
    clock = scripted(tmp_path / "pid", script='echo $$ > "$0"; exec sleep 600')
    with pytest.raises(TimeSourceFailed, match="no answer"):
        await clock.run()
    pid = (tmp_path / "pid").read_text().strip()
    assert not (tmp_path / "/proc" / pid).exists()


async def test_a_failure_is_told_once_and_its_end_too(tmp_path, monkeypatch):
    monkeypatch.setattr(chrony, "READ_EVERY_S", 0.05)
    said, events = tmp_path / "said", []
    clock = scripted(said, events)
    with pytest.raises(TimeSourceFailed, match="is chronyd running"):
        await clock.run()
    said.write_text(NEVER)
    task = asyncio.create_task(clock.run())
    await until(lambda: ClockChecked() in events, what="the word that it answers again")
    assert clock.instant().clock == "unknown"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
