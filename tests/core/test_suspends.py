"""A suspended key: nothing of it is taken, what sounds of it ends, and it is over when it is over; nobody else falls silent."""

from protocol.reader import Clock
from tests.core.harness import Node
from tests.core.people import (
    COMMUNE,
    HAMLET,
    HOUR_MS,
    MEDIA,
    NOON,
    PROVINCE,
    item,
    programme,
    settled,
    start,
    stop,
    suspend,
)
from tests.protocol.vector_world import keyid_of


def node_with(*items, **more):
    node = Node(NOON - 60_000, *settled(programme(*items)), **more)
    node.fetched(MEDIA)
    node.online()
    node.run(30)
    return node


def holds(node) -> set[str]:
    return {held.kind for held in node.controller.hellos[-1].holds}


def test_what_sounds_of_a_suspended_key_ends_at_once():
    node = node_with()
    node.give(start(node.true_ms))
    node.run(3)
    assert node.sounds() == "a1"
    node.give(suspend("c1", node.true_ms))
    assert node.sounds() is None
    node.run(3)
    told = [told for told in node.controller.results if told.incident == "a1".rjust(16, "0")][-1]
    assert (told.result, told.reason) == ("stopped", "suspended")
    assert node.story() == ["live a1 11:59:34 stopped"]
    assert "suspend" in holds(node)


def test_nothing_new_of_it_is_taken_and_what_it_approved_plays_on():
    node = node_with(item("tin", "12:00"))
    node.give(suspend("c1", node.true_ms))
    node.give(start(node.true_ms))
    node.give(programme(seq=node.true_ms))
    node.run(1)
    assert node.state.refused == {"suspended": 2}
    node.run_to(NOON + 5_000)
    assert node.sounds() == "tin"


def test_a_warning_that_two_signed_goes_on_with_the_other():
    node = node_with()
    node.give(start(node.true_ms, by=("c1", "c2")))
    node.run(3)
    node.give(suspend("c1", node.true_ms))
    node.run(1)
    assert node.sounds() == "a1"


def test_neither_the_province_nor_the_hamlet_nor_a_colleague_falls_silent():
    node = node_with()
    node.give(suspend("c1", node.true_ms))
    for incident, authority, by in (("b1", HAMLET, "h1"), ("b2", COMMUNE, "c2"), ("b3", PROVINCE, "p2")):
        node.give(start(node.true_ms, incident, authority=authority, by=(by,)))
        node.run(2)
        assert node.sounds() == incident


def test_the_silence_of_a_suspended_key_s_stop_is_over():
    node = node_with(item("tin", "12:00 12:10"))
    node.give(stop(node.true_ms, None, area=COMMUNE))
    node.run_to(NOON + 5_000)
    assert node.sounds() is None
    node.give(suspend("c1", node.true_ms))
    node.run_to(NOON + 605_000)
    assert node.sounds() == "tin"


def test_a_start_that_a_void_stop_held_back_sounds_if_it_comes_again_while_it_is_fresh():
    node = node_with()
    held_back = start(node.true_ms, "b2", by=("c2",))
    node.run(1)
    node.give(stop(node.true_ms, None, area=COMMUNE))
    node.give(held_back)
    node.run(1)
    assert node.state.refused == {"stopped": 1}
    node.give(suspend("c1", node.true_ms))
    node.run(1)
    assert node.sounds() is None
    node.give(held_back)
    node.run(2)
    assert node.sounds() == "b2"


def test_what_a_void_stop_ended_stays_ended_until_it_is_given_anew():
    node = node_with()
    ended = start(node.true_ms, "b2", by=("c2",))
    node.give(ended)
    node.run(3)
    node.give(stop(node.true_ms, None, area=COMMUNE))
    node.give(suspend("c1", node.true_ms))
    node.give(ended)
    node.run(3)
    assert node.sounds() is None
    node.give(start(node.true_ms, "b2", by=("c2",)))
    node.run(2)
    assert node.sounds() == "b2"


