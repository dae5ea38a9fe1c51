"""A node never cuts itself off: a way is tried, kept once the controller answered on it, and left for the last that worked."""

import random

import pytest

from edge_agent.commands import PutReach
from tests.core.people import NOON, network, start
from tests.core.wayfaring import CARD, Wayfarer, towards, way

MINUTE, HOUR, DAY = 60, 3_600, 86_400
OLD, NEW = CARD, way("new")


def settled_node(**more):
    node = Wayfarer(NOON, **more)
    node.run(5 * MINUTE)
    assert node.linked
    return node


def said(node):
    """The last word of the node on its network, as the controller heard it."""
    network_said = node.controller.hellos[-1].network
    return None if network_said is None else network_said.state


def test_a_way_on_which_the_controller_answers_is_confirmed_after_a_minute_and_survives_a_power_cut():
    node = settled_node(alive=(OLD, NEW))
    node.give(towards("new", node.true_ms))
    node.run(45)
    assert (node.by, node.on_card.state) == (NEW, "trial")
    node.run(2 * MINUTE)
    assert (said(node), node.on_card.good, node.on_card.before) == ("confirmed", NEW, OLD)
    assert "network-returned" not in node.controller.hellos[-1].troubles
    node.power_cut()
    assert node.by == NEW, "before the driver connected anywhere else"
    node.run(MINUTE)
    assert node.linked


def test_nothing_is_gone_by_before_it_is_on_the_card():
    node = settled_node(alive=(OLD, NEW))
    node.save_ms = 5_000
    node.give(towards("new", node.true_ms))
    node.run(4)
    assert node.by == OLD
    node.run(60)
    assert node.by == NEW
    written = next(index for index, writes in enumerate(node.card.journal) if any(isinstance(one, PutReach) for one in writes))
    assert node.card.journal[written][0].reach.wanted == NEW


def test_a_dead_way_is_left_after_ten_minutes_for_the_last_that_worked_and_the_node_says_so():
    node = settled_node()
    node.give(towards("new", node.true_ms))
    node.run(9 * MINUTE)
    assert (node.by, node.linked) == (NEW, False)
    node.run(2 * MINUTE)
    assert (node.by, node.linked, said(node)) == (OLD, True, "returned")
    assert "network-returned" in node.controller.hellos[-1].troubles
    assert node.controller.hellos[-1].network.digest == node.on_card.digest


def test_what_failed_is_not_tried_again_while_the_way_back_works_but_a_newer_document_is():
    node = settled_node()
    node.give(towards("new", node.true_ms))
    node.run(3 * DAY)
    assert node.went == [NEW, OLD]
    node.power_cut()
    node.run(DAY)
    assert node.went == [NEW, OLD, OLD]
    node.alive.add(NEW)
    node.give(towards("new", node.true_ms))
    node.run(5 * MINUTE)
    assert (node.by, said(node)) == (NEW, "confirmed")
    assert "network-returned" not in node.controller.hellos[-1].troubles


def test_a_broker_without_a_controller_confirms_nothing():
    node = settled_node(alive=(OLD, NEW), mute=(NEW,))
    node.give(towards("new", node.true_ms))
    node.run(5 * MINUTE)
    assert (node.by, node.linked, node.on_card.state) == (NEW, True, "trial")
    node.run(10 * MINUTE)
    assert (node.by, said(node)) == (OLD, "returned")


def test_an_answer_of_the_first_minute_confirms_nothing_for_it_may_have_come_by_the_way_that_is_left():
    node = settled_node(alive=(OLD, NEW))
    node.give(towards("new", node.true_ms))
    node.run(50)
    assert node.linked
    node.mute = {NEW}
    node.run(5 * MINUTE)
    assert node.on_card.state == "trial"


def test_an_answer_that_still_comes_on_the_link_that_is_left_confirms_nothing():
    node = settled_node()
    node.give(network(seq=node.true_ms, month_bytes=7))
    node.run(3)
    node.cut_ns = 10**9
    node.give(towards("new", node.true_ms))
    node.tell_mark(0)
    node.run(MINUTE)
    assert (node.by, node.on_card.state) == (NEW, "trial")


