"""Sealed documents: all that ever came in, and which of each slot is in force."""

from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Row, func, insert, select, update

from controller.actions.views import DocumentView
from controller.store.database import Transaction
from controller.store.schema import documents
from protocol.seen import Slot

_LIST: Final = msgspec.json.Decoder(tuple[str, ...])


class DocumentStored(Struct, frozen=True, kw_only=True):
    """A document as the database has it."""

    digest: str
    slot: Slot
    authority: str
    seq: int
    raw: bytes
    keyids: tuple[str, ...]
    persons: tuple[str, ...]
    valid_from_ms: int
    valid_until_ms: int
    created_by: str
    in_force: bool = True


def _stored(row: Row[Any]) -> DocumentStored:
    return DocumentStored(
        digest=row.digest,
        slot=Slot(row.kind, row.subject, row.slot_authority),
        authority=row.authority,
        seq=row.seq,
        raw=row.raw,
        keyids=_LIST.decode(row.keyids),
        persons=_LIST.decode(row.persons),
        valid_from_ms=row.valid_from_ms,
        valid_until_ms=row.valid_until_ms,
        created_by=row.created_by,
        in_force=row.in_force,
    )


def _in(slot: Slot) -> Any:
    return (
        (documents.c.kind == slot.kind) & (documents.c.subject == slot.subject) & (documents.c.slot_authority == slot.authority)
    )


def add(tx: Transaction, document: DocumentStored, now_ms: int) -> None:
    """Store a document and put it in force instead of what was."""
    tx.execute(update(documents).where(_in(document.slot)).values(in_force=False))
    tx.execute(
        insert(documents).values(
            digest=document.digest,
            kind=document.slot.kind,
            subject=document.slot.subject,
            slot_authority=document.slot.authority,
            authority=document.authority,
            seq=document.seq,
            raw=document.raw,
            keyids=msgspec.json.encode(document.keyids).decode(),
            persons=msgspec.json.encode(document.persons).decode(),
            in_force=True,
            valid_from_ms=document.valid_from_ms,
            valid_until_ms=document.valid_until_ms,
            created_ms=now_ms,
            created_by=document.created_by,
        )
    )


def put_in_force(tx: Transaction, slot: Slot, digest: str | None) -> None:
    """Another stored document of the slot takes force again, or none does."""
    tx.execute(update(documents).where(_in(slot)).values(in_force=False))
    if digest is not None:
        tx.execute(update(documents).where(documents.c.digest == digest).values(in_force=True))


def of_authority(tx: Transaction, authority: str) -> list[DocumentStored]:
    """Every document signed under a grant (or the root), the newest of each slot first."""
    query = select(documents).where(documents.c.authority == authority)
    return [_stored(row) for row in tx.execute(query.order_by(documents.c.seq.desc(), documents.c.digest.desc()))]


def of_slot(tx: Transaction, slot: Slot) -> list[DocumentStored]:
    """Every document of a slot, newest first."""
    query = select(documents).where(_in(slot)).order_by(documents.c.seq.desc(), documents.c.digest.desc())
    return [_stored(row) for row in tx.execute(query)]


def raws(tx: Transaction, kind: str) -> list[bytes]:
    """Every document of a kind, in force or not, as it was sealed."""
    return list(tx.execute(select(documents.c.raw).where(documents.c.kind == kind).order_by(documents.c.seq)).scalars())


def by_digest(tx: Transaction, digest: str) -> DocumentStored | None:
    """One document."""
    row = tx.execute(select(documents).where(documents.c.digest == digest)).first()
    return None if row is None else _stored(row)


def highest_seq(tx: Transaction, slot: Slot) -> int:
    """The highest sequence that was ever stored in a slot."""
    return tx.execute(select(func.max(documents.c.seq)).where(_in(slot))).scalar() or 0


def list_views(tx: Transaction, *, in_force: bool) -> list[DocumentView]:
    """Documents by kind and subject."""
    query = select(documents).order_by(documents.c.kind, documents.c.subject, documents.c.seq.desc())
    if in_force:
        query = query.where(documents.c.in_force)
    return [
        DocumentView(
            digest=row.digest,
            kind=row.kind,
            subject=row.subject,
            authority=row.authority,
            seq=row.seq,
            in_force=row.in_force,
            valid_from_ms=row.valid_from_ms,
            valid_until_ms=row.valid_until_ms,
            persons=_LIST.decode(row.persons),
            created_ms=row.created_ms,
            created_by=row.created_by,
        )
        for row in tx.execute(query)
    ]
