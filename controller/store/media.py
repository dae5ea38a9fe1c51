"""The library's list, and which permissions to fetch were used."""

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from controller.actions.views import MediaView
from controller.store.database import Transaction
from controller.store.schema import fetch_nonces, media


def add(tx: Transaction, view: MediaView) -> None:
    """Store a prepared sound; the same bytes once more change nothing."""
    if tx.execute(select(media.c.sha256).where(media.c.sha256 == view.sha256)).first() is None:
        tx.execute(insert(media).values({name: getattr(view, name) for name in view.__struct_fields__}))


def list_all(tx: Transaction) -> list[MediaView]:
    """The library, newest first."""
    names = MediaView.__struct_fields__
    rows = tx.execute(select(media).order_by(media.c.created_ms.desc(), media.c.sha256))
    return [MediaView(**{name: row._mapping[name] for name in names}) for row in rows]  # noqa: SLF001  by name, not by place


def find(tx: Transaction, sha256: str) -> MediaView | None:
    """One sound."""
    row = tx.execute(select(media).where(media.c.sha256 == sha256)).first()
    if row is None:
        return None
    return MediaView(**{name: row._mapping[name] for name in MediaView.__struct_fields__})  # noqa: SLF001  as above


def known(tx: Transaction, digests: set[str]) -> set[str]:
    """Those of the digests that the library has."""
    return set(tx.execute(select(media.c.sha256).where(media.c.sha256.in_(digests))).scalars())


def use_nonce(tx: Transaction, node: str, nonce: str, now_ms: int, kept_ms: int) -> bool:
    """Spend a permission. Returns False if it was spent before."""
    tx.execute(delete(fetch_nonces).where(fetch_nonces.c.at_ms < now_ms - kept_ms))
    try:
        with tx.begin_nested():
            tx.execute(insert(fetch_nonces).values(node=node, nonce=nonce, at_ms=now_ms))
    except IntegrityError:
        return False
    return True
