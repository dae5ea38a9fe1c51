"""How far the clock can be off, over days and power cuts: what still plays, what the node says of it, and what it never does."""

from itertools import pairwise

import pytest

from edge_agent.commands import Publish, PutNumber
from edge_agent.core.clock import GOOD_MS, HOLDOVER_MS
from edge_agent.events import MachineChecked
from protocol.reports import Health
from tests.core.harness import Node
from tests.core.people import HOUR_MS, MEDIA, NOON, item, programme, settled, start

DAY_MS = 24 * HOUR_MS
YEARS_MS = 40 * 365 * DAY_MS


def node_with(*items, at_ms=NOON - 60_000, **more):
    node = Node(at_ms, *settled(programme(*items)), **more)
    node.fetched(MEDIA)
    return node.online()


def records(node):
    return [record for record, _ in node.card.records.values()]


def healths(node):
    said = [command.message for command in node.commands if isinstance(command, Publish)]
    return [message for message in said if isinstance(message, Health)]


# --- growth ---


@pytest.mark.parametrize("drift_ppm", [-340, 340])
def test_while_the_link_is_dead_for_days_timed_items_play_until_the_bound_passes_a_minute(drift_ppm):
    node = node_with(item("tin", "12:00"))
    node.disconnect()
    node.lose_time_source(bound_ppm=350, drift_ppm=drift_ppm, says="good")
    said = {}
    while node.true_ms < NOON + 2 * DAY_MS + HOUR_MS:
        node.run(600)
        said.setdefault(node.state.clock, node.true_ms)
        if node.state.clock_usable:
            assert abs(node.off_ms) <= node.state.clock_error_ms <= HOLDOVER_MS, "the bound does not lie"
    assert list(said) == ["good", "holdover", "unknown"]
    assert said["holdover"] - NOON == pytest.approx((GOOD_MS - 20) * 1e6 / 350, abs=700_000)
    assert said["unknown"] - NOON == pytest.approx((HOLDOVER_MS - 20) * 1e6 / 350, abs=700_000)
    played = [(record.planned_ms, record.clock_state, record.ending) for record in records(node)]
    assert played == [(NOON, "good", "played"), (NOON + DAY_MS, "holdover", "played")]
    assert "clock-unknown" in node.state.troubles
    node.online()
    assert node.controller.hellos[-1].clock_state == "unknown"


