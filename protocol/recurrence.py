"""When bulletins are due: rules of RFC 5545, read by dateutil and refused when they cannot be meant. Pure."""

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrule, rrulestr
from msgspec import Struct

from protocol.bulletins import Item, Programme
from protocol.errors import Malformed

EVERY: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "BYDAY", "BYMONTH", "BYHOUR", "BYMINUTE", "BYSECOND", "UNTIL"})
PARTS: Final = {"DAILY": EVERY, "WEEKLY": EVERY, "MONTHLY": EVERY | {"BYMONTHDAY"}, "YEARLY": EVERY | {"BYMONTHDAY"}}
"""By frequency: a daily rule with a BYMONTHDAY that never came kept dateutil busy for 2.9 s, up to the year 9999."""
LEGAL: Final = re.compile(r"[A-Z0-9=;,+-]{1,500}")
LONGEST_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
SHORTEST_MONTH: Final = 28
MAX_INTERVAL: Final = 366
DAY_MS: Final = 86_400_000
CLOCK_CHANGE: Final = timedelta(hours=3)
"""More than any zone moves its clocks at once: local order and UTC order may differ by that much."""
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_A_DAY: Final = 96
NEVER: Final = "UNTIL=19000101T000000"
"""In the place of a COUNT that is used up."""
CLOCK_PARTS: Final = ("BYHOUR", "BYMINUTE", "BYSECOND")
_LOCAL: Final = re.compile(r"[0-9]{8}T[0-9]{6}")
"""dateutil reads UNTIL=1 as a day of the current month: two nodes would plan differently."""
_COUNTED_DAY: Final = re.compile(r"[+-]?[1-5](MO|TU|WE|TH|FR|SA|SU)")


class Occurrence(Struct, frozen=True, order=True, gc=False):
    """One planned play: when, of which item of which document."""

    planned_ms: int
    digest: str
    item_id: str


def zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises Malformed."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Malformed(f"no time zone {name!r}") from error


