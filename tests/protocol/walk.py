"""RFC 5545 by the book: a walk over the days that asks of each whether the rule names it. Shares nothing with dateutil or us.

Only the parts that programmes may use (section 3.3.10): FREQ of a day and longer, INTERVAL, COUNT, UNTIL, BYMONTH, BYMONTHDAY,
BYDAY with and without numbers, BYHOUR, BYMINUTE, BYSECOND. Weeks begin on Monday.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from protocol.bulletins import Item, Programme

NAMES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAY = timedelta(days=1)


class Rule:
    """One rule that counts from a first day."""

    def __init__(self, text: str, first: date) -> None:
        self.parts = dict(part.split("=") for part in text.split(";"))
        self.first = first
        self.months = self._numbers("BYMONTH")
        self.month_days = self._numbers("BYMONTHDAY")
        self.week_days = self.parts["BYDAY"].split(",") if "BYDAY" in self.parts else []
        self.every = int(self.parts.get("INTERVAL", "1"))
        times = [self._numbers(part) for part in ("BYHOUR", "BYMINUTE")] + [self._numbers("BYSECOND") or {0}]
        self.times = sorted((hour, minute, second) for hour in times[0] for minute in times[1] for second in times[2])

    def _numbers(self, part: str) -> set[int]:
        return set(map(int, self.parts[part].split(","))) if part in self.parts else set()

    def names(self, day: date) -> bool:
        """Whether the rule names this day."""
        return (
            day >= self.first
            and self._steps(day) % self.every == 0
            and (not self.months or day.month in self.months)
            and (not self.month_days or self._names_month_day(day))
            and (not self.week_days or any(self._names_week_day(day, wanted) for wanted in self.week_days))
            and (bool(self.month_days or self.week_days) or self._like_the_first(day))
        )

    def _steps(self, day: date) -> int:
        """How many days, weeks, months or years after the first."""
        match self.parts["FREQ"]:
            case "DAILY":
                return (day - self.first).days
            case "WEEKLY":
                return (day.toordinal() - 1) // 7 - (self.first.toordinal() - 1) // 7  # 01/01/0001 was a Monday
            case "MONTHLY":
                return (day.year - self.first.year) * 12 + day.month - self.first.month
            case _:
                return day.year - self.first.year

    def _like_the_first(self, day: date) -> bool:
        """Without BYDAY and BYMONTHDAY the first day says which."""
        frequency = self.parts["FREQ"]
        return frequency == "DAILY" or (frequency == "WEEKLY" and day.weekday() == self.first.weekday())

    def _names_month_day(self, day: date) -> bool:
        length = monthrange(day.year, day.month)[1]
        return day.day in self.month_days or day.day - length - 1 in self.month_days

    def _names_week_day(self, day: date, wanted: str) -> bool:
        """`2MO` counts in the month; in a yearly rule without BYMONTH in the year."""
        number, name = wanted[:-2], wanted[-2:]
        if day.weekday() != NAMES.index(name):
            return False
        if not number:
            return True
        if self.parts["FREQ"] == "YEARLY" and not self.months:
            at, length = day.timetuple().tm_yday, 366 if isleap(day.year) else 365
        else:
            at, length = day.day, monthrange(day.year, day.month)[1]
        return int(number) in ((at + 6) // 7, -((length - at) // 7 + 1))

    def between(self, low: date, high: date) -> list[datetime]:
        """All instants (naive) from one day to another, both included."""
        until = datetime.strptime(self.parts.get("UNTIL", "99991231T235959"), "%Y%m%dT%H%M%S")  # noqa: DTZ007  local
        left = int(self.parts.get("COUNT", "100000000"))
        day = self.first if "COUNT" in self.parts else max(low, self.first)
        found = []
        while day <= high and left > 0:
            if self.names(day):
                for hour, minute, second in self.times[:left]:
                    found.append(datetime(day.year, day.month, day.day, hour, minute, second))  # noqa: DTZ001  local
                left -= len(self.times)
            day += DAY
        return [naive for naive in found if low <= naive.date() and naive <= until]


def walked(of: Item, programme: Programme, low_ms: int, high_ms: int) -> list[int]:
    """When one bulletin is due within the validity of its document and these bounds."""
    tz = ZoneInfo(of.tz)
    low_ms, high_ms = max(low_ms, programme.valid_from_ms), min(high_ms, programme.valid_until_ms)

    def day_of(at_ms: int) -> date:
        return datetime.fromtimestamp(at_ms / 1000, tz).date()

    first = datetime.strptime(of.from_day, "%Y%m%d").date() if of.from_day else day_of(programme.valid_from_ms)  # noqa: DTZ007
    due = Rule(of.rrule, first).between(day_of(low_ms) - DAY, day_of(high_ms) + DAY)
    due_ms = [round(naive.replace(tzinfo=tz).astimezone(UTC).timestamp() * 1000) for naive in due]
    return sorted(at_ms for at_ms in due_ms if low_ms <= at_ms < high_ms and at_ms not in of.exdates_ms)