def test_every_record_says_by_which_clock_it_was_told_and_how_far_that_could_be_off():
    node = node_with(item("tin", "12:00 12:30"))
    node.run_to(NOON + 600_000)
    node.lose_time_source(bound_ppm=10_000)
    node.run_to(NOON + 2_400_000)
    first, second = records(node)
    assert (first.clock_state, first.clock_error_ms) == ("good", 20)
    assert (second.clock_state, second.clock_error_ms) == ("holdover", pytest.approx(20 + 1_200_000 // 100, abs=10))


def test_an_emergency_without_a_clock_is_told_by_no_clock():
    node = node_with(clock="unknown")
    node.give(start(node.true_ms, answers=node.state.nonces))
    node.run(2)
    assert [(record.clock_state, record.clock_error_ms) for record in records(node)] == [("unknown", None)]


def test_a_clock_in_step_that_may_be_seconds_off_is_used_and_not_called_good():
    node = node_with(item("tin", "12:00"))
    node.bound_ms = 5_000
    node.run_to(NOON + 2_000)
    assert node.state.clock == "holdover"
    assert node.sounds() == "tin"
    node.bound_ms = HOLDOVER_MS + 1
    node.run(10)
    assert node.state.clock == "unknown"


def test_health_tells_the_bound_when_it_is_judged_anew_and_each_time_it_doubled():
    node = node_with()
    node.happen(MachineChecked(2**30, 4_500, 60))
    node.run(1)
    node.lose_time_source(bound_ppm=1_000)
    node.run(61_000)
    told = [(health.clock_state, health.clock_error_ms) for health in healths(node)]
    assert told[0] == ("good", 20)
    assert told[-1][0] == "unknown"
    bounds = [error_ms for state, error_ms in told if state == "holdover"]
    assert all(later >= 2 * earlier for earlier, later in pairwise(bounds))
    assert 5 <= len(bounds) <= 7


# --- steps ---


def test_a_step_back_by_an_hour_in_holdover_is_no_clock_and_plays_nothing_again():
    node = node_with(item("tin", "11:59 12:00"))
    node.lose_time_source(bound_ppm=50)
    node.run_to(NOON + 600_000)
    before = node.story()
    node.step(-HOUR_MS)
    node.run(2 * 3_600)
    assert node.state.clock == "unknown"
    node.find_time_source()
    node.run(600)
    assert node.state.clock == "good"
    assert node.story() == before


def test_a_step_forward_over_an_item_says_that_it_was_skipped():
    node = node_with(item("tin", "12:00", grace_s=20), item("mot", "12:10"))
    node.lose_time_source(bound_ppm=50)
    node.run_to(NOON - 30_000)
    node.error_ms = -40_000  # so far behind is what its bound allowed
    node.bound_ms = 50_000
    node.run_to(NOON + 30_000)
    assert not node.spoken
    node.find_time_source()
    node.run(900)
    assert node.story() == ["tin never skipped", "mot 12:10:00 played"]
    assert records(node)[0].reason == "late: its grace is over"
    assert records(node)[0].clock_error_ms == 20


def test_a_clock_that_was_far_ahead_for_half_a_minute_loses_nothing():
    node = node_with(item("tin", "12:10"), item("gan", "12:01"))
    node.step(HOUR_MS // 3)
    node.run(30)
    node.step(-HOUR_MS // 3)
    node.run_to(NOON + 1_200_000)
    assert node.story() == ["gan 12:01:00 played", "tin 12:10:00 played"]


@pytest.mark.parametrize("wrong_ms", [-YEARS_MS, YEARS_MS])
def test_a_clock_years_wrong_at_boot_and_then_right_loses_and_repeats_nothing(wrong_ms):
    node = node_with(item("xong", "12:00"), item("som", "12:04"), item("muon", "12:14"))
    node.run_to(NOON + 230_000)
    assert node.story() == ["xong 12:00:00 played"]
    node.error_ms = wrong_ms
    node.power_cut(clock="unknown")
    node.online()
    node.run(120)
    assert len(node.card.records) == 1
    assert node.controller.hellos[-1].clock_state == "unknown"
    node.find_time_source()
    node.run_to(NOON + 1_200_000)
    assert [line.split()[0] for line in node.story()] == ["xong", "som", "muon"]
    assert [record.clock_state for record in records(node)] == ["good"] * 3


# --- the floor ---


def test_holdover_raises_no_floor_and_a_clock_that_was_ahead_is_good_at_once_when_put_right():
    node = node_with()
    floor_ms = node.state.floor_ms
    node.lose_time_source(bound_ppm=6_000, drift_ppm=5_000)
    node.run(9_000)
    assert node.off_ms > 40_000
    assert (node.state.clock, node.state.floor_ms) == ("holdover", floor_ms)
    node.find_time_source()
    assert node.state.clock == "good"


def test_floor_and_rtc_are_kept_in_one_transaction_an_hour():
    node = node_with(rtc_apart_ms=300)
    kept = len(node.card.journal)
    node.run(12 * 3_600)
    about_time = [writes for writes in node.card.journal[kept:] if any(isinstance(write, PutNumber) for write in writes)]
    assert 11 <= len(about_time) <= 12
    assert all([write.name for write in writes] == ["floor_ms", "rtc_good_ms"] for writes in about_time)


# --- the battery-backed clock ---


def off_for(off_ms, *, apart_ms=300, kept_apart_ms=300, error_ms=0, clock="unknown"):
    """A node that was good for two hours, then without power, then on again with no time source."""
    node = node_with(item("tin", "12:00"), at_ms=NOON - 2 * HOUR_MS - off_ms, rtc_apart_ms=kept_apart_ms)
    node.run_to(NOON - off_ms - 60_000)
    node.rtc_apart_ms, node.error_ms = apart_ms, error_ms
    node.power_cut(off_ms=off_ms, clock=clock)
    return node.online()


def test_a_battery_backed_clock_carries_the_programme_over_a_power_cut():
    node = off_for(DAY_MS)
    node.run_to(NOON + 300_000)
    assert node.controller.hellos[-1].clock_state == "holdover"
    assert "clock-unknown" not in node.state.troubles
    record = records(node)[-1]
    assert (record.item, record.planned_ms, record.ending, record.clock_state) == ("tin", NOON, "played", "holdover")
    # a second and two from before, 100 ppm of a day and of the hour since it was last seen good, 0.3 s apart now
    assert 3_300 + 8_640 <= record.clock_error_ms <= 3_300 + 8_640 + 400


@pytest.mark.parametrize(
    ("what", "more"),
    {
        "none there": {"apart_ms": None},
        "three seconds from the system's clock": {"apart_ms": 3_000},
        "never put right while the clock was good": {"kept_apart_ms": 5_000},
        "not there while the clock was good": {"kept_apart_ms": None},
        "set back by a year": {"error_ms": -365 * DAY_MS},
        "set back to before it was last seen good": {"error_ms": -DAY_MS - 2 * HOUR_MS},
        "set forward by years": {"error_ms": YEARS_MS},
    }.items(),
)
def test_a_battery_backed_clock_that_nobody_answers_for_is_no_clock(what, more):
    node = off_for(DAY_MS, **more)
    node.run_to(NOON + 300_000)
    assert node.state.clock == "unknown", what
    assert all(record.planned_ms != NOON for record in records(node))


@pytest.mark.parametrize(("days", "clock"), [(6, "holdover"), (8, "unknown")])
def test_a_battery_backed_clock_is_good_for_a_week(days, clock):
    assert off_for(days * DAY_MS).state.clock == clock


def test_a_time_source_takes_over_from_the_battery_backed_clock():
    node = off_for(DAY_MS)
    node.find_time_source()
    assert (node.state.clock, node.state.clock_error_ms) == ("good", 20)
    node.lose_time_source(bound_ppm=50)
    node.run(60)
    assert node.state.clock_error_ms < 100, "what the time source left is known better than what the RTC says"
    node.trust_clock("unknown")
    assert node.state.clock == "unknown"


def test_a_battery_backed_clock_that_fails_later_is_no_clock_any_more():
    node = off_for(DAY_MS)
    assert node.state.clock == "holdover"
    node.rtc_apart_ms = None
    node.run(10)
    assert node.state.clock == "unknown"


@pytest.mark.parametrize(("apart_ms", "heard"), [(300, 0), (None, 1)])
def test_with_a_battery_backed_clock_an_emergency_that_is_over_is_not_heard_again_after_a_power_cut(apart_ms, heard):
    node = node_with(at_ms=NOON, rtc_apart_ms=apart_ms)
    node.give(start(node.true_ms, "a1"))
    node.run(3)
    assert node.sounds() == "a1"
    node.power_cut(off_ms=HOUR_MS, clock="unknown")
    node.run(5)
    assert len(node.spoken) == heard
