"""Rollouts and where each of their nodes stands; what of it the broker should keep on the nodes' topics."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Row, and_, insert, select, update

from controller.core.rollout import Bounds, Member, Rollout
from controller.store.database import Transaction
from controller.store.schema import documents, nodes, rollout_nodes, rollouts

_ACCEPTED: Final = msgspec.json.Decoder(frozenset[str])
_BOUNDS: Final = msgspec.json.Decoder(Bounds)


class RolloutStored(Struct, frozen=True, kw_only=True):
    """A rollout as the database has it: of what, for which area, by whom."""

    id: int
    area: str
    started_by: str
    rollout: Rollout


def add(tx: Transaction, rollout: Rollout, area: str, started_by: str) -> int:
    """Store a new one, with its nodes. Returns its number."""
    values = _values(rollout) | {
        "release": rollout.release,
        "area": area,
        "bounds": msgspec.json.encode(rollout.bounds).decode(),
        "started_ms": rollout.started_ms,
        "started_by": started_by,
    }
    key = tx.execute(insert(rollouts).values(values)).inserted_primary_key
    number = int(key[0]) if key else 0
    rows = [
        {"rollout": number, "node": node, "wave": wave, "place": place} | _member(rollout.members[node])
        for wave, nodes in enumerate(rollout.waves)
        for place, node in enumerate(nodes)
    ]
    tx.execute(insert(rollout_nodes), rows)
    return number


def save(tx: Transaction, number: int, before: Rollout, after: Rollout) -> None:
    """Store what changed."""
    if _values(before) != _values(after):
        tx.execute(update(rollouts).where(rollouts.c.id == number).values(_values(after)))
    for node, member in after.members.items():
        if member != before.members[node]:
            tx.execute(update(rollout_nodes).where(_row(number, node)).values(_member(member)))


def put_on_topic(tx: Transaction, number: int, nodes: Iterable[str]) -> None:
    """The release of this rollout is on these nodes' topics now, and no other."""
    for node in nodes:
        tx.execute(update(rollout_nodes).where(rollout_nodes.c.node == node).values(on_topic=False))
        tx.execute(update(rollout_nodes).where(_row(number, node)).values(on_topic=True))


def take_off_topic(tx: Transaction, nodes: Iterable[str]) -> None:
    """Nothing is on these nodes' topics any more."""
    for node in nodes:
        tx.execute(update(rollout_nodes).where(rollout_nodes.c.node == node).values(on_topic=False))


def on_topics(tx: Transaction) -> dict[str, bytes]:
    """What the broker should keep for each node."""
    query = (
        select(rollout_nodes.c.node, documents.c.raw)
        .join(rollouts, rollouts.c.id == rollout_nodes.c.rollout)
        .join(documents, documents.c.digest == rollouts.c.release)
        .join(nodes, nodes.c.id == rollout_nodes.c.node)
        .where(rollout_nodes.c.on_topic, nodes.c.retired_ms.is_(None))
    )
    return {row.node: row.raw for row in tx.execute(query)}


def offered_to(tx: Transaction, node: str) -> list[bytes]:
    """The releases that a node was offered and may fetch: that on its topic, and those it is busy with."""
    query = (
        select(documents.c.raw)
        .join(rollouts, rollouts.c.release == documents.c.digest)
        .join(rollout_nodes, rollout_nodes.c.rollout == rollouts.c.id)
        .where(rollout_nodes.c.node == node, rollout_nodes.c.on_topic | (rollout_nodes.c.stand == "begun"))
    )
    return list(tx.execute(query).scalars())


def live_numbers(tx: Transaction) -> list[int]:
    """The rollouts that are not over, oldest first."""
    return list(tx.execute(select(rollouts.c.id).where(rollouts.c.ended_ms.is_(None)).order_by(rollouts.c.id)).scalars())


def all_numbers(tx: Transaction) -> list[int]:
    """Every rollout, newest first."""
    return list(tx.execute(select(rollouts.c.id).order_by(rollouts.c.id.desc())).scalars())


def busy_with(tx: Transaction, nodes: Iterable[str]) -> dict[str, int]:
    """Of these nodes, those that another rollout has not ended with, and its number."""
    query = (
        select(rollout_nodes.c.node, rollout_nodes.c.rollout)
        .join(rollouts, rollouts.c.id == rollout_nodes.c.rollout)
        .where(rollouts.c.ended_ms.is_(None), rollout_nodes.c.stand.in_(("open", "offered", "begun")))
    )
    wanted = set(nodes)
    return {row.node: row.rollout for row in tx.execute(query) if row.node in wanted}


def one(tx: Transaction, number: int) -> RolloutStored | None:
    """One rollout."""
    row = tx.execute(select(rollouts).where(rollouts.c.id == number)).first()
    if row is None:
        return None
    order = (rollout_nodes.c.wave, rollout_nodes.c.place)
    rows = list(tx.execute(select(rollout_nodes).where(rollout_nodes.c.rollout == number).order_by(*order)))
    waves: dict[int, list[str]] = {}
    for each in rows:
        waves.setdefault(each.wave, []).append(each.node)
    rollout = Rollout(
        release=row.release,
        bounds=_BOUNDS.decode(row.bounds),
        waves=tuple(tuple(nodes) for nodes in waves.values()),
        members={each.node: _member_of(each) for each in rows},
        started_ms=row.started_ms,
        wave_begun_ms=row.wave_begun_ms,
        phase=row.phase,
        wave=row.wave,
        why=row.why,
        accepted=_ACCEPTED.decode(row.accepted),
        ended_ms=row.ended_ms,
    )
    return RolloutStored(id=row.id, area=row.area, started_by=row.started_by, rollout=rollout)


def _row(number: int, node: str) -> Any:
    return and_(rollout_nodes.c.rollout == number, rollout_nodes.c.node == node)


def _values(rollout: Rollout) -> dict[str, Any]:
    return {
        "phase": rollout.phase,
        "wave": rollout.wave,
        "wave_begun_ms": rollout.wave_begun_ms,
        "why": rollout.why,
        "accepted": msgspec.json.encode(sorted(rollout.accepted)).decode(),
        "ended_ms": rollout.ended_ms,
    }


def _member(member: Member) -> dict[str, Any]:
    return msgspec.structs.asdict(member)


def _member_of(row: Row[Any]) -> Member:
    return Member(
        stand=row.stand,
        since_ms=row.since_ms,
        state=row.state,
        reason=row.reason,
        bytes_done=row.bytes_done,
        bytes_of=row.bytes_of,
    )
