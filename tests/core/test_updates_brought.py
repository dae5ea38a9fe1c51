"""A bundle that somebody handed in at the node: what it waits for, and what it does not."""

from edge_agent.commands import Install
from edge_agent.events import BundleBrought
from tests.core.people import NOON, item, network, programme, start
from tests.core.test_updates import waits
from tests.core.updating import Updating, release

BROUGHT = BundleBrought("7c" * 32)


def test_a_bundle_that_somebody_brought_waits_for_no_night_no_sim_and_no_clock():
    node = Updating(network(month_bytes=177_999_999), release(), at_ms=NOON)
    assert waits(node.live(600)) == "budget"
    node.broker_there = False
    node.power_cut(clock="unknown")
    assert waits(node.live(60)) == "budget"
    node._soon(1_000, lambda: BROUGHT)
    assert node.live(3_600).told().state == "good"
    assert node.machine.booted == "B"


def test_a_bundle_that_was_brought_is_nothing_to_another_release():
    node = Updating(release(), at_ms=NOON)
    node._soon(5_000, lambda: BundleBrought("5a" * 32))
    assert waits(node.live(3_600)) == "window"


def test_a_bundle_that_was_brought_and_is_no_good_leaves_the_link_its_night():
    node = Updating(release(), at_ms=NOON)
    node.fails["install"] = ["damaged"]
    node._soon(5_000, lambda: BROUGHT)
    assert node.live(2 * 3_600).how_often(Install) == 1
    assert (node.told().state, node.told().reason) == ("waiting", "window")


def test_a_bundle_that_was_brought_waits_while_an_emergency_stands_and_for_what_is_about_to_play():
    node = Updating(programme(item("trua", "12:20")), release(), at_ms=NOON)
    node.card.media |= {"5a" * 32}
    node.power_cut()
    node._soon(5_000, lambda: BROUGHT)
    node.live(2)
    node.give(start(node.true_ms, sound_max_s=300, repeats=50))
    assert waits(node.live(60)) == "emergency"
    assert waits(node.live(10 * 60)) == "programme-soon"
    assert node.live(2 * 3_600).told().state == "good"
    assert node.loud_at == []
