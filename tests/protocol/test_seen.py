"""Whatever order and however often orders come: no START acts twice, and a STOP that may silence leaves nothing of it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.rules import lifts, may_stop, silences
from protocol.seen import KEPT_PER_KEY, Seen
from tests.protocol.vector_world import (
    COMMUNE,
    HAMLET,
    NOW,
    PROVINCE,
    Sent,
    drill,
    drill_stop,
    lift,
    signed,
    start,
    stop,
)
from tests.vectors import Reader, Step, meet, reader, take_in

ONE, TWO = "00000000000000a1", "00000000000000a2"
JUDGE = reader("node")
POOL = (
    signed(start(HAMLET, COMMUNE, NOW, ONE), "c1"),
    signed(start(HAMLET, COMMUNE, NOW + 4, ONE), "c2"),
    signed(start(COMMUNE, PROVINCE, NOW + 2, ONE), "p1"),
    signed(start(HAMLET, HAMLET, NOW + 6, ONE), "h1"),
    signed(start(HAMLET, COMMUNE, NOW + 1, TWO), "c1"),
    signed(start(PROVINCE, PROVINCE, NOW + 3, TWO), "p1", "p2"),
    signed(drill(HAMLET, COMMUNE, NOW + 2, TWO), "c1"),
    signed(stop(HAMLET, COMMUNE, NOW + 4, ONE), "c1"),
    signed(stop(HAMLET, HAMLET, NOW + 9, ONE), "h1"),
    signed(stop(HAMLET, HAMLET, NOW + 9, None), "h1"),
    signed(stop(COMMUNE, COMMUNE, NOW + 1, None), "c2"),
    signed(stop(PROVINCE, PROVINCE, NOW + 3, None), "p1", "p3"),
    signed(drill_stop(HAMLET, COMMUNE, NOW + 9, TWO), "c1"),
    signed(lift(COMMUNE, COMMUNE, NOW + 5, None), "c1"),
    signed(lift(HAMLET, COMMUNE, NOW + 5, ONE), "c1"),
)
OWN = tuple(index for index in range(len(POOL)) if index in (0, 1, 4, 7, 10, 13, 14))
"""Those of the commune alone."""


def arrive(judge: Reader, sent: Sent) -> tuple[str, Reader]:
    came = Step(topic=sent.topic, sealed=sent.raw, now_ms=NOW + 60_000, clock="good", nonces=(), expect="")
    said, opened = meet(judge, came)
    return said, judge if opened is None else take_in(judge, opened)


def take_all(arrivals: list[int]) -> tuple[Reader, list[tuple[int, str]]]:
    judge, told = JUDGE, []
    for index in arrivals:
        said, judge = arrive(judge, POOL[index])
        told.append((index, said))
    return judge, told


def heard(judge: Reader) -> dict[str | None, int]:
    """The newest START of each incident that no STOP silences."""
    marks = [mark for mark in judge.seen.orders.values() if mark.op == "START"]
    alive = [mark for mark in marks if not any(silences(each, mark, judge.trust) for each in judge.seen.stops())]
    return {mark.incident: mark.seq for mark in sorted(alive, key=lambda mark: mark.seq)}


@settings(max_examples=300, deadline=None)
@given(st.permutations(range(len(POOL))), st.lists(st.integers(0, len(POOL) - 1), max_size=20), st.randoms())
def test_in_any_order_and_with_any_repeats_nothing_acts_twice(once: list[int], again: list[int], chance: random.Random):
    arrivals = once + again
    chance.shuffle(arrivals)
    _judge, told = take_all(arrivals)
    fresh = [index for index, said in told if said == "fresh"]
    assert len(fresh) == len(set(fresh))
    for position, (index, said) in enumerate(told):
        if index in [before for before, said_before in told[:position] if said_before == "fresh"]:
            assert said == "duplicate"


@settings(max_examples=300, deadline=None)
@given(st.permutations(range(len(POOL))))
def test_a_start_that_comes_after_its_stop_never_acts(arrivals: list[int]):
    judge = JUDGE
    for index in arrivals:
        stops = judge.seen.stops()
        said, judge = arrive(judge, POOL[index])
        newest = list(judge.seen.orders.values())[-1:]
        if said == "fresh" and newest[0].op == "START":
            assert not any(silences(each, newest[0], judge.trust) for each in stops)


@settings(max_examples=300, deadline=None)
@given(st.permutations(range(len(POOL))))
def test_the_widest_live_warning_is_taken_in_whatever_narrower_hands_sent_first(arrivals: list[int]):
    _judge, told = take_all(arrivals)
    said = dict(told)
    stopped_first = arrivals.index(11) < arrivals.index(5)
    assert said[5] == ("stopped" if stopped_first else "fresh")


@settings(max_examples=200, deadline=None)
@given(
    st.sets(st.sampled_from(OWN)).flatmap(lambda some: st.tuples(st.permutations(sorted(some)), st.permutations(sorted(some))))
)
def test_within_one_authority_every_order_of_arrival_ends_in_the_same_sound(ways: tuple[list[int], list[int]]):
    assert heard(take_all(ways[0])[0]) == heard(take_all(ways[1])[0])


def test_beyond_what_is_kept_old_orders_are_forgotten_but_never_new_again():
    count = KEPT_PER_KEY + 40
    orders = [signed(start(HAMLET, COMMUNE, NOW + number, f"{number:016x}"), "c1") for number in range(count)]
    random.Random(5).shuffle(orders)
    judge, fresh = JUDGE, 0
    for sent in orders:
        said, judge = arrive(judge, sent)
        fresh += said == "fresh"
        assert said in ("fresh", "superseded")
    assert fresh >= KEPT_PER_KEY
    assert len(judge.seen.orders) == KEPT_PER_KEY
    assert {arrive(judge, sent)[0] for sent in orders} == {"duplicate", "superseded"}


def test_another_keys_orders_are_not_forgotten_with_a_busy_key():
    said, judge = arrive(JUDGE, POOL[1])
    assert said == "fresh"
    for number in range(KEPT_PER_KEY + 5):
        _said, judge = arrive(judge, signed(start(HAMLET, COMMUNE, NOW + number, f"{number:016x}"), "c1"))
    assert arrive(judge, POOL[1])[0] == "duplicate"
    assert arrive(judge, signed(start(HAMLET, COMMUNE, NOW - 5, "f" * 16), "c2"))[0] == "fresh"


@pytest.mark.parametrize(
    ("undone_by", "undone"),
    [
        (signed(lift(COMMUNE, COMMUNE, NOW + 2, None), "c2"), True),
        (signed(lift(COMMUNE, PROVINCE, NOW + 2, None), "p1"), True),
        (signed(lift(COMMUNE, COMMUNE, NOW, None), "c2"), False),
        (signed(lift(COMMUNE, COMMUNE, NOW + 1, None), "c2"), False),
        (signed(lift(HAMLET, COMMUNE, NOW + 2, None), "c2"), False),
        (signed(lift(HAMLET, HAMLET, NOW + 2, None), "h1"), False),
        (signed(lift(COMMUNE, COMMUNE, NOW + 2, ONE), "c2"), False),
    ],
)
def test_a_lift_ends_only_a_silence_of_its_own_scope_and_never_one_from_above(undone_by: Sent, undone: bool):
    silence = stop(COMMUNE, COMMUNE, NOW + 1, None)
    _said, before = arrive(JUDGE, signed(silence, "c1"))
    _said, after = arrive(before, undone_by)
    stopped, lifted = after.seen.orders.values()
    assert lifts(lifted, stopped, after.trust) == undone


def test_memory_is_never_changed_in_place():
    seen = Seen()
    _said, judge = arrive(JUDGE, POOL[0])
    kept = next(iter(judge.seen.orders.values()))
    assert seen.with_order(kept) != seen
    assert seen == Seen()
    assert may_stop(kept, kept, judge.trust)
