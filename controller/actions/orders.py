"""The one way in for sealed orders, whoever sealed them: unseal, then one transaction, then the bell of the outbox."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, structs

from controller.actions.asking import ask, ask_somewhere, concerns
from controller.actions.views import IncidentView, LinkView, OrderContext
from controller.core import peek, progress
from controller.core.orders import OrderStored
from controller.core.world import World
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import nodes, notes, orders, outbox
from controller.store.database import Transaction
from protocol.envelope import Opened, unseal
from protocol.errors import Malformed, ProtocolError, WrongType
from protocol.orders import ExerciseStart, ExerciseStop, Lift, Start, Stop
from protocol.pace import Pace
from protocol.rules import Clock, Me, mark_of

CONTROLLER = "controller"
"""Who refused, in the list of refusals, when it was the controller itself."""
MAX_NONCES = 256
PACE: Final = Pace(burst=100, every_ms=100)
"""Acts of one key: a hundred at once and then ten a second. Nodes are stricter; what they put off is offered again."""


class Origin(Struct, frozen=True, kw_only=True):
    """How an order came: when it was asked for, who sealed it, and for a re-seal the nodes whose nonces it answers.

    `published`: its area has it already, so only offers follow.
    """

    requested_at_ms: int
    sealed_with: str = "elsewhere"
    topic: str | None = None
    only_nodes: tuple[str, ...] | None = None
    published: bool = False


async def submit(parts: Parts, who: Actor, raw: bytes, origin: Origin | None = None) -> IncidentView:
    """Take in one sealed order and let it out to its area. The same bytes again change nothing."""
    return await submit_all(parts, who, [raw], origin)


async def submit_all(parts: Parts, who: Actor, raws: Sequence[bytes], origin: Origin | None = None) -> IncidentView:
    """Take in the orders of one incident, all or none. Raises Refused with the reason that a node would give.

    The answer is the incident as it just became; what nodes do with it, `view` tells.
    """
    origin = origin or Origin(requested_at_ms=parts.now_ms())
    ask_somewhere(who, "order.submit")
    world, clock = parts.world, parts.clock
    current: list[peek.Claim] = []

    def take(tx: Transaction) -> tuple[list[OrderStored], list[outbox.Parcel]]:
        key = ""
        parcels: list[outbox.Parcel] = []
        for raw in raws:
            current.clear()
            claim = peek.peek(raw)
            current.append(claim)
            ask(parts, who, "order.submit", claim.area)
            key, made = _take_one(tx, world, clock, who, raw, claim, origin)
            if made and not parcels:  # the orders of one incident count as one act
                _keep_pace(tx, parts, claim.digest)
            parcels += made
        return orders.of_key(tx, key), parcels

    try:
        known, parcels = await parts.database.run(take, urgent=True)
    except ProtocolError as error:
        await refuse(parts, error, origin.topic or "posted", current[0].digest if current else "")
        raise Refused(_sentence(error, current), code=error.code, status=422) from error
    parts.fresh += parcels
    parts.wake.set()
    parts.offers.set()
    parts.live.changed("incident", known[-1].key)
    return progress.just_now(known, world, clock.wall_ms)


def _keep_pace(tx: Transaction, parts: Parts, digest: str) -> None:
    """Refuse, before the nodes' links carry any of it, what one key begins too often. A STOP is never counted.

    Asked once the signatures are known to hold: whoever only names another's key must not use up what its owner may say.
    """
    order = orders.by_digest(tx, digest)
    if order is None or order.mark.op != "START":
        return
    begun_ms = PACE.counted(parts.begun_ms, order.mark.keyids, parts.now_ms())
    if begun_ms is None:
        sentence = "this key began too many of late: wait a second; if it was not its owner, have the key marked stolen"
        raise Refused(sentence, code="too-often", status=429, wait_s=1)
    parts.begun_ms = begun_ms


def _sentence(error: ProtocolError, current: list[peek.Claim]) -> str:
    where = f" for area {current[0].area}" if current and current[0].area else ""
    return f"this {current[0].kind if current else 'order'}{where} was refused ({error.code}): {error}"


async def refuse(parts: Parts, error: ProtocolError, topic: str, digest: str) -> None:
    """Count a refusal of the controller's own."""
    at_ms = parts.now_ms()
    await parts.database.run(
        lambda tx: notes.count_refusal(tx, node=CONTROLLER, reason=error.code, topic=topic, digest=digest, at_ms=at_ms)
    )


