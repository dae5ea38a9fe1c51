"""libical, the reference implementation of RFC 5545 in C, asked for the instants of a rule."""

from __future__ import annotations

import ctypes
from datetime import UTC, date, datetime

MOST = 200_000
EVERY_MONTH = "BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12"


def _readable(name: str, value: str) -> str:
    """libical 3.0 takes times in the order in which they are written, and twice what is written twice."""
    if name in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        value = ",".join(map(str, sorted(set(map(int, value.split(","))))))
    return f"{name}={value}Z" if name == "UNTIL" else f"{name}={value}"


class Libical:
    """Debian's shared library. Raises OSError where it is not installed."""

    def __init__(self) -> None:
        self._expand = ctypes.CDLL("libical.so.3").icalrecur_expand_recurrence
        self._expand.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.POINTER(ctypes.c_long))
        self._expand.restype = ctypes.c_int
        self._found = (ctypes.c_long * MOST)()

    def first(self, rule: str, start: date, count: int) -> list[datetime]:
        """The first instants of a rule (at most so many), all naive: it counts in UTC, which has no gaps."""
        ctypes.memset(self._found, 0, count * ctypes.sizeof(ctypes.c_long))
        text = rule if "BYSECOND" in rule else f"{rule};BYSECOND=0"
        parts = [_readable(*part.split("=")) for part in text.split(";")] + ["WKST=MO"]
        if "FREQ=YEARLY" in text and "BYMONTHDAY" in text and "BYMONTH=" not in text:
            parts.append(EVERY_MONTH)  # libical would take the month of the first day alone
        at_s = round(datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp())
        if not self._expand(";".join(parts).encode(), at_s, count, self._found):
            raise ValueError(f"libical does not read {rule!r}")
        found_s = (found for found in self._found[:count] if found)
        return [datetime.fromtimestamp(found, UTC).replace(tzinfo=None) for found in found_s]
