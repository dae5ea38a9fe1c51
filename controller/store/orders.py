"""Orders and how far each got on each node."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import Row, and_, delete, exists, func, insert, literal, or_, select, update

from controller.core.evidence import SPOKEN, Word
from controller.core.orders import Offer, OrderRow, OrderStored
from controller.core.succession import OFFER_AFTER_S, STOP_KEPT_MS, advance, next_offer_ms, replaces
from controller.core.world import World
from controller.store.database import Transaction
from controller.store.schema import node_areas, nodes, order_nodes, orders, receipts
from protocol.reports import OrderResult
from protocol.rules import Clock
from protocol.seen import OrderMark, Seen
from protocol.services import day_of
from protocol.suspension import stands
from protocol.trust import Trust

TAKEN_LATER: Final = ("storage", "too-often")
_LIST: Final = msgspec.json.Decoder(tuple[str, ...])


def _stored(row: Row[Any]) -> OrderStored:
    mark = OrderMark(
        kind=row.kind,
        op=row.op,
        incident=row.incident,
        area=row.area,
        authority=row.authority,
        seq=row.seq,
        digest=row.digest,
        keyids=_LIST.decode(row.keyids),
        persons=_LIST.decode(row.persons),
    )
    return OrderStored(
        mark=mark,
        key=row.key,
        raw=row.raw,
        accept_until_ms=row.accept_until_ms,
        answers=_LIST.decode(row.answers),
        created_by=row.created_by,
        requested_at_ms=row.requested_at_ms,
        sealed_with=row.sealed_with,
        reseal=row.reseal,
    )


def memory_of(tx: Transaction, areas: Iterable[str], incident: str | None, seq: int, digest: str) -> Seen:
    """What an order is weighed against by a reader in its area: same incident, same identity, STOPs that are not older."""
    relevant = or_(
        orders.c.digest == digest,
        and_(orders.c.incident.is_not(None), orders.c.incident == incident),
        and_(orders.c.op == "STOP", orders.c.seq >= seq),
        and_(orders.c.incident.is_(None), orders.c.seq == seq),
    )
    rows = tx.execute(select(orders).where(orders.c.area.in_(list(areas)), relevant))
    marks = [_stored(row).mark for row in rows]
    return Seen(orders={mark.identity: mark for mark in marks})


def starts_of_day(tx: Transaction, authority: str, seq: int) -> tuple[OrderMark, ...]:
    """What was started under an authority on the day of `seq`, without what was said again to nodes that have no clock."""
    begin, end = day_of(seq)
    of_day = and_(orders.c.op == "START", ~orders.c.reseal, orders.c.seq >= begin, orders.c.seq < end)
    rows = tx.execute(select(orders).where(orders.c.authority == authority, of_day))
    return tuple(_stored(row).mark for row in rows)


def insert_order(tx: Transaction, order: OrderStored, *, only_nodes: Iterable[str] | None = None) -> None:
    """Store an order with one row for each node that stands in its area now (or for the named ones)."""
    mark = order.mark
    tx.execute(
        insert(orders).values(
            digest=mark.digest,
            kind=mark.kind,
            op=mark.op,
            incident=mark.incident,
            key=order.key,
            area=mark.area,
            authority=mark.authority,
            seq=mark.seq,
            raw=order.raw,
            keyids=msgspec.json.encode(mark.keyids).decode(),
            persons=msgspec.json.encode(mark.persons).decode(),
            accept_until_ms=order.accept_until_ms,
            answers=msgspec.json.encode(order.answers).decode(),
            created_by=order.created_by,
            requested_at_ms=order.requested_at_ms,
            sealed_with=order.sealed_with,
            reseal=order.reseal,
        )
    )
    first_ms = order.requested_at_ms + OFFER_AFTER_S[0] * 1000
    covered = select(literal(mark.digest), node_areas.c.node, literal(first_ms)).where(node_areas.c.area == mark.area)
    if only_nodes is not None:
        covered = covered.where(node_areas.c.node.in_(list(only_nodes)))
    tx.execute(insert(order_nodes).from_select(["digest", "node", "next_offer_ms"], covered))


def close_replaced(tx: Transaction, new: OrderMark, world: World) -> None:
    """Offer no longer what this order made pointless, on the nodes that it reaches."""
    open_orders = select(orders).where(
        exists().where(order_nodes.c.digest == orders.c.digest, order_nodes.c.next_offer_ms.is_not(None))
    )
    old = [
        mark for mark in (_stored(row).mark for row in tx.execute(open_orders)) if replaces(new, mark, world.chain_of(mark.area))
    ]
    if not old:
        return
    reached = select(order_nodes.c.node).where(order_nodes.c.digest == new.digest)
    these = order_nodes.c.digest.in_([mark.digest for mark in old]) & order_nodes.c.node.in_(reached)
    tx.execute(update(order_nodes).where(these).values(next_offer_ms=None))


def close_void(tx: Transaction, trust: Trust, world: World, clock: Clock) -> None:
    """Offer no longer what void keys said: every node would refuse it."""
    open_orders = select(orders).where(
        exists().where(order_nodes.c.digest == orders.c.digest, order_nodes.c.next_offer_ms.is_not(None))
    )
    marks = [_stored(row).mark for row in tx.execute(open_orders)]
    void = [mark.digest for mark in marks if not stands(mark, trust.standing_in(world.chain_of(mark.area)), clock)]
    if void:
        tx.execute(update(order_nodes).where(order_nodes.c.digest.in_(void)).values(next_offer_ms=None))


def mark_sent(tx: Transaction, digest: str, now_ms: int) -> str:
    """The broker acknowledged the order on its area's topic. Returns the incident's key."""
    these = (order_nodes.c.digest == digest) & (order_nodes.c.state == "none")
    tx.execute(update(order_nodes).where(these).values(state="sent", sent_ms=now_ms))
    return tx.execute(select(orders.c.key).where(orders.c.digest == digest)).scalar() or ""


def by_digest(tx: Transaction, digest: str) -> OrderStored | None:
    """One order."""
    row = tx.execute(select(orders).where(orders.c.digest == digest)).first()
    return None if row is None else _stored(row)


def of_key(tx: Transaction, key: str) -> list[OrderStored]:
    """All orders of an incident, oldest first."""
    return [_stored(row) for row in tx.execute(select(orders).where(orders.c.key == key).order_by(orders.c.seq))]


def every(tx: Transaction) -> list[OrderStored]:
    """All orders, oldest first."""
    return [_stored(row) for row in tx.execute(select(orders).order_by(orders.c.seq))]


def keys_since(tx: Transaction, since_ms: int, limit: int) -> list[str]:
    """Incidents by their newest request, newest first."""
    newest = func.max(orders.c.requested_at_ms)
    query = select(orders.c.key).where(orders.c.requested_at_ms >= since_ms).group_by(orders.c.key).order_by(newest.desc())
    return list(tx.execute(query.limit(limit)).scalars())


def rows_of(tx: Transaction, digests: list[str]) -> list[OrderRow]:
    """How far these orders got, on every node."""
    query = select(order_nodes).where(order_nodes.c.digest.in_(digests))
    return [
        OrderRow(
            digest=row.digest,
            node=row.node,
            state=row.state,
            reason=row.reason,
            sent_ms=row.sent_ms,
            received_ms=row.received_ms,
            sounding_ms=row.sounding_ms,
            spoken_ms=row.spoken_ms,
            ended_ms=row.ended_ms,
            offers=row.offers,
        )
        for row in tx.execute(query)
    ]


def words_of(tx: Transaction, digests: list[str]) -> list[Word]:
    """The sealed receipts behind these orders' rows."""
    return [
        Word(digest=row.digest, node=row.node, state=row.state, raw=row.raw)
        for row in tx.execute(select(receipts).where(receipts.c.digest.in_(digests)))
    ]


