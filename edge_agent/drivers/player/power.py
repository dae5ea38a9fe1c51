"""When the amplifier has power: never long with nothing playing, always before there is sound."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.ports import Amplifier

LEAD_NS = 300_000_000
"""A timed play is handed over this long before its instant: libVLC needs 20 ms, a busy machine more."""
LINGER_NS = 1_500_000_000
"""How long it stays on behind the last sound. Law 5 allows 5 s; a play may wait up to 3 s for a recording that
never comes and then end, so 2 s would not do."""
BRIDGED_NS = 4_000_000_000
"""A silence up to this long is bridged with the power on."""


@dataclass(slots=True)
class Power:
    """Keeps the amplifier agreeing with what sounds; told the time, it says when to ask again."""

    amplifier: Amplifier
    warm_ns: int = 0
    _needed: bool = False
    _needed_until_ns: int = 0

    def before_ns(self) -> int:
        """How long before its first sample a play needs the power."""
        return self.amplifier.power_on_ms * 1_000_000 + LEAD_NS

    def on(self) -> None:
        """Give power now; it can sound from `warm_ns` on."""
        if not self.amplifier.is_on:
            self.amplifier.on()
            self.warm_ns = time.monotonic_ns() + self.amplifier.power_on_ms * 1_000_000
        self._needed = True

    def keep(self, needed_from_ns: Iterable[int], now_ns: int) -> int | None:
        """Switch as the plays need it; return the instant at which to ask again, None: when something changes."""
        first = min(needed_from_ns, default=None)
        if first is not None and first <= now_ns:
            self.on()
            return None
        if self._needed:
            self._needed, self._needed_until_ns = False, now_ns
        if not self.amplifier.is_on:
            return first
        if first is not None and first + self.before_ns() - self._needed_until_ns <= BRIDGED_NS:
            return first
        off_at = self._needed_until_ns + LINGER_NS
        if now_ns < off_at:
            return off_at if first is None else min(off_at, first)
        self.amplifier.off()
        return first
