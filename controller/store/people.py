"""Who may sign in to the page: names, password hashes, sessions, counted failures."""

from typing import Any

from msgspec import Struct
from sqlalchemy import delete, insert, select, update

from controller.actions.views import PersonView
from controller.store.database import Transaction
from controller.store.schema import sessions, users


class Login(Struct, frozen=True, kw_only=True):
    """A person with what is needed to check a password."""

    person: PersonView
    password_hash: str
    failures: int
    blocked_until_ms: int


def _login(row: Any) -> Login:
    person = PersonView(
        name=row.name,
        full_name=row.full_name,
        role=row.role,
        must_change=row.must_change,
        lang=row.lang,
        disabled=row.disabled,
    )
    return Login(person=person, password_hash=row.password_hash, failures=row.failures, blocked_until_ms=row.blocked_until_ms)


def find(tx: Transaction, name: str) -> Login | None:
    """A person by sign-in name."""
    row = tx.execute(select(users).where(users.c.name == name)).first()
    return None if row is None else _login(row)


def create(tx: Transaction, person: PersonView, password_hash: str, now_ms: int) -> None:
    """Store a new person."""
    tx.execute(
        insert(users).values(
            name=person.name,
            full_name=person.full_name,
            password_hash=password_hash,
            role=person.role,
            must_change=person.must_change,
            lang=person.lang,
            created_ms=now_ms,
        )
    )


def set_password(tx: Transaction, name: str, password_hash: str, *, must_change: bool) -> None:
    """A new password; every session of the old one ends."""
    values = {"password_hash": password_hash, "must_change": must_change, "failures": 0, "blocked_until_ms": 0}
    tx.execute(update(users).where(users.c.name == name).values(values))
    tx.execute(delete(sessions).where(sessions.c.name == name))


def set_failures(tx: Transaction, name: str, failures: int, blocked_until_ms: int) -> None:
    """Count wrong passwords, and until when no more are tried."""
    tx.execute(update(users).where(users.c.name == name).values(failures=failures, blocked_until_ms=blocked_until_ms))


def set_disabled(tx: Transaction, name: str, *, disabled: bool) -> None:
    """Shut a person out, or let them in again."""
    tx.execute(update(users).where(users.c.name == name).values(disabled=disabled))


def set_lang(tx: Transaction, name: str, lang: str) -> None:
    """The language that a person reads."""
    tx.execute(update(users).where(users.c.name == name).values(lang=lang))


def open_session(tx: Transaction, token_hash: str, name: str, csrf: str, now_ms: int, expires_ms: int) -> None:
    """Store a session by the hash of its token; expired ones go."""
    tx.execute(delete(sessions).where(sessions.c.expires_ms <= now_ms))
    values = {"token_hash": token_hash, "name": name, "csrf": csrf, "created_ms": now_ms, "expires_ms": expires_ms}
    tx.execute(insert(sessions).values(values))


def session(tx: Transaction, token_hash: str, now_ms: int) -> tuple[PersonView, str, int] | None:
    """Whose session this is, its csrf value and its end."""
    query = (
        select(users, sessions.c.csrf, sessions.c.expires_ms)
        .join(sessions, sessions.c.name == users.c.name)
        .where(sessions.c.token_hash == token_hash, sessions.c.expires_ms > now_ms, ~users.c.disabled)
    )
    row = tx.execute(query).first()
    return None if row is None else (_login(row).person, row.csrf, row.expires_ms)


def close_session(tx: Transaction, token_hash: str) -> None:
    """End a session."""
    tx.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


def list_all(tx: Transaction) -> list[PersonView]:
    """Everyone, by name."""
    return [_login(row).person for row in tx.execute(select(users).order_by(users.c.name))]
