"""The one door for bytes: whatever comes in, it is refused with a reason or means exactly what was signed."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import keys
from protocol.bulletins import Programme
from protocol.documents import Station
from protocol.envelope import Opened, add_signature, digest_of, open_pinned_root, payload_of, peek, seal, unseal
from protocol.errors import BadSignature, Malformed, NotRead, ProtocolError, TooFewPersons
from protocol.hours import Rules
from protocol.messages import TYPES
from protocol.orders import Clip
from protocol.recurrence import occurrences
from protocol.rules import Clock, Me
from tests.protocol.vector_cases import FETCH, HELLO, RECEIPT, REPORTER, WARNING
from tests.protocol.vector_world import (
    COMMUNE,
    HAMLET,
    NODE,
    NOW,
    PROVINCE,
    Sent,
    commune_body,
    drill,
    drill_stop,
    forged,
    grant,
    item,
    lift,
    network,
    placement,
    programme,
    release,
    root,
    signed,
    start,
    station,
    stop,
)
from tests.vectors import key, reader

JUDGE = reader("node")
CONTROLLER = reader("controller")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
GOOD = {
    "root": (root(2, NOW), ("r1", "r2")),
    "grant": (grant(COMMUNE, PROVINCE, commune_body(), NOW), ("p1", "p2")),
    "placement": (placement(NODE, seq=NOW), ("r1", "r2")),
    "network": (network(seq=NOW), ("c1", "c2")),
    "station": (station(NOW), ("c1",)),
    "programme": (programme(NOW), ("c1",)),
    "release": (release(NOW), ("v1", "v2")),
    "start": (start(HAMLET, COMMUNE), ("c1",)),
    "stop": (stop(HAMLET, COMMUNE), ("c1",)),
    "lift": (lift(HAMLET, COMMUNE), ("c1",)),
    "drill": (drill(HAMLET, COMMUNE), ("c1",)),
    "drill stop": (drill_stop(HAMLET, COMMUNE), ("c1",)),
    "hello": (HELLO, (REPORTER,)),
    "receipt": (RECEIPT, (REPORTER,)),
    "fetch": (FETCH, (REPORTER,)),
}


def opened(sent: Sent, topic: str | None = None) -> Opened:
    judge = CONTROLLER if b"hello" in sent.raw[:120] or b"receipt" in sent.raw[:120] or b"fetch" in sent.raw[:120] else JUDGE
    now = Clock(NOW + 2_000, "good")
    return unseal(sent.raw, topic=topic, trust=judge.trust, me=Me(judge.node), now=now, seen=judge.seen)


def refused_or_same(raw: bytes, original: Opened) -> None:
    try:
        found = opened(Sent(raw, WARNING.topic), WARNING.topic)
    except ProtocolError:
        return
    assert (found.payload, found.digest) == (original.payload, original.digest)


def test_a_peek_orders_what_came_and_stored_bytes_open_again():
    assert peek(WARNING.raw) == ("order", NOW)
    assert payload_of(WARNING.raw) == start(HAMLET, COMMUNE)
    with pytest.raises(Malformed):
        payload_of(forged("order", b"[]", None, "c1").raw)
    assert peek(forged("order", b"[]", None, "c1").raw) == ("", 0)


def test_any_single_flipped_bit_is_refused_or_changes_nothing():
    original = opened(WARNING)
    for index in range(len(WARNING.raw)):
        for bit in range(8):
            flipped = bytearray(WARNING.raw)
            flipped[index] ^= 1 << bit
            refused_or_same(bytes(flipped), original)


def test_every_truncation_is_refused():
    for length in range(len(WARNING.raw)):
        with pytest.raises(ProtocolError):
            opened(Sent(WARNING.raw[:length], WARNING.topic))


@given(st.data())
def test_any_splice_of_two_orders_is_refused_or_one_of_them(data: st.DataObject):
    other = signed(start(HAMLET, COMMUNE, NOW + 1, risk=2), "c1").raw
    cut, join = (data.draw(st.integers(0, min(len(WARNING.raw), len(other)))) for _ in "ab")
    raw = WARNING.raw[:cut] + other[join:]
    try:
        found = opened(Sent(raw, None))
    except ProtocolError:
        return
    assert found.payload in (opened(WARNING).payload, opened(Sent(other, None)).payload)


@given(raw=st.binary(max_size=600), topic=st.none() | st.text(max_size=60) | st.just(WARNING.topic))
def test_arbitrary_bytes_and_topics_raise_nothing_but_protocol_errors(raw: bytes, topic: str | None):
    with pytest.raises(ProtocolError):
        opened(Sent(raw, topic), topic)
    assert peek(raw) == ("", 0)


@given(outer=JSON)
def test_arbitrary_json_raises_nothing_but_protocol_errors(outer: Any):
    with pytest.raises(ProtocolError):
        opened(Sent(json.dumps(outer).encode(), None))


@given(kind=st.sampled_from(sorted(TYPES)), payload=JSON | st.binary(max_size=80))
def test_arbitrary_payloads_under_good_signatures_raise_nothing_but_protocol_errors(kind: str, payload: Any):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    with pytest.raises(ProtocolError):
        opened(forged(kind, body, None, "c1", REPORTER))


def _paths(shown: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = shown.items() if isinstance(shown, dict) else enumerate(shown) if isinstance(shown, list) else ()
    return [here, *(path for name, value in inner for path in _paths(value, (*here, name)))]


def _replaced(shown: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    copy = shown.copy()
    copy[path[0]] = _replaced(shown[path[0]], path[1:], value)
    return copy


ENDLESS = "FREQ=DAILY;BYHOUR=9;BYMINUTE=1;BYMONTH=2;BYMONTHDAY=30"
NASTY = st.sampled_from([0, 1, -1, 2**53 - 1, 2**53, 2**64, 10**30, "", "\n", "Asia", "../x", "root", "00" * 32, ENDLESS])


@settings(max_examples=600, deadline=None)
@given(data=st.data(), which=st.sampled_from(sorted(GOOD)))
def test_any_field_replaced_under_good_signatures_raises_nothing_but_protocol_errors(data: st.DataObject, which: str):
    payload, names = GOOD[which]
    shown = json.loads(msgspec.json.encode(payload))
    path = data.draw(st.sampled_from(_paths(shown)))
    bent = _replaced(shown, path, data.draw(NASTY | JSON))
    try:
        encoded = msgspec.json.encode(bent)
    except UnicodeEncodeError:
        return
    try:
        found = opened(forged(payload.kind, encoded, None, *names)).payload
    except ProtocolError:
        return
    if isinstance(found, Programme):
        assert len(list(occurrences(found, "00", found.valid_from_ms, found.valid_until_ms))) <= 46 * 96
    if isinstance(found, Station):
        assert isinstance(Rules(found.body, ()).why_quiet(NOW), str)


@pytest.mark.parametrize("which", sorted(GOOD))
def test_good_documents_of_every_kind_open_to_what_was_sealed(which: str):
    payload, names = GOOD[which]
    assert opened(signed(payload, *names)).payload == payload


def test_a_second_person_can_sign_later():
    alone = signed(start(PROVINCE, PROVINCE), "p1")
    with pytest.raises(TooFewPersons):
        opened(alone)
    both = add_signature(alone.raw, keys.sealer(key("p2")))
    assert opened(Sent(both, alone.topic), alone.topic).persons == ("p1", "p2")


@pytest.mark.parametrize(
    "broken",
    [
        start(HAMLET, COMMUNE, 2**70),
        start(HAMLET, COMMUNE, issuing_body="\ud800"),
        start(HAMLET, COMMUNE, issuing_body=""),
        start(HAMLET + "\n", COMMUNE),
        start(HAMLET, COMMUNE, repeats=0),
    ],
)
def test_sealing_refuses_what_no_reader_would_take(broken: Any):
    with pytest.raises(Malformed):
        seal(broken, [keys.sealer(key("c1"))])


def test_sealing_needs_one_to_four_signatures():
    with pytest.raises(Malformed, match="this one has 0"):
        seal(start(HAMLET, COMMUNE), [])
    with pytest.raises(Malformed, match="this one has 5"):
        seal(start(HAMLET, COMMUNE), [keys.sealer(key(f"k{number}")) for number in range(5)])


def test_a_kind_that_this_program_does_not_read_says_so():
    with pytest.raises(NotRead):
        unseal(
            WARNING.raw,
            topic=None,
            trust=JUDGE.trust,
            me=Me(NODE),
            now=Clock(NOW, "good"),
            seen=JUDGE.seen,
            reads=frozenset({"root"}),
        )


def test_the_pinned_root_must_be_the_pinned_one_and_well_signed():
    pinned = signed(root(), "r1", "r2")
    digest = opened(pinned).digest
    assert open_pinned_root(pinned.raw, digest) == root()
    with pytest.raises(BadSignature):
        open_pinned_root(signed(root(2), "r1", "r2").raw, digest)
    with pytest.raises(TooFewPersons):
        open_pinned_root(signed(root(), "r1").raw, digest)
    nonsense = forged("root", b"{}", None, "r1")
    with pytest.raises(Malformed):
        open_pinned_root(nonsense.raw, digest_of("root", b"{}"))


def clips_only(**more):
    """A START of recordings in two languages, with a long body and document number, answering a nonce."""
    clip = {"bytes": 2**20, "duration_ms": 95_000, "purpose": "live"}
    fields = {
        "issuing_body": "Ban chỉ huy Phòng thủ dân sự xã Phú Túc",
        "source_doc": "Công điện 05/CĐ-UBND ngày 01/3/2026",
        "text": (),
        "clips": (Clip(lang="vi", sha256="5a" * 32, **clip), Clip(lang="jra", sha256="a5" * 32, **clip)),
        "answers": ("0123456789abcdef",),
    }
    return start("52.24076.001", COMMUNE, **(fields | more))


def test_a_start_of_one_person_without_inline_text_is_small():
    assert len(signed(clips_only(), "c1").raw) <= 1_150
    bare = start(PROVINCE, PROVINCE, issuing_body="UBND tỉnh Gia Lai", source_doc="12/CĐ-UBND", text=())
    assert len(signed(bare, "p1", "p2").raw) <= 1_150


def on_the_link_bytes(topic: str, payload: bytes) -> int:
    """As it leaves the broker: MQTT 5 PUBLISH at QoS 1 with its expiry, one TLS 1.3 record (RFC 8446, 5.2), TCP and IPv4.

    TCP timestamps are off on nodes (systemd/loa-agent.sysctl), so TCP takes 20 bytes.
    """
    packet_number, expiry, properties_length = 2, 5, 1
    body = 2 + len(topic.encode()) + packet_number + properties_length + expiry + len(payload)
    publish = 1 + (1 if body < 128 else 2) + body
    return publish + (5 + 1 + 16) + 20 + 20


def test_a_start_without_inline_text_fits_one_segment_of_a_1400_byte_link_whoever_signs_it():
    order = clips_only()
    sent = signed(order, "c1", "c2")
    assert on_the_link_bytes(sent.topic, sent.raw) <= 1_400


def test_an_order_carries_256_nonces_beside_a_short_text():
    nonces = tuple(f"{number:016x}" for number in range(256))
    assert len(signed(start(HAMLET, COMMUNE, answers=nonces), "c1").raw) <= 8_192


def test_a_programme_of_350_items_fits_its_cap():
    items = tuple(item(f"ban-tin-{number}") for number in range(350))
    assert len(signed(programme(NOW, *items), "c1").raw) <= 131_072
