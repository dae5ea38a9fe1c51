"""What people did (audit) and what was refused (counted by who refused it, why and where)."""

from typing import Final

from sqlalchemy import func, insert, select, update

from controller.actions.views import AuditView, RefusalView
from controller.core.audit_chain import Row
from controller.store import chain
from controller.store.database import Transaction
from controller.store.schema import audit, refusals

COUNTED_BY_NODE: Final = "(counted by the node)"


def note(tx: Transaction, *, at_ms: int, actor: str, via: str, act: str, what: str, detail: str = "") -> None:
    """One line of audit, in the transaction of the act itself, chained to the line before."""
    chain.append(tx, Row(id=0, at_ms=at_ms, actor=actor, via=via, act=act, object=what, detail=detail, hash=""))


def count_refusal(tx: Transaction, *, node: str, reason: str, topic: str, digest: str, at_ms: int) -> None:
    """One more refusal; the newest digest is kept, so that a flood of rubbish stays one row."""
    reason, topic = reason[:300], topic[:200]
    this = (refusals.c.node == node) & (refusals.c.reason == reason) & (refusals.c.topic == topic)
    changed = tx.execute(update(refusals).where(this).values(count=refusals.c.count + 1, last_ms=at_ms, digest=digest)).rowcount
    if not changed:
        values = {"node": node, "reason": reason, "topic": topic, "digest": digest}
        tx.execute(insert(refusals).values(values | {"count": 1, "first_ms": at_ms, "last_ms": at_ms}))


def set_refusals(tx: Transaction, *, node: str, counts: dict[str, int], at_ms: int) -> None:
    """What a node counted itself, as it last said; kept apart from what came with receipts."""
    for reason, count in counts.items():
        this = (refusals.c.node == node) & (refusals.c.reason == reason[:300]) & (refusals.c.topic == COUNTED_BY_NODE)
        if not tx.execute(update(refusals).where(this).values(count=count, last_ms=at_ms)).rowcount:
            values = {"node": node, "reason": reason[:300], "topic": COUNTED_BY_NODE, "digest": ""}
            tx.execute(insert(refusals).values(values | {"count": count, "first_ms": at_ms, "last_ms": at_ms}))


def refusals_by_node(tx: Transaction) -> dict[str, int]:
    """How often each node refused something: by its receipts or by its own count, whichever tells more."""
    own = refusals.c.topic == COUNTED_BY_NODE
    query = select(refusals.c.node, own.label("own"), func.sum(refusals.c.count).label("total")).group_by(refusals.c.node, own)
    totals: dict[str, int] = {}
    for row in tx.execute(query):
        totals[row.node] = max(totals.get(row.node, 0), row.total)
    return totals


def list_refusals(tx: Transaction, node: str | None, limit: int) -> list[RefusalView]:
    """Refusals, newest first."""
    query = select(refusals).order_by(refusals.c.last_ms.desc()).limit(limit)
    if node is not None:
        query = query.where(refusals.c.node == node)
    return [
        RefusalView(
            node=row.node,
            reason=row.reason,
            topic=row.topic,
            digest=row.digest,
            count=row._mapping["count"],  # noqa: SLF001  a row is a tuple: its own `count` hides the column's
            first_ms=row.first_ms,
            last_ms=row.last_ms,
        )
        for row in tx.execute(query)
    ]


def list_audit(tx: Transaction, limit: int) -> list[AuditView]:
    """What people did, newest first."""
    return [
        AuditView(
            id=row.id,
            at_ms=row.at_ms,
            actor=row.actor,
            via=row.via,
            act=row.act,
            object=row.object,
            detail=row.detail,
            hash=row.hash,
        )
        for row in tx.execute(select(audit).order_by(audit.c.id.desc()).limit(limit))
    ]
