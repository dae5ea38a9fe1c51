"""The attacks of the public conformance suite of TUF clients, made anew against our one door; docs/tuf-cases.md maps them."""

import json

import msgspec
import pytest
from msgspec import structs

from protocol import keys
from protocol.documents import Key, Role, Root, RootBody
from protocol.envelope import CAP_BYTES, MAX_SIGNATURES, digest_of, open_pinned_root, seal
from protocol.errors import BadSignature, Malformed, ProtocolError, TooFewPersons
from protocol.rules import slot_of
from protocol.seen import Seen
from protocol.trust import Trust
from tests.protocol.vector_world import (
    COMMUNE,
    DAY_MS,
    HAMLET,
    NODE,
    NOW,
    OTHER,
    PROVINCE,
    T0,
    Sent,
    changed,
    commune_body,
    forged,
    grant,
    grant_body,
    item,
    lasting,
    owned,
    person,
    placement,
    power,
    programme,
    province_body,
    rewritten,
    root,
    signatures,
    signed,
    small_body,
    start,
    station,
)
from tests.vectors import Reader, Step, key, meet, reader, take_in


def the_root(version: int, names: str, threshold: int, **more) -> Root:
    """A root whose every role belongs to these keys, each a person."""
    who = tuple(names.split())
    role = Role(persons=who, threshold=threshold)
    body = RootBody(
        version=version,
        persons=tuple(map(person, who)),
        keys=tuple(map(owned, who)),
        root=role,
        delegate=role,
        placement=role,
    )
    return Root(**lasting(PROVINCE, "root", T0 + version, body=body) | more)


class Client:
    """A reader that starts from a root and takes in what arrives."""

    def __init__(self, first: Root | None = None) -> None:
        self.judge = Reader(node=NODE, trust=Trust(first), seen=Seen()) if first else reader("node")

    def meets(self, sent: Sent, at: int = NOW, clock: str = "good") -> str:
        said, opened = meet(self.judge, Step(topic=sent.topic, sealed=sent.raw, now_ms=at, clock=clock, nonces=(), expect=""))
        if opened is not None:
            self.judge = take_in(self.judge, opened)
        return said

    @property
    def version(self) -> int:
        assert self.judge.trust.root is not None
        return self.judge.trust.root.body.version

    def holds(self, document) -> bool:
        mark = self.judge.seen.document(slot_of(document))
        return mark is not None and mark.digest == digest_of(document.kind, msgspec.json.encode(document))


# --- rotation of root keys: (keys, threshold, signatures) of each version; the last is taken, or refused with a code ---

ROTATIONS = {
    "one of one gives way to another": ([("a", 1, "a"), ("b", 1, "b a"), ("b", 1, "b")], "fresh"),
    "signatures of strangers beside": ([("a", 1, "x a y"), ("b", 1, "x b a y"), ("b", 1, "x b y")], "fresh"),
    "any three of five": ([("a b c d e", 3, "a c e"), ("a b c d e", 3, "a e b"), ("a b c d e", 3, "a b d")], "fresh"),
    "one of five replaced": ([("a b c d e", 3, "a c e"), ("a b d e f", 3, "a e b")], "fresh"),
    "one replaced, the new one signs too": (
        [("a b c d e", 3, "a c e"), ("a b d e f", 3, "a c e f"), ("a b d e f", 3, "a e f")],
        "fresh",
    ),
    "one lost, four go on": ([("a b c d e", 3, "a b c"), ("b c d e", 3, "b c d")], "fresh"),
    "all five, in three steps": (
        [("a b c d e", 3, "a b c"), ("a b c f g", 3, "a b c"), ("c f g h i", 3, "c f g"), ("f g h i j", 3, "f g h")],
        "fresh",
    ),
    "all five, in two steps, the longest that four signatures allow": (
        [("a b c d e", 3, "a b c"), ("d e f g h", 3, "c d e f"), ("f g h i j", 3, "f g h")],
        "fresh",
    ),
    "threshold up": ([("a b c", 1, "a"), ("a b c", 2, "a b")], "fresh"),
    "threshold down": ([("a b c", 2, "a b"), ("a b c", 1, "a b"), ("a b c", 1, "a")], "fresh"),
    "threshold up with a new key": ([("a", 1, "a"), ("a b", 2, "a b")], "fresh"),
    "not signed by the old key": ([("a", 1, "a"), ("b", 1, "b x y")], "bad-signature-or-too-few"),
    "not signed by the new key": ([("a", 1, "a"), ("b", 1, "a x y")], "too-few-persons"),
    "too few of the new": ([("a b c d e", 3, "a c e"), ("a b d e f", 3, "a c e")], "too-few-persons"),
    "too few of the old": ([("a b c d e", 3, "a c e"), ("a b d e f", 3, "a e f")], "too-few-persons"),
    "the new threshold not reached": ([("a b c", 1, "a"), ("a b c", 2, "b")], "too-few-persons"),
    "the old threshold not reached": ([("a b c", 2, "a b"), ("a b c", 1, "a")], "too-few-persons"),
}