def test_an_answer_that_lay_in_the_broker_from_before_confirms_nothing():
    node = settled_node(alive=(OLD, NEW), mute=(NEW,))
    node.stale = {NEW}
    node.give(towards("new", node.true_ms))
    node.run(5 * MINUTE)
    assert node.linked
    assert node.on_card.state == "trial"
    node.run(10 * MINUTE)
    assert said(node) == "returned"


def test_a_document_on_a_stick_has_a_day_when_nobody_was_reached_before():
    node = Wayfarer(NOON, alive=())
    node.run(2 * HOUR)
    node.give(towards("new", node.true_ms))
    node.run(HOUR)
    assert node.by == NEW, "the old way is dead anyway"
    node.alive.add(NEW)
    node.run(5 * MINUTE)
    assert said(node) == "confirmed"


def test_when_neither_works_the_last_good_one_is_tried_for_long_and_the_others_in_turn():
    node = settled_node()
    node.alive.clear()
    node.give(towards("new", node.true_ms))
    node.run(3 * DAY)
    assert node.went == [NEW, OLD, NEW, OLD, NEW, OLD], "ten minutes in a day"
    node.alive.add(NEW)
    node.run(DAY + HOUR)
    assert (node.by, said(node)) == (NEW, "confirmed")


def test_a_confirmed_way_that_dies_is_left_after_a_day_and_what_the_card_says_is_never_lost():
    node = settled_node(alive=(OLD, NEW, way("newer")))
    for name in ("new", "newer"):
        node.give(towards(name, node.true_ms))
        node.run(5 * MINUTE)
    assert (node.on_card.good, node.on_card.before) == (way("newer"), NEW)
    node.alive = {CARD}
    node.run(23 * HOUR)
    assert node.by == way("newer")
    node.run(2 * HOUR)
    assert (node.by, node.linked, said(node)) == (CARD, True, "returned")
    assert node.on_card.good == CARD, "and this is where it comes back to"


def test_a_broker_that_is_found_is_not_left_after_minutes_because_the_controller_is_down():
    node = settled_node(alive=(OLD, NEW))
    node.give(towards("new", node.true_ms))
    node.run(5 * MINUTE)
    node.alive, node.mute = {OLD}, {OLD}
    node.run(24 * HOUR + 2 * MINUTE)
    assert (node.by, node.linked) == (OLD, True)
    node.run(20 * HOUR)
    assert (node.by, node.linked) == (OLD, True), "whoever has no server still gives orders at this broker"
    node.run(5 * HOUR)
    assert node.by == NEW


def test_hours_of_silence_that_end_cost_no_way_back():
    node = settled_node(alive=(OLD, NEW))
    node.give(towards("new", node.true_ms))
    node.run(5 * MINUTE)
    node.alive = set()
    node.run(3 * HOUR)
    assert node.on_card.silent_h == 2
    node.alive = {NEW}
    node.run(5 * MINUTE)
    assert (node.on_card.silent_h, node.on_card.good, node.on_card.before) == (0, NEW, OLD)


def test_a_power_cut_every_night_does_not_begin_the_day_of_patience_anew():
    node = settled_node(alive=(OLD, NEW))
    node.give(towards("new", node.true_ms))
    node.run(5 * MINUTE)
    node.alive = {OLD}
    for _day in range(3):
        node.run(12 * HOUR)
        node.power_cut(off_ms=12 * HOUR * 1_000)
    node.run(HOUR)
    assert (node.by, node.linked) == (OLD, True)


def test_a_trial_outlives_three_starts_and_no_more():
    node = settled_node()
    node.give(towards("new", node.true_ms))
    for _start in range(2):
        node.run(MINUTE)
        node.power_cut()
        assert node.by == NEW
    node.run(MINUTE)
    node.power_cut()
    assert node.by == OLD
    node.run(MINUTE)
    assert said(node) == "returned"