def test_it_survives_power_cuts_and_is_named_again():
    node = node_with()
    node.give(suspend("c1", node.true_ms))
    node.run(1)
    node.power_cut()
    node.online()
    assert "suspend" in holds(node)
    node.give(start(node.true_ms))
    node.run(1)
    assert not node.spoken
    assert node.state.refused == {"suspended": 1}


def test_a_warning_that_a_power_cut_interrupted_does_not_come_back_for_a_suspended_key():
    node = node_with()
    node.give(start(node.true_ms))
    node.run(2)
    node.give(suspend("c1", node.true_ms))
    node.run(0.004)
    node.power_cut()
    node.run(5)
    assert node.sounds() is None


def test_it_is_over_by_a_usable_clock():
    node = node_with()
    node.give(suspend("c1", node.true_ms, hours=2))
    node.run(2 * 3_600 + 5)
    assert "suspend" not in holds(node)
    node.give(start(node.true_ms))
    node.run(1)
    assert node.sounds() == "a1"


def test_what_a_usable_clock_called_over_stays_over_without_one():
    node = node_with()
    sent = suspend("c1", node.true_ms, hours=1)
    node.give(sent)
    node.run(3_700)
    node.power_cut(clock="unknown")
    node.online()
    node.give(sent)
    node.give(start(node.true_ms, answers=(node.controller.hellos[-1].nonce,)))
    node.run(1)
    assert node.sounds() == "a1"


def test_without_a_clock_it_runs_as_long_in_all_also_over_power_cuts():
    node = node_with(clock="unknown")
    node.give(suspend("c1", node.true_ms, hours=10))
    for _ in range(3):
        node.run(3 * 3_600 + 60)
        node.power_cut(clock="unknown")
        node.online()
        assert "suspend" in holds(node)
    node.give(start(node.true_ms, answers=(node.controller.hellos[-1].nonce,)))
    node.run(1)
    assert node.state.refused == {"suspended": 1}
    node.run(3_600)
    node.give(start(node.true_ms, answers=(node.controller.hellos[-1].nonce,)))
    node.run(1)
    assert node.sounds() == "a1"


def test_a_lift_frees_the_key_at_once():
    node = node_with()
    node.give(suspend("c1", node.true_ms))
    node.run(1)
    node.give(suspend("c1", node.true_ms, by="p2", hours=0))
    node.give(start(node.true_ms))
    node.run(1)
    assert node.sounds() == "a1"


def test_one_from_the_future_counts_for_nothing_once_the_clock_can_tell():
    node = node_with(clock="unknown")
    node.give(suspend("c1", node.true_ms + 24 * HOUR_MS))
    node.run(1)
    node.trust_clock("good")
    node.run(1)
    node.give(start(node.true_ms))
    node.run(1)
    assert node.sounds() == "a1"


def test_it_is_acknowledged_when_it_is_on_the_card_and_acts_before():
    node = node_with()
    node.give(start(node.true_ms))
    node.run(2)
    node.save_ms = 500
    ref = node.give(suspend("c1", node.true_ms))
    assert node.sounds() is None
    assert ref not in node.acknowledged
    node.run(1)
    assert ref in node.acknowledged
    assert [document.kind for document in node.card.documents.values()].count("suspend") == 1


def test_collected_after_a_reconnect_it_counts_before_the_order_that_came_first():
    node = node_with()
    node.disconnect()
    node.run(1)
    node.linked = True
    order, suspension = start(node.true_ms), suspend("c1", node.true_ms + 1)
    node.connect()
    node.give(order)
    node.give(suspension)
    node.run(3)
    assert not node.spoken


def test_a_thief_among_the_delegates_is_undone_by_one_above():
    node = node_with()
    for name in ("c1", "c2", "page"):
        node.give(suspend(name, node.true_ms))
    node.give(start(node.true_ms, by=("c2",)))
    node.run(1)
    assert node.sounds() is None
    node.give(suspend("p1", node.true_ms, area=PROVINCE, authority="root", by="r2"))
    node.give(start(node.true_ms, by=("c2",)))
    node.run(1)
    assert node.sounds() == "a1"
    assert keyid_of("p1") in node.state.trust.suspended(PROVINCE, Clock(node.true_ms, "good"))
