"""Who may sign in to the page: names, duties, password hashes, second factors, sessions, counted failures."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from sqlalchemy import delete, insert, select, update

from controller.actions.views import PersonView
from controller.core.access import Duty
from controller.store.database import Transaction
from controller.store.schema import duties, sessions, users


class Login(Struct, frozen=True, kw_only=True):
    """A person with what is needed to check a password and a code. `factor` is the sealed secret, empty without one."""

    person: PersonView
    password_hash: str
    failures: int
    blocked_until_ms: int
    factor: str
    factor_step: int
    factor_failures: int
    factor_blocked_until_ms: int


class Held(Struct, frozen=True, kw_only=True):
    """A stored session. `factor_ms`: when a second factor opened it."""

    token_hash: str
    person: PersonView
    csrf: str
    created_ms: int
    seen_ms: int
    expires_ms: int
    factor_ms: int | None
    source: str
    agent: str


def _person(row: Any, held: Iterable[Duty]) -> PersonView:
    return PersonView(
        name=row.name,
        full_name=row.full_name,
        must_change=row.must_change,
        lang=row.lang,
        disabled=row.disabled,
        duties=tuple(sorted(held)),
        second_factor=bool(row.factor),
    )


def duties_of(tx: Transaction, name: str) -> tuple[Duty, ...]:
    """A person's duties."""
    rows = tx.execute(select(duties.c.role, duties.c.area).where(duties.c.name == name))
    return tuple(sorted(Duty(row.role, row.area) for row in rows))


def find(tx: Transaction, name: str) -> Login | None:
    """A person by sign-in name."""
    row = tx.execute(select(users).where(users.c.name == name)).first()
    if row is None:
        return None
    return Login(
        person=_person(row, duties_of(tx, name)),
        password_hash=row.password_hash,
        failures=row.failures,
        blocked_until_ms=row.blocked_until_ms,
        factor=row.factor,
        factor_step=row.factor_step,
        factor_failures=row.factor_failures,
        factor_blocked_until_ms=row.factor_blocked_until_ms,
    )


def create(tx: Transaction, person: PersonView, password_hash: str, now_ms: int) -> None:
    """Store a new person with their duties."""
    tx.execute(
        insert(users).values(
            name=person.name,
            full_name=person.full_name,
            password_hash=password_hash,
            must_change=person.must_change,
            lang=person.lang,
            created_ms=now_ms,
        )
    )
    for duty in person.duties:
        grant(tx, person.name, duty)


def grant(tx: Transaction, name: str, duty: Duty) -> bool:
    """One more duty. Returns whether it is new."""
    if duty in duties_of(tx, name):
        return False
    tx.execute(insert(duties).values(name=name, role=duty.role, area=duty.area))
    return True


def revoke(tx: Transaction, name: str, duty: Duty) -> bool:
    """One duty less. Returns whether there was one."""
    this = (duties.c.name == name) & (duties.c.role == duty.role) & (duties.c.area == duty.area)
    return bool(tx.execute(delete(duties).where(this)).rowcount)


def set_password(tx: Transaction, name: str, password_hash: str, *, must_change: bool) -> None:
    """A new password; every session of the old one ends."""
    values = {"password_hash": password_hash, "must_change": must_change, "failures": 0, "blocked_until_ms": 0}
    tx.execute(update(users).where(users.c.name == name).values(values))
    close_all(tx, name)


def set_failures(tx: Transaction, name: str, failures: int, blocked_until_ms: int) -> None:
    """Count wrong passwords, and until when no more are tried."""
    tx.execute(update(users).where(users.c.name == name).values(failures=failures, blocked_until_ms=blocked_until_ms))


def set_factor(tx: Transaction, name: str, sealed: str, step: int, now_ms: int | None) -> None:
    """A second factor, or none ("")."""
    values = {"factor": sealed, "factor_step": step, "factor_since_ms": now_ms}
    tx.execute(update(users).where(users.c.name == name).values(values | {"factor_failures": 0, "factor_blocked_until_ms": 0}))


