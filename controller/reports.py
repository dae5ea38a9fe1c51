"""What nodes say: unsealed, stored in one transaction for a handful of messages, answered; acknowledged only after that."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct

from controller.core.fleet import NodeState
from controller.core.orders import Offer
from controller.core.suspends import SuspendHeld
from controller.core.world import Standing, World
from controller.parts import Parts
from controller.post import Post
from controller.store import carrying, enrolments, identity, nodes, notes, orders
from controller.store.database import Transaction
from protocol import topics
from protocol.envelope import unseal
from protocol.errors import Malformed, ProtocolError
from protocol.reports import Alive, Health, Hello, OrderResult, Receipt, RecordMark
from protocol.rules import Clock, Me
from protocol.seen import Seen
from protocol.topics import topic

_ALIVE: Final = msgspec.json.Decoder(Alive)
_HEALTH: Final = msgspec.json.Decoder(Health)
_ENCODER: Final = msgspec.json.Encoder()
CLOCK_UNUSABLE: Final = "clock-unusable"
log = logging.getLogger("loa.reports")


class Received(Struct, frozen=True):
    """A message from the broker."""

    topic: str
    payload: bytes
    retained: bool = False


@dataclass
class Effects:
    """What follows from a handful of reports, once they are stored."""

    posts: list[Post] = field(default_factory=list)
    nodes: set[str] = field(default_factory=set)
    incidents: set[str] = field(default_factory=set)
    lagging: dict[str, bool] = field(default_factory=dict)
    without_clock: bool = False


class Reports:
    """Takes in hello, receipt, alive and health. A birth that the broker only remembered proves nothing by itself."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def take(self, batch: Iterable[Received]) -> Effects:
        """Store a handful; afterwards they may be acknowledged."""
        effects = Effects()
        world, clock = self._parts.world, self._parts.clock

        def store(tx: Transaction) -> None:
            for message in batch:
                _take_one(tx, world, clock, message, effects)

        await self._parts.database.run(store)
        for node in effects.nodes:
            self._parts.live.changed("node", node)
        for key in effects.incidents:
            self._parts.live.changed("incident", key)
        if effects.nodes:
            self._parts.rollouts.set()
        if effects.without_clock:
            self._parts.offers.set()
        return effects


def _take_one(tx: Transaction, world: World, clock: Clock, message: Received, effects: Effects) -> None:
    address = topics.parse(message.topic)
    node = address.node or ""
    try:
        match address.row.name:
            case "alive":
                _take_alive(tx, node, message, clock.wall_ms, effects)
            case "health":
                _take_health(tx, node, message, clock.wall_ms, effects)
            case _:
                _take_sealed(tx, world, clock, node, message, effects)
    except ProtocolError as error:
        log.warning("%s refused (%s): %s", message.topic, error.code, error)
        notes.count_refusal(tx, node="controller", reason=error.code, topic=message.topic, digest="", at_ms=clock.wall_ms)


def _take_alive(tx: Transaction, node: str, message: Received, now_ms: int, effects: Effects) -> None:
    try:
        alive = _ALIVE.decode(message.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"alive: {error}") from error
    if alive.node != node:
        raise Malformed(f"alive of {alive.node} on the topic of {node}")
    if nodes.take_alive(tx, alive, now_ms, believed=not message.retained):
        effects.nodes.add(node)


def _take_health(tx: Transaction, node: str, message: Received, now_ms: int, effects: Effects) -> None:
    try:
        health = _HEALTH.decode(message.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"health: {error}") from error
    if health.node != node:
        raise Malformed(f"health of {health.node} on the topic of {node}")
    if nodes.take_health(tx, health, now_ms):
        notes.set_refusals(tx, node=node, counts=health.refused, at_ms=now_ms)
        effects.nodes.add(node)