@pytest.mark.parametrize(("versions", "expected"), ROTATIONS.values(), ids=ROTATIONS.keys())
def test_a_root_is_followed_only_when_enough_of_the_old_and_of_the_new_signed(versions, expected):
    names, threshold, signers = versions[0]
    first = the_root(1, names, threshold)
    pinned = signed(first, *signers.split())
    client = Client(open_pinned_root(pinned.raw, digest_of("root", msgspec.json.encode(first))))
    said = "fresh"
    for number, (names, threshold, signers) in enumerate(versions[1:], 2):
        assert said == "fresh"
        said = client.meets(signed(the_root(number, names, threshold), *signers.split()))
    assert said in (("bad-signature", "too-few-persons") if expected == "bad-signature-or-too-few" else (expected,))
    assert client.version == (len(versions) if said == "fresh" else len(versions) - 1)


def test_all_keys_at_once_do_not_fit_into_one_document_and_nobody_can_seal_it():
    all_new = the_root(2, "f g h i j", 3)
    with pytest.raises(Malformed, match="1 to 4 signatures"):
        signed(all_new, "a", "b", "c", "f", "g", "h")
    assert MAX_SIGNATURES == 4


def test_the_first_root_is_taken_by_its_digest_and_its_own_persons_signatures_or_not_at_all():
    first = the_root(1, "a b c", 2)
    digest = digest_of("root", msgspec.json.encode(first))
    good = signed(first, "a", "b")
    assert open_pinned_root(good.raw, digest) == first
    for sent, error in (
        (signed(first, "a"), TooFewPersons),
        (signed(first, "x", "y"), TooFewPersons),
        (signed(the_root(1, "a b d", 2), "a", "b"), BadSignature),
        (changed(first, "a", "b", drop=("body",)), BadSignature),
    ):
        with pytest.raises(error):
            open_pinned_root(sent.raw, digest)
    with pytest.raises(ProtocolError):
        open_pinned_root(json.dumps({"payload": "", "payloadType": "x", "signatures": []}).encode(), digest)


# --- rollback, gaps, the same version with another content ---


def test_an_older_root_never_comes_back():
    client = Client(the_root(1, "a b c", 2))
    two, three = (signed(the_root(version, "a b c", 2), "a", "b") for version in (2, 3))
    assert [client.meets(two), client.meets(three), client.meets(two)] == ["fresh", "fresh", "superseded"]
    assert client.version == 3


def test_versions_are_walked_one_by_one_and_a_gap_is_refused():
    client = Client(the_root(1, "a b c", 2))
    chain = [signed(the_root(version, "a b c", 2), "a", "b") for version in range(2, 6)]
    assert client.meets(chain[-1]) == "not-empowered"
    assert [client.meets(sent) for sent in chain] == ["fresh"] * 4
    assert client.version == 5


def test_a_second_root_of_the_same_version_changes_nothing():
    client = Client(the_root(1, "a b c", 2))
    assert client.meets(signed(the_root(2, "a b c", 2), "a", "b")) == "fresh"
    assert client.meets(signed(the_root(2, "a b d", 2), "a", "b")) == "superseded"
    assert client.meets(signed(the_root(2, "a b c", 2), "b", "c")) == "duplicate"


def test_a_root_in_the_far_future_or_past_does_not_close_the_door_to_the_next():
    client = Client(the_root(1, "a b c", 2))
    assert client.meets(signed(the_root(2, "a b c", 2, seq=NOW + 9_000 * DAY_MS), "a", "b")) == "from-future"
    assert client.meets(signed(the_root(2, "a b c", 2, seq=NOW + 9_000 * DAY_MS), "a", "b"), clock="unknown") == "fresh"
    assert client.meets(signed(the_root(3, "a b c", 2, seq=NOW), "a", "b")) == "fresh"


