"""What tells a node from its copies, as the database keeps it."""

from typing import Final

import msgspec
from sqlalchemy import select, update

from controller.core.fleet import NodeState
from controller.core.identity import Finding, Known, Life, judge, taken_over
from controller.store.database import Transaction
from controller.store.schema import nodes
from protocol.reports import BIRTHS_A_BOOT, Hello

_LIVES: Final = msgspec.json.Decoder(tuple[Life, ...])
_TURNS: Final = msgspec.json.Decoder(tuple[int, ...])


def weigh(tx: Transaction, known: NodeState, hello: Hello, last_record: int) -> Finding:
    """Compare a hello with what is known, and keep what it shows. An alarm stays until somebody settles it."""
    row = tx.execute(select(nodes.c.lives, nodes.c.orders_held, nodes.c.birth).where(nodes.c.id == known.id)).one()
    before = Known(
        lives=_LIVES.decode(row.lives),
        boot_count=known.boot_count,
        device_at_ms=known.device_at_ms or 0,
        last_record=last_record,
        orders_held=row.orders_held,
        troubles=known.troubles,
    )
    found = judge(before, hello)
    if found.stale:
        return found
    values: dict[str, object] = {"lives": msgspec.json.encode(found.lives).decode(), "orders_held": hello.orders}
    if hello.boot_count < known.boot_count and row.birth >= (hello.boot_count + 1) * BIRTHS_A_BOOT:
        values["birth"] = hello.boot_count * BIRTHS_A_BOOT  # or no birth and no death of this life would be believed
    tx.execute(update(nodes).where(nodes.c.id == known.id).values(values))
    return found


def doubt(tx: Transaction, node: str, code: str, why: str, now_ms: int) -> None:
    """Raise the alarm; one that stands already keeps its first time."""
    first = (nodes.c.id == node) & (nodes.c.doubt == "")
    tx.execute(update(nodes).where(first).values(doubt_ms=now_ms))
    tx.execute(update(nodes).where(nodes.c.id == node).values(doubt=code, doubt_why=why))


def turned(tx: Transaction, node: str, now_ms: int) -> bool:
    """A live birth came that is not after the last. Returns whether that makes two holders of one name."""
    turns = _TURNS.decode(tx.execute(select(nodes.c.turns).where(nodes.c.id == node)).scalar_one())
    recent, many = taken_over(turns, now_ms)
    tx.execute(update(nodes).where(nodes.c.id == node).values(turns=msgspec.json.encode(recent).decode()))
    if many:
        doubt(tx, node, "identity-doubled", f"{len(recent)} takeovers of one name within ten minutes", now_ms)
    return many


def settle(tx: Transaction, node: str) -> str:
    """Somebody looked. Returns what the alarm had said."""
    row = tx.execute(select(nodes.c.doubt, nodes.c.doubt_why).where(nodes.c.id == node)).one()
    tx.execute(update(nodes).where(nodes.c.id == node).values(doubt="", doubt_why="", doubt_ms=None, turns="[]"))
    return f"{row.doubt}: {row.doubt_why}" if row.doubt else "nothing was in doubt"
