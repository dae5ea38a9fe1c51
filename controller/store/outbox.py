"""What is to be published, written in the transaction that decided it; sent means the broker acknowledged it."""

from typing import Final

from msgspec import Struct, structs
from sqlalchemy import delete, func, insert, select, update

from controller.store.database import Transaction
from controller.store.schema import outbox

ORDER_RANK: Final = 0
DOCUMENT_RANK: Final = 1
REPUBLISH_RANK: Final = 2
BATCH: Final = 100


class Parcel(Struct, frozen=True, kw_only=True):
    """One publication. `digest` is that of the order it carries."""

    topic: str
    payload: bytes
    rank: int
    retain: bool = False
    expires_ms: int | None = None
    digest: str | None = None
    id: int = 0


def put(tx: Transaction, parcels: list[Parcel], now_ms: int) -> list[Parcel]:
    """Add to what is to be sent. Returns the parcels with their ids."""
    stored = []
    for parcel in parcels:
        made = tx.execute(
            insert(outbox).values(
                rank=parcel.rank,
                topic=parcel.topic,
                payload=parcel.payload,
                retain=parcel.retain,
                expires_ms=parcel.expires_ms,
                digest=parcel.digest,
                created_ms=now_ms,
            )
        )
        key = made.inserted_primary_key
        stored.append(structs.replace(parcel, id=int(key[0]) if key else 0))
    return stored


def unsent(tx: Transaction, now_ms: int) -> list[Parcel]:
    """The next to be sent, orders before documents, oldest first; what expired meanwhile is closed unsent."""
    late = (outbox.c.sent_ms.is_(None)) & (outbox.c.expires_ms <= now_ms)
    tx.execute(update(outbox).where(late).values(sent_ms=0))
    query = select(outbox).where(outbox.c.sent_ms.is_(None)).order_by(outbox.c.rank, outbox.c.id).limit(BATCH)
    return [
        Parcel(
            id=row.id,
            topic=row.topic,
            payload=row.payload,
            rank=row.rank,
            retain=row.retain,
            expires_ms=row.expires_ms,
            digest=row.digest,
        )
        for row in tx.execute(query)
    ]


def sent(tx: Transaction, ids: list[int], now_ms: int) -> None:
    """The broker acknowledged these."""
    tx.execute(update(outbox).where(outbox.c.id.in_(ids)).values(sent_ms=now_ms))


def waiting(tx: Transaction) -> int:
    """How many are still to be sent."""
    return tx.execute(select(func.count()).select_from(outbox).where(outbox.c.sent_ms.is_(None))).scalar_one()


def prune(tx: Transaction, before_ms: int) -> None:
    """Forget what was sent long ago."""
    tx.execute(delete(outbox).where(outbox.c.sent_ms.is_not(None) & (outbox.c.created_ms < before_ms)))