def _take_one(
    tx: Transaction, world: World, clock: Clock, who: Actor, raw: bytes, claim: peek.Claim, origin: Origin
) -> tuple[str, list[outbox.Parcel]]:
    chain = world.chain_of(claim.area)
    if claim.kind not in ("order", "exercise"):
        raise WrongType(f"a {claim.kind or 'document of an unknown type'} is no order: submit it with the documents")
    if not chain:
        raise Malformed(f"area {claim.area!r} is not in the controller's tree")
    seen = orders.memory_of(tx, [link.area for link in chain], claim.incident, claim.seq, claim.digest)
    if has_service(world, claim.authority):
        seen = structs.replace(seen, elsewhere=orders.starts_of_day(tx, claim.authority, claim.seq))
    opened = unseal(raw, topic=origin.topic, trust=world.trust.standing_in(chain), me=Me(), now=clock, seen=seen)
    order = _stored(opened, who, origin)
    if chain[-1].area_no != opened.payload.area_no:
        raise Malformed(f"area {claim.area} has number {chain[-1].area_no}, the order says {opened.payload.area_no}")
    if not opened.fresh:
        return order.key, []
    orders.insert_order(tx, order, only_nodes=origin.only_nodes)
    orders.close_replaced(tx, order.mark, world)
    parcels: list[outbox.Parcel] = []
    if origin.published:
        orders.mark_sent(tx, order.mark.digest, clock.wall_ms)
    else:
        parcels = outbox.put(tx, parcels_of(order, origin.only_nodes), clock.wall_ms)
    notes.note(
        tx,
        at_ms=clock.wall_ms,
        actor=who.name,
        via=who.via,
        act=f"{order.mark.kind}.{order.mark.op}".lower(),
        what=order.key,
        detail=f"area {order.mark.area}, {', '.join(order.mark.persons)} signed, digest {order.mark.digest}",
    )
    return order.key, parcels


def has_service(world: World, authority: str) -> bool:
    """Whether an authority has a service key, whose starts of a day are counted."""
    grant = world.trust.grants.get(authority)
    return grant is not None and any(person.service for person in grant.body.persons)


def parcels_of(order: OrderStored, only_nodes: tuple[str, ...] | None) -> list[outbox.Parcel]:
    """One publication for the area; a re-seal goes only to the nodes whose nonces it answers."""
    topics = [order.topic] if only_nodes is None else [order.topic_of(node) for node in only_nodes]
    return [
        outbox.Parcel(
            topic=topic,
            payload=order.raw,
            rank=outbox.ORDER_RANK,
            retain=order.retained and only_nodes is None,
            expires_ms=order.offered_until_ms,
            digest=order.mark.digest,
        )
        for topic in topics
    ]


def _stored(opened: Opened, who: Actor, origin: Origin) -> OrderStored:
    payload = opened.payload
    if not isinstance(payload, Start | Stop | Lift | ExerciseStart | ExerciseStop):
        raise WrongType(f"a {opened.kind} is no order")
    start = payload if isinstance(payload, Start | ExerciseStart) else None
    mark = mark_of(payload, opened.digest, opened.signers)
    return OrderStored(
        mark=mark,
        key=payload.incident or f"{mark.op.lower()}-{opened.digest[:16]}",
        raw=opened.raw,
        accept_until_ms=start.accept_until_ms if start else 0,
        answers=start.answers if start else (),
        created_by=who.name,
        requested_at_ms=origin.requested_at_ms,
        sealed_with=origin.sealed_with,
        reseal=origin.only_nodes is not None,
    )


async def view(parts: Parts, who: Actor, key: str, *, with_rows: bool = True) -> IncidentView:
    """An incident as people see it. Raises Refused for one that nobody knows."""
    world, now_ms = parts.world, parts.now_ms()

    def read(tx: Transaction) -> IncidentView | None:
        return read_view(tx, world, key, now_ms, with_rows=with_rows)

    found = await parts.database.read(read)
    if found is None or not concerns(parts, who, found.areas):
        raise Refused(f"no incident {key} is known here", code="unknown-incident", status=404)
    return found


def read_view(tx: Transaction, world: World, key: str, now_ms: int, *, with_rows: bool) -> IncidentView | None:
    """The same within a transaction; None for one that nobody knows."""
    found = orders.of_key(tx, key)
    if not found:
        return None
    rows = orders.rows_of(tx, [order.mark.digest for order in found])
    states = nodes.all_states(tx) if with_rows else {}
    seen = progress.view_of(found, rows, world, states, now_ms)
    return seen if with_rows else progress.without_rows(seen)


async def raw_of(parts: Parts, who: Actor, digest: str) -> bytes:
    """The sealed bytes of a stored order, so that its signer can seal it again. Raises Refused for one that nobody knows."""
    found = await parts.database.run(lambda tx: orders.by_digest(tx, digest))
    if found is None or not concerns(parts, who, (found.mark.area,)):
        raise Refused(f"no order {digest[:16]}… is known here", code="unknown-order", status=404)
    return found.raw


async def context(parts: Parts, who: Actor, area: str) -> OrderContext:
    """What a signer needs to write an order for an area. Raises Refused for one that nobody knows."""
    ask(parts, who, "see", area)
    world, now_ms = parts.world, parts.now_ms()
    chain = world.chain_of(area)
    if not chain:
        raise Refused(f"area {area} is not in the controller's tree: see `loa areas`", code="unknown-area", status=404)
    inside = world.nodes_in(area)

    def read(tx: Transaction) -> tuple[int, tuple[str, ...]]:
        nonces = [nonce for node, nonce in sorted(nodes.nonces_without_clock(tx).items()) if node in inside]
        return orders.highest_seq(tx, area), tuple(nonces[:MAX_NONCES])

    highest, nonces = await parts.database.read(read)
    return OrderContext(
        area=area,
        area_no=chain[-1].area_no,
        chain=tuple(LinkView(area=link.area, area_no=link.area_no, level=link.level) for link in chain),
        authorities=tuple(link.area for link in chain if link.area in world.trust.grants),
        highest_seq=highest,
        now_ms=now_ms,
        nodes=len(inside),
        nonces=nonces,
    )