def test_budgets_alone_change_no_way_and_count_at_once():
    node = settled_node()
    node.give(network(seq=node.true_ms, month_bytes=7))
    node.run(MINUTE)
    assert (node.went, said(node), node.on_card) == ([], None, None)
    node.give(towards("new", node.true_ms, month_bytes=8))
    node.run(3)
    assert (node.by, node.state.fetch_limit) == (NEW, 8)


def test_new_budgets_for_a_confirmed_way_begin_no_trial():
    node = settled_node(alive=(OLD, NEW))
    node.give(towards("new", node.true_ms))
    node.run(5 * MINUTE)
    node.give(towards("new", node.true_ms, month_bytes=9))
    node.run(MINUTE)
    assert (node.went, said(node)) == ([NEW], "confirmed")
    assert node.controller.hellos[-1].network.digest == node.on_card.digest


def test_a_withdrawn_way_leads_to_the_card_by_a_trial_like_any_other():
    node = settled_node(alive=(OLD, NEW))
    node.give(towards("new", node.true_ms))
    node.run(5 * MINUTE)
    node.alive = {NEW}
    node.give(network(seq=node.true_ms))
    node.run(5 * MINUTE)
    assert (node.by, node.linked) == (CARD, False)
    node.run(10 * MINUTE)
    assert (node.by, said(node)) == (NEW, "returned")


def test_a_document_whose_days_are_over_cuts_nobody_off():
    node = settled_node(alive=(OLD, NEW))
    seq = node.true_ms
    node.give(network(seq=seq, reach=NEW, valid={"valid_until_ms": seq + 600_000}))
    node.run(5 * MINUTE)
    node.alive = {NEW}
    node.run(2 * HOUR)
    assert (node.went, node.linked) == ([NEW], True)


def test_a_failing_card_holds_back_the_trial_and_never_the_return():
    node = settled_node()
    node.card_fails = lambda save: any(isinstance(write, PutReach) for write in save.writes)
    node.give(towards("new", node.true_ms))
    node.run(20 * MINUTE)
    assert (node.went, node.linked) == ([], True)
    node.card_fails = lambda _save: False
    node.run(MINUTE)
    assert node.by == NEW
    node.card_fails = lambda save: any(isinstance(write, PutReach) for write in save.writes)
    node.run(11 * MINUTE)
    assert (node.by, node.linked) == (OLD, True)


def test_an_emergency_sounds_through_a_trial_as_without_one_and_holds_it_back_by_nothing():
    stories = []
    for tried in (True, False):
        node = settled_node(alive=(OLD, NEW))
        node.give(start(node.true_ms, sound_max_s=600, repeats=9))
        node.run(2)
        assert node.sounds() == "a1"
        if tried:
            node.give(towards("new", node.true_ms))
        node.run(3 * MINUTE)
        assert (node.by, node.linked) == (NEW if tried else OLD, True)
        stories.append(node.story())
    assert stories[0] == stories[1]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_fails_and_whenever_it_ends_where_the_controller_answers_and_never_half(seed):
    chance = random.Random(seed)
    names = ("new", "newer", "newest")
    ways = [CARD, *(way(name) for name in names)]
    node = Wayfarer(NOON, alive=(CARD,))
    for _step in range(chance.randint(3, 9)):
        node.alive = {one for one in ways if chance.random() < 0.5}
        node.mute = {one for one in ways if chance.random() < 0.2}
        if chance.random() < 0.6:
            node.give(towards(chance.choice(names), node.true_ms))
        node.run(chance.choice((0.001, 0.004, 2, 70, 700, 3 * HOUR, 30 * HOUR)))
        if chance.random() < 0.5:
            node.power_cut(clock=chance.choice(("good", "unknown")))
    kept = node.state.reach
    known = [kept.good, kept.before, CARD, kept.wanted]
    lives = chance.choice(known)
    node.alive, node.mute = {lives}, set()
    node.run(5 * DAY)
    assert (node.by, node.linked) == (lives, True), f"seed {seed}"
    assert node.on_card in (None, node.state.reach), "the card and the node agree"
    assert all(reach in ways for reach in node.went), "whole ones only"
