"""The audit log as a chain: rows appended inside the act's own transaction, heads beside them."""

from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs
from sqlalchemy import insert, select

from controller.core.audit_chain import GENESIS, Head, Row, hash_of, seal_row
from controller.store.database import Transaction
from controller.store.schema import audit, audit_heads

SCRIBE: Final = "scribe"
BROKEN: Final = "audit.broken"


class Scribe:
    """Signs rows, and remembers the end of the log so that a log cut or grown behind our back is noticed at the next row.

    A transaction that fails takes its rows back: `settle` tells which end stands.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.key = key
        self._tip: tuple[int, str] | None = None
        self._next: tuple[int, str] | None = None

    def surprised(self, tip: tuple[int, str]) -> bool:
        """Whether the log does not end where we left it."""
        known = self._next or self._tip
        return known is not None and known != tip

    def wrote(self, row: Row) -> None:
        """A row of the transaction that is open."""
        self._next = (row.id, row.hash)

    def settle(self, *, committed: bool) -> None:
        """The transaction has ended."""
        if committed and self._next is not None:
            self._tip = self._next
        self._next = None


def tip(tx: Transaction) -> tuple[int, str]:
    """Number and hash of the newest row."""
    row = tx.execute(select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)).first()
    return (0, GENESIS) if row is None else (row.id, row.hash)


def append(tx: Transaction, row: Row) -> None:
    """Chain, sign and store one row; its own number and hash are set here."""
    scribe = tx.info.get(SCRIBE)
    end = tip(tx)
    if isinstance(scribe, Scribe) and scribe.surprised(end):
        scribe.settle(committed=False)
        end = _write(tx, _broken(row, end), end, scribe)
    _write(tx, row, end, scribe if isinstance(scribe, Scribe) else None)


def _broken(row: Row, end: tuple[int, str]) -> Row:
    said = f"the log ended at row {end[0]} ({end[1][:16]}), not where this process left it"
    return Row(id=0, at_ms=row.at_ms, actor="loa", via="system", act=BROKEN, object="audit", detail=said, hash="")


def _write(tx: Transaction, row: Row, end: tuple[int, str], scribe: Scribe | None) -> tuple[int, str]:
    numbered = structs.replace(row, id=end[0] + 1)
    chained = structs.replace(numbered, hash=hash_of(end[1] or GENESIS, numbered))
    sealed = structs.replace(chained, seal=seal_row(scribe.key, chained.hash) if scribe is not None else "")
    tx.execute(insert(audit).values(structs.asdict(sealed)))
    if scribe is not None:
        scribe.wrote(sealed)
    return sealed.id, sealed.hash


def rows(tx: Transaction) -> Iterator[Row]:
    """All rows, by number."""
    for row in tx.execute(select(audit).order_by(audit.c.id)):
        yield Row(**row._asdict())


def heads(tx: Transaction) -> list[Head]:
    """All heads, by row."""
    return [Head(**row._asdict()) for row in tx.execute(select(audit_heads).order_by(audit_heads.c.id, audit_heads.c.at_ms))]


def add_head(tx: Transaction, head: Head) -> None:
    """Store a signed head."""
    tx.execute(insert(audit_heads).values(structs.asdict(head)))