def local(at_ms: int, tz: ZoneInfo) -> datetime:
    """An instant in a time zone. Raises Malformed beyond the calendar."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, tz)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"{at_ms} ms is beyond the calendar") from error


def _numbers(text: str, part: str, low: int, high: int) -> frozenset[int]:
    try:
        found = frozenset(int(number) for number in text.split(","))
    except ValueError as error:
        raise Malformed(f"{part}={text} is not a list of numbers") from error
    if not all(low <= number <= high for number in found):
        raise Malformed(f"{part}={text}: each is from {low} to {high}")
    return found


def _parts(text: str) -> dict[str, str]:
    pairs = [part.partition("=")[::2] for part in text.split(";")]
    parts = dict(pairs)
    if not LEGAL.fullmatch(text) or len(parts) != len(pairs):
        raise Malformed("it is not a list of different PART=VALUE")
    return parts


def _check_parts(parts: Mapping[str, str]) -> None:
    """Refuse rules that say no time of day, play too often, or may never match and would be searched for up to the year 9999."""
    frequency = parts.get("FREQ", "")
    if frequency not in PARTS:
        raise Malformed(f"FREQ is one of {', '.join(sorted(PARTS))}")
    if unknown := set(parts) - PARTS[frequency]:
        raise Malformed(f"{', '.join(sorted(unknown))} is not used with {frequency} here")
    if "BYHOUR" not in parts or "BYMINUTE" not in parts:
        raise Malformed("say the time of day with BYHOUR and BYMINUTE")
    times = len(_numbers(parts["BYHOUR"], "BYHOUR", 0, 23)) * len(_numbers(parts["BYMINUTE"], "BYMINUTE", 0, 59))
    times *= len(_numbers(parts.get("BYSECOND", "0"), "BYSECOND", 0, 59))
    if times > MAX_A_DAY:
        raise Malformed(f"{times} plays a day, at most {MAX_A_DAY}")
    _numbers(parts.get("COUNT", "1"), "COUNT", 1, 1_000_000)
    if "UNTIL" in parts and ("COUNT" in parts or not _LOCAL.fullmatch(parts["UNTIL"])):
        raise Malformed("UNTIL is a local time as 20260301T235959, and stands without COUNT")
    _check_days(frequency, parts)


def _check_days(frequency: str, parts: Mapping[str, str]) -> None:
    """Refuse days that never meet (and lists of weekdays that dateutil reads otherwise than RFC 5545)."""
    by_day = parts["BYDAY"].split(",") if "BYDAY" in parts else []
    counted = [day for day in by_day if day not in WEEKDAYS]
    if not all(_COUNTED_DAY.fullmatch(day) for day in counted) or (counted and frequency not in ("MONTHLY", "YEARLY")):
        raise Malformed(f"BYDAY={parts['BYDAY']}: MO to SU, in a month or year also with a count of at most 5 before it")
    if counted and (len(counted) < len(by_day) or "BYMONTHDAY" in parts):
        raise Malformed(f"BYDAY={parts['BYDAY']}: counted weekdays stand alone")
    if max(_numbers(parts.get("INTERVAL", "1"), "INTERVAL", 1, MAX_INTERVAL)) > 1:
        if frequency == "DAILY" and by_day:
            raise Malformed("every few days and on weekdays may never meet: say FREQ=WEEKLY")
        if frequency == "MONTHLY" and "BYMONTH" in parts:
            raise Malformed("every few months and in named months may never meet: say one of the two")
    _check_rare_days(frequency, parts, counted)
    if frequency in ("MONTHLY", "YEARLY") and not by_day and "BYMONTHDAY" not in parts:
        raise Malformed(f"{frequency} asks for the day: BYDAY or BYMONTHDAY")
    months = _numbers(parts.get("BYMONTH", "1,2,3,4,5,6,7,8,9,10,11,12"), "BYMONTH", 1, 12)
    days = _numbers(parts.get("BYMONTHDAY", "1"), "BYMONTHDAY", -31, 31)
    longest = max(LONGEST_MONTH[month - 1] for month in months)
    if 0 in days or min(abs(day) for day in days) > longest:
        raise Malformed(f"BYMONTHDAY={parts.get('BYMONTHDAY')} is in none of its months")


def _check_rare_days(frequency: str, parts: Mapping[str, str], counted: list[str]) -> None:
    """Refuse days that not every month has, when a rule skips years: it may only ever meet months that do not have them.

    The 29th of February every four years from 2026 on, or its fifth Sunday, kept dateutil busy for 0.3 s an item.
    """
    every = int(parts.get("INTERVAL", "1"))
    days = [int(day) for day in parts["BYMONTHDAY"].split(",")] if "BYMONTHDAY" in parts else []
    rare = all(abs(day) > SHORTEST_MONTH for day in days) if days else bool(counted) and all("5" in day for day in counted)
    february = frequency == "YEARLY" and every > 1 and parts.get("BYMONTH", "").split(",") == ["2"]
    if rare and (february or (frequency == "MONTHLY" and every % 12 == 0)):
        raise Malformed("days that not every month has, and only some years: it may never meet; say INTERVAL=1")


@lru_cache(maxsize=4_096)
def _checked(text: str) -> Mapping[str, str]:
    try:
        parts = _parts(text)
        _check_parts(parts)
    except (Malformed, ValueError, KeyError, OverflowError) as error:
        raise Malformed(f"rule {text!r}: {error}") from error
    return parts


@lru_cache(maxsize=4_096)
def _rule(text: str, start: datetime) -> rrule:
    whole = text if "BYSECOND" in _checked(text) else f"{text};BYSECOND=0"
    try:
        rule = rrulestr(whole, dtstart=start)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise Malformed(f"rule {text!r}: {error}") from error
    if not isinstance(rule, rrule):
        raise Malformed(f"rule {text!r} is not one rule")
    return rule


class _Split(Struct, frozen=True):
    """A rule's days as a rule of their own, its times of day in ms, and the last instant (local) that it may name."""

    days: str
    times_ms: tuple[int, ...]
    until: datetime | None


