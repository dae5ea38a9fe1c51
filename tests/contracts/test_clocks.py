"""What every clock keeps, under the file of systemd-timesyncd and under a real chronyd: in step, lost, and never asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.core.clock import GOOD_MS
from edge_agent.drivers.clock import ChronyClock, Rtc, SyncFileClock, chrony, sync_file
from edge_agent.errors import TimeSourceFailed
from edge_agent.events import ClockChecked
from tests.chronyd import Chronyd, follower, free_udp_port, needs_chronyd, server
from tests.waiting import until


class FileBench:
    """A sync file that a test touches as systemd-timesyncd does."""

    def __init__(self, folder: Path, rtc: Rtc) -> None:
        self.file = folder / "synchronized"
        self.events: list[object] = []
        self.clock = SyncFileClock(self.file, self.events.append, rtc)

    def synchronise(self) -> None:
        self.file.touch()

    def lose(self) -> None:
        self.file.unlink(missing_ok=True)

    def close(self) -> None:
        self.lose()


class ChronyBench:
    """A chronyd that waits for its server."""

    def __init__(self, rtc: Rtc) -> None:
        self.port = free_udp_port()
        self.daemons: list[Chronyd] = [follower(self.port)]
        self.events: list[object] = []
        self.clock = ChronyClock(self.events.append, chronyc=self.daemons[0].chronyc, rtc=rtc)

    def synchronise(self) -> None:
        self.daemons.append(server(self.port))

    def lose(self) -> None:
        for daemon in self.daemons:
            daemon.end()

    def close(self) -> None:
        for daemon in self.daemons:
            daemon.close()


@pytest.fixture(params=["file", pytest.param("chrony", marks=needs_chronyd)])
async def bench(request, tmp_path, monkeypatch):
    """Clocks that look often, and believe a silent chronyd for a short time only."""
    monkeypatch.setattr(sync_file, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(chrony, "READ_EVERY_S", 0.05)
    monkeypatch.setattr(chrony, "ANSWER_AGE_NS", 300_000_000)
    made = FileBench(tmp_path, Rtc(tmp_path / "rtc")) if request.param == "file" else ChronyBench(Rtc(tmp_path / "rtc"))
    task = None

    async def run() -> None:
        while True:
            try:
                await made.clock.run()
            except TimeSourceFailed:
                await asyncio.sleep(0.05)

    task = asyncio.create_task(run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    made.close()


def said(bench) -> Callable[[str], bool]:
    return lambda state: bench.clock.instant().clock == state


async def test_before_any_synchronisation_nothing_is_known(bench):
    await bench.clock.open()
    instant = bench.clock.instant()
    assert (instant.clock, instant.error_ms, instant.rtc_apart_ms) == ("unknown", None, None)


async def test_in_step_it_is_good_within_a_second_and_says_so(bench):
    bench.synchronise()
    await until(lambda: said(bench)("good"), what="a clock in step")
    assert bench.clock.instant().error_ms > 0
    await until(lambda: bench.clock.instant().error_ms <= GOOD_MS, what="a bound that shrinks with what was measured")
    await until(lambda: ClockChecked() in bench.events, what="the word of it")


async def test_without_its_time_source_it_is_holdover_and_its_bound_never_shrinks(bench):
    bench.synchronise()
    await until(lambda: said(bench)("good"), what="a clock in step")
    bench.lose()
    await until(lambda: said(bench)("holdover"), what="a clock left alone")
    bounds = []
    for _ in range(5):
        bounds.append(bench.clock.instant().error_ms)
        await asyncio.sleep(0.01)
    assert bounds == sorted(bounds)
    assert bounds[0] > 0


async def test_every_instant_brings_fresh_random_bits_and_time_that_does_not_go_back(bench):
    instants = [bench.clock.instant() for _ in range(100)]
    assert len({instant.dice for instant in instants}) == 100
    assert all(len(instant.dice) == 16 for instant in instants)
    assert [instant.mono_ns for instant in instants] == sorted(instant.mono_ns for instant in instants)