def _take_sealed(tx: Transaction, world: World, clock: Clock, node: str, message: Received, effects: Effects) -> None:
    if node not in world.nodes and enrolments.one(tx, node) is not None:
        return  # it waits for its place: nothing that it says counts yet, and nothing is wrong with it
    trust = world.trust_of_reports(node)
    report = unseal(message.payload, topic=message.topic, trust=trust, me=Me(), now=clock, seen=Seen()).payload
    if not isinstance(report, Hello | Receipt):
        raise Malformed("neither hello nor receipt")
    known = nodes.state_of(tx, node)
    if known is None:
        raise Malformed(f"node {node} is not enrolled")
    effects.nodes.add(node)
    if isinstance(report, Hello):
        found = identity.weigh(tx, known, report, nodes.last_counted(tx, known))
        if found.stale:
            return
        if found.doubt is not None:
            log.warning("node %s: %s (%s)", node, found.doubt, found.why)
            identity.doubt(tx, node, found.doubt, found.why, clock.wall_ms)
        late = report.boot_count == known.boot_count and report.at_ms < (known.device_at_ms or 0)
        nodes.heard(tx, report, clock.wall_ms)
        _take_hello(tx, world, report, clock.wall_ms, effects, late=late, word=message.payload)
    else:
        if report.boot_count >= known.boot_count:  # a copy from before the last start says nothing of how the node is now
            nodes.heard(tx, report, clock.wall_ms)
        _take_receipt(tx, report, clock.wall_ms, effects, message.payload)


def _take_hello(tx: Transaction, world: World, hello: Hello, now_ms: int, effects: Effects, *, late: bool, word: bytes) -> None:
    state = nodes.take_hello(tx, hello, late=late)
    if state is None:
        return
    for known in hello.incidents:
        result = OrderResult(incident=known.incident, order_seq=known.seq, result=known.result, at_ms=hello.at_ms)
        _note_result(tx, hello.node, result, now_ms, effects, word)
    lag = [*roots_since(tx, world, state), *lag_of(world, state, now_ms)]
    effects.lagging[hello.node] = bool(lag)
    effects.posts.extend(document_posts(hello.node, lag))
    effects.posts.extend(offer_posts(orders.offers_for(tx, hello.node, world, now_ms)))
    effects.posts.append(mark_post(hello.node, state.records_upto))
    effects.without_clock |= hello.clock_state == "unknown"


def _take_receipt(tx: Transaction, receipt: Receipt, now_ms: int, effects: Effects, word: bytes) -> None:
    for result in receipt.results:
        if result.result == "refused":
            notes.count_refusal(
                tx,
                node=receipt.node,
                reason=result.reason,
                topic=result.topic or "order",
                digest=result.digest or "",
                at_ms=now_ms,
            )
            effects.without_clock |= result.reason.startswith(CLOCK_UNUSABLE)
        _note_result(tx, receipt.node, result, now_ms, effects, word)
    if receipt.plays:
        upto = nodes.take_plays(tx, receipt.node, receipt.plays, now_ms)
        effects.posts.append(mark_post(receipt.node, upto))


def _note_result(tx: Transaction, node: str, result: OrderResult, now_ms: int, effects: Effects, word: bytes) -> None:
    key = orders.take_result(tx, node, result, now_ms, word)
    if key is not None:
        effects.incidents.add(key)


def lag_of(world: World, state: NodeState, now_ms: int) -> list[Standing | SuspendHeld]:
    """The documents that a node should hold and did not name, in the order in which it can take them."""
    due: list[Standing | SuspendHeld] = [*world.due(state.id, now_ms), *world.suspends_due(state.id, now_ms)]
    return [held for held in due if held.digest not in state.holds]


def roots_since(tx: Transaction, world: World, state: NodeState) -> list[Standing]:
    """The roots between the one that a node holds and the newest: it takes them one version at a time, whatever their dates."""
    newest = world.root_held()
    if newest is None or newest.digest in state.holds:
        return []
    chain = carrying.roots(tx, world)
    held = max((number for number, root in enumerate(chain) if root.digest in state.holds), default=None)
    return [] if held is None else [root for root in chain[held + 1 :] if root.digest != newest.digest]


def document_posts(node: str, lag: Iterable[Standing | SuspendHeld]) -> list[Post]:
    """Those documents on the node's own topic."""
    return [Post(topic=topic("document", node=node), payload=held.raw) for held in lag]


def offer_posts(offers: Iterable[Offer]) -> list[Post]:
    """The same bytes again, on the node's own topic."""
    return [
        Post(topic=offer.order.topic_of(offer.node), payload=offer.order.raw, expires_ms=offer.order.offered_until_ms)
        for offer in offers
    ]


def mark_post(node: str, upto: int) -> Post:
    """Tell a node up to which play record all are stored here."""
    return Post(topic=topic("records", node=node), payload=_ENCODER.encode(RecordMark(upto=upto)))