def take_result(tx: Transaction, node: str, result: OrderResult, now_ms: int, word: bytes) -> str | None:
    """Put a receipt's result into the node's row, and keep the sealed `word` that told it beside.

    Returns the incident's key if that changed anything.
    """
    if result.order_seq is None:
        return None
    named = orders.c.digest == result.digest if result.digest else orders.c.incident.is_not_distinct_from(result.incident)
    query = (
        select(orders.c.digest, orders.c.key, order_nodes.c.state, order_nodes.c.received_ms)
        .join(order_nodes, order_nodes.c.digest == orders.c.digest)
        .where(orders.c.seq == result.order_seq, named, order_nodes.c.node == node)
        .order_by(orders.c.op)
    )
    row = tx.execute(query).first()
    if row is None:
        return None
    this = (order_nodes.c.digest == row.digest) & (order_nodes.c.node == node)
    # a card that could not take it, or a node that a key floods, may take it later: it stays on offer until its time is over
    if not (result.result == "refused" and result.reason.startswith(TAKEN_LATER)):
        tx.execute(update(order_nodes).where(this).values(next_offer_ms=None))
    change = advance(row.state, result.result)
    values: dict[str, Any] = {}
    told = []
    if change is not None:
        values = {"state": change.state, "reason": result.reason, change.column: result.at_ms}
        if row.received_ms is None:
            values["received_ms"] = now_ms if change.column != "received_ms" else result.at_ms
        told.append(change.state)
    if result.spoken_at_ms is not None and (change is not None or result.result == "sounding"):
        values["spoken_ms"] = result.spoken_at_ms
        told.append(SPOKEN)
    if not values:
        return None
    tx.execute(update(order_nodes).where(this).values(values))
    for state in told:
        these = (receipts.c.digest == row.digest) & (receipts.c.node == node) & (receipts.c.state == state)
        tx.execute(delete(receipts).where(these))
        tx.execute(insert(receipts).values(digest=row.digest, node=node, state=state, raw=word))
    return str(row.key)


