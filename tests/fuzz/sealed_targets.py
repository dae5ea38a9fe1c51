"""Targets that are sealed: raw envelopes on every topic, and hostile payloads under signatures that hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import cache

from protocol import envelope, recurrence, topics
from protocol.bulletins import Item, Media, Programme, ProgrammeBody, Variant
from protocol.errors import Malformed, ProtocolError
from protocol.messages import CAP_BYTES, TYPES
from protocol.rules import Clock, Me
from tests import vectors
from tests.core.harness import Node
from tests.protocol import vector_world as world
from tests.vectors import Reader

DAY_MS = 86_400_000
ROOT_SIGNERS, PROVINCE_SIGNERS = ("r1", "r2"), ("p1", "p2")
SIGNERS = {
    "root": ROOT_SIGNERS,
    "grant": PROVINCE_SIGNERS,
    "placement": ROOT_SIGNERS,
    "network": ("c1", "c2"),
    "station": ("c1",),
    "programme": ("c1",),
    "release": ("v1", "v2"),
    "order": ("c1", "c2"),
    "exercise": ("c1",),
}
ON_THE_AIR = tuple(row.name for row in topics.ROWS)


@cache
def reader(name: str = "node") -> Reader:
    return vectors.reader(name)


def topic_of(number: int) -> str | None:
    """One topic of each row, as the node of the vectors reads it; and none, as from a memory stick."""
    row = (*ON_THE_AIR, None)[number % (len(ON_THE_AIR) + 1)]
    parts = {
        "area": world.COMMUNE,
        "authority": world.COMMUNE,
        "incident": "00000000000000a1",
        "node": world.NODE,
        "key": "a1" * 32,
    }
    return None if row is None else topics.topic(row, **parts)


def raw_envelope(data: bytes) -> None:
    """The first byte chooses the topic, the rest is what came on it."""
    topic, raw = topic_of(data[0] if data else 0), data[1:]
    envelope.peek(raw)
    envelope.claimed(raw)
    for name in ("node", "controller"):
        judge = reader(name)
        try:
            envelope.unseal(raw, topic=topic, trust=judge.trust, me=Me(judge.node), now=Clock(world.NOW, "good"), seen=judge.seen)
        except ProtocolError:
            continue


def envelope_seeds() -> Iterator[bytes]:
    for index, case in enumerate(vectors.cases()):
        for step in case.steps:
            if len(step.sealed) < 6_000:
                rows = [number for number in range(len(ON_THE_AIR) + 1) if topic_of(number) == step.topic]
                yield bytes([rows[0] if rows else index % 16]) + step.sealed


def payload_seeds(kinds: tuple[str, ...]) -> Iterator[bytes]:
    """The payloads of the golden vectors, behind the number of their kind."""
    for case in vectors.cases():
        for step in case.steps:
            try:
                outer = json.loads(step.sealed)
                kind = outer["payloadType"].removeprefix("application/vnd.loa.").partition(".")[0]
                payload = base64.b64decode(outer["payload"])
            except (ValueError, TypeError, KeyError):
                continue
            if kind in kinds and len(payload) < 8_000:
                yield bytes([kinds.index(kind)]) + payload


def sealed_as(kinds: tuple[str, ...], data: bytes) -> tuple[str, bytes]:
    """The payload under signatures of those who may say such a thing."""
    kind = kinds[(data[0] if data else 0) % len(kinds)]
    names = SIGNERS.get(kind, (f"report {world.NODE}",))
    return kind, world.forged(kind, data[1:], None, *names).raw


def payload(kinds: tuple[str, ...], data: bytes) -> None:
    kind, raw = sealed_as(kinds, data)
    judge = reader("controller" if kind in ("hello", "receipt", "fetch") else "node")
    if len(raw) > CAP_BYTES[kind]:
        return
    try:
        opened = envelope.unseal(
            raw, topic=None, trust=judge.trust, me=Me(judge.node), now=Clock(world.NOW, "good"), seen=judge.seen
        )
    except ProtocolError:
        return
    assert isinstance(opened.payload, TYPES[kind])
    if isinstance(opened.payload, Programme):
        calendar = recurrence.Calendar(opened.payload, opened.digest)
        for at_ms in (opened.payload.valid_from_ms, world.NOW, opened.payload.valid_until_ms - DAY_MS):
            calendar.between(at_ms, at_ms + DAY_MS)


DOCUMENTS = ("root", "grant", "placement", "network", "station", "release")
ORDERS = ("order", "exercise")
REPORTS = ("hello", "receipt", "fetch")
TO_A_NODE = ("order", "exercise", "programme", "station", "network", "grant", "placement", "root", "release")


@cache
def node_documents() -> tuple[world.Sent, ...]:
    return tuple(world.world_documents(world.NODE))


def whole_node(data: bytes) -> None:
    """What is signed by those who may, and as strange as it can be, never ends the node: its core lives a minute with it."""
    kind, raw = sealed_as(TO_A_NODE, data)
    if len(raw) > CAP_BYTES[kind]:
        return
    node = Node(world.NOW, *node_documents())
    row = "offer" if kind in ORDERS else "document"
    incident = "0" * 16
    try:
        found = json.loads(data[1:])
        incident = str(found.get("incident") or topics.WHOLE_AREA) if isinstance(found, dict) else incident
    except (ValueError, RecursionError):
        pass
    topic = topics.topic(row, node=world.NODE, incident=incident)
    node.give(world.Sent(raw, topic))
    node.run(60)


def rule(data: bytes) -> None:
    """A rule is refused at once or expanded at once: over the whole life of a document, item by item."""
    text = data.decode("utf-8", "replace")
    media = Media(sha256="5a" * 32, bytes=1, samples=48_000)
    try:
        made = Item(id="x", title="x", rrule=text, variants=(Variant(lang="vi", media=media),))
        programme = Programme(**world.lasting(world.COMMUNE, world.COMMUNE, world.T0), body=ProgrammeBody(items=(made,)))
        recurrence.check(programme)
    except (Malformed, ValueError):  # text that is not NFC: `unseal` says Malformed of it
        return
    for from_ms in (world.T0, world.T0 + 20 * DAY_MS):
        count = sum(1 for _ in recurrence.occurrences(programme, "d", from_ms, from_ms + 45 * DAY_MS))
        assert count <= 46 * recurrence.MAX_A_DAY


RULES = (
    "FREQ=DAILY;BYHOUR=5;BYMINUTE=30",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=5,17;BYMINUTE=0,30;BYSECOND=10",
    "FREQ=MONTHLY;BYDAY=1MO,-1SU;BYHOUR=6;BYMINUTE=0",
    "FREQ=MONTHLY;BYMONTHDAY=1,15,-1;BYHOUR=6;BYMINUTE=0;COUNT=7",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=6;BYMINUTE=0",
    "FREQ=WEEKLY;INTERVAL=2;BYHOUR=6;BYMINUTE=0;UNTIL=20260331T235959",
    "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYDAY=5SU;BYHOUR=6;BYMINUTE=0",
)


def rule_seeds() -> Iterator[bytes]:
    yield from (text.encode() for text in RULES)


def topic(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        address = topics.parse(text)
    except ProtocolError:
        return
    named = {name: value for name in ("area", "node", "authority", "incident", "key") if (value := getattr(address, name))}
    assert topics.topic(address.row.name, **named) == text, "two spellings of one topic"


def topic_seeds() -> Iterator[bytes]:
    yield from (found.encode() for number in range(len(ON_THE_AIR)) if (found := topic_of(number)))
    yield from (b"loa/1/node/+/receipt", b"$share/a/loa/1/#", b"$SYS/broker/uptime", b"loa/1/area/52/order/all\n")
