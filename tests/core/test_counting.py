"""Found by the simulator: holes in the controller's count, a memory that was lost, and what is on the card of an emergency."""

from edge_agent.commands import PutNumber
from tests.core.harness import Node
from tests.core.people import HAMLET, MEDIA, NOON, item, programme, settled, start


def node_with(*items, **more):
    node = Node(NOON - 60_000, *settled(programme(*items)), **more)
    node.fetched(MEDIA)
    return node.online()


def test_a_play_that_the_broker_took_and_lost_is_told_again_although_the_connection_never_broke():
    node = node_with(item("tin", "12:00 12:05"))
    node.controller.answers_marks = False
    node.run_to(NOON + 200_000)
    del node.controller.records[1]
    node.controller.answers_marks = True
    node.run_to(NOON + 490_000)
    assert set(node.controller.records) == {2}, "there is a hole"
    node.run(600)
    assert set(node.controller.records) == {1, 2}
    assert node.state.records == {}
    assert node.state.records_again_ns is None


def test_while_nobody_answers_only_the_oldest_plays_are_told_again_and_ever_more_rarely():
    node = node_with(item("tin", "12:00"))
    node.controller.answers_marks = False
    receipts = []
    said, node._said = (
        node._said,
        lambda message: (receipts.append(message) if getattr(message, "plays", ()) else None, said(message)),
    )
    node.run(24 * 3_600)
    assert 5 <= len(receipts) <= 12


def test_a_new_memory_tells_no_plays_until_the_controller_answered_it_also_after_a_power_cut():
    node = node_with(item("tin", "12:00 12:05"))
    node.card.numbers.pop("introduced")
    node.controller.answers_marks = False
    node.controller.records.clear()
    node.power_cut()
    node.online()
    node.run_to(NOON + 480_000)
    hello = node.controller.hellos[-1]
    assert (hello.amnesia, hello.last_record_id) == (True, 0), "the plays of a lost memory may still be counted under its numbers"
    assert not node.controller.records
    node.power_cut()
    node.online()
    assert node.controller.hellos[-1].amnesia
    node.controller.answers_marks = True
    node.run(120)
    assert set(node.controller.records) == {1, 2}
    assert PutNumber("introduced", 1) in [write for writes in node.card.journal for write in writes]
    node.power_cut()
    node.online()
    hello = node.controller.hellos[-1]
    assert (hello.amnesia, hello.last_record_id) == (False, 2)


def test_the_sound_time_of_an_emergency_that_waited_is_not_used_up_by_waiting_when_the_power_goes():
    node = node_with()
    node.give(start(node.true_ms, "a1", risk=5, repeats=100, sound_max_s=60))
    node.run(1)
    node.give(start(node.true_ms, "b2", risk=1, repeats=100, sound_max_s=60))
    node.run(64)
    assert node.sounds() == "b2"
    node.power_cut(off_ms=5_000)
    node.run(1)
    assert node.sounds() == "b2"
    node.run(47)
    assert node.sounds() == "b2"
    node.run(6)
    assert node.sounds() is None


def test_an_update_that_comes_before_the_first_sample_leaves_no_older_version_standing_on_the_card():
    node = node_with()
    node.give(start(node.true_ms, "a1", repeats=100))
    node.run(0.006)
    node.give(start(node.true_ms + 1, "a1", repeats=100))
    node.run(5)
    states = sorted((order.mark.seq, order.state) for order in node.card.orders.values())
    assert [state for _, state in states] == ["ended", "sounding"]


def test_failures_of_the_player_between_which_an_emergency_was_heard_do_not_add_up_to_its_end():
    node = node_with()
    node.give(start(node.true_ms, "a1", authority=HAMLET, by=("h1",), repeats=100, risk=1))
    for number in range(4):
        node.run(3)
        node.give(start(node.true_ms, f"b{number}", repeats=1, risk=5))
        node.run(2)
        node.player.refuses = 1
        node.run(30)
        assert node.sounds() == "a1", number
    assert [line.split()[-1] for line in node.story()].count("failed") == 4
