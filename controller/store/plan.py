"""What a report of plan against plays reads: every version of programmes and placements, and the records of one node."""

from typing import Any, Final

from msgspec import Struct
from sqlalchemy import and_, select, tuple_

from controller.core.plan_history import Version
from controller.core.plan_judging import Play
from controller.store.database import Transaction
from controller.store.schema import documents, nodes, plays
from protocol.seen import Slot

_PLAY: Final = tuple(plays.c[name] for name in Play.__struct_fields__)


class NodeRow(Struct, frozen=True, kw_only=True):
    """A node that is or was enrolled here."""

    id: str
    name: str
    settlement: str
    retired_ms: int | None
    online: str
    birth: int
    last_heard_ms: int | None
    record_epoch: int
    records_upto: int


def versions(tx: Transaction) -> list[Version]:
    """Every programme that was ever stored, without its bytes."""
    columns = (
        documents.c.digest,
        documents.c.subject,
        documents.c.slot_authority,
        documents.c.created_ms,
        documents.c.valid_from_ms,
        documents.c.valid_until_ms,
        documents.c.in_force,
    )
    query = select(*columns).where(documents.c.kind == "programme").order_by(documents.c.created_ms, documents.c.seq)
    return [
        Version(
            digest=row.digest,
            slot=Slot("programme", row.subject, row.slot_authority),
            stored_ms=row.created_ms,
            valid_from_ms=row.valid_from_ms,
            valid_until_ms=row.valid_until_ms,
            in_force=row.in_force,
        )
        for row in tx.execute(query)
    ]


def powers_changed(tx: Transaction) -> list[tuple[int, str]]:
    """When roots and grants were stored, and whose: `root`, or the grant's area."""
    these = documents.c.kind.in_(("root", "grant"))
    query = select(documents.c.created_ms, documents.c.kind, documents.c.subject).where(these).order_by(documents.c.created_ms)
    return [(row.created_ms, "root" if row.kind == "root" else row.subject) for row in tx.execute(query)]


def placements(tx: Transaction) -> list[tuple[int, bytes]]:
    """Every placement that was ever stored: when, and its sealed bytes."""
    query = select(documents.c.created_ms, documents.c.raw).where(documents.c.kind == "placement")
    return [(row.created_ms, row.raw) for row in tx.execute(query.order_by(documents.c.created_ms, documents.c.seq))]


def raws(tx: Transaction, digests: set[str]) -> dict[str, bytes]:
    """The sealed bytes of some documents."""
    found: dict[str, bytes] = {}
    wanted = sorted(digests)
    for begin in range(0, len(wanted), 500):
        these = documents.c.digest.in_(wanted[begin : begin + 500])
        found.update((row.digest, row.raw) for row in tx.execute(select(documents.c.digest, documents.c.raw).where(these)))
    return found


def node_rows(tx: Transaction) -> list[NodeRow]:
    """Every node, the retired too."""
    columns = [nodes.c[name] for name in NodeRow.__struct_fields__]
    return [NodeRow(**row._mapping) for row in tx.execute(select(*columns))]  # noqa: SLF001  by name, not by place


def records(tx: Transaction, node: str, from_ms: int, to_ms: int) -> list[Play]:
    """A node's records from the first to the last that were planned in a span of time, by number, with one before and one after.

    Between them stand all, whenever planned, so that their numbers show what is lacking.
    """
    inside = and_(plays.c.node == node, plays.c.planned_ms >= from_ms, plays.c.planned_ms < to_ms)
    first = _number(tx, inside, last=False)
    last = _number(tx, inside, last=True)
    if first is None or last is None:
        # a lost record's time is not known: it is told as 0
        earlier = and_(plays.c.node == node, plays.c.planned_ms < from_ms, plays.c.planned_ms > 0)
        first = last = _number(tx, earlier, last=True) or (0, 0)
    # compared as a pair, the primary key serves as the index
    this, number = plays.c.node == node, tuple_(plays.c.epoch, plays.c.record_id)
    before = _number(tx, and_(this, number < first), last=True) or first
    after = _number(tx, and_(this, number > last), last=False) or last
    between = and_(this, number >= before, number <= after)
    query = select(*_PLAY).where(between).order_by(plays.c.epoch, plays.c.record_id)
    return [Play(*row) for row in tx.execute(query)]


def _number(tx: Transaction, these: Any, *, last: bool) -> tuple[int, int] | None:
    order = [plays.c.epoch.desc(), plays.c.record_id.desc()] if last else [plays.c.epoch, plays.c.record_id]
    row = tx.execute(select(plays.c.epoch, plays.c.record_id).where(these).order_by(*order).limit(1)).first()
    return None if row is None else (row.epoch, row.record_id)
