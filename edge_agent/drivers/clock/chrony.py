"""The clock under chronyd: its own figures for how far it can be off, asked for with `chronyc tracking`."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Final

from edge_agent.drivers.clock.bound import LOOK_EVERY_S, NS_A_MS, Bound, Moment, moment
from edge_agent.drivers.clock.rtc import Rtc
from edge_agent.errors import TimeSourceFailed
from edge_agent.events import ClockChecked, Event, Instant
from protocol import chrony
from protocol.chrony import CHRONYC, Tracking
from protocol.units import ClockState

READ_EVERY_S: Final = 16.0
DEADLINE_S: Final = 5.0
OPEN_DEADLINE_S: Final = 1.0
ANSWER_AGE_NS: Final = 64_000_000_000
"""Four readings: a chronyd that is silent for longer no longer answers for the clock."""


def parse(line: str, wall_s: float) -> Tracking:
    """One line of `chronyc -c tracking`. Raises TimeSourceFailed."""
    try:
        return chrony.parse(line, wall_s)
    except chrony.TrackingUnread as error:
        raise TimeSourceFailed(str(error)) from error


class ChronyClock:
    """Between two readings the bound of the last one grows; so it does when chronyd follows nobody, or is gone."""

    def __init__(self, emit: Callable[[Event], None], *, chronyc: tuple[str, ...] = CHRONYC, rtc: Rtc | None = None) -> None:
        self._emit = emit
        self._words = (*chronyc, "tracking")
        self._rtc = rtc or Rtc()
        self._bound: Bound | None = None
        self._in_step = False
        self._read_ns = 0
        self._failed = False

    async def open(self) -> None:
        """Look for the first time; an emergency that a power cut interrupted waits for this."""

        async def read() -> None:
            with contextlib.suppress(TimeSourceFailed):  # `run` asks again at once, and tells
                await self._read(OPEN_DEADLINE_S)

        await asyncio.gather(self._rtc.look(), read())

    def instant(self) -> Instant:
        """Now, with fresh random bits."""
        now = moment()
        error_ms = None if self._bound is None else self._bound.at_ms(now)
        dice = secrets.token_hex(8)
        return Instant(now.wall_ns // NS_A_MS, now.mono_ns, self._state(now), dice, error_ms, self._rtc.apart_ms(now))

    async def run(self) -> None:
        """Ask every 16 s, and at once when the clock was set. Raises TimeSourceFailed."""
        if self._failed:
            await asyncio.sleep(READ_EVERY_S)
        while True:
            known = moment()
            before, failed, self._failed = self._state(known), self._failed, True
            await self._read(DEADLINE_S)
            self._failed = False
            now = moment()
            if failed or self._state(now) != before or now.stepped_since(known):
                self._emit(ClockChecked())
            await self._wait(known)

    async def _wait(self, known: Moment) -> None:
        """Until the next reading is due, or somebody sets the clock."""
        while (now := moment()).mono_ns < known.mono_ns + READ_EVERY_S * 1e9 and not now.stepped_since(known):
            await asyncio.sleep(min(LOOK_EVERY_S, READ_EVERY_S))
            await self._rtc.look()

    def _state(self, now: Moment) -> ClockState:
        if self._bound is None:
            return "unknown"
        return "good" if self._in_step and now.mono_ns - self._read_ns <= ANSWER_AGE_NS else "holdover"

    async def _read(self, deadline_s: float) -> None:
        """One reading; of a clock that was set meanwhile it says nothing, and the next one is due at once."""
        before = moment()
        line = await self._ask(deadline_s)
        now = moment()
        tracking = parse(line, now.wall_ns / 1e9)
        if now.stepped_since(before):
            return
        self._in_step = tracking.is_fresh
        self._read_ns = now.mono_ns
        if tracking.in_step:
            self._bound = Bound(tracking.error_ms, tracking.growth_ppm, now)

    async def _ask(self, deadline_s: float) -> str:
        pipe = asyncio.subprocess.PIPE
        try:
            child = await asyncio.create_subprocess_exec(*self._words, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
        except OSError as error:
            raise TimeSourceFailed(f"{self._words[0]} cannot be run ({error}): install chrony, or name a sync file") from error
        try:
            async with asyncio.timeout(deadline_s):
                said, _ = await child.communicate()
        except TimeoutError as error:
            raise TimeSourceFailed(f"chronyc gave no answer within {deadline_s:.0f} s: look at chronyd") from error
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        text = said.decode("utf-8", "replace").strip()
        if child.returncode != 0:
            raise TimeSourceFailed(f"chronyc ended with {child.returncode}: {text[:200]}: is chronyd running?")
        return text
