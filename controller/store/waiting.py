"""Orders that one person has signed and that wait for another: few, and not for long."""

from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import delete, func, insert, select, update

from controller.store.database import Transaction
from controller.store.schema import waiting

_TEXTS: Final = msgspec.json.Decoder(tuple[str, ...])


class Waiting(Struct, frozen=True, kw_only=True):
    """The orders of one act, each with the signatures that it has so far; `persons` of them different."""

    id: str
    op: str
    kind: str
    areas: tuple[str, ...]
    raws: tuple[bytes, ...]
    persons: int
    created_by: str
    created_ms: int
    expires_ms: int


def _of(row: Any) -> Waiting:
    return Waiting(
        id=row.id,
        op=row.op,
        kind=row.kind,
        areas=_TEXTS.decode(row.areas),
        raws=tuple(text.encode() for text in _TEXTS.decode(row.raws)),
        persons=row.persons,
        created_by=row.created_by,
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
    )


def _packed(raws: tuple[bytes, ...]) -> bytes:
    return msgspec.json.encode([raw.decode() for raw in raws])


def put(tx: Transaction, one: Waiting) -> None:
    """Keep one."""
    fields = msgspec.structs.asdict(one) | {"areas": msgspec.json.encode(one.areas).decode(), "raws": _packed(one.raws)}
    tx.execute(insert(waiting).values(fields))


def signed_by_more(tx: Transaction, waiting_id: str, raws: tuple[bytes, ...], persons: int) -> None:
    """One person more has signed, and it still is too few."""
    tx.execute(update(waiting).where(waiting.c.id == waiting_id).values(raws=_packed(raws), persons=persons))


def count(tx: Transaction, created_by: str | None = None) -> int:
    """How many wait, of one person or of all."""
    query = select(func.count()).select_from(waiting)
    return tx.execute(query if created_by is None else query.where(waiting.c.created_by == created_by)).scalar() or 0


def find(tx: Transaction, waiting_id: str, now_ms: int) -> Waiting | None:
    """One that still waits."""
    row = tx.execute(select(waiting).where(waiting.c.id == waiting_id, waiting.c.expires_ms > now_ms)).first()
    return None if row is None else _of(row)


def list_all(tx: Transaction, now_ms: int) -> list[Waiting]:
    """All that wait, oldest first."""
    rows = tx.execute(select(waiting).where(waiting.c.expires_ms > now_ms).order_by(waiting.c.created_ms))
    return [_of(row) for row in rows]


def drop(tx: Transaction, waiting_id: str) -> bool:
    """Forget one. Returns whether it was there."""
    return tx.execute(delete(waiting).where(waiting.c.id == waiting_id)).rowcount > 0


def sweep(tx: Transaction, now_ms: int) -> None:
    """Forget what has waited too long."""
    tx.execute(delete(waiting).where(waiting.c.expires_ms <= now_ms))
