"""The clock under systemd-timesyncd, which touches a file at every synchronisation and says nothing else without D-Bus."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_agent.drivers.clock.bound import LOOK_EVERY_S, NS_A_MS, Bound, Moment, moment
from edge_agent.drivers.clock.rtc import Rtc
from edge_agent.events import ClockChecked, Event, Instant
from protocol.units import ClockState

SYNCHRONISED_ERROR_MS: Final = 400
"""systemd-timesyncd slews what is off by less than 0.4 s (its NTP_MAX_ADJUST) and steps the rest: so much may be left at first.
What the server was off, and half of a slow link's way, it does not tell: that is taken to be within this too. chrony tells."""
CRYSTAL_PPM: Final = 50.0
"""A computer's crystal between synchronisations: 20 to 30 ppm of make, and about as much again from cold to a box in the sun."""


class SyncFileClock:
    """In step once the file is there; from its last touch on the error grows by the crystal's drift.

    The file goes with the daemon (a restart, an update): what was known stays known, and grows.
    """

    def __init__(self, sync_file: Path, emit: Callable[[Event], None], rtc: Rtc | None = None) -> None:
        self._sync_file = sync_file
        self._emit = emit
        self._rtc = rtc or Rtc()
        self._touched_ns: int | None = None
        self._bound: Bound | None = None

    async def open(self) -> None:
        """Look for the first time."""
        await self._rtc.look()

    def instant(self) -> Instant:
        """Now, with fresh random bits."""
        now = moment()
        state = self._look(now)
        error_ms = None if self._bound is None else self._bound.at_ms(now)
        dice = secrets.token_hex(8)
        return Instant(now.wall_ns // NS_A_MS, now.mono_ns, state, dice, error_ms, self._rtc.apart_ms(now))

    async def run(self) -> None:
        """Tell when the time source changes its mind, or the clock is set."""
        now = moment()
        before = (self._look(now), self._bound)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._rtc.look()
            stepped = moment().stepped_since(now)
            now = moment()
            found = (self._look(now), self._bound)
            if found != before or stepped:
                self._emit(ClockChecked())
            before = found

    def _look(self, now: Moment) -> ClockState:
        """What the file says now; a touch that is new is a synchronisation."""
        try:
            touched_ns = self._sync_file.stat().st_mtime_ns
        except OSError:
            return "unknown" if self._bound is None else "holdover"
        if touched_ns != self._touched_ns:
            self._touched_ns = touched_ns
            self._bound = _since(touched_ns, now)
        return "good"


def _since(touched_ns: int, now: Moment) -> Bound:
    """The bound of a clock that was synchronised when the file was touched.

    A touch that lies ahead of our time means that somebody set the clock back since: that is an error of its own size, and
    the synchronisation is at most as old as the computer's uptime, for /run is empty at boot.
    """
    age_ns = now.wall_ns - touched_ns
    back_ns = max(0, -age_ns)
    if age_ns < 0:
        age_ns = now.mono_ns
    return Bound(SYNCHRONISED_ERROR_MS + (back_ns + age_ns * CRYSTAL_PPM / 1e6) / NS_A_MS, CRYSTAL_PPM, now)