def _offers(tx: Transaction, condition: Any, limit: int) -> list[Offer]:
    query = (
        select(orders, order_nodes.c.node, order_nodes.c.offers, order_nodes.c.state, order_nodes.c.reason)
        .join(order_nodes, order_nodes.c.digest == orders.c.digest)
        .where(order_nodes.c.next_offer_ms.is_not(None), condition)
        .order_by(orders.c.seq)
        .limit(limit)
    )
    return [
        Offer(node=row.node, order=_stored(row), offers=row.offers, state=row.state, reason=row.reason)
        for row in tx.execute(query)
    ]


def due_offers(tx: Transaction, now_ms: int, limit: int) -> list[Offer]:
    """Offers whose time has come, for nodes that are not known to be lost; each is put off to its next time."""
    reachable = exists().where(nodes.c.id == order_nodes.c.node, nodes.c.online.in_(("online", "unknown")))
    found = _offers(tx, and_(order_nodes.c.next_offer_ms <= now_ms, reachable), limit)
    return [offer for offer in found if _put_off(tx, offer, now_ms)]


def offers_for(tx: Transaction, node: str, world: World, now_ms: int) -> list[Offer]:
    """All that this node has not answered, offered because it just said hello; late joiners get their rows here."""
    covering = select(node_areas.c.area).where(node_areas.c.node == node)
    alive = or_(
        and_(orders.c.op == "START", orders.c.accept_until_ms > now_ms),
        and_(orders.c.op != "START", orders.c.seq > now_ms - STOP_KEPT_MS),
    )
    has_row = exists().where(order_nodes.c.digest == orders.c.digest, order_nodes.c.node == node)
    missed = select(orders).where(orders.c.area.in_(covering), alive, ~orders.c.reseal, ~has_row).order_by(orders.c.seq)
    for row in tx.execute(missed).all():
        tx.execute(insert(order_nodes).values(digest=row.digest, node=node, next_offer_ms=now_ms))
        close_replaced(tx, _stored(row).mark, world)
    if world.trust.has_void:
        close_void(tx, world.trust, world, Clock(now_ms, "good"))
    return [offer for offer in _offers(tx, order_nodes.c.node == node, 100) if _put_off(tx, offer, now_ms)]


