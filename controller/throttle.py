"""Holds back whoever guesses, by source and by browser; in memory and bounded (an account's own count is stored)."""

from collections import OrderedDict
from typing import Final

FREE: Final = 20
"""Wrong tries of one source before it waits: an office behind one address mistypes too."""
FORGOTTEN_MS: Final = 600_000
LONGEST_WAIT_S: Final = 300
MOST_KEYS: Final = 10_000


class Throttle:
    """Counts wrong tries by key; after the free ones each costs a wait twice as long."""

    def __init__(self, free: int = FREE) -> None:
        self._free = free
        self._known: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def wait_s(self, key: str, now_ms: int) -> int:
        """How long this key must still wait."""
        count, last_ms = self._known.get(key, (0, 0))
        over = count - self._free
        if over < 0 or now_ms - last_ms > FORGOTTEN_MS:
            return 0
        until_ms = last_ms + 1000 * min(LONGEST_WAIT_S, 1 << min(over, 10))
        return max(0, -(-(until_ms - now_ms) // 1000))

    def wrong(self, key: str, now_ms: int) -> None:
        """One more wrong try."""
        count, last_ms = self._known.pop(key, (0, now_ms))
        self._known[key] = (1 if now_ms - last_ms > FORGOTTEN_MS else count + 1, now_ms)
        while len(self._known) > MOST_KEYS:
            self._known.popitem(last=False)

    def right(self, key: str) -> None:
        """A right one: its count is forgotten."""
        self._known.pop(key, None)
