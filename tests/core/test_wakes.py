"""The core asks to be woken when something is due, and for nothing else: a node that sleeps until then misses nothing."""

from tests.core.harness import Node
from tests.core.people import COMMUNE, MEDIA, MIDNIGHT, NOON, item, programme, settled, start, stop, suspend

HOUR_S = 3_600


class Sleeper(Node):
    """Wakes only when the core asked for it."""

    longest_sleep_s = 10**6


def day(kind):
    items = (
        item("som", "05:30 17:00", on_interrupt="resume"),
        item("trua", "11:00 11:01", class_="priority"),
        item("toi", "17:01 22:30", grace_s=60),
    )
    node = kind(MIDNIGHT, *settled(programme(*items), hours=((300, 480), (660, 690), (990, 1_021))))
    node.fetched(MEDIA)
    node.online()
    node.run_to(MIDNIGHT + 5 * 3_600_000 + 31 * 60_000)
    node.give(start(node.true_ms, "a1", repeats=2))
    node.run(40)
    node.give(start(node.true_ms, "b2", repeats=100, sound_max_s=30))
    node.run(HOUR_S)
    node.card_fails = lambda _save: True
    node.give(stop(node.true_ms, "b2"))
    node.run(7)
    node.card_fails = lambda _save: False
    node.run_to(NOON)
    node.disconnect()
    node.run(HOUR_S)
    node.power_cut()
    node.online()
    node.run_to(MIDNIGHT + 24 * 3_600_000)
    return node


def test_a_node_that_sleeps_until_something_is_due_does_what_one_woken_every_five_seconds_does():
    woken, sleeper = day(Node), day(Sleeper)
    assert {line.split()[-1] for line in sleeper.story()} >= {"played", "interrupted", "max", "skipped"}, sleeper.story()
    assert sleeper.story() == woken.story()
    assert [told.result for told in sleeper.controller.results] == [told.result for told in woken.controller.results]
    assert sleeper.controller.records == woken.controller.records
    assert sleeper.turns < woken.turns / 20


def test_nothing_wakes_a_node_in_circles_whatever_its_clock_is():
    for clock in ("good", "holdover", "attested", "unknown"):
        node = Sleeper(NOON, *settled(), clock=clock).online()
        turns = node.turns
        node.run(HOUR_S)
        assert node.turns - turns < 30, clock


def test_a_clock_that_is_in_step_and_below_the_floor_is_looked_at_when_it_comes_above_it():
    node = Sleeper(NOON, *settled(programme(item("tin", "12:02")))).online()
    node.fetched(MEDIA)
    node.card.numbers["floor_ms"] = NOON + 60_000
    node.power_cut(off_ms=1_000)
    assert node.state.clock == "unknown"
    node.run_to(NOON + 61_000)
    assert node.state.clock == "good"


def test_what_sounds_ends_with_its_programme():
    node = Sleeper(NOON - 60_000, *settled(programme(item("tin", "12:00"), valid_until_ms=NOON + 60_000))).online()
    node.fetched(MEDIA)
    node.run_to(NOON + 59_000)
    assert node.sounds() == "tin"
    node.run_to(NOON + 60_100)
    assert node.sounds() is None
    assert node.story() == ["tin 12:00:00 stopped"]


def test_what_could_not_be_written_is_written_when_it_can_be_although_nothing_else_happens():
    node = Sleeper(NOON, *settled())
    node.card_fails = lambda _save: True
    sent = stop(node.true_ms, None, area=COMMUNE)
    node.give(sent)
    node.run(1)
    node.card_fails = lambda _save: False
    assert not node.card.marks
    node.run(6)
    assert len(node.card.marks) == 1


def test_a_suspension_that_ran_for_all_its_time_under_a_slow_clock_wakes_nobody_in_circles():
    node = Sleeper(NOON, *settled()).online()
    node.run(1)
    node.give(suspend("c1", node.true_ms + 100_000, hours=1))
    node.run(HOUR_S + 1)
    assert node.state.suspends_in_force, "by the clock it is not over"
    turns = node.turns
    node.run(60)
    assert node.turns - turns < 30
    node.run(60)
    assert not node.state.suspends_in_force