def _put_off(tx: Transaction, offer: Offer, now_ms: int) -> bool:
    """Count the offer and set its next time; close it when its time is over. Returns whether it is to be made now."""
    this = (order_nodes.c.digest == offer.order.mark.digest) & (order_nodes.c.node == offer.node)
    if offer.order.offered_until_ms <= now_ms:
        tx.execute(update(order_nodes).where(this).values(next_offer_ms=None))
        return False
    following = next_offer_ms(offer.order.requested_at_ms, now_ms)
    state = {"state": "sent", "sent_ms": now_ms} if offer.state == "none" else {}
    tx.execute(update(order_nodes).where(this).values(offers=offer.offers + 1, next_offer_ms=following, **state))
    return True


def next_due_ms(tx: Transaction) -> int | None:
    """When the next offer to a node that can be reached is due."""
    reachable = exists().where(nodes.c.id == order_nodes.c.node, nodes.c.online.in_(("online", "unknown")))
    return tx.execute(select(func.min(order_nodes.c.next_offer_ms)).where(reachable)).scalar()


def retained_stops(tx: Transaction, now_ms: int) -> list[OrderStored]:
    """The STOPs and LIFTs that the broker should hold, oldest first (of one topic the newest counts)."""
    query = select(orders).where(orders.c.op != "START", orders.c.seq > now_ms - STOP_KEPT_MS).order_by(orders.c.seq)
    return [_stored(row) for row in tx.execute(query)]


def highest_seq(tx: Transaction, area: str) -> int:
    """The highest sequence of an order for this area."""
    return tx.execute(select(func.max(orders.c.seq)).where(orders.c.area == area)).scalar() or 0


def without_clock(tx: Transaction, now_ms: int) -> list[tuple[Offer, str]]:
    """For each node that has no clock and each incident, the newest START that may still be accepted; and the node's nonce."""
    query = (
        select(orders, order_nodes.c.node, order_nodes.c.offers, order_nodes.c.state, order_nodes.c.reason, nodes.c.nonce)
        .join(order_nodes, order_nodes.c.digest == orders.c.digest)
        .join(nodes, nodes.c.id == order_nodes.c.node)
        .where(orders.c.op == "START", orders.c.accept_until_ms > now_ms)
        .where(nodes.c.clock_state == "unknown", nodes.c.nonce.is_not(None), nodes.c.online == "online")
        .order_by(orders.c.seq)
    )
    newest = {(row.node, row.key): row for row in tx.execute(query)}
    return [
        (Offer(node=row.node, order=_stored(row), offers=row.offers, state=row.state, reason=row.reason), row.nonce)
        for row in newest.values()
    ]


def starts_for(tx: Transaction, node: str, now_ms: int) -> list[bytes]:
    """The STARTs on a node that may still be accepted or sound."""
    alive = or_(orders.c.accept_until_ms > now_ms, order_nodes.c.state.in_(("received", "sounding")))
    query = (
        select(orders.c.raw)
        .join(order_nodes, order_nodes.c.digest == orders.c.digest)
        .where(order_nodes.c.node == node, orders.c.op == "START", alive)
    )
    return list(tx.execute(query).scalars())


def sounding_now(tx: Transaction, since_ms: int) -> dict[str, str]:
    """Which incident sounds on which node, as far as receipts tell."""
    query = (
        select(order_nodes.c.node, orders.c.key)
        .join(orders, orders.c.digest == order_nodes.c.digest)
        .where(order_nodes.c.state == "sounding", orders.c.requested_at_ms > since_ms)
        .order_by(orders.c.seq)
    )
    return {row.node: row.key for row in tx.execute(query)}
