"""The preview and the node say the same of a day: `lay_out` beside the real `decide`, in virtual time."""

import pytest
from hypothesis import assume, given, settings
from msgspec import structs

from protocol.bulletins import Item, Programme, Shown, Spoken, Variant
from protocol.documents import Hours, StationBody
from protocol.programme import MUTE
from protocol.recurrence import WEEKDAYS
from tests.core.agreement import (
    ahead,
    days,
    lengthened,
    lived,
    of_commune,
    of_province,
    recording,
    sealed,
    told_ahead,
    told_by_node,
)
from tests.core.people import NOON, item
from tests.core.player import LATENCY_NS

DRIFT_MS = 200
"""More than all the latencies of a day of these add up to."""


@settings(max_examples=150)
@given(day=days())
def test_the_node_lives_the_day_that_was_laid_out(day: tuple[list[Programme], StationBody]):
    programmes, body = day
    assert told_by_node(lived(sealed(programmes), body)) == told_ahead(ahead(programmes, body))


@settings(max_examples=60)
@given(day=days())
def test_with_a_real_cards_and_players_delays_only_instants_differ(day: tuple[list[Programme], StationBody]):
    programmes, body = day
    expected = told_ahead(ahead(programmes, body))
    outcomes = [told[:3] for told in expected]
    for drift_ms in (DRIFT_MS // 8, DRIFT_MS):
        assume(outcomes == [told[:3] for told in told_ahead(ahead(lengthened(programmes, drift_ms), body))])
    found = told_by_node(lived(sealed(programmes), body, latency_ns=LATENCY_NS, save_ms=3))
    assert [told[:3] for told in found] == outcomes
    for (*_what, begun_ms, ended_ms), (*_same, begins_ms, ends_ms) in zip(found, expected, strict=True):
        assert begins_ms is None or 0 <= begun_ms - begins_ms <= DRIFT_MS
        assert begins_ms is None or abs(ended_ms - ends_ms) <= DRIFT_MS


# --- what these properties found, by example ---


ALWAYS = StationBody(hours=(Hours(days=WEEKDAYS, from_min=0, to_min=1_440),))


def said(name: str, at: str, length_s: float, **more) -> Item:
    return item(name, at, variants=(recording("vi", length_s),), **more)


def both(body: StationBody, *programmes: Programme) -> list[str]:
    """The day as both tell it: what, from and to (seconds after noon), how it ended."""
    told = told_ahead(ahead(list(programmes), body))
    assert told_by_node(lived(sealed(list(programmes)), body)) == told
    return [f"{name} {_second(begins)}-{_second(ends)} {outcome}" for _planned, name, outcome, begins, ends in told]


def _second(at_ms: int | None) -> str:
    return "" if at_ms is None else f"{(at_ms - NOON) / 1000:g}"


def test_what_interrupts_counts_in_the_session_of_what_it_interrupts():
    programmes = of_commune(said("tin", "12:00", 300, on_interrupt="drop"), said("gap", "12:03", 600, class_="priority"))
    body = structs.replace(ALWAYS, session_max_min=5)
    assert both(body, programmes) == ["tin 0-180 interrupted", "gap 180-300 cut"]


def test_what_will_be_due_within_the_lead_counts_as_due_when_there_is_silence():
    first, low = said("dang", "12:00", 59.5), said("thap", "12:00", 20, level="settlement")
    second = structs.replace(said("cao", "12:01", 20, level="province"), rrule="FREQ=DAILY;BYHOUR=12;BYMINUTE=1;BYSECOND=0")
    assert both(ALWAYS, of_commune(first, low, second)) == ["dang 0-59.5 plays", "thap 80-100 plays", "cao 60-80 plays"]


def test_what_ends_where_a_higher_class_begins_is_not_said_again():
    programme = of_commune(said("tin", "12:00", 60.9), said("gap", "12:01", 60, class_="priority"))
    assert both(ALWAYS, programme) == ["tin 0-60 interrupted", "gap 60-120 plays"]
    programme = of_commune(said("tin", "12:00", 61.1), said("gap", "12:01", 60, class_="priority"))
    assert both(ALWAYS, programme) == ["tin 0-60 interrupted", "tin 120-181.1 plays", "gap 60-120 plays"]


def test_a_bulletin_that_only_a_board_shows_interrupts_nothing_and_is_said_to_be_mute():
    shown = item("bang", "12:01", class_="priority", variants=(Variant(lang="vi", shown=Shown(text="Họp dân", for_s=60)),))
    programmes = [of_commune(said("tin", "12:00", 120), shown)]
    assert both(ALWAYS, *programmes) == ["tin 0-120 plays", "bang - skipped"]
    assert ahead(programmes, ALWAYS)[-1].why == MUTE
    assert {record.reason for record, _ in lived(sealed(programmes), ALWAYS).card.records.values()} == {"", MUTE}


def test_a_text_that_no_node_speaks_lasts_as_long_as_its_recording():
    text = Variant(lang="bdq", spoken=Spoken(text="x" * 400, fallback=recording("bdq", 10).media))
    assert both(ALWAYS, of_commune(item("tin", "12:00", variants=(text,)))) == ["tin 0-10 plays"]


@pytest.mark.parametrize("turned", [False, True])
def test_equals_go_by_name_whichever_programme_came_first(turned: bool):
    programmes = [of_commune(said("b", "12:00", 60)), of_province(said("a", "12:00", 60))]
    assert both(ALWAYS, *(reversed(programmes) if turned else programmes)) == ["a 0-60 plays", "b 60-120 plays"]
