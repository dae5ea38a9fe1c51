"""When bulletins are due, against an independent walk over the days."""

import unicodedata
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from protocol.bulletins import Item
from protocol.errors import Malformed
from protocol.recurrence import WEEKDAYS, Calendar, check, occurrences, zone
from tests.protocol.vector_world import DAY_MS, NOW, T0, item, programme

MINUTE_MS = 60_000
VIETNAM_MS = 7 * 3_600_000
ZONES = ("Asia/Ho_Chi_Minh", "Europe/Berlin", "America/Sao_Paulo", "UTC")


def nth_of_month(day: date) -> tuple[int, int]:
    """How many weekdays of its name the month has had by then, and how many from its end."""
    length = ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day
    return (day.day + 6) // 7, -((length - day.day) // 7 + 1)


def day_matches(parts: dict[str, str], day: date, first: date) -> bool:
    """Whether a rule names this day: what each part says, by the book, one day at a time."""
    frequency, interval = parts["FREQ"], int(parts.get("INTERVAL", "1"))
    steps = {
        "DAILY": (day - first).days,
        "WEEKLY": ((day - timedelta(days=day.weekday())) - (first - timedelta(days=first.weekday()))).days // 7,
        "MONTHLY": (day.year - first.year) * 12 + day.month - first.month,
    }[frequency]
    if steps % interval or ("BYMONTH" in parts and day.month not in map(int, parts["BYMONTH"].split(","))):
        return False
    name, length = WEEKDAYS[day.weekday()], ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day
    if "BYMONTHDAY" in parts and not {day.day, day.day - length - 1} & set(map(int, parts["BYMONTHDAY"].split(","))):
        return False
    if "BYDAY" in parts:
        counts = nth_of_month(day)
        return any(
            wanted[-2:] == name and (wanted[:-2] == "" or int(wanted[:-2]) in counts) for wanted in parts["BYDAY"].split(",")
        )
    if "BYMONTHDAY" in parts or frequency == "DAILY":
        return True
    return day.weekday() == first.weekday() if frequency == "WEEKLY" else day.day == first.day


def walked(of: Item, valid_from_ms: int, valid_until_ms: int) -> list[int]:
    """The oracle: every minute that the rule names, of every day of the document's validity."""
    parts = dict(part.split("=") for part in of.rrule.split(";"))
    tz = ZoneInfo(of.tz)
    first = datetime.fromtimestamp(valid_from_ms / 1000, tz).date()
    hours, minutes = (sorted(set(map(int, parts[name].split(",")))) for name in ("BYHOUR", "BYMINUTE"))
    found = []
    for number in range(50):
        day = first + timedelta(days=number)
        if day_matches(parts, day, first):
            found += [datetime(day.year, day.month, day.day, hour, minute) for hour in hours for minute in minutes]  # noqa: DTZ001  local
    if "UNTIL" in parts:
        found = [naive for naive in found if naive <= datetime.strptime(parts["UNTIL"], "%Y%m%dT%H%M%S")]  # noqa: DTZ007  local
    found = found[: int(parts.get("COUNT", "100000"))]
    planned = [round(naive.replace(tzinfo=tz).astimezone(UTC).timestamp() * 1000) for naive in found]
    return [at_ms for at_ms in planned if valid_from_ms <= at_ms < valid_until_ms and at_ms not in of.exdates_ms]


