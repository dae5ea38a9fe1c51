"""The computer's battery-backed clock, where there is one: how far the wall clock is from it."""

import asyncio
from pathlib import Path
from typing import Final

from edge_agent.drivers.clock.bound import NS_A_MS, Moment, moment

RTC: Final = Path("/sys/class/rtc/rtc0")
READ_EVERY_S: Final = 60.0
DEADLINE_S: Final = 2.0
HALF_A_SECOND_NS: Final = 500_000_000


class Rtc:
    """Reads `since_epoch` of the kernel's RTC class: whole UTC seconds; a chip that lost its power or its beat gives an error."""

    def __init__(self, folder: Path = RTC) -> None:
        self._file = folder / "since_epoch"
        self._reading: asyncio.Future[int | None] | None = None
        self._ahead_ns: int | None = None
        self._due_ns = 0

    def apart_ms(self, now: Moment) -> int | None:
        """How far wall clock and RTC are apart; None where there is no RTC. Half a second of it is how the RTC counts."""
        return None if self._ahead_ns is None else abs(now.offset_ns - self._ahead_ns) // NS_A_MS

    async def look(self) -> None:
        """Read it anew if a minute is over. In a thread: a stuck I2C bus holds whoever reads."""
        now = moment()
        if now.mono_ns < self._due_ns:
            return
        self._due_ns = now.mono_ns + round(READ_EVERY_S * 1e9)
        if self._reading is None or self._reading.done():  # never two threads in one stuck bus
            self._reading = asyncio.get_running_loop().run_in_executor(None, self._since_epoch_s)
        done, _ = await asyncio.wait([self._reading], timeout=DEADLINE_S)
        seconds = self._reading.result() if done else None
        self._ahead_ns = None if seconds is None else seconds * 1_000_000_000 + HALF_A_SECOND_NS - moment().mono_ns

    def _since_epoch_s(self) -> int | None:
        try:
            return int(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
