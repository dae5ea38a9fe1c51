"""Who may use the page: made with a first password shown once, signed in with argon2, held back when they guess."""

import asyncio
import hashlib
import re
import secrets
from functools import lru_cache
from typing import Final, Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from controller.actions.views import NewPerson, PersonView, Session
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import notes, people
from controller.store.database import Transaction

NAME: Final = re.compile(r"[a-z][a-z0-9._-]{1,39}")
SESSION_MS: Final = 12 * 3_600_000
"""A working day; then the password again."""
FREE_FAILURES: Final = 5
LONGEST_WAIT_S: Final = 300
PASSWORD_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105  an alphabet without look-alikes
SHORTEST: Final = 10
_hasher: Final = PasswordHasher()


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    """Checked for names that do not exist, so that the time tells nothing."""
    return _hasher.hash(secrets.token_urlsafe(16))


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def _first_password() -> str:
    letters = "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(12))
    return "-".join((letters[:4], letters[4:8], letters[8:]))


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def actor_of(session: Session) -> Actor:
    """The person behind a session as actions know them."""
    return Actor(name=session.person.name, via="page", role=session.person.role)


async def create(parts: Parts, who: Actor, name: str, full_name: str, role: Literal["officer", "operator"]) -> NewPerson:
    """Make a person with a first password that must be changed. Raises Refused for a name that is taken or wrong."""
    if not NAME.fullmatch(name):
        raise Refused(f"`{name}` cannot be a sign-in name: use a-z, 0-9, `.`, `_`, `-`, a letter first", code="name")
    if not full_name.strip():
        raise Refused("a person needs a full name: it stands beside what they do", code="full-name")
    person = PersonView(name=name, full_name=full_name.strip(), role=role, must_change=True, lang="vi")
    password = _first_password()
    password_hash = await asyncio.to_thread(_hasher.hash, password)
    now_ms = parts.now_ms()

    def store(tx: Transaction) -> bool:
        if people.find(tx, name) is not None:
            return False
        people.create(tx, person, password_hash, now_ms)
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="people.create", what=name, detail=f"{full_name}, {role}")
        return True

    if not await parts.database.run(store):
        raise Refused(f"there is a person `{name}` already: choose another name, or reset the password", code="taken", status=409)
    return NewPerson(person=person, first_password=password)


async def reset(parts: Parts, who: Actor, name: str) -> NewPerson:
    """A new first password for somebody who lost theirs; all their sessions end. Raises Refused."""
    password = _first_password()
    password_hash = await asyncio.to_thread(_hasher.hash, password)
    now_ms = parts.now_ms()

    def store(tx: Transaction) -> PersonView | None:
        found = people.find(tx, name)
        if found is None:
            return None
        people.set_password(tx, name, password_hash, must_change=True)
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="people.reset", what=name)
        return found.person

    person = await parts.database.run(store)
    if person is None:
        raise Refused(f"there is no person `{name}` here: see `loa people list`", code="unknown-person", status=404)
    return NewPerson(person=person, first_password=password)


async def login(parts: Parts, name: str, password: str) -> Session | None:
    """Open a session, or None for a wrong name or password. Raises Refused (429) after five wrong ones, for longer each time."""
    now_ms = parts.now_ms()
    found = await parts.database.read(lambda tx: people.find(tx, name))
    if found is not None and now_ms < found.blocked_until_ms:
        wait_s = -(-(found.blocked_until_ms - now_ms) // 1000)
        raise Refused(f"too many wrong passwords: wait {wait_s} s", code="wait", status=429, wait_s=wait_s)
    async with parts.hashing:
        good = await asyncio.to_thread(_matches, found.password_hash if found else _nobodys_hash(), password)
    if found is None or found.person.disabled:
        return None
    if not good:
        await _count_failure(parts, found, now_ms)
        return None
    return await _open(parts, found.person)


async def _count_failure(parts: Parts, found: people.Login, now_ms: int) -> None:
    failures = found.failures + 1
    over = failures - FREE_FAILURES
    wait_s = 0 if over < 0 else min(LONGEST_WAIT_S, 2 ** min(over, 10))
    name = found.person.name

    def store(tx: Transaction) -> None:
        people.set_failures(tx, name, failures, now_ms + wait_s * 1000)
        notes.note(tx, at_ms=now_ms, actor=name, via="page", act="people.wrong-password", what=name, detail=str(failures))

    await parts.database.run(store)


async def _open(parts: Parts, person: PersonView) -> Session:
    token, csrf, now_ms = secrets.token_urlsafe(32), secrets.token_urlsafe(24), parts.now_ms()
    session = Session(token=token, csrf=csrf, person=person, expires_ms=now_ms + SESSION_MS)

    def store(tx: Transaction) -> None:
        people.set_failures(tx, person.name, 0, 0)
        people.open_session(tx, _token_hash(token), person.name, csrf, now_ms, session.expires_ms)
        notes.note(tx, at_ms=now_ms, actor=person.name, via="page", act="people.login", what=person.name)

    await parts.database.run(store)
    return session


async def session(parts: Parts, token: str) -> Session | None:
    """The session of a cookie, if it still stands."""
    found = await parts.database.read(lambda tx: people.session(tx, _token_hash(token), parts.now_ms()))
    if found is None:
        return None
    person, csrf, expires_ms = found
    return Session(token=token, csrf=csrf, person=person, expires_ms=expires_ms)


async def logout(parts: Parts, token: str) -> None:
    """End a session."""
    await parts.database.run(lambda tx: people.close_session(tx, _token_hash(token)))


async def change_password(parts: Parts, name: str, old: str, new: str) -> Session:
    """A new password, and a fresh session; all older ones end. Raises Refused for a wrong old or a weak new one."""
    if len(new) < SHORTEST or new == old or name in new.casefold():
        raise Refused(
            f"choose a new password of at least {SHORTEST} characters, without your name, unlike the old one",
            code="weak",
            status=422,
        )
    first = await login(parts, name, old)
    if first is None:
        raise Refused("the old password is wrong: type it again", code="wrong-password", status=403)
    async with parts.hashing:
        password_hash = await asyncio.to_thread(_hasher.hash, new)
    now_ms = parts.now_ms()

    def store(tx: Transaction) -> PersonView | None:
        people.set_password(tx, name, password_hash, must_change=False)
        notes.note(tx, at_ms=now_ms, actor=name, via="page", act="people.change-password", what=name)
        found = people.find(tx, name)
        return found.person if found else None

    person = await parts.database.run(store)
    return await _open(parts, person or first.person)


async def shut_out(parts: Parts, who: Actor, name: str, *, disabled: bool = True) -> None:
    """End somebody's access at once, or give it back."""
    now_ms = parts.now_ms()
    act = "people.disable" if disabled else "people.enable"

    def store(tx: Transaction) -> bool:
        if people.find(tx, name) is None:
            return False
        people.set_disabled(tx, name, disabled=disabled)
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act=act, what=name)
        return True

    if not await parts.database.run(store):
        raise Refused(f"there is no person `{name}` here: see `loa people list`", code="unknown-person", status=404)


async def set_lang(parts: Parts, name: str, lang: str) -> None:
    """The language that a person reads."""
    await parts.database.run(lambda tx: people.set_lang(tx, name, lang))


async def list_all(parts: Parts) -> list[PersonView]:
    """Everyone who may sign in."""
    return await parts.database.read(people.list_all)