def use_step(tx: Transaction, name: str, step: int) -> bool:
    """A code was given: its step counts no more. Returns False when it was used meanwhile."""
    values = {"factor_step": step, "factor_failures": 0, "factor_blocked_until_ms": 0}
    this = (users.c.name == name) & (users.c.factor_step < step)
    return bool(tx.execute(update(users).where(this).values(values)).rowcount)


def set_factor_failures(tx: Transaction, name: str, failures: int, blocked_until_ms: int) -> None:
    """Count wrong codes, and until when no more are tried."""
    values = {"factor_failures": failures, "factor_blocked_until_ms": blocked_until_ms}
    tx.execute(update(users).where(users.c.name == name).values(values))


def set_disabled(tx: Transaction, name: str, *, disabled: bool) -> None:
    """Shut a person out, or let them in again; sessions end for good."""
    tx.execute(update(users).where(users.c.name == name).values(disabled=disabled))
    close_all(tx, name)


def open_session(tx: Transaction, held: Held) -> None:
    """Store a session by the hash of its token; expired ones go."""
    tx.execute(delete(sessions).where(sessions.c.expires_ms <= held.created_ms))
    tx.execute(
        insert(sessions).values(
            token_hash=held.token_hash,
            name=held.person.name,
            csrf=held.csrf,
            created_ms=held.created_ms,
            seen_ms=held.seen_ms,
            expires_ms=held.expires_ms,
            factor_ms=held.factor_ms,
            source=held.source,
            agent=held.agent,
        )
    )


def _held(row: Any, person: PersonView) -> Held:
    return Held(
        token_hash=row.token_hash,
        person=person,
        csrf=row.csrf,
        created_ms=row.session_ms,
        seen_ms=row.seen_ms,
        expires_ms=row.expires_ms,
        factor_ms=row.factor_ms,
        source=row.source,
        agent=row.agent,
    )


_SESSIONS = select(
    users,
    sessions.c.token_hash,
    sessions.c.csrf,
    sessions.c.created_ms.label("session_ms"),
    sessions.c.seen_ms,
    sessions.c.expires_ms,
    sessions.c.factor_ms,
    sessions.c.source,
    sessions.c.agent,
).join(sessions, sessions.c.name == users.c.name)


def session(tx: Transaction, token_hash: str, now_ms: int, idle_ms: int) -> Held | None:
    """A session that has neither expired nor lain idle, of a person who is not shut out."""
    alive = (sessions.c.expires_ms > now_ms) & (sessions.c.seen_ms > now_ms - idle_ms) & ~users.c.disabled
    row = tx.execute(_SESSIONS.where(sessions.c.token_hash == token_hash, alive)).first()
    return None if row is None else _held(row, _person(row, duties_of(tx, row.name)))


def sessions_of(tx: Transaction, name: str, now_ms: int, idle_ms: int) -> list[Held]:
    """All sessions of a person that still stand, newest first."""
    alive = (sessions.c.expires_ms > now_ms) & (sessions.c.seen_ms > now_ms - idle_ms)
    query = _SESSIONS.where(sessions.c.name == name, alive).order_by(sessions.c.created_ms.desc())
    held = duties_of(tx, name)
    return [_held(row, _person(row, held)) for row in tx.execute(query)]


def touch(tx: Transaction, token_hash: str, now_ms: int) -> None:
    """A session is in use."""
    tx.execute(update(sessions).where(sessions.c.token_hash == token_hash).values(seen_ms=now_ms))


def close_session(tx: Transaction, token_hash: str) -> bool:
    """End a session. Returns whether there was one."""
    return bool(tx.execute(delete(sessions).where(sessions.c.token_hash == token_hash)).rowcount)


def close_all(tx: Transaction, name: str) -> None:
    """End every session of a person."""
    tx.execute(delete(sessions).where(sessions.c.name == name))


def list_all(tx: Transaction) -> list[PersonView]:
    """Everyone, by name."""
    held: dict[str, list[Duty]] = {}
    for row in tx.execute(select(duties)):
        held.setdefault(row.name, []).append(Duty(row.role, row.area))
    return [_person(row, held.get(row.name, ())) for row in tx.execute(select(users).order_by(users.c.name))]