NUMBERS = lambda low, high, most: st.lists(st.integers(low, high), min_size=1, max_size=most).map(  # noqa: E731  a strategy
    lambda found: ",".join(map(str, found))
)
DAYS = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True)
COUNTED = st.lists(
    st.builds(str.__add__, st.sampled_from(["1", "2", "-1", "4"]), st.sampled_from(WEEKDAYS)), min_size=1, max_size=3
)


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"]))
    parts = {"FREQ": frequency, "BYHOUR": draw(NUMBERS(0, 23, 3)), "BYMINUTE": draw(NUMBERS(0, 59, 3))}
    if draw(st.booleans()):
        parts["INTERVAL"] = str(draw(st.integers(1, 9)))
    if frequency == "MONTHLY" and draw(st.booleans()):
        parts["BYMONTHDAY"] = draw(NUMBERS(1, 28, 3) | st.sampled_from(["31", "-1", "15,-2"]))
    elif frequency == "MONTHLY":
        parts["BYDAY"] = ",".join(draw(COUNTED | DAYS))
    elif draw(st.booleans()) and (frequency == "WEEKLY" or "INTERVAL" not in parts):
        parts["BYDAY"] = ",".join(draw(DAYS))
    if "INTERVAL" not in parts and draw(st.integers(0, 3)) == 0:
        parts["BYMONTH"] = draw(st.sampled_from(["3,4,5", "1,3,10", "1,4,8"]))
    if draw(st.integers(0, 3)) == 0:
        parts["UNTIL"] = f"202603{draw(st.integers(1, 31)):02}T120000"
    elif draw(st.integers(0, 3)) == 0:
        parts["COUNT"] = str(draw(st.integers(1, 40)))
    return ";".join(f"{name}={value}" for name, value in parts.items())


@settings(max_examples=400, deadline=None)
@example(rule="FREQ=WEEKLY;BYHOUR=0;BYMINUTE=0", tz="Asia/Ho_Chi_Minh", begin=T0, days=8, window=[0.5, 1.0])
@given(
    rule=rules(),
    tz=st.sampled_from(ZONES),
    begin=st.integers(T0, T0 + 20 * DAY_MS),
    days=st.integers(1, 45),
    window=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_occurrences_are_those_of_a_walk_over_the_days(rule: str, tz: str, begin: int, days: int, window: list[float]):
    until = begin + days * DAY_MS
    bare = programme(T0, item(rrule=rule), valid_from_ms=begin, valid_until_ms=until)
    every = walked(_in(bare.body.items[0], tz), begin, until)
    one = _in(bare.body.items[0], tz, every[::3])
    document = programme(T0, one, valid_from_ms=begin, valid_until_ms=until)
    check(document)
    low, high = (begin + round(part * (until - begin)) for part in window)
    expected = [at_ms for at_ms in walked(one, begin, until) if low <= at_ms < high]
    assert sorted(found.planned_ms for found in occurrences(document, "00", low, high)) == sorted(expected)


def _in(of: Item, tz: str, exdates_ms: list[int] = []) -> Item:  # noqa: B006  never changed
    return structs.replace(of, tz=tz, exdates_ms=tuple(exdates_ms))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("FREQ=HOURLY;BYHOUR=8;BYMINUTE=0", "FREQ is one of"),
        ("FREQ=DAILY;BYHOUR=8", "time of day"),
        ("FREQ=DAILY;BYHOUR=24;BYMINUTE=0", "from 0 to 23"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=", "not a list of numbers"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=0;INTERVAL=0", "from 1 to 366"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=0;COUNT=0", "COUNT"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=0;BYMONTHDAY=30;BYMONTH=2", "not used with DAILY"),
        ("FREQ=MONTHLY;BYHOUR=8;BYMINUTE=0;BYMONTHDAY=31;BYMONTH=4,6", "none of its months"),
        ("FREQ=MONTHLY;BYHOUR=8;BYMINUTE=0;BYDAY=MO;BYSETPOS=9", "BYSETPOS"),
        ("FREQ=MONTHLY;BYHOUR=8;BYMINUTE=0;BYDAY=53MO", "BYDAY"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=TU;BYHOUR=8;BYMINUTE=0", "may never meet"),
        ("FREQ=WEEKLY;BYHOUR=8;BYMINUTE=0;BYDAY=2MO", "in a month or year"),
        ("FREQ=MONTHLY;BYHOUR=8;BYMINUTE=0;BYDAY=MO,1TU", "stand alone"),
        ("FREQ=MONTHLY;BYHOUR=8;BYMINUTE=0;BYDAY=4MO;BYMONTHDAY=1", "stand alone"),
        ("FREQ=MONTHLY;BYHOUR=8;BYMINUTE=0;BYMONTHDAY=1;INTERVAL=2;BYMONTH=4", "one of the two"),
        ("FREQ=MONTHLY;BYHOUR=8;BYMINUTE=0;BYMONTH=4", "asks for the day"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=0;BYMONTH=13", "BYMONTH"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=0;UNTIL=99999999999999999999", "UNTIL"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=0;UNTIL=1", "UNTIL"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=0;UNTIL=20269901T000000", "invalid .UNTIL."),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=0;UNTIL=20260301T000000;COUNT=2", "UNTIL"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=0;UNTIL=20260401T000000Z", "UNTIL"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=0\nDTSTART:00010101T000000", "PART=VALUE"),
        ("FREQ=DAILY;FREQ=DAILY;BYHOUR=8;BYMINUTE=0", "different"),
        ("FREQ=DAILY;BYHOUR=8;BYMINUTE=" + ",".join(map(str, range(60))) + ";BYSECOND=0,30", "at most 96"),
        ("", "PART=VALUE"),
    ],
)
def test_a_rule_that_cannot_be_meant_or_would_never_end_is_refused(rule: str, said: str):
    with pytest.raises(Malformed, match=said):
        check(programme(NOW, item(rrule=rule)))