@pytest.mark.parametrize(
    "made",
    [
        lambda seq: signed(grant(COMMUNE, PROVINCE, commune_body(), seq), "p1", "p2"),
        lambda seq: signed(placement(NODE, seq=seq), "r1", "r2"),
        lambda seq: signed(station(seq), "c1"),
        lambda seq: signed(programme(seq, item("tin-moi")), "c1"),
    ],
    ids=["grant", "placement", "station", "programme"],
)
def test_no_document_is_rolled_back_and_equal_numbers_with_other_words_have_one_winner(made):
    client = Client()
    assert client.meets(made(NOW)) == "fresh"
    assert client.meets(made(NOW - 1)) == "superseded"
    assert client.meets(made(NOW)) == "duplicate"


def test_other_words_under_the_same_number_never_alternate():
    client = Client()
    pair = sorted(
        (programme(NOW, item(name)) for name in ("a", "b")), key=lambda each: digest_of("programme", msgspec.json.encode(each))
    )
    low, high = (signed(each, "c1") for each in pair)
    assert [client.meets(high), client.meets(low), client.meets(high)] == ["fresh", "superseded", "duplicate"]


# --- fast-forward, and the way back ---


def test_a_clock_in_step_refuses_a_number_from_the_future_and_remembers_nothing_of_it():
    client = Client()
    far = programme(NOW + 3_000 * DAY_MS, valid_from_ms=NOW, valid_until_ms=NOW + 40 * DAY_MS)
    before = client.judge
    assert client.meets(signed(far, "c1")) == "from-future"
    assert client.judge == before
    assert client.meets(signed(programme(NOW), "c2")) == "fresh"


def test_what_was_fast_forwarded_while_there_was_no_clock_closes_nothing_once_there_is_one():
    far = NOW + 3_000 * DAY_MS
    for old, new in (
        (signed(programme(far), "c1"), signed(programme(NOW), "c2")),
        (
            signed(grant(COMMUNE, PROVINCE, commune_body(), far), "p1", "p2"),
            signed(grant(COMMUNE, PROVINCE, commune_body(), NOW), "p1", "p3"),
        ),
        (signed(placement(NODE, seq=far), "r1", "r2"), signed(placement(NODE, seq=NOW), "r1", "r3")),
    ):
        client = Client()
        assert client.meets(old, clock="unknown") == "fresh"
        assert client.meets(new, clock="unknown") == "superseded"
        assert client.meets(new) == "fresh"
        assert client.meets(old) == "from-future"


def test_what_lies_ahead_of_the_clock_by_less_than_its_slack_is_no_fast_forward():
    client = Client()
    assert client.meets(signed(programme(NOW + 119_000), "c1")) == "fresh"
    assert client.meets(signed(programme(NOW + 1_000), "c2")) == "superseded"


def test_after_a_fast_forward_by_a_stolen_key_the_slot_is_free_again_for_those_who_still_may():
    client = Client()
    far = programme(NOW + 3_000 * DAY_MS)
    assert client.meets(signed(far, "c1"), clock="unknown") == "fresh"
    assert client.meets(signed(programme(NOW), "c2"), clock="unknown") == "superseded"
    assert client.meets(signed(grant(COMMUNE, PROVINCE, commune_body("stolen"), NOW), "p1", "p2")) == "fresh"
    client.judge = structs.replace(client.judge, seen=client.judge.seen.without_document(slot_of(far)))
    assert client.meets(signed(far, "c1"), clock="unknown") == "bad-signature"
    assert client.meets(signed(programme(NOW), "c2"), clock="unknown") == "fresh"


# --- expiry and freeze ---


def test_what_is_over_is_refused_and_its_renewal_is_taken_also_after_a_long_time():
    client = Client()
    old = programme(NOW, valid_from_ms=NOW, valid_until_ms=NOW + 7 * DAY_MS)
    assert client.meets(signed(old, "c1")) == "fresh"
    late = NOW + 18 * DAY_MS
    assert client.meets(signed(programme(NOW + 1, valid_from_ms=NOW, valid_until_ms=NOW + DAY_MS), "c1"), at=late) == "expired"
    renewed = programme(NOW + 2 * DAY_MS, valid_from_ms=NOW, valid_until_ms=NOW + 21 * DAY_MS)
    assert client.meets(signed(renewed, "c1"), at=late) == "fresh"


