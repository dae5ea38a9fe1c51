"""What a schedule means: when items are due and whether the station's hours allow them. Pure; node and preview call the same."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrule, rrulestr
from msgspec import Struct

from protocol.documents import Item, Programme, StationBody
from protocol.errors import Malformed

EVERY: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "BYDAY", "BYMONTH", "BYHOUR", "BYMINUTE", "BYSECOND", "UNTIL"})
PARTS: Final = {"DAILY": EVERY, "WEEKLY": EVERY, "MONTHLY": EVERY | {"BYMONTHDAY"}, "YEARLY": EVERY | {"BYMONTHDAY"}}
"""By frequency: a daily rule with a BYMONTHDAY that never came kept dateutil busy for 2.9 s, up to the year 9999."""
LEGAL: Final = re.compile(r"[A-Z0-9=;,+-]{1,500}")
LONGEST_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
MAX_INTERVAL: Final = 366
WEEK_MS: Final = 7 * 86_400_000
CLOCK_CHANGE: Final = timedelta(hours=3)
"""More than any zone moves its clocks at once: local order and UTC order may differ by that much."""
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_A_DAY: Final = 96
_LOCAL: Final = re.compile(r"[0-9]{8}T[0-9]{6}")
"""dateutil reads UNTIL=1 as a day of the current month: two nodes would plan differently."""
_COUNTED_DAY: Final = re.compile(r"[+-]?[1-5](MO|TU|WE|TH|FR|SA|SU)")
CLASS_RANK: Final = {"normal": 0, "priority": 1, "emergency": 2}
LEVEL_RANK: Final = {"settlement": 0, "commune": 1, "district": 2, "province": 3, "central": 4}


class Occurrence(Struct, frozen=True, order=True):
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


def _local(at_ms: int, tz: ZoneInfo) -> datetime:
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
    if frequency in ("MONTHLY", "YEARLY") and not by_day and "BYMONTHDAY" not in parts:
        raise Malformed(f"{frequency} asks for the day: BYDAY or BYMONTHDAY")
    months = _numbers(parts.get("BYMONTH", "1,2,3,4,5,6,7,8,9,10,11,12"), "BYMONTH", 1, 12)
    days = _numbers(parts.get("BYMONTHDAY", "1"), "BYMONTHDAY", -31, 31)
    longest = max(LONGEST_MONTH[month - 1] for month in months)
    if 0 in days or min(abs(day) for day in days) > longest:
        raise Malformed(f"BYMONTHDAY={parts.get('BYMONTHDAY')} is in none of its months")


@lru_cache(maxsize=2_000)
def _rule(text: str, start: datetime) -> rrule:
    try:
        parts = _parts(text)
        _check_parts(parts)
        rule = rrulestr(text if "BYSECOND" in parts else f"{text};BYSECOND=0", dtstart=start)
    except (Malformed, ValueError, TypeError, KeyError, OverflowError) as error:
        raise Malformed(f"rule {text!r}: {error}") from error
    if not isinstance(rule, rrule):
        raise Malformed(f"rule {text!r} is not one rule")
    return rule


def rule_of(item: Item, programme: Programme) -> rrule:
    """An item's rule, in naive local time from the first day of the document. Raises Malformed naming the item."""
    tz = zone(item.tz)
    first = _local(programme.valid_from_ms, tz).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    try:
        return _rule(item.rrule, first)
    except Malformed as error:
        raise Malformed(f"item {item.id!r}: {error}") from error


def check(programme: Programme) -> None:
    """Refuse a programme with a rule that cannot be meant. Raises Malformed naming the item."""
    for item in programme.body.items:
        rule_of(item, programme)


def occurrences(programme: Programme, digest: str, from_ms: int, to_ms: int) -> Iterator[Occurrence]:
    """Planned plays with from_ms <= planned < to_ms within the document's validity, item by item (not sorted across items)."""
    begin_ms, end_ms = max(from_ms, programme.valid_from_ms), min(to_ms, programme.valid_until_ms)
    if begin_ms >= end_ms:
        return
    for item in programme.body.items:
        tz = zone(item.tz)
        rule = rule_of(item, programme)
        first = _local(begin_ms, tz).replace(tzinfo=None) - CLOCK_CHANGE
        last = _local(end_ms, tz).replace(tzinfo=None) + CLOCK_CHANGE
        for naive in rule.xafter(first, inc=True):
            if naive > last:
                break
            planned_ms = round(naive.replace(tzinfo=tz).astimezone(UTC).timestamp() * 1000)
            if begin_ms <= planned_ms < end_ms and planned_ms not in item.exdates_ms:
                yield Occurrence(planned_ms, digest, item.id)


def allowed(station: StationBody, at_ms: int) -> bool:
    """Whether the station's hours let anything but an emergency sound at this instant."""
    return open_until(station, at_ms) is not None


def open_until(station: StationBody, at_ms: int) -> int | None:
    """The end (UTC ms) of the open time that holds this instant, over adjoining hours and midnights; None when closed then.

    Open around the clock ends nowhere: then the end is some instant over a week away.
    """
    end_ms = _window_end(station, at_ms)
    if end_ms is None:
        return None
    while end_ms <= at_ms + WEEK_MS and (further_ms := _window_end(station, end_ms)) is not None:
        end_ms = further_ms
    return end_ms


def _window_end(station: StationBody, at_ms: int) -> int | None:
    local = _local(at_ms, zone(station.tz))
    day = WEEKDAYS[local.weekday()]
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    minute = (local - midnight) / timedelta(minutes=1)
    ends = [hours.to_min for hours in station.hours if day in hours.days and hours.from_min <= minute < hours.to_min]
    if not ends:
        return None
    return round((midnight + timedelta(minutes=max(ends))).timestamp() * 1000)


def precedence(item: Item) -> tuple[int, int]:
    """Which of two items due at once goes first: class, then issuing level as the default tie-break. Higher goes first."""
    return CLASS_RANK[item.class_], LEVEL_RANK[item.level]
