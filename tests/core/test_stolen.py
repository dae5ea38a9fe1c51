"""After a theft: in force is the highest by those who still may, with and without a restart between."""

import pytest

from edge_agent.core.state import Stored
from protocol.seen import Slot
from tests.core.harness import Node
from tests.core.people import COMMUNE, NOON, commune, item, programme, settled

SLOT = Slot("programme", COMMUNE, COMMUNE)
HONEST = programme(item("tin-that", "13:00"), seq=NOON - 20_000, by="c2")
STOLEN = programme(item("tin-gia", "14:00"), seq=NOON - 10_000, by="c1")
THEFT = commune(seq=NOON + 1_000, first="stolen")


def in_force(node: Node) -> str | None:
    stored: Stored | None = node.state.documents.get(SLOT) or node.state.waiting.get(SLOT)
    return None if stored is None else stored.payload.body.items[0].id


def robbed(*, restart: bool) -> Node:
    """A node that took the thief's programme over the honest one, and then learned of the theft."""
    node = Node(NOON, *settled(HONEST, STOLEN))
    node.run(1)
    assert in_force(node) == "tin-gia"
    node.run(5)
    node.give(THEFT)
    node.run(1)
    assert in_force(node) is None
    if restart:
        node.power_cut()
        node.run(1)
        assert in_force(node) is None
    return node


@pytest.mark.parametrize("restart", [False, True], ids=["without a restart", "after a restart"])
def test_an_older_document_by_a_signer_who_still_may_takes_the_place_of_a_stolen_keys(restart: bool):
    node = robbed(restart=restart)
    node.give(HONEST)
    node.run(1)
    assert in_force(node) == "tin-that"


@pytest.mark.parametrize("restart", [False, True], ids=["without a restart", "after a restart"])
def test_the_thiefs_document_stays_out_whatever_it_says_and_whenever_it_comes(restart: bool):
    node = robbed(restart=restart)
    node.give(STOLEN)
    node.give(programme(item("tin-gia", "14:00"), seq=NOON + 2_000, by="c1"))
    node.run(1)
    assert in_force(node) is None


@pytest.mark.parametrize("restart", [False, True], ids=["without a restart", "after a restart"])
def test_what_takes_the_place_is_not_rolled_back_in_its_turn(restart: bool):
    node = robbed(restart=restart)
    node.give(HONEST)
    node.give(programme(item("tin-cu", "13:00"), seq=NOON - 30_000, by="c2"))
    node.run(1)
    assert in_force(node) == "tin-that"