@lru_cache(maxsize=4_096)
def _split(text: str) -> _Split | None:
    """Days and times apart, so that dateutil walks only over days, once for all rules of the same days; None with COUNT."""
    parts = _checked(text)
    if "COUNT" in parts:
        return None
    hours, minutes, seconds = (sorted(map(int, set(parts.get(name, "0").split(",")))) for name in CLOCK_PARTS)
    times = sorted({3_600 * hour + 60 * minute + second for hour in hours for minute in minutes for second in seconds})
    days = ";".join(f"{name}={value}" for name, value in sorted(parts.items()) if name not in (*CLOCK_PARTS, "UNTIL"))
    until = datetime.strptime(parts["UNTIL"], "%Y%m%dT%H%M%S") if "UNTIL" in parts else None  # noqa: DTZ007  local, as rules are
    return _Split(f"{days};BYHOUR=0;BYMINUTE=0", tuple(1_000 * time for time in times), until)


@lru_cache(maxsize=4_096)
def _days(days: str, start: datetime, last: datetime) -> tuple[datetime, ...]:
    """Midnights (local) of a rule's days from its first one to `last`."""
    return tuple(takewhile(last.__ge__, _rule(days, start)))


@lru_cache(maxsize=4_096)
def _begin_of(day: datetime, tz: ZoneInfo) -> tuple[int, bool]:
    """A local midnight in UTC ms, and whether the clocks stand all through that day."""
    begins, ends = day.replace(tzinfo=tz), (day + timedelta(days=1)).replace(tzinfo=tz)
    return round(begins.timestamp() * 1000), begins.utcoffset() == ends.utcoffset()


def _nearer(text: str, anchor: datetime, near: datetime) -> tuple[str, datetime]:
    """The same rule from a later day, giving the same instants from `near` on: dateutil walks from the first day.

    Of a COUNT the plays up to that day are taken off; where they cannot be reckoned the rule is walked from its true beginning.
    """
    parts = _checked(text)
    if near <= anchor:
        return text, anchor
    start, gone = _later(parts, anchor, near)
    if "COUNT" not in parts:
        return text, start
    if gone is None:
        return text, anchor
    left = int(parts["COUNT"]) - gone * _times_a_day(parts)
    end = f"COUNT={left}" if left > 0 else NEVER
    return ";".join(end if name == "COUNT" else f"{name}={value}" for name, value in parts.items()), start


def _later(parts: Mapping[str, str], anchor: datetime, near: datetime) -> tuple[datetime, int | None]:
    """A later first day, and how many days on which the rule plays lie before it (None: nobody reckoned)."""
    every = int(parts.get("INTERVAL", "1"))
    days = {WEEKDAYS.index(day) for day in parts["BYDAY"].split(",")} if "BYDAY" in parts and _is_by_week(parts) else set()
    even = "BYMONTH" not in parts
    match parts["FREQ"]:
        case "DAILY" if days:
            weeks = (near - anchor).days // 7
            return anchor + timedelta(weeks=weeks), weeks * len(days) if even else None
        case "DAILY":
            steps = (near - anchor).days // every
            return anchor + timedelta(days=steps * every), steps if even else None
        case "WEEKLY":
            monday = anchor - timedelta(days=anchor.weekday())
            steps = (near - monday).days // 7 // every
            if not steps or not days:  # without BYDAY the first day's own weekday is meant
                return anchor + timedelta(weeks=steps * every), steps if even else None
            before = sum(day < anchor.weekday() for day in days)
            return monday + timedelta(weeks=steps * every), steps * len(days) - before if even else None
        case "MONTHLY":
            months = ((near.year - anchor.year) * 12 + near.month - anchor.month) // every * every
            year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
            return anchor.replace(year=year, month=month + 1, day=1) if months else anchor, None
        case _:
            years = (near.year - anchor.year) // every * every
            return anchor.replace(year=anchor.year + years, month=1, day=1) if years else anchor, None


def _is_by_week(parts: Mapping[str, str]) -> bool:
    return parts["FREQ"] in ("DAILY", "WEEKLY")


def _times_a_day(parts: Mapping[str, str]) -> int:
    return math.prod(len(set(map(int, parts.get(name, "0").split(",")))) for name in ("BYHOUR", "BYMINUTE", "BYSECOND"))


def _midnight(at_ms: int, tz: ZoneInfo) -> datetime:
    return local(at_ms, tz).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)


