"""STOP stops what it may, needs no clock, and what was stopped stays stopped; exercises and live orders never mix."""

from edge_agent.commands import PutMark, Save
from tests.core.harness import Node
from tests.core.people import (
    COMMUNE,
    HAMLET,
    MEDIA,
    NOON,
    drill,
    drill_stop,
    item,
    lift,
    programme,
    settled,
    start,
    station,
    stop,
)


def node_with(*items, **more):
    node = Node(NOON - 60_000, *settled(programme(*items)), **more)
    node.fetched(MEDIA)
    node.online()
    node.run(30)
    return node


def test_stop_silences_at_once_and_tells_both():
    node = node_with()
    node.give(start(node.true_ms))
    node.run(3)
    before = node.mono_ns
    node.give(stop(node.true_ms))
    assert node.sounds() is None
    node.run(1)
    assert node.player.heard[0].end_ns - before <= 10_000_000
    assert node.controller.results_of("a1")[-2:] == ["stopped", "stopped"]
    assert node.story() == ["live a1 11:59:34 stopped"]


def test_a_tie_stops():
    node = node_with()
    seq = node.true_ms
    node.give(start(seq))
    node.run(2)
    node.give(stop(seq))
    assert node.sounds() is None


def test_an_older_stop_stops_nothing_newer():
    node = node_with()
    node.give(start(node.true_ms))
    node.run(2)
    node.give(stop(node.true_ms - 10_000))
    node.run(1)
    assert node.sounds() == "a1"


def test_stop_before_its_start():
    node = node_with()
    sent = start(node.true_ms)
    node.run(1)
    node.give(stop(node.true_ms))
    node.run(1)
    node.give(sent)
    node.run(2)
    assert not node.spoken
    assert set(node.state.refused) <= {"superseded", "stopped"}


def test_stop_while_the_start_is_being_kept():
    node = node_with()
    node.save_ms = 500
    node.give(start(node.true_ms))
    node.run(0.1)
    node.give(stop(node.true_ms))
    node.run(2)
    assert not node.spoken
    assert [order.state for order in node.card.orders.values()] == ["stopped"]
    assert node.controller.results_of("a1")[-1] == "stopped"
    assert node.story() == ["live a1 never stopped"]


def test_stop_of_everything_keeps_the_programme_silent_until_lifted():
    node = node_with(item("tin", "12:00 12:10 12:20"))
    node.run_to(NOON + 10_000)
    node.give(stop(node.true_ms, None, area=COMMUNE))
    node.run(1)
    assert node.sounds() is None
    node.run_to(NOON + 12 * 60_000)
    assert node.story() == ["tin 12:00:00 stopped", "tin never skipped"]
    node.give(lift(node.true_ms, area=COMMUNE))
    node.run_to(NOON + 21 * 60_000)
    assert node.sounds() == "tin"


def test_a_later_start_breaks_through_and_the_stopped_one_stays_stopped():
    node = node_with()
    first = start(node.true_ms, "a1")
    node.give(first)
    node.run(2)
    node.give(stop(node.true_ms, None, area=COMMUNE))
    node.run(2)
    node.give(start(node.true_ms, "a2"))
    node.run(1)
    assert node.sounds() == "a2"
    node.give(first)
    node.run(120)
    assert [line.split()[1] for line in node.story()] == ["a1", "a2"]


def test_a_narrower_authority_cannot_stop_a_wider_one():
    node = node_with()
    node.give(start(node.true_ms))
    node.run(2)
    node.give(stop(node.true_ms, "a1", authority=HAMLET, by=("h1",)))
    node.give(stop(node.true_ms, None, authority=HAMLET, by=("h1",)))
    node.run(1)
    assert node.sounds() == "a1"


def test_a_narrower_stop_of_everything_does_not_silence_a_wider_programme():
    node = node_with(item("tin", "12:00"))
    node.give(stop(node.true_ms, None, authority=HAMLET, by=("h1",)))
    node.run_to(NOON + 1_000)
    assert node.sounds() == "tin"


def test_a_retained_stop_that_comes_again_is_answered_and_does_nothing():
    node = node_with(item("tin", "12:00"))
    node.give(start(node.true_ms))
    node.run(2)
    sent = stop(node.true_ms)
    node.give(sent)
    node.run(1)
    node.retained[sent.topic] = sent.raw
    journal = len(node.card.journal)
    for _ in range(3):
        node.disconnect()
        node.run(1)
        node.online()
    node.run_to(NOON + 10_000)
    assert node.sounds() == "tin"
    assert set(node.controller.results_of("a1")[-3:]) == {"stopped"}
    marks = [write for writes in node.card.journal[journal:] for write in writes if isinstance(write, PutMark)]
    assert not marks


def test_stop_needs_no_clock():
    node = node_with(clock="unknown")
    nonce = node.state.nonces[0]
    node.give(start(node.true_ms, answers=(nonce,)))
    node.run(1)
    assert node.sounds() == "a1"
    node.give(stop(node.true_ms))
    assert node.sounds() is None


