"""A card that takes nothing for a while: what it takes afterwards is what holds, in whatever order it was tried again."""

import pytest

from protocol.seen import Slot
from tests.core.harness import Node
from tests.core.people import ISSUED, MEDIA, NOON, item, programme, settled
from tests.protocol.vector_world import DAY_MS

SLOT = Slot("programme", "52.24076", "52.24076")


def on_card(node) -> dict[str, str]:
    """Item of the programme in force and of the one that waits, as a restart would find them."""
    return {
        "waits" if pending else "in force": node.named[document.digest]
        for (slot, pending), document in node.card.documents.items()
        if slot == SLOT
    }


@pytest.fixture
def node():
    made = Node(NOON - 3_600_000, *settled(programme(item("hom-qua", "12:00"), seq=ISSUED)))
    made.fetched(MEDIA)
    made.online()
    made.run(5)
    made.named = {}
    made.card_fails = lambda _save: True
    return made


def give(node, name: str, **more) -> None:
    sent = programme(item(name, "12:30"), seq=node.true_ms, **more)
    node.give(sent)
    node.run(1)
    held = {**node.state.documents, **node.state.waiting}
    node.named[held[SLOT].digest] = name


def take_again(node, failing_s: int) -> None:
    node.run(failing_s)
    node.card_fails = lambda _save: False
    node.run(120)


@pytest.mark.parametrize("failing_s", range(1, 40, 4))
def test_an_older_programme_that_waited_is_not_written_behind_the_newer_one_in_force(node, failing_s):
    give(node, "mai", valid_from_ms=node.true_ms + DAY_MS)
    give(node, "nay")
    take_again(node, failing_s)
    assert on_card(node) == {"in force": "nay"}


@pytest.mark.parametrize("failing_s", range(1, 40, 4))
def test_a_newer_programme_that_waits_outlives_the_older_one_that_is_written_late(node, failing_s):
    give(node, "nay")
    give(node, "mai", valid_from_ms=node.true_ms + DAY_MS)
    take_again(node, failing_s)
    assert on_card(node) == {"in force": "nay", "waits": "mai"}
