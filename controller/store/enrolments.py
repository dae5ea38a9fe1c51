"""Who is expected, who came with which keys, and every certificate that was given to a node."""

from typing import Any, Final

from msgspec import Struct
from sqlalchemy import insert, or_, select, update

from controller.store.database import Transaction
from controller.store.schema import certificates, enrolments

LISTED_AFTER_END_MS: Final = 400 * 86_400_000
"""A revoked certificate stays on the list so long after its end: no broker's clock is that far behind."""


class Enrolment(Struct, frozen=True, kw_only=True):
    """One label. `waiting_verifier` tells a claim that nobody used yet, `verifier` the one that brought these keys."""

    node: str
    waiting_verifier: str | None = None
    verifier: str | None = None
    expected_ms: int
    expected_by: str
    tls_public: bytes | None = None
    report_key: str | None = None
    digits: str = ""
    certificate: str = ""
    claimed_ms: int | None = None
    source: str = ""
    revoked_ms: int | None = None
    revoked_why: str = ""
    twice: int = 0
    twice_ms: int | None = None
    twice_source: str = ""


class Given(Struct, frozen=True, kw_only=True):
    """A certificate by its serial number (hex), with the fingerprint of the root that signed it."""

    serial: str
    node: str
    issuer: str
    issued_ms: int
    until_ms: int


def _opened(row: Any) -> Enrolment:
    return Enrolment(**row._mapping)  # noqa: SLF001  by name, not by place


def one(tx: Transaction, node: str) -> Enrolment | None:
    """One label's enrolment."""
    row = tx.execute(select(enrolments).where(enrolments.c.node == node)).first()
    return None if row is None else _opened(row)


def all_of_them(tx: Transaction) -> list[Enrolment]:
    """Every label, the newest first."""
    newest = select(enrolments).order_by(enrolments.c.expected_ms.desc(), enrolments.c.node)
    return [_opened(row) for row in tx.execute(newest)]


def expect(tx: Transaction, node: str, verifier: str, now_ms: int, by: str) -> None:
    """A claim of this label may be used from now on, once; what an earlier claim brought stays until then."""
    values = {"waiting_verifier": verifier, "expected_ms": now_ms, "expected_by": by}
    if not tx.execute(update(enrolments).where(enrolments.c.node == node).values(values)).rowcount:
        tx.execute(insert(enrolments).values(values | {"node": node}))


def change(tx: Transaction, node: str, **values: Any) -> None:
    """Set columns of one label."""
    tx.execute(update(enrolments).where(enrolments.c.node == node).values(values))


def holder_of_key(tx: Transaction, node: str, tls_public: bytes, report_key: str) -> str | None:
    """Another label that came with one of these keys."""
    same = or_(enrolments.c.tls_public == tls_public, enrolments.c.report_key == report_key)
    return tx.execute(select(enrolments.c.node).where(same, enrolments.c.node != node)).scalar()


def give(tx: Transaction, given: Given) -> None:
    """Remember a certificate."""
    tx.execute(
        insert(certificates).values(
            serial=given.serial, node=given.node, issuer=given.issuer, issued_ms=given.issued_ms, until_ms=given.until_ms
        )
    )


def revoke_certificates(tx: Transaction, node: str, now_ms: int) -> int:
    """None of a node's certificates counts any more; how many there were."""
    these = (certificates.c.node == node) & certificates.c.revoked_ms.is_(None)
    return int(tx.execute(update(certificates).where(these).values(revoked_ms=now_ms)).rowcount)


def revoked_serials(tx: Transaction, now_ms: int) -> dict[str, list[int]]:
    """What the lists of revoked certificates say, by the issuing root."""
    query = (
        select(certificates.c.issuer, certificates.c.serial)
        .where(certificates.c.revoked_ms.is_not(None), certificates.c.until_ms > now_ms - LISTED_AFTER_END_MS)
        .order_by(certificates.c.serial)
    )
    found: dict[str, list[int]] = {}
    for row in tx.execute(query):
        found.setdefault(row.issuer, []).append(int(row.serial, 16))
    return found


def living_of(tx: Transaction, issuer: str, now_ms: int) -> int:
    """How many certificates of a root still count."""
    query = select(certificates.c.node).where(
        certificates.c.issuer == issuer, certificates.c.revoked_ms.is_(None), certificates.c.until_ms > now_ms
    )
    return len(set(tx.execute(query).scalars()))