def test_a_stop_whose_card_fails_is_silence_all_the_same_and_is_written_until_it_is():
    node = node_with()
    node.give(start(node.true_ms))
    node.run(2)
    node.card_fails = lambda _save: True
    sent = stop(node.true_ms)
    ref = node.give(sent)
    assert node.sounds() is None
    node.run(3)
    again = node.give(sent)
    node.run(8)
    assert not {ref, again} & set(node.acknowledged), "nothing is acknowledged that is not on the card"
    assert "storage-failed" in node.state.troubles
    node.card_fails = lambda _save: False
    node.run(6)
    assert {ref, again} <= set(node.acknowledged)
    assert "storage-failed" not in node.state.troubles
    node.power_cut()
    node.run(30)
    assert not node.spoken, "what was stopped stays stopped"
    assert sorted(node.card.records) == [1]


def test_a_card_that_fails_is_tried_with_one_thing_at_a_time_and_gets_all_of_it_once_it_takes_it():
    node = node_with()
    tried: list[int] = []

    def fails(save: Save) -> bool:
        tried.append(node.true_ms)
        return True

    node.card_fails = fails
    sent = [node.give(stop(node.true_ms, incident=f"{number:016x}")) for number in range(1, 9)]
    tried.clear()
    node.run(60)
    assert 8 <= len(tried) <= 13, "every five seconds one of the eight"
    node.card_fails = lambda _save: False
    node.run(6)
    assert set(sent) <= set(node.acknowledged)


# --- exercise and live ---


def test_stopping_an_exercise_never_silences_anything_live():
    node = node_with()
    node.give(start(node.true_ms, "a1", repeats=100))
    node.run(1)
    node.give(drill_stop(node.true_ms, None, area=COMMUNE))
    node.give(drill_stop(node.true_ms, "a1"))
    node.run(1)
    assert node.sounds() == "a1"


def test_an_exercises_stop_of_the_same_millisecond_does_not_hide_a_live_one():
    node = node_with()
    node.give(start(node.true_ms, repeats=100))
    node.run(2)
    seq = node.true_ms
    node.give(drill_stop(seq, None, area=COMMUNE))
    node.give(stop(seq, None, area=HAMLET))
    assert node.sounds() is None
    node.give(stop(seq, None, area=COMMUNE))
    node.run(1)
    assert not node.state.refused


def test_a_stop_that_reaches_only_an_update_lets_the_older_version_go_on():
    node = node_with()
    node.give(start(node.true_ms, "a1", authority=HAMLET, by=("h1",), repeats=100))
    node.run(2)
    node.save_ms = 500
    wider = node.true_ms - 5_000
    node.give(start(wider, "a1", repeats=100))
    node.run(0.1)
    node.give(stop(wider, "a1"))
    node.run(3)
    assert node.sounds() == "a1"
    node.power_cut()
    node.run(2)
    assert node.sounds() == "a1"
    assert node.state.alarms["a1".rjust(16, "0")].start.authority == HAMLET


def test_stopping_an_exercise_does_not_hush_the_programme():
    node = node_with(item("tin", "12:00"))
    node.give(drill(node.true_ms))
    node.run(1)
    assert node.sounds() == "e1"
    node.give(drill_stop(node.true_ms, None, area=COMMUNE))
    assert node.sounds() is None
    node.run_to(NOON + 1_000)
    assert node.sounds() == "tin"


def test_a_live_stop_of_everything_ends_exercises_and_keeps_new_ones_silent():
    node = node_with()
    node.give(drill(node.true_ms))
    node.run(1)
    node.give(stop(node.true_ms, None, area=COMMUNE))
    assert node.sounds() is None
    node.run(1)
    node.give(drill(node.true_ms, "e2"))
    node.run(1)
    assert node.sounds() is None
    assert node.state.refused == {"quiet-hours": 1}


def test_an_exercise_keeps_quiet_hours_and_an_emergency_does_not():
    node = Node(NOON - 60_000, *settled(hours=((0, 700),))).online()
    node.give(drill(node.true_ms))
    node.run(2)
    assert not node.spoken
    assert "quiet hours" in node.controller.results[-1].reason
    node.give(start(node.true_ms))
    node.run(1)
    assert node.sounds() == "a1"


def test_an_exercise_ends_when_hours_that_came_while_it_sounded_do():
    node = Node(NOON - 60_000, *settled()).online()
    node.give(drill(node.true_ms, repeats=100))
    node.run(5)
    node.give(station(((0, 720),), seq=node.true_ms))
    node.run_to(NOON - 1_000)
    assert node.sounds() == "e1"
    node.run_to(NOON + 100)
    assert node.sounds() is None


def test_an_exercise_ends_when_the_hours_do():
    node = Node(NOON - 60_000, *settled(hours=((0, 720),))).online()
    node.give(drill(node.true_ms, repeats=100))
    node.run_to(NOON - 1_000)
    assert node.sounds() == "e1"
    node.run_to(NOON + 100)
    assert node.sounds() is None