def _start_of(item: Item, programme: Programme, near_ms: int | None = None) -> tuple[str, datetime]:
    """An item's rule and the day from which it is walked, complete from `near_ms` on (None: from its first day).

    Raises Malformed naming the item.
    """
    tz = zone(item.tz)
    first = _midnight(programme.valid_from_ms, tz)
    try:
        anchor = _day(item.from_day) if item.from_day else first
        near = first if near_ms is None else max(first, _midnight(near_ms, tz))
        return _nearer(item.rrule, anchor, near)
    except Malformed as error:
        raise Malformed(f"item {item.id!r}: {error}") from error


def _day(text: str) -> datetime:
    try:
        return datetime(int(text[:4]), int(text[4:6]), int(text[6:]))  # noqa: DTZ001  local, as rules are
    except ValueError as error:
        raise Malformed(f"from_day {text!r} is no day: write it as 20260301") from error


def check(programme: Programme) -> None:
    """Refuse a programme with a rule that cannot be meant. Raises Malformed naming the item."""
    for item in programme.body.items:
        rule = _start_of(item, programme)
        try:
            _rule(*rule)
        except Malformed as error:
            raise Malformed(f"item {item.id!r}: {error}") from error


def _instants(item: Item, programme: Programme, begin_ms: int, end_ms: int) -> Iterator[int]:
    tz = zone(item.tz)
    first, last = _midnight(begin_ms, tz) - CLOCK_CHANGE, _midnight(end_ms, tz) + CLOCK_CHANGE
    for planned_ms in _from_days(item, programme, begin_ms, first, last, tz):
        if begin_ms <= planned_ms < end_ms and planned_ms not in item.exdates_ms:
            yield planned_ms


def _from_days(item: Item, programme: Programme, begin_ms: int, first: datetime, last: datetime, tz: ZoneInfo) -> Iterator[int]:
    """What a rule names from one local day to another, in UTC ms."""
    (rule, start), split = _start_of(item, programme, begin_ms - DAY_MS), _split(item.rrule)
    if split is None:
        for naive in _rule(rule, start).xafter(first, inc=True):
            if naive >= last + timedelta(days=1):
                break
            yield _utc_ms(naive, tz)
        return
    for day in _days(split.days, start, last):
        if day < first - timedelta(days=1):
            continue
        midnight_ms, even = _begin_of(day, tz)
        cut = split.until is not None and split.until < day + timedelta(days=1)
        for time_ms in split.times_ms:
            naive = day + timedelta(milliseconds=time_ms) if cut or not even else day
            if cut and split.until is not None and naive > split.until:
                return
            yield midnight_ms + time_ms if even else _utc_ms(naive, tz)


def _utc_ms(naive: datetime, tz: ZoneInfo) -> int:
    return round(naive.replace(tzinfo=tz).timestamp() * 1000)


def occurrences(programme: Programme, digest: str, from_ms: int, to_ms: int) -> Iterator[Occurrence]:
    """Planned plays with from_ms <= planned < to_ms within the document's validity, item by item (not sorted across items)."""
    begin_ms, end_ms = max(from_ms, programme.valid_from_ms), min(to_ms, programme.valid_until_ms)
    if begin_ms >= end_ms:
        return
    for item in programme.body.items:
        for planned_ms in _instants(item, programme, begin_ms, end_ms):
            yield Occurrence(planned_ms, digest, item.id)


class Calendar:
    """The occurrences of one document in order of time, expanded two days at a time and then only looked up.

    It remembers what it expanded and nothing else, so the same question always has the same answer.
    """

    def __init__(self, programme: Programme, digest: str) -> None:
        self._programme = programme
        self._digest = digest
        self._from_ms = self._to_ms = 0
        self._found: list[Occurrence] = []

    def between(self, from_ms: int, to_ms: int) -> list[Occurrence]:
        """Planned plays with from_ms <= planned < to_ms, sorted. Raises Malformed for a rule that cannot be read."""
        if not self._from_ms <= from_ms or not to_ms <= self._to_ms:
            self._from_ms, self._to_ms = from_ms, max(to_ms, from_ms + 2 * DAY_MS)
            self._found = sorted(occurrences(self._programme, self._digest, self._from_ms, self._to_ms))
        low = bisect_left(self._found, from_ms, key=_planned_ms)
        return self._found[low : bisect_left(self._found, to_ms, key=_planned_ms)]


def _planned_ms(occurrence: Occurrence) -> int:
    return occurrence.planned_ms
