"""The node says what it knows of time: nothing timed without a clock, a START only by nonce, nothing twice after a step."""

import pytest

from edge_agent.core.clock import FLOOR_BUILD_MS
from tests.core.harness import Node
from tests.core.people import (
    COMMUNE,
    HOUR_MS,
    ISSUED,
    MEDIA,
    NOON,
    commune,
    drill,
    item,
    programme,
    settled,
    start,
)


def node_with(*items, at_ms=NOON - 60_000, **more):
    node = Node(at_ms, *settled(programme(*items)), **more)
    node.fetched(MEDIA)
    return node.online()


def test_with_an_unknown_clock_nothing_timed_plays_and_the_hello_says_so():
    node = node_with(item("tin", "12:00"), clock="unknown")
    node.run_to(NOON + 400_000)
    assert not node.spoken
    hello = node.controller.hellos[-1]
    assert hello.clock_state == "unknown"
    assert "clock-unknown" in hello.troubles
    assert hello.nonce == node.state.nonces[0]


def test_a_start_without_a_clock_needs_the_nonce_and_the_refusal_brings_it():
    node = node_with(clock="unknown")
    node.run(30)
    hellos = len(node.controller.hellos)
    node.give(start(node.true_ms))
    node.run(3)
    assert not node.spoken
    assert node.controller.results[-1].reason.startswith("clock-unusable")
    assert len(node.controller.hellos) == hellos + 1
    nonce = node.controller.hellos[-1].nonce
    node.give(start(node.true_ms + 1, answers=("00" * 8, nonce)))
    node.run(1)
    assert node.sounds() == "a1"
    assert all(not hasattr(part, "origin_mono_ns") for part in node.spoken[-1].parts), "no timeline without a clock"


def test_a_bulletin_that_is_interrupted_while_the_clock_cannot_be_trusted_does_not_come_back():
    node = node_with(item("tin", "12:00", on_interrupt="restart", grace_s=600))
    node.run_to(NOON + 10_000)
    node.trust_clock("unknown")
    node.run(3)
    assert node.sounds() == "tin", "its ceiling was set under a good clock"
    node.give(start(node.true_ms, repeats=1, answers=(node.controller.hellos[-1].nonce,)))
    node.run(60)
    node.trust_clock("good")
    node.run(900)
    assert node.story() == ["tin 12:00:00 interrupted", "live a1 12:00:13 played"]


def test_an_exercise_without_a_clock_is_not_held():
    node = node_with(clock="unknown")
    node.give(drill(node.true_ms, answers=node.state.nonces))
    node.run(2)
    assert not node.spoken


def test_the_previous_nonce_is_still_good_and_the_one_before_it_is_not():
    node = node_with(clock="unknown")
    first = node.controller.hellos[-1].nonce
    node.run(601)
    second = node.controller.hellos[-1]
    assert second.previous_nonce == first != second.nonce
    node.give(start(node.true_ms, "a1", answers=(first,), repeats=1))
    node.run(30)
    assert len(node.spoken) == 1
    node.run(601)
    node.give(start(node.true_ms, "a2", answers=(first,)))
    node.run(3)
    assert len(node.spoken) == 1


def test_a_start_withheld_for_days_is_not_let_in_by_the_nonce_it_answers():
    node = node_with()
    withheld = start(node.true_ms, answers=(node.state.nonces[0],))
    node.run(3 * 86_400)
    node.give(withheld)
    node.run(2)
    assert not node.spoken
    assert node.state.refused == {"expired": 1}


def test_a_good_clock_renews_its_nonces_in_silence():
    node = node_with()
    hellos = len(node.controller.hellos)
    node.run(3_600)
    assert len(node.controller.hellos) == hellos


def test_the_clock_that_becomes_good_brings_the_programme_within_its_grace():
    node = node_with(item("tin", "12:00"), clock="unknown")
    node.run_to(NOON + 120_000)
    node.trust_clock("good")
    node.run(2)
    assert node.sounds() == "tin"
    assert node.controller.hellos[-1].clock_state == "good"


def test_a_step_back_plays_nothing_twice():
    node = node_with(item("tin", "12:00"))
    node.run_to(NOON + 240_000)
    assert node.story() == ["tin 12:00:00 played"]
    for step_ms in (-300_000, -300_000, 300_000, -250_000):
        node.step(step_ms)
        node.run(90)
    assert len(node.spoken) == 1