def test_a_frozen_programme_ends_by_itself_within_45_days_of_its_signing():
    assert Client().meets(signed(programme(NOW, valid_from_ms=NOW, valid_until_ms=NOW + 46 * DAY_MS), "c1")) == "malformed"


def test_a_root_has_no_end_so_nobody_can_freeze_a_province_out_of_its_authority():
    client = Client(the_root(1, "a b c", 2))
    assert client.meets(signed(the_root(2, "a b c", 2, valid_until_ms=T0 + DAY_MS), "a", "b"), at=T0 + 400 * DAY_MS) == "fresh"


def test_an_expired_grant_is_replaced_by_a_renewed_one_from_above():
    client = Client()
    soon = commune_body(until_ms=NOW + DAY_MS)
    assert client.meets(signed(grant(COMMUNE, PROVINCE, soon, NOW), "p1", "p2")) == "fresh"
    late = NOW + 2 * DAY_MS
    assert client.meets(signed(programme(late), "c1"), at=late) == "expired"
    assert client.meets(signed(grant(COMMUNE, PROVINCE, commune_body(), late), "p1", "p2"), at=late) == "fresh"
    assert client.meets(signed(programme(late + 1), "c1"), at=late + 1) == "fresh"


# --- thresholds and keys ---


def test_a_grant_needs_two_persons_and_one_persons_two_keys_are_one():
    new = grant(COMMUNE, PROVINCE, commune_body(), NOW)
    client = Client()
    assert client.meets(signed(new, "p1")) == "too-few-persons"
    assert client.meets(signed(new, "p1", "p1b")) == "too-few-persons"
    assert client.meets(signed(new, "p1b", "p2")) == "fresh"


def test_a_threshold_that_nobody_can_reach_is_never_reached():
    first = the_root(1, "a b c", 2)
    lofty = structs.replace(first.body, delegate=Role(persons=("a", "b", "c"), threshold=6))
    client = Client(structs.replace(first, body=lofty))
    client.judge = structs.replace(client.judge, trust=client.judge.trust.standing_in(reader("node").trust.chain))
    assert client.meets(signed(grant(PROVINCE, "root", province_body(), NOW), "a", "b", "c")) == "too-few-persons"


def test_signatures_by_keys_that_the_role_does_not_name_add_nothing():
    new = grant(COMMUNE, PROVINCE, commune_body(), NOW)
    assert Client().meets(signed(new, "p1", "r1", "c1", "x")) == "too-few-persons"


def test_one_signature_twice_or_under_two_names_counts_once_or_not_at_all():
    new = grant(COMMUNE, PROVINCE, commune_body(), NOW)
    once = signed(new, "p1")
    (hers,) = signatures(once)
    other = signatures(signed(new, "p2"))[0]
    assert Client().meets(rewritten(once, signatures=[hers, hers])) == "malformed"
    assert Client().meets(rewritten(once, signatures=[hers, {"keyid": other["keyid"], "sig": hers["sig"]}])) == "too-few-persons"
    assert Client().meets(rewritten(once, signatures=[hers, {"keyid": "0" * 64, "sig": hers["sig"]}])) == "too-few-persons"


def test_one_key_listed_under_several_persons_is_refused_with_the_document_that_lists_it():
    twice = grant_body(
        (person("c1"), person("c2")), (owned("c1"), owned("c1", "c2")), power("emergency", "c1 c2", 2, "emergency")
    )
    assert Client().meets(signed(grant(COMMUNE, PROVINCE, twice, NOW), "p1", "p2")) == "malformed"
    first = the_root(1, "a b c", 2)
    doubled = structs.replace(first.body, version=2, keys=(owned("a"), owned("a", "b"), owned("c")))
    assert Client(first).meets(signed(the_root(2, "a b c", 2, body=doubled), "a", "c")) == "malformed"


def test_a_keyid_is_computed_from_the_key_so_a_false_one_finds_no_key():
    new = grant(COMMUNE, PROVINCE, commune_body(), NOW)
    first, second = signatures(signed(new, "p1", "p2"))
    swapped = [{"keyid": first["keyid"], "sig": second["sig"]}, {"keyid": second["keyid"], "sig": first["sig"]}]
    assert Client().meets(rewritten(signed(new, "p1"), signatures=swapped)) == "bad-signature"


