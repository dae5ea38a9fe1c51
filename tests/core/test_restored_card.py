"""A card that was put back to an older state: what a replay can still do there, and what the node says that gives it away."""

import copy

from tests.core.harness import Node
from tests.core.people import COMMUNE, NOON, programme, settled, start, stop, suspend


def node_with(**more):
    node = Node(NOON - 60_000, *settled(programme()), **more)
    node.online()
    node.run(2)
    return node


def copied(node: Node):
    """The card as it is now."""
    return copy.deepcopy(node.card)


def restored(node: Node, card, off_ms: int = 10_000, clock: str = "good") -> None:
    node.card = card
    node.controller.records.clear()
    node.power_cut(off_ms, clock)
    node.unacknowledged.clear()
    node.online()


def test_an_order_that_is_over_sounds_on_no_card():
    node = node_with()
    card, sent = copied(node), start(node.true_ms)
    node.give(sent)
    node.run(90)
    restored(node, card, off_ms=11 * 60_000)
    node.give(sent)
    node.run(2)
    assert not node.spoken
    assert node.state.refused == {"expired": 1}


def test_an_order_that_may_still_be_accepted_is_heard_once_more_as_on_a_new_node():
    node = node_with()
    card, sent = copied(node), start(node.true_ms)
    node.give(sent)
    node.run(90)
    restored(node, card)
    node.give(sent)
    node.run(2)
    assert node.sounds() == "a1"
    node.run(90)
    node.give(sent)
    node.run(2)
    assert node.sounds() is None


def test_what_was_stopped_meanwhile_stays_stopped_for_the_stop_is_retained():
    node = node_with()
    card, sent = copied(node), start(node.true_ms)
    node.give(sent)
    node.run(3)
    stopped = stop(node.true_ms)
    node.give(stopped)
    node.retained[stopped.topic] = stopped.raw
    restored(node, card)
    node.give(sent)
    node.run(3)
    assert not node.spoken


def test_without_a_clock_only_its_own_new_nonce_is_answered():
    node = node_with(clock="unknown")
    card = copied(node)
    sent = start(node.true_ms, answers=(node.controller.hellos[-1].nonce,))
    node.give(sent)
    node.run(90)
    restored(node, card, clock="unknown")
    node.give(sent)
    node.run(2)
    assert not node.spoken
    assert node.state.refused == {"clock-unusable": 1}


def test_a_suspension_that_the_card_forgot_is_told_again_by_the_retained_message():
    node = node_with()
    card, sent = copied(node), suspend("c1", node.true_ms)
    node.give(sent)
    node.run(1)
    node.retained[sent.topic] = sent.raw
    restored(node, card)
    node.run(1)
    node.give(start(node.true_ms, area=COMMUNE))
    node.run(2)
    assert not node.spoken


def test_its_hello_gives_it_away():
    node = node_with()
    card = copied(node)
    node.give(start(node.true_ms))
    node.run(3)
    node.give(stop(node.true_ms))
    node.run(90)
    node.power_cut()
    node.online()
    before = node.controller.hellos[-1]
    restored(node, card)
    after = node.controller.hellos[-1]
    assert (before.boot_count, before.orders) == (2, 2)
    assert (after.boot_count, after.orders) == (2, 0)
    assert after.boot != before.boot
    assert after.last_record_id < before.last_record_id


def test_the_draw_of_a_start_is_one_for_all_its_hellos_and_another_at_the_next():
    node = node_with()
    node.run(2_000)
    node.trust_clock("unknown")
    node.run(5)
    first = {hello.boot for hello in node.controller.hellos}
    assert len(first) == 1
    node.power_cut()
    node.online()
    assert node.controller.hellos[-1].boot not in first


def test_an_order_on_its_way_to_the_card_is_not_counted_yet():
    node = node_with()
    node.save_ms = 5_000
    node.give(start(node.true_ms))
    node.trust_clock("unknown")
    node.run(3)
    assert node.controller.hellos[-1].orders == 0
    node.run(30)
    node.trust_clock("good")
    node.run(5)
    assert node.controller.hellos[-1].orders == 1
