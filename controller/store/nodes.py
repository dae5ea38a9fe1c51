"""How nodes are, as they last said: presence, clock, what they hold; and their play records, counted once."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import func, insert, select, update

from controller.actions.views import PlayView
from controller.core.fleet import NodeState
from controller.store import identity
from controller.store.database import Transaction
from controller.store.schema import nodes, plays
from protocol.reports import Alive, Health, Hello, NetworkState, PlayRecord, Receipt, UpdateState

AT_ONCE: Final = 500
"""Names in one question: databases bound them."""
_LIST: Final = msgspec.json.Decoder(tuple[str, ...])


def _state(row: Any) -> NodeState:
    return NodeState(
        id=row.id,
        online=row.online,
        birth=row.birth,
        last_heard_ms=row.last_heard_ms,
        boot_count=row.boot_count,
        nonce=row.nonce,
        previous_nonce=row.previous_nonce,
        clock_state=row.clock_state,
        clock_error_ms=row.clock_error_ms,
        device_at_ms=row.device_at_ms,
        heard_at_ms=row.heard_at_ms,
        holds=_LIST.decode(row.holds),
        troubles=_LIST.decode(row.troubles),
        version=row.version,
        missing_media=row.missing_media,
        amnesia=row.amnesia,
        record_epoch=row.record_epoch,
        records_first=row.records_first,
        records_upto=row.records_upto,
        doubt=row.doubt,
        doubt_why=row.doubt_why,
        doubt_ms=row.doubt_ms,
        model=row.model,
        update=msgspec.json.decode(row.updating, type=UpdateState) if row.updating else None,
        network=msgspec.json.decode(row.network, type=NetworkState) if row.network else None,
    )


def state_of(tx: Transaction, node: str) -> NodeState | None:
    """One node."""
    row = tx.execute(select(nodes).where(nodes.c.id == node)).first()
    return None if row is None else _state(row)


def all_states(tx: Transaction) -> dict[str, NodeState]:
    """Every node that is not retired."""
    return {row.id: _state(row) for row in tx.execute(select(nodes).where(nodes.c.retired_ms.is_(None)))}


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    everyone = list(ids)
    return (everyone[first : first + AT_ONCE] for first in range(0, len(everyone), AT_ONCE))


def states_of(tx: Transaction, ids: Iterable[str]) -> dict[str, NodeState]:
    """Those of these nodes that are not retired."""
    found: dict[str, NodeState] = {}
    for some in _batches(ids):
        rows = tx.execute(select(nodes).where(nodes.c.id.in_(some), nodes.c.retired_ms.is_(None)))
        found |= {row.id: _state(row) for row in rows}
    return found


def presence(tx: Transaction) -> dict[str, int]:
    """How many nodes are online, lost, unknown or were never there."""
    query = select(nodes.c.online, func.count().label("number")).where(nodes.c.retired_ms.is_(None)).group_by(nodes.c.online)
    return {row.online: row.number for row in tx.execute(query)}


def set_model(tx: Transaction, node: str, model: str) -> None:
    """What kind of machine it is (RAUC's `compatible`): releases for others are not for it."""
    tx.execute(update(nodes).where(nodes.c.id == node).values(model=model))


def nonces_without_clock(tx: Transaction) -> dict[str, str]:
    """The nonces of nodes that have no clock and are there."""
    these = (nodes.c.clock_state == "unknown") & nodes.c.nonce.is_not(None) & (nodes.c.online == "online")
    return {row.id: row.nonce for row in tx.execute(select(nodes.c.id, nodes.c.nonce).where(these))}


def heard(tx: Transaction, report: Hello | Receipt, now_ms: int) -> None:
    """A sealed report came: the node lives, and this is its clock. How far that can be off, only health says of each state."""
    another = (nodes.c.id == report.node) & (nodes.c.clock_state != report.clock_state)
    tx.execute(update(nodes).where(another).values(clock_error_ms=None))
    values = {
        "online": "online",
        "last_heard_ms": now_ms,
        "heard_at_ms": now_ms,
        "device_at_ms": report.at_ms,
        "clock_state": report.clock_state,
    }
    if isinstance(report, Hello):
        values["boot_count"] = report.boot_count
    tx.execute(update(nodes).where(nodes.c.id == report.node).values(values))


def take_hello(tx: Transaction, hello: Hello, *, late: bool = False) -> NodeState | None:
    """What the node holds. A lost memory that numbers its records anew begins a new epoch of them.

    A late copy of an older hello proves no loss: since then this memory may have told its first plays.
    """
    known = state_of(tx, hello.node)
    if known is None:
        return None
    # a first boot is new, not lost; lost it is when it knows less of its own records than we do. A restored card knows less too
    forgot = not late and hello.last_record_id < last_counted(tx, known)
    lost = hello.amnesia and (known.amnesia or forgot)
    values: dict[str, Any] = {
        "nonce": hello.nonce,
        "previous_nonce": hello.previous_nonce,
        "holds": msgspec.json.encode([held.digest for held in hello.holds]).decode(),
        "troubles": msgspec.json.encode(hello.troubles).decode(),
        "version": hello.version,
        "missing_media": hello.missing_media,
        "network": "" if hello.network is None else msgspec.json.encode(hello.network).decode(),
        "amnesia": lost,
        "records_first": max(hello.first_record_id, 1),
    }
    if forgot:
        upto = 0 if hello.amnesia else min(known.records_upto, hello.last_record_id)
        values |= {"record_epoch": known.record_epoch + 1, "records_upto": upto}
    tx.execute(update(nodes).where(nodes.c.id == hello.node).values(values))
    return state_of(tx, hello.node)


def last_counted(tx: Transaction, known: NodeState) -> int:
    """The highest number that was stored of a node's present memory, beyond gaps too."""
    these = (plays.c.node == known.id) & (plays.c.epoch == known.record_epoch)
    return max(known.records_upto, tx.execute(select(func.max(plays.c.record_id)).where(these)).scalar() or 0)


def take_alive(tx: Transaction, alive: Alive, now_ms: int, *, believed: bool) -> bool:
    """Birth or death. An older birth's death is ignored. `believed` is False for a birth that the broker only remembered.

    Returns whether the node's presence changed.
    """
    known = tx.execute(select(nodes.c.online, nodes.c.birth).where(nodes.c.id == alive.node)).first()
    if known is None:
        return False
    twice = alive.online and believed and alive.birth <= known.birth
    if twice and identity.turned(tx, alive.node, now_ms):
        return True
    if alive.birth < known.birth:
        return False
    if alive.online and not believed:
        never = (nodes.c.id == alive.node) & (nodes.c.online == "never")
        tx.execute(update(nodes).where(nodes.c.id == alive.node).values(birth=alive.birth))
        return bool(tx.execute(update(nodes).where(never).values(online="unknown")).rowcount)
    online = "online" if alive.online else "lost"
    values: dict[str, Any] = {"online": online, "birth": alive.birth}
    if alive.online:
        values["last_heard_ms"] = now_ms
    tx.execute(update(nodes).where(nodes.c.id == alive.node).values(values))
    return bool(online != known.online)


def take_health(tx: Transaction, health: Health, now_ms: int) -> bool:
    """Troubles as last told. Returns whether the node is known."""
    values = {
        "troubles": msgspec.json.encode(health.troubles).decode(),
        "online": "online",
        "last_heard_ms": now_ms,
        "heard_at_ms": now_ms,
        "device_at_ms": health.at_ms,
        "clock_state": health.clock_state,
        "clock_error_ms": health.clock_error_ms,
        "updating": msgspec.json.encode(health.update).decode() if health.update is not None else "",
    }
    return bool(tx.execute(update(nodes).where(nodes.c.id == health.node).values(values)).rowcount)


def believe_births(tx: Transaction, births: dict[str, int], since_ms: int) -> list[str]:
    """Remembered births of nodes heard or born since: unknown becomes online. Returns those that changed."""
    changed = []
    for node, birth in births.items():
        this = (nodes.c.id == node) & (nodes.c.birth == birth) & (nodes.c.online == "unknown")
        if birth < since_ms:
            this &= nodes.c.last_heard_ms >= since_ms
        if tx.execute(update(nodes).where(this).values(online="online")).rowcount:
            changed.append(node)
    return changed


def all_unknown(tx: Transaction) -> None:
    """The link to the broker is gone: of no node can it be said that it is there."""
    tx.execute(update(nodes).where(nodes.c.online == "online").values(online="unknown"))


def take_plays(tx: Transaction, node: str, records: tuple[PlayRecord, ...], now_ms: int) -> int:
    """Store play records, each once, and return up to which one there is no gap."""
    known = tx.execute(select(nodes.c.record_epoch, nodes.c.records_first, nodes.c.records_upto).where(nodes.c.id == node)).one()
    epoch, upto = known.record_epoch, max(known.records_upto, known.records_first - 1)
    for record in records:
        if (same := _is_told(tx, node, epoch, record)) is True:
            continue
        if same is False:
            identity.doubt(tx, node, "identity-restored", f"play record {record.record_id} was told twice, as two plays", now_ms)
            epoch, upto = epoch + 1, record.record_id - 1
        values = msgspec.structs.asdict(record) | {"node": node, "epoch": epoch, "stored_ms": now_ms}
        tx.execute(insert(plays).values(values))
    following = (
        select(plays.c.record_id)
        .where(plays.c.node == node, plays.c.epoch == epoch, plays.c.record_id > upto)
        .order_by(plays.c.record_id)
    )
    for number in tx.execute(following).scalars():
        if number != upto + 1:
            break
        upto = number
    tx.execute(update(nodes).where(nodes.c.id == node).values(records_upto=upto, record_epoch=epoch))
    return int(upto)


def _is_told(tx: Transaction, node: str, epoch: int, record: PlayRecord) -> bool | None:
    """Whether this number stands for this play already (True), for another (False), or for none (None).

    A record that the card lost is told as lost under its old number; that is no other play.
    """
    this = (plays.c.node == node) & (plays.c.epoch == epoch) & (plays.c.record_id == record.record_id)
    row = tx.execute(select(plays.c.digest, plays.c.item, plays.c.planned_ms).where(this)).first()
    if row is None:
        return None
    lost = "lost" in (record.item, row.item)
    return lost or (row.digest, row.item, row.planned_ms) == (record.digest, record.item, record.planned_ms)


def list_plays(tx: Transaction, node: str | None, since_ms: int, until_ms: int | None, limit: int) -> list[PlayView]:
    """Plays by their planned time, newest first."""
    query = select(plays).where(plays.c.planned_ms >= since_ms).order_by(plays.c.planned_ms.desc(), plays.c.record_id.desc())
    if until_ms is not None:
        query = query.where(plays.c.planned_ms < until_ms)
    if node is not None:
        query = query.where(plays.c.node == node)
    names = PlayView.__struct_fields__
    return [PlayView(**{name: row._mapping[name] for name in names}) for row in tx.execute(query.limit(limit))]  # noqa: SLF001  by name, not by place
