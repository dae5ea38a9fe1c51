"""What a schedule means: when items are due and whether the station's hours allow them. Pure; node and preview call the same."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrule, rrulestr
from msgspec import Struct

from protocol.documents import Item, Programme, StationBody
from protocol.errors import Malformed

PARTS: Final = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYHOUR", "BYMINUTE", "BYSECOND", "UNTIL", "BYSETPOS"}
)
FREQUENCIES: Final = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_A_DAY: Final = 96
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
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Malformed(f"no time zone {name!r}") from error


def _local(at_ms: int, tz: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, tz)


@lru_cache(maxsize=2_000)
def _rule(text: str, start: datetime) -> rrule:
    parts = dict(part.partition("=")[::2] for part in text.split(";"))
    unknown = set(parts) - PARTS
    if unknown:
        raise Malformed(f"rule {text!r}: {', '.join(sorted(unknown))} is not used here")
    if parts.get("FREQ") not in FREQUENCIES:
        raise Malformed(f"rule {text!r}: FREQ is one of {', '.join(sorted(FREQUENCIES))}")
    if "BYHOUR" not in parts or "BYMINUTE" not in parts:
        raise Malformed(f"rule {text!r}: say the time of day with BYHOUR and BYMINUTE")
    if "BYSECOND" not in parts:
        text += ";BYSECOND=0"
    times = len(parts["BYHOUR"].split(",")) * len(parts["BYMINUTE"].split(",")) * len(parts.get("BYSECOND", "0").split(","))
    if times > MAX_A_DAY:
        raise Malformed(f"rule {text!r}: {times} plays a day, at most {MAX_A_DAY}")
    try:
        rule = rrulestr(text, dtstart=start)
    except (ValueError, TypeError, KeyError) as error:
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
        first = _local(begin_ms, tz).replace(tzinfo=None) - timedelta(seconds=1)
        for naive in rule.xafter(first, inc=True):
            planned_ms = round(naive.replace(tzinfo=tz).astimezone(UTC).timestamp() * 1000)
            if planned_ms >= end_ms:
                break
            if planned_ms >= begin_ms and planned_ms not in item.exdates_ms:
                yield Occurrence(planned_ms, digest, item.id)


def allowed(station: StationBody, at_ms: int) -> bool:
    """Whether the station's hours let anything but an emergency sound at this instant."""
    return open_until(station, at_ms) is not None


def open_until(station: StationBody, at_ms: int) -> int | None:
    """The end (UTC ms) of the open window that holds this instant; None when the station is closed then."""
    local = _local(at_ms, zone(station.tz))
    day = WEEKDAYS[local.weekday()]
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    minute = (local - midnight) / timedelta(minutes=1)
    ends = [hours.to_min for hours in station.hours if day in hours.days and hours.from_min <= minute < hours.to_min]
    if not ends:
        return None
    return round((midnight + timedelta(minutes=max(ends))).timestamp() * 1000)


def precedence(item: Item) -> tuple[int, int]:
    """Which of two items due at once goes first: class, then issuing level as the default tie-break. Higher goes first."""
    return CLASS_RANK[item.class_], LEVEL_RANK[item.level]
