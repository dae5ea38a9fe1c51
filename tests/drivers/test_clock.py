"""The clock in a real process under libfaketime, the sync file, the RTC, and the arithmetic of bounds."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_agent.drivers.clock import Rtc, SyncFileClock, rtc, sync_file
from edge_agent.drivers.clock.bound import Bound, Moment, moment
from edge_agent.events import ClockChecked
from tests.faked import environment
from tests.waiting import until

ROOT = Path(__file__).parents[2]
S_NS = 1_000_000_000
ASK = """
import json, sys
from pathlib import Path
from edge_agent.drivers.clock import SyncFileClock
clock = SyncFileClock(Path(sys.argv[1]), print)
for _ in sys.stdin:
    instant = clock.instant()
    print(json.dumps([instant.wall_ms, instant.mono_ns, instant.clock, instant.error_ms]), flush=True)
"""


class Asked:
    """A process with a clock of its own, that tells an instant for each line that it is given."""

    def __init__(self, file: Path, **faked: str) -> None:
        words = [sys.executable, "-c", ASK, str(file)]
        pipe = subprocess.PIPE
        self.child = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=os.environ | faked)

    def instant(self) -> list:
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


@pytest.mark.parametrize("when", ["1970-01-02 00:00:00", "2046-06-01 12:00:00"])
def test_a_wall_clock_decades_off_leaves_monotonic_time_alone(tmp_path, when):
    before_ns = time.monotonic_ns()
    with Asked(tmp_path / "none", **environment(when)) as asked:
        wall_ms, mono_ns, state, error_ms = asked.instant()
    assert before_ns < mono_ns < before_ns + 60 * S_NS
    assert abs(wall_ms - time.time() * 1000) > 10 * 365 * 86_400_000
    assert (state, error_ms) == ("unknown", None)


def test_a_step_that_no_synchronisation_explains_is_an_error_of_its_own_size(tmp_path):
    told = tmp_path / "faketime"
    told.write_text("+0")
    file = tmp_path / "synchronized"
    file.touch()
    with Asked(file, **environment(file=told)) as asked:
        wall_ms, _, state, error_ms = asked.instant()
        assert state == "good"
        assert error_ms < 1_000
        told.write_text("-3600")
        deadline_s = time.monotonic() + 20
        while asked.instant()[0] > wall_ms - 3_000_000:
            assert time.monotonic() < deadline_s, "libfaketime did not set the clock back"
            time.sleep(0.1)
        assert asked.instant()[3] == pytest.approx(3_600_000 + error_ms, abs=2_000)


# --- the sync file ---


def clock_of(file: Path, events: list | None = None) -> SyncFileClock:
    return SyncFileClock(file, print if events is None else events.append, Rtc(file.parent / "no-rtc"))


def test_it_is_in_step_while_the_file_is_there_and_left_alone_afterwards(tmp_path):
    clock = clock_of(tmp_path / "synchronized")
    assert clock.instant().clock == "unknown"
    (tmp_path / "synchronized").touch()
    assert clock.instant().clock == "good"
    (tmp_path / "synchronized").unlink()
    assert clock.instant().clock == "holdover"
    assert clock_of(tmp_path / "synchronized").instant().clock == "unknown", "another program's knowledge is not ours"


def test_a_file_that_cannot_be_asked_for_is_no_clock(tmp_path):
    (tmp_path / "file").touch()
    assert clock_of(tmp_path / "file" / "below").instant().clock == "unknown"
    assert SyncFileClock(Path("/" + "x" * 300), print).instant().clock == "unknown"


@pytest.mark.parametrize(("hours", "error_ms"), [(0, 400), (3, 400 + 540), (24, 400 + 4_320), (14 * 24, 400 + 60_480)])
def test_the_bound_grows_with_the_age_of_the_last_synchronisation(tmp_path, hours, error_ms):
    file = tmp_path / "synchronized"
    file.touch()
    touched_s = time.time() - hours * 3_600
    os.utime(file, (touched_s, touched_s))
    assert clock_of(file).instant().error_ms == pytest.approx(error_ms, abs=5)


def test_a_file_that_is_touched_anew_makes_the_bound_small_again(tmp_path):
    file = tmp_path / "synchronized"
    file.touch()
    os.utime(file, (time.time() - 86_400,) * 2)
    clock = clock_of(file)
    assert clock.instant().error_ms > 4_000
    file.touch()
    assert clock.instant().error_ms < 500


def test_a_clock_that_was_set_back_behind_its_last_synchronisation_is_off_by_that_much(tmp_path):
    file = tmp_path / "synchronized"
    file.touch()
    os.utime(file, (time.time() + 7_200,) * 2)
    assert clock_of(file).instant().error_ms >= 7_200_000


async def test_it_tells_when_the_time_source_changes_its_mind(tmp_path, monkeypatch):
    monkeypatch.setattr(sync_file, "LOOK_EVERY_S", 0.05)
    events: list[object] = []
    clock = clock_of(tmp_path / "synchronized", events)
    task = asyncio.create_task(clock.run())
    await asyncio.sleep(0.2)
    assert events == []
    (tmp_path / "synchronized").touch()
    await until(lambda: events == [ClockChecked()])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# --- the battery-backed clock ---


@pytest.mark.parametrize("ahead_s", [-5, 0, 5])
async def test_the_battery_backed_clock_is_apart_by_what_it_says(tmp_path, ahead_s):
    (tmp_path / "since_epoch").write_text(f"{int(time.time()) + ahead_s}\n")
    chip = Rtc(tmp_path)
    assert chip.apart_ms(moment()) is None
    await chip.look()
    assert chip.apart_ms(moment()) == pytest.approx(abs(ahead_s) * 1_000, abs=1_600)


@pytest.mark.parametrize("said", [None, "", "soon"])
async def test_a_battery_backed_clock_that_gives_no_time_is_none(tmp_path, said):
    if said is not None:
        (tmp_path / "since_epoch").write_text(said)
    chip = Rtc(tmp_path)
    await chip.look()
    assert chip.apart_ms(moment()) is None


async def test_a_battery_backed_clock_that_hangs_keeps_nobody_and_is_asked_by_one_thread_only(tmp_path, monkeypatch):
    monkeypatch.setattr(rtc, "DEADLINE_S", 0.1)
    monkeypatch.setattr(rtc, "READ_EVERY_S", 0.0)
    os.mkfifo(tmp_path / "since_epoch")  # a reader waits here until somebody writes
    chip = Rtc(tmp_path)
    for _ in range(3):
        await chip.look()
        assert chip.apart_ms(moment()) is None
    await asyncio.to_thread((tmp_path / "since_epoch").write_text, str(int(time.time())))
    await until(chip._reading.done, what="the one reader")
    assert chip._reading.result() == pytest.approx(time.time(), abs=3)


def test_a_clock_that_is_set_is_apart_from_the_battery_backed_one_at_once():
    chip = Rtc(Path("/nowhere"))
    chip._ahead_ns = 1_000 * S_NS
    assert chip.apart_ms(Moment(1_010 * S_NS, 10 * S_NS)) == 0
    assert chip.apart_ms(Moment(1_040 * S_NS, 10 * S_NS)) == 30_000


# --- arithmetic ---


def test_a_bound_grows_with_monotonic_time_and_with_every_step_either_way():
    known = Moment(1_000 * S_NS, 10 * S_NS)
    bound = Bound(100, 50, known)
    assert bound.at_ms(known) == 100
    day = 86_400 * S_NS
    assert bound.at_ms(Moment(known.wall_ns + day, known.mono_ns + day)) == 100 + 4_320
    assert bound.at_ms(Moment(known.wall_ns + 5 * S_NS, known.mono_ns)) == 5_100
    assert bound.at_ms(Moment(known.wall_ns - 5 * S_NS, known.mono_ns)) == 5_100
    assert bound.at_ms(Moment(known.wall_ns + S_NS, known.mono_ns + S_NS)) == 101, "never rounded down"
