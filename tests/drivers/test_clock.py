"""The clock in a real process under libfaketime, and what the agent says of a clock that nobody vouches for."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_agent.drivers import clock as module
from edge_agent.drivers.clock import SyncFileClock
from edge_agent.events import ClockChecked
from tests.faked import environment
from tests.waiting import until

ROOT = Path(__file__).parents[2]
ASK = """
import json, sys, time
from pathlib import Path
from edge_agent.drivers.clock import SyncFileClock
instant = SyncFileClock(Path(sys.argv[1]), print).instant()
print(json.dumps([instant.wall_ms, instant.mono_ns, instant.clock]))
"""


def ask(sync_file: Path, **faked: str) -> list:
    words = [sys.executable, "-c", ASK, str(sync_file)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | faked)
    return json.loads(done.stdout)


def test_it_is_good_while_the_time_source_says_so(tmp_path):
    clock = SyncFileClock(tmp_path / "synchronized", print)
    assert clock.state() == "unknown"
    (tmp_path / "synchronized").touch()
    assert clock.state() == "good"
    (tmp_path / "synchronized").unlink()
    assert clock.instant().clock == "unknown"


def test_a_file_that_cannot_be_asked_for_is_no_good_clock(tmp_path):
    (tmp_path / "file").touch()
    assert SyncFileClock(tmp_path / "file" / "below", print).state() == "unknown"
    assert SyncFileClock(Path("/" + "x" * 300), print).state() == "unknown"


def test_every_instant_brings_fresh_random_bits(tmp_path):
    clock = SyncFileClock(tmp_path / "none", print)
    dice = {clock.instant().dice for _ in range(100)}
    assert len(dice) == 100
    assert all(len(bits) == 16 for bits in dice)


@pytest.mark.parametrize("when", ["1970-01-02 00:00:00", "2046-06-01 12:00:00"])
def test_a_wall_clock_decades_off_leaves_monotonic_time_alone(tmp_path, when):
    before_ns = time.monotonic_ns()
    wall_ms, mono_ns, state = ask(tmp_path / "none", **environment(when))
    assert before_ns < mono_ns < before_ns + 60_000_000_000
    assert abs(wall_ms - time.time() * 1000) > 10 * 365 * 86_400_000
    assert state == "unknown"


async def test_it_tells_when_the_time_source_changes_its_mind(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.05)
    events: list[object] = []
    clock = SyncFileClock(tmp_path / "synchronized", events.append)
    task = asyncio.create_task(clock.run())
    await asyncio.sleep(0.2)
    assert events == []
    (tmp_path / "synchronized").touch()
    await until(lambda: events == [ClockChecked()])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
