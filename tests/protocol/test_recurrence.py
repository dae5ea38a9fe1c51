"""What a rule may say, and what a calendar and a programme that is published anew make of it."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from protocol.errors import Malformed
from protocol.recurrence import Calendar, check, occurrences, zone
from tests.protocol.vector_world import DAY_MS, NOW, T0, item, programme

MINUTE_MS = 60_000
VIETNAM_MS = 7 * 3_600_000
ZONES = ("Asia/Ho_Chi_Minh", "Europe/Berlin", "America/Sao_Paulo", "UTC")


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
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYDAY=5SU;BYHOUR=6;BYMINUTE=0", "may never meet"),
        ("FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29,-29;BYHOUR=6;BYMINUTE=0", "may never meet"),
        ("FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31;BYHOUR=6;BYMINUTE=0", "may never meet"),
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
