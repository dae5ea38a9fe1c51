"""The clock: wall time, CLOCK_MONOTONIC, and whether the system's time source says that they are in step."""

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_agent.events import ClockChecked, Event, Instant
from protocol.units import ClockState

LOOK_EVERY_S: Final = 2.0
STEP_NS: Final = 100_000_000


class SyncFileClock:
    """Trusts the system's clock while a file says so: systemd-timesyncd makes one at its first synchronisation since boot."""

    def __init__(self, sync_file: Path, emit: Callable[[Event], None]) -> None:
        self._sync_file = sync_file
        self._emit = emit

    def state(self) -> ClockState:
        """What the time source says now."""
        try:
            return "good" if self._sync_file.exists() else "unknown"
        except OSError:
            return "unknown"

    def instant(self) -> Instant:
        """Now, with fresh random bits."""
        return Instant(time.time_ns() // 1_000_000, time.monotonic_ns(), self.state(), secrets.token_hex(8))

    async def run(self) -> None:
        """Tell when the time source changes its mind, or the clock is set."""
        before = (self.state(), time.time_ns() - time.monotonic_ns())
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = (self.state(), time.time_ns() - time.monotonic_ns())
            if now[0] != before[0] or abs(now[1] - before[1]) > STEP_NS:
                self._emit(ClockChecked())
            before = now
