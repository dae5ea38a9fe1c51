"""What a service key may start and how its day is counted, beyond what the golden vectors show."""

import pytest
from msgspec import structs

from protocol.errors import NotEmpowered
from protocol.rules import mark_of
from protocol.seen import Seen
from protocol.services import DAY_MS, HERE_MS, day_of, started, within_day
from protocol.trust import public_key
from tests.protocol.vector_world import COMMUNE, NOW, relayed
from tests.vectors import document, reader

TRUST = reader("node").trust
KEYID = public_key(document()["world"]["public_keys"]["page"]).keyid
MIDNIGHT = NOW - (NOW + HERE_MS) % DAY_MS


def mark(seq: int, incident: str):
    return mark_of(relayed(COMMUNE, COMMUNE, seq, incident), f"{seq:064x}", TRUST.signers(COMMUNE, [KEYID]))


def remembered(*marks) -> Seen:
    return Seen(orders={each.identity: each for each in marks})


def judged(seen: Seen, *, controller: bool, **more):
    order = relayed(COMMUNE, COMMUNE, MIDNIGHT + 9_000, "00000000000000c9", **more)
    return within_day(order, (KEYID,), "emergency", TRUST, seen, controller=controller)


def test_a_day_begins_at_midnight_in_viet_nam():
    assert day_of(MIDNIGHT) == (MIDNIGHT, MIDNIGHT + DAY_MS)
    assert day_of(MIDNIGHT - 1) == (MIDNIGHT - DAY_MS, MIDNIGHT)


def test_only_starts_of_the_same_day_count():
    seen = remembered(mark(MIDNIGHT - 1, "00000000000000c1"), mark(MIDNIGHT, "00000000000000c2"))
    assert started(seen, KEYID, relayed(COMMUNE, COMMUNE, MIDNIGHT + 9_000)) == 1
    assert judged(seen, controller=False) == (KEYID,)


def test_what_went_elsewhere_counts_once():
    one, other = mark(MIDNIGHT, "00000000000000c1"), mark(MIDNIGHT + 1, "00000000000000c2")
    seen = structs.replace(remembered(one), elsewhere=(one, other))
    with pytest.raises(NotEmpowered, match="2 starts"):
        judged(seen, controller=True)


def test_saying_it_again_to_a_node_without_a_clock_costs_the_controller_nothing_and_the_node_its_count():
    seen = remembered(mark(MIDNIGHT, "00000000000000c1"), mark(MIDNIGHT + 1, "00000000000000c9"))
    answers = {"answers": ("0123456789abcdef",)}
    assert judged(seen, controller=True, **answers) == (KEYID,)
    with pytest.raises(NotEmpowered):
        judged(seen, controller=False, **answers)
    with pytest.raises(NotEmpowered):
        judged(seen, controller=True)