def test_keys_of_other_kinds_or_schemes_have_no_place_in_a_document():
    first = the_root(1, "a b c", 2)
    body = json.loads(msgspec.json.encode(the_root(2, "a b c", 2)))["body"]
    for wrong in ({"keytype": "rsa"}, {"scheme": "ecdsa-sha2-nistp256"}, {"keyid_hash_algorithms": ["md5"]}):
        keyed = body | {"keys": [body["keys"][0] | wrong, *body["keys"][1:]]}
        assert Client(first).meets(changed(the_root(2, "a b c", 2), "a", "b", body=keyed)) == "malformed"
    small = body | {"keys": [body["keys"][0] | {"public": "00" * 32}, *body["keys"][1:]]}
    assert Client(first).meets(changed(the_root(2, "a b c", 2), "a", "b", body=small)) == "malformed"


def test_a_key_may_serve_several_roles_and_leave_one_of_them():
    first = the_root(1, "a b c", 2)
    body = structs.replace(first.body, version=2, delegate=Role(persons=("b", "c"), threshold=2))
    client = Client(first)
    assert client.meets(signed(the_root(2, "a b c", 2, body=body), "a", "b")) == "fresh"
    client.judge = structs.replace(client.judge, trust=client.judge.trust.standing_in(reader("node").trust.chain))
    new = grant(PROVINCE, "root", province_body(), NOW)
    assert client.meets(signed(new, "a", "b")) == "too-few-persons"
    assert client.meets(signed(new, "b", "c")) == "fresh"


def test_a_key_that_the_new_root_retires_signs_nothing_new():
    first = the_root(1, "a b c d", 2)
    retired = tuple(
        Key(public=each.public, person=each.person, state="retired" if each.person == "a" else "active")
        for each in first.body.keys
    )
    client = Client(first)
    body = structs.replace(first.body, version=2, keys=retired)
    assert client.meets(signed(the_root(2, "a b c d", 2, body=body), "b", "c")) == "fresh"
    assert client.meets(signed(the_root(3, "a b c d", 2, body=structs.replace(body, version=3)), "a", "b")) == "too-few-persons"


# --- unsigned, of another type, of another format, endless ---


def test_what_is_unsigned_or_signed_over_other_bytes_is_refused():
    good = signed(programme(NOW), "c1")
    other = signed(programme(NOW + 1), "c1")
    assert Client().meets(rewritten(good, signatures=[])) == "malformed"
    assert Client().meets(rewritten(good, signatures=signatures(other))) == "bad-signature"
    assert Client().meets(signed(programme(NOW), "x")) == "bad-signature"


def test_a_document_of_one_type_never_passes_for_another():
    body = msgspec.json.encode(programme(NOW))
    as_station = forged("station", body, f"loa/1/area/{COMMUNE}/station", "c1")
    assert Client().meets(as_station) == "malformed"
    assert Client().meets(Sent(signed(programme(NOW), "c1").raw, f"loa/1/area/{COMMUNE}/station")) == "wrong-type"
    assert (
        Client().meets(rewritten(signed(programme(NOW), "c1"), payloadType="application/vnd.loa.programme.v9+json"))
        == "wrong-type"
    )
    assert Client().meets(changed(programme(NOW), "c1", kind="programme", drop=("seq",))) == "malformed"


def test_unknown_fields_are_refused_for_a_change_is_a_new_type():
    assert Client().meets(changed(programme(NOW), "c1", colour="red")) == "malformed"
    assert Client(the_root(1, "a b c", 2)).meets(changed(the_root(2, "a b c", 2), "a", "b", spec_version="2.0")) == "malformed"


@pytest.mark.parametrize("kind", ["root", "grant", "programme", "order"])
def test_endless_data_ends_at_the_cap_of_its_kind_before_anything_is_read(kind):
    where = {
        "root": "loa/1/trust/root",
        "grant": f"loa/1/trust/grant/{COMMUNE}",
        "programme": f"loa/1/area/{COMMUNE}/programme/{COMMUNE}",
    }
    topic = where.get(kind, f"loa/1/area/{COMMUNE}/order/all")
    cap = CAP_BYTES[kind]
    big = Sent(b'{"payload":"' + b"A" * cap, topic)
    assert Client().meets(big) == "malformed"
    assert len(signed(programme(NOW), "c1").raw) < CAP_BYTES["programme"]


# --- delegation: areas below areas ---