@pytest.mark.parametrize("ahead_s", [60, 200, 299])
def test_a_step_forward_over_the_time_loses_nothing_within_its_grace(ahead_s):
    node = node_with(item("tin", "12:00"), at_ms=NOON - 120_000)
    node.run_to(NOON - 30_000)
    node.step(30_000 + ahead_s * 1_000)
    node.run(2)
    assert node.sounds() == "tin"


def test_a_clock_years_ahead_for_a_minute_brings_nothing_back():
    node = node_with(item("tin", "12:00", grace_s=3_600))
    node.run_to(NOON + 240_000)
    node.step(30 * 24 * HOUR_MS)
    node.run(60)
    assert node.state.floor_ms > NOON + 29 * 24 * HOUR_MS
    node.step(-30 * 24 * HOUR_MS)
    node.run(60)
    planned = [record.planned_ms for record, _ in node.card.records.values()]
    assert planned == [NOON, NOON + 30 * 24 * HOUR_MS]
    assert node.state.clock == "unknown", "time never runs below its floor"


def test_time_below_the_floor_is_no_time():
    node = Node(FLOOR_BUILD_MS - 10_000, clock="good")
    assert node.state.clock == "unknown"
    node = node_with()
    node.step(-2 * HOUR_MS)
    assert node.state.clock == "unknown"
    assert node.state.floor_ms >= NOON - HOUR_MS
    node.step(2 * HOUR_MS)
    assert node.state.clock == "good"


def test_the_floor_survives_a_power_cut():
    node = node_with()
    floor_ms = node.state.floor_ms
    node.power_cut()
    assert node.state.floor_ms == floor_ms


def test_a_grant_from_a_clock_ahead_of_ours_does_not_take_our_clock_away():
    node = node_with()
    node.give(commune(seq=node.true_ms + 100_000))
    node.run(2)
    assert node.state.clock == "good"
    assert node.state.floor_ms <= node.true_ms


def test_one_person_alone_never_raises_the_floor():
    node = node_with(clock="unknown")
    floor_ms = node.state.floor_ms
    node.give(programme(item("tin", "12:00"), seq=ISSUED + 300 * 24 * HOUR_MS, valid_until_ms=ISSUED + 10 * 24 * HOUR_MS))
    assert node.state.floor_ms == floor_ms == ISSUED


def test_with_a_good_clock_the_future_is_refused_and_stores_nothing():
    node = node_with()
    journal = len(node.card.journal)
    node.give(start(node.true_ms + 121_000))
    node.give(commune(seq=node.true_ms + 121_000))
    node.run(2)
    assert node.state.refused == {"from-future": 2}
    assert len(node.card.journal) == journal


def test_a_lost_memory_is_said_aloud_and_takes_no_older_start():
    node = node_with()
    assert node.controller.hellos[-1].amnesia
    node.give(start(NOON - 61_000))
    node.run(1)
    assert not node.spoken
    node.give(start(node.true_ms, "a2"))
    node.run(1)
    assert node.sounds() == "a2"


def test_a_memory_made_without_a_clock_is_dated_by_the_first_good_one():
    node = node_with(clock="unknown")
    assert "created_ms" not in node.card.numbers
    node.trust_clock("good")
    node.run(1)
    assert node.card.numbers["created_ms"] == pytest.approx(node.true_ms, abs=2_000)


def test_an_expired_grant_ends_the_programme_and_lets_an_emergency_go_on_with_one_person_more():
    node = node_with(item("tin", "12:00 12:30"))
    node.give(commune(seq=node.true_ms, until_ms=NOON + 600_000))
    node.run_to(NOON + 31 * 60_000)
    assert [line.split()[-1] for line in node.story()] == ["played"]
    node.give(start(node.true_ms, "a1", area=COMMUNE))
    node.run(1)
    assert len(node.spoken) == 1
    node.give(start(node.true_ms, "a1", area=COMMUNE, by=("c1", "c2")))
    node.run(1)
    assert node.sounds() == "a1"


def test_tomorrows_programme_does_not_take_todays_place_while_the_time_is_unknown():
    node = node_with(item("hom-nay", "12:00"))
    tomorrow = programme(item("ngay-mai", "12:00"), seq=node.true_ms, valid_from_ms=NOON + 12 * HOUR_MS)
    node.give(tomorrow)
    node.power_cut(off_ms=10_000, clock="unknown")
    node.online()
    node.trust_clock("good")
    node.run_to(NOON + 1_000)
    assert node.sounds() == "hom-nay"
