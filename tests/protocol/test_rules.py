"""Authority over time: what a grant's end, a wider grant and another standpoint change."""

import pytest

from protocol.errors import Expired, NotEmpowered, TooFewPersons
from protocol.keys import sealer
from protocol.rules import Clock, Me, authorise
from protocol.trust import Trust
from tests.protocol.vector_world import (
    COMMUNE,
    DAY_MS,
    ELSEWHERE,
    HAMLET,
    NODE,
    NOW,
    OTHER,
    PROVINCE,
    T0,
    chain,
    commune_body,
    grant,
    grant_body,
    owned,
    person,
    placement,
    power,
    programme,
    province_body,
    root,
    small_body,
    start,
)
from tests.vectors import key, reader

JUDGE = reader("node")
LATER = Clock(T0 + 401 * DAY_MS, "good")


def keyids(*names: str) -> tuple[str, ...]:
    return tuple(sealer(key(name)).public_key.keyid for name in names)


def test_a_held_grant_and_placement_outlive_the_grant_above_them():
    below = grant(COMMUNE, PROVINCE, commune_body())
    signers = authorise(below, keyids("p1", "p2"), trust=JUDGE.trust, me=Me(NODE), now=LATER, held=True)
    assert {signer.person for signer in signers} == {"p1", "p2"}
    with pytest.raises(Expired):
        authorise(below, keyids("p1", "p2"), trust=JUDGE.trust, me=Me(NODE), now=LATER)
    placed = placement(NODE, PROVINCE)
    assert authorise(placed, keyids("p1", "p2"), trust=JUDGE.trust, me=Me(NODE), now=LATER, held=True)
    with pytest.raises(Expired):
        authorise(programme(), keyids("c1"), trust=JUDGE.trust, me=Me(NODE), now=LATER, held=True)


def test_nobody_hands_out_authority_alone_whatever_the_grant_above_says():
    body = grant_body((person("p1"), person("p2")), (owned("p1"), owned("p2")), power("delegate", "p1 p2", 1))
    trust = JUDGE.trust.with_document(grant(PROVINCE, "root", body, NOW))
    below = grant(COMMUNE, PROVINCE, commune_body(), NOW)
    with pytest.raises(TooFewPersons):
        authorise(below, keyids("p1"), trust=trust, me=Me(NODE), now=Clock(NOW, "good"))
    assert authorise(below, keyids("p1", "p2"), trust=trust, me=Me(NODE), now=Clock(NOW, "good"))


def test_a_standpoint_stays_when_grants_and_roots_change():
    trust = Trust(root()).with_document(grant(PROVINCE, "root", province_body())).standing_in(chain(ELSEWHERE))
    for document in (grant(OTHER, PROVINCE, small_body("d1")), root(2, NOW)):
        trust = trust.with_document(document)
        assert trust.chain == chain(ELSEWHERE)
    assert authorise(start(OTHER, OTHER), keyids("d1"), trust=trust, me=Me(), now=Clock(NOW, "good"))


def test_the_controller_judges_for_each_area_in_turn():
    trust = JUDGE.trust.with_document(grant(OTHER, PROVINCE, small_body("d1")))
    here, there = trust.standing_in(chain(NODE)), trust.standing_in(chain(ELSEWHERE))
    now = Clock(NOW, "good")
    assert authorise(start(HAMLET, COMMUNE), keyids("c1"), trust=here, me=Me(), now=now)
    assert authorise(start(OTHER, OTHER), keyids("d1"), trust=there, me=Me(), now=now)
    with pytest.raises(NotEmpowered):
        authorise(start(HAMLET, OTHER), keyids("d1"), trust=here, me=Me(), now=now)


def test_a_key_called_stolen_below_still_counts_above():
    body = small_body("h1")
    accused = grant_body((*body.persons, person("c1")), (*body.keys, owned("c1", state="stolen")), *body.powers)
    trust = JUDGE.trust.with_document(grant(HAMLET, PROVINCE, accused, NOW))
    assert authorise(start(HAMLET, COMMUNE), keyids("c1"), trust=trust, me=Me(NODE), now=Clock(NOW, "good"))
