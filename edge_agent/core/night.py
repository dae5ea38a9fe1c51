"""When content that can wait is fetched: the node's window, its own place in it, and the calendar month of its budget. Pure."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from protocol.documents import NetworkBody
from protocol.recurrence import local, zone

SPREAD: Final = 3
"""Nodes enter over the first third of the window: of 22:00-05:00 until 00:20, so that the last still has over four hours."""


class Night(Struct, frozen=True):
    """One window (UTC ms), and when this node enters it."""

    begin_ms: int
    enter_ms: int
    end_ms: int

    def is_open(self, at_ms: int) -> bool:
        """Whether this node fetches at that instant what can wait."""
        return self.enter_ms <= at_ms < self.end_ms


def night_at(body: NetworkBody, node: str, at_ms: int) -> Night:
    """The window around an instant, or else the next one. Raises Malformed beyond the calendar."""
    midnight = local(at_ms, zone(body.tz)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    crosses = body.fetch_to_min <= body.fetch_from_min
    found = Night(0, 0, 0)
    for ahead in (-1, 0, 1):
        day = midnight + timedelta(days=ahead)
        begin_ms = _ms(day + timedelta(minutes=body.fetch_from_min))
        end_ms = _ms(day + timedelta(days=crosses, minutes=body.fetch_to_min))
        found = Night(begin_ms, begin_ms + _delay_ms(node, begin_ms, (end_ms - begin_ms) // SPREAD), end_ms)
        if at_ms < end_ms:
            break
    return found


def _delay_ms(node: str, begin_ms: int, spread_ms: int) -> int:
    """Drawn from the node's id and the night: the same after a power cut, another one the next night."""
    drawn = hashlib.sha256(f"{node} {begin_ms}".encode()).digest()
    return int.from_bytes(drawn[:4], "big") * spread_ms >> 32


def month_of(body: NetworkBody, at_ms: int) -> int:
    """The local calendar month, as 202701. Raises Malformed beyond the calendar."""
    day = local(at_ms, zone(body.tz))
    return day.year * 100 + day.month


def next_day_ms(body: NetworkBody, at_ms: int) -> int:
    """The next local midnight. Raises Malformed beyond the calendar."""
    day = local(at_ms, zone(body.tz)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return _ms(day + timedelta(days=1))


def _ms(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)