def nfc(text: str) -> str:
    """What is not NFC is refused before any rule is read."""
    return unicodedata.normalize("NFC", text)


PARTS = st.sampled_from(["FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYHOUR", "BYMINUTE"])
DAY_VALUES = st.sampled_from(["MO", "5MO", "0TU", "-1SU", "TU,WE", "1MO,WE"])
VALUES = st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY", "0", "2", "29", "31", "366", "-31", "20260310T000000"])


@settings(max_examples=400, deadline=None)
@given(parts=st.dictionaries(PARTS, DAY_VALUES | VALUES | st.text(max_size=6).map(nfc), max_size=7))
def test_any_rule_is_refused_or_answers_soon(parts: dict[str, str]):
    rule = ";".join(f"{name}={value}" for name, value in ({"FREQ": "YEARLY", "BYHOUR": "5", "BYMINUTE": "0"} | parts).items())
    document = programme(T0, item(rrule=rule))
    try:
        check(document)
    except Malformed:
        return
    assert len(list(occurrences(document, "00", 0, document.valid_until_ms))) <= 46 * 96


@pytest.mark.parametrize("name", ["Asia", "Nowhere/Here", "../../etc/passwd", "zone.tab", "a" * 200, "Asia/Ho_Chi_Minh\n"])
def test_what_is_no_time_zone_is_refused(name: str):
    with pytest.raises(Malformed):
        zone(name)


def test_a_time_beyond_the_calendar_is_refused():
    with pytest.raises(Malformed, match="calendar"):
        check(programme(NOW, valid_from_ms=2**53 - 2, valid_until_ms=2**53 - 1))


def test_a_calendar_answers_as_the_rules_do_wherever_it_is_asked_first():
    document = programme(T0, item(rrule="FREQ=DAILY;BYHOUR=5,17;BYMINUTE=0,30"), valid_until_ms=T0 + 40 * DAY_MS)
    calendar = Calendar(document, "00")
    for begin_day, days in ((20, 1), (0, 2), (19, 3), (39, 5), (5, 0)):
        begin_ms, end_ms = T0 + begin_day * DAY_MS, T0 + (begin_day + days) * DAY_MS
        assert calendar.between(begin_ms, end_ms) == sorted(occurrences(document, "00", begin_ms, end_ms))


def test_every_second_week_keeps_its_weeks_when_the_programme_is_published_anew():
    rule = "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=7;BYMINUTE=0"
    anchored = structs.replace(item(rrule=rule), from_day="20230102")
    first = {each.planned_ms for each in occurrences(programme(T0, anchored), "00", T0, T0 + 30 * DAY_MS)}
    later = structs.replace(programme(T0, anchored), valid_from_ms=T0 + 7 * DAY_MS, valid_until_ms=T0 + 40 * DAY_MS)
    again = {each.planned_ms for each in occurrences(later, "00", T0, T0 + 30 * DAY_MS)}
    assert again
    assert again == {at_ms for at_ms in first if at_ms >= later.valid_from_ms}


def test_a_first_day_that_is_no_day_is_refused():
    with pytest.raises(Malformed, match="from_day '20230230'"):
        check(programme(T0, structs.replace(item(), from_day="20230230")))
