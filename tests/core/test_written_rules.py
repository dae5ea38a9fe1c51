"""The rules of docs/what-plays-when.md hold for every day that is laid out."""

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings

from protocol.bulletins import Programme
from protocol.documents import StationBody
from protocol.programme import NEARLY_OVER_MS, Line, Order, grace_ms, interrupts, length_ms, rank
from protocol.recurrence import WEEKDAYS
from tests.core.agreement import ahead, days, order_of, planned_of

MINUTE_MS = 60_000
VIETNAM_MS = 7 * 3_600_000
Day = tuple[list[Programme], StationBody]


def laid(day: Day) -> tuple[list[Line], list[Line]]:
    """All lines, and those that sound, in order of beginning."""
    lines = ahead(*day)
    return lines, [line for line in lines if line.begins_ms is not None]


def stories(lines: list[Line]) -> list[list[Line]]:
    """The lines of each occurrence, in order."""
    found = defaultdict(list)
    for line in lines:
        found[line.planned.subject, line.planned.authority, line.planned.item.id, line.planned.planned_ms].append(line)
    return list(found.values())


def rank_of(line: Line, order: Order):
    return rank(line.planned.item, line.planned.authority, line.planned.planned_ms, order)


def minute_is_open(body: StationBody, at_ms: int) -> bool:
    """Vietnam is seven hours ahead all year, and 1970 began on a Thursday."""
    minutes = (at_ms + VIETNAM_MS) // MINUTE_MS
    day, minute = WEEKDAYS[(minutes // 1440 + 3) % 7], minutes % 1440
    return any(day in each.days and each.from_min <= minute < each.to_min for each in body.hours)


@settings(max_examples=300)
@given(day=days())
def test_no_two_bulletins_sound_at_once(day: Day):
    _lines, heard = laid(day)
    for one, following in pairwise(heard):
        assert one.begins_ms < one.ends_ms <= following.begins_ms


@settings(max_examples=300)
@given(day=days())
def test_none_sounds_outside_the_hours_or_in_maintenance(day: Day):
    body = day[1]
    for line in laid(day)[1]:
        assert all(line.begins_ms >= work.until_ms for work in body.maintenance)
        for at_ms in range(line.begins_ms, line.ends_ms, MINUTE_MS):
            assert minute_is_open(body, at_ms)
        assert minute_is_open(body, line.ends_ms - 1)


@settings(max_examples=300)
@given(day=days())
def test_none_begins_before_its_time_or_after_its_grace(day: Day):
    for story in stories(laid(day)[0]):
        may_from_ms, item = story[0].planned.planned_ms, story[0].planned.item
        for line in story:
            if line.begins_ms is not None:
                assert may_from_ms <= line.begins_ms <= may_from_ms + grace_ms(item)
                may_from_ms = line.ends_ms


@settings(max_examples=300)
@given(day=days())
def test_every_occurrence_ends_with_one_last_word(day: Day):
    lines, _heard = laid(day)
    assert len(stories(lines)) == len(planned_of(day[0]))
    for story in stories(lines):
        *earlier, last = story
        assert all(line.outcome == "interrupted" for line in earlier)
        if last.outcome == "interrupted":
            item = last.planned.item
            assert item.on_interrupt == "drop" or length_ms(item) - _heard_ms(story) <= NEARLY_OVER_MS
        if last.outcome in ("plays", "late"):
            gone_ms = sum(
                line.ends_ms - line.begins_ms for line in (story if last.planned.item.on_interrupt == "resume" else [last])
            )
            assert gone_ms == length_ms(last.planned.item)


def _heard_ms(story: list[Line]) -> int:
    """How much of it was heard: what resumes goes on, what begins again begins from nothing."""
    counted = story if story[-1].planned.item.on_interrupt == "resume" else story[-1:]
    return sum(line.ends_ms - line.begins_ms for line in counted)


@settings(max_examples=300)
@given(day=days())
def test_at_every_beginning_the_highest_of_those_that_wait_goes_first(day: Day):
    order = order_of(day[0])
    lines, heard = laid(day)
    for line in heard:
        for story in stories(lines):
            other = _waits(story, line.begins_ms)
            assert other is None or other is line or rank_of(other, order) < rank_of(line, order)


def _waits(story: list[Line], at_ms: int) -> Line | None:
    """The line that an occurrence still waits for at an instant; one that is refused may be refused then, and never counts."""
    ready_ms = story[0].planned.planned_ms
    for line in story:
        if ready_ms > at_ms:
            return None
        if line.begins_ms is not None and line.begins_ms > at_ms:
            return line
        if line.begins_ms is None:
            waited_out = line.why.startswith("late") and at_ms <= ready_ms + grace_ms(line.planned.item)
            return line if waited_out else None
        ready_ms = line.ends_ms
    return None


@settings(max_examples=300)
@given(day=days())
def test_a_higher_class_never_waits_for_a_lower_one(day: Day):
    lines, heard = laid(day)
    for story in stories(lines):
        first = story[0]
        for line in heard:
            if line.begins_ms < first.planned.planned_ms < line.ends_ms and interrupts(first.planned.item, line.planned.item):
                assert first.begins_ms is None, "it ends what sounds, or may not sound itself"
                assert not first.why.startswith("late")