def test_authority_flows_down_one_chain_of_areas_as_deep_as_there_are_levels():
    client = Client()
    assert client.meets(signed(start(HAMLET, PROVINCE, NOW, "00000000000000b1"), "p1", "p2")) == "fresh"
    assert client.meets(signed(start(HAMLET, COMMUNE, NOW, "00000000000000b2"), "c1")) == "fresh"
    assert client.meets(signed(start(HAMLET, HAMLET, NOW, "00000000000000b3"), "h1")) == "fresh"


@pytest.mark.parametrize(
    ("area", "authority", "signers", "code"),
    [
        (COMMUNE, HAMLET, ("h1",), "not-empowered"),  # upward
        (PROVINCE, COMMUNE, ("c1", "c2"), "not-empowered"),  # upward by two levels
        (HAMLET, OTHER, ("d1",), "bad-signature"),  # sideways: a branch that does not lead here
        (OTHER, PROVINCE, ("p1", "p2"), "not-mine"),  # a branch below that is not ours
        (HAMLET, COMMUNE, ("h1",), "not-empowered"),  # a key of below in the name of above
        (HAMLET, HAMLET, ("c1",), "not-empowered"),  # a key of above in the name of below: it is not listed there
    ],
)
def test_no_path_but_the_own_chain_delegates(area, authority, signers, code):
    assert Client().meets(signed(start(area, authority, NOW), *signers)) == code


def test_a_circle_of_grants_cannot_be_made():
    client = Client()
    assert client.meets(signed(grant(PROVINCE, COMMUNE, province_body(), NOW), "c1", "c2")) == "not-empowered"
    assert client.meets(signed(grant(COMMUNE, COMMUNE, commune_body(), NOW), "c1", "c2")) == "not-empowered"
    assert client.meets(signed(grant(PROVINCE, PROVINCE, province_body(), NOW), "p1", "p2")) == "not-empowered"


def test_two_authorities_that_name_one_area_have_one_grant_between_them_the_newest():
    client = Client()
    by_root = grant(COMMUNE, "root", commune_body(), NOW)
    by_province = grant(COMMUNE, PROVINCE, commune_body(), NOW + 1)
    assert client.meets(signed(by_root, "r1", "r2")) == "fresh"
    assert client.meets(signed(by_province, "p1", "p2")) == "fresh"
    assert client.meets(signed(by_root, "r1", "r2")) == "superseded"
    assert client.holds(by_province)


def test_a_class_that_a_power_does_not_name_is_not_delegated():
    body = commune_body()
    narrow = structs.replace(body, powers=(power("programme", "c1 c2", 1, "normal"), *body.powers[1:]))
    client = Client()
    assert client.meets(signed(grant(COMMUNE, PROVINCE, narrow, NOW), "p1", "p2")) == "fresh"
    assert client.meets(signed(programme(NOW, item("a", class_="priority")), "c1")) == "not-empowered"
    assert client.meets(signed(programme(NOW, item("a")), "c1")) == "fresh"


# --- mix and match: no snapshot binds documents together, each stands by its own signers ---


def test_documents_of_different_ages_stand_side_by_side_because_none_relies_on_another():
    client = Client()
    assert client.meets(signed(station(NOW + 5), "c1")) == "fresh"
    assert client.meets(signed(programme(NOW), "c1")) == "fresh"
    assert client.meets(signed(station(NOW + 4), "c1")) == "superseded"


def test_a_programme_without_its_grant_is_refused_whatever_else_is_offered():
    client = Client()
    bare = structs.replace(client.judge, trust=Trust(root(), {}, client.judge.trust.placement))
    client.judge = bare
    assert client.meets(signed(programme(NOW), "c1")) == "bad-signature"
    assert client.meets(signed(grant(COMMUNE, PROVINCE, commune_body(), NOW), "p1", "p2")) == "bad-signature"


def test_a_sibling_areas_documents_and_another_nodes_placement_are_not_ours():
    client = Client()
    assert client.meets(signed(grant(OTHER, PROVINCE, small_body("d1"), NOW), "p1", "p2")) == "not-mine"
    elsewhere = seal(structs.replace(placement(NODE, seq=NOW)), [keys.sealer(key("r1")), keys.sealer(key("r2"))])
    assert client.meets(Sent(elsewhere, "loa/1/node/4QX0Y7K2M8/placement")) == "wrong-type"
