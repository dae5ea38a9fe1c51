"""Two stolen delegates push a floor of time into the future; the next root brings it back, and the grant after it counts."""

from msgspec import structs

from protocol.documents import Role, Root
from protocol.seen import Slot
from tests.core.harness import Node
from tests.core.people import COMMUNE, HOUR_MS, ISSUED, NOON, PROVINCE, commune, settled
from tests.protocol import vector_world as world
from tests.protocol.vector_world import DAY_MS, owned, signed

FAR = NOON + 7_000 * DAY_MS
SLOT = Slot("grant", PROVINCE, "-")


def mended(**more) -> Root:
    """Version 2: r3's key is called stolen, and the floor goes back."""
    first = world.root()
    keys = tuple(owned(name, state="stolen" if name == "r3" else "active") for name in ("r1", "r2", "r3"))
    role = Role(persons=("r1", "r2"), threshold=2)
    body = structs.replace(first.body, version=2, keys=keys, delegate=role, placement=role, **more)
    return world.root(2, NOON, body=body)


def poisoned() -> Node:
    """A node that had no time when the thieves' grant came."""
    node = Node(NOON, *settled(), clock="unknown")
    node.run(1)
    node.give(world.signed(world.grant(PROVINCE, "root", world.province_body(), FAR), "r2", "r3"))
    node.run(1)
    node.trust_clock("good")
    node.run(10)
    return node


def test_a_poisoned_floor_makes_a_good_clock_useless_until_a_root_lowers_it():
    node = poisoned()
    assert node.state.floor_ms == FAR
    assert not node.state.clock_usable
    node.give(signed(mended(floor_reset_ms=ISSUED), "r1", "r2"))
    node.run(10)
    assert node.state.floor_ms < NOON + HOUR_MS
    assert node.state.clock_usable
    node.power_cut()
    node.run(10)
    assert node.state.clock_usable
    assert node.state.floor_ms < NOON + HOUR_MS


def test_a_root_that_does_not_say_so_lowers_nothing():
    node = poisoned()
    node.give(signed(mended(), "r1", "r2"))
    node.run(10)
    assert node.state.floor_ms == FAR
    assert not node.state.clock_usable


def test_the_thieves_grant_from_the_future_gives_way_to_one_of_today():
    node = poisoned()
    node.give(signed(mended(floor_reset_ms=ISSUED), "r1", "r2"))
    node.run(10)
    today = world.signed(world.grant(PROVINCE, "root", world.province_body(), node.true_ms - 1_000), "r1", "r2")
    node.give(today)
    node.run(1)
    assert node.state.documents[SLOT].raw == today.raw
    node.give(commune(seq=node.true_ms))
    node.run(1)
    assert node.state.documents[Slot("grant", COMMUNE, "-")].payload.seq > ISSUED
