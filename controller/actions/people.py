"""Who may use the page: made with a first password shown once, given duties, signed in with argon2, held back when they guess."""

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from controller.actions import devices, sessions
from controller.actions.asking import allowed, ask, ask_somewhere
from controller.actions.sessions import Caller
from controller.actions.views import NewPerson, PersonView, Session
from controller.core.access import Duty
from controller.core.gate import source_of
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import notes, people
from controller.store.database import Transaction

NAME: Final = re.compile(r"[a-z][a-z0-9._-]{1,39}")
FREE_FAILURES: Final = 5
LONGEST_WAIT_S: Final = 300
PASSWORD_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105  an alphabet without look-alikes
SHORTEST: Final = 10
LONGEST: Final = 200
MOST_WAITING: Final = 40
"""Passwords in the queue for argon2; more than that is a flood, and whoever comes then is asked to come back."""
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


def _nobody(name: str) -> Refused:
    return Refused(f"there is no person `{name}` here: see `loa person list`", code="unknown-person", status=404)


async def _known(parts: Parts, name: str) -> PersonView:
    found = await parts.database.read(lambda tx: people.find(tx, name))
    if found is None:
        raise _nobody(name)
    return found.person


def _ask_for(parts: Parts, who: Actor, person: PersonView) -> None:
    """Somebody is managed by who manages every area where they have a duty. Raises Refused."""
    ask(parts, who, "people.manage", *(duty.area for duty in person.duties))


def _described(duties: Sequence[Duty]) -> str:
    return ", ".join(f"{duty.role} in {duty.area}" for duty in duties) or "no duty yet"


def _checked(parts: Parts, who: Actor, duties: Sequence[Duty]) -> None:
    for duty in duties:
        if duty.area not in parts.world.areas:
            raise Refused(
                f"area {duty.area} is not in the controller's tree: see `loa area list`", code="unknown-area", status=404
            )
    ask(parts, who, "people.manage", *(duty.area for duty in duties))


async def create(parts: Parts, who: Actor, name: str, full_name: str, duties: Sequence[Duty] = ()) -> NewPerson:
    """Make a person with a first password that must be changed. Raises Refused for a name that is taken or wrong."""
    _checked(parts, who, duties)
    if not NAME.fullmatch(name):
        raise Refused(f"`{name}` cannot be a sign-in name: use a-z, 0-9, `.`, `_`, `-`, a letter first", code="name")
    if not full_name.strip():
        raise Refused("a person needs a full name: it stands beside what they do", code="full-name")
    person = PersonView(name=name, full_name=full_name.strip(), must_change=True, lang="vi", duties=tuple(sorted(set(duties))))
    password = _first_password()
    password_hash = await asyncio.to_thread(_hasher.hash, password)
    now_ms = parts.now_ms()

    def store(tx: Transaction) -> bool:
        if people.find(tx, name) is not None:
            return False
        people.create(tx, person, password_hash, now_ms)
        detail = f"{person.full_name}: {_described(person.duties)}"
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="people.create", what=name, detail=detail)
        return True

    if not await parts.database.run(store):
        raise Refused(f"there is a person `{name}` already: choose another name, or reset the password", code="taken", status=409)
    return NewPerson(person=person, first_password=password)


async def _change(
    parts: Parts, who: Actor, name: str, act: str, change: Callable[[Transaction], bool], detail: str = ""
) -> PersonView:
    """One change of a person with its line of audit, by who manages them; a change that changes nothing writes none."""
    _ask_for(parts, who, await _known(parts, name))
    now_ms = parts.now_ms()

    def store(tx: Transaction) -> PersonView | None:
        if change(tx):
            notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act=act, what=name, detail=detail)
        found = people.find(tx, name)
        return found.person if found else None

    person = await parts.database.run(store)
    if person is None:
        raise _nobody(name)
    return person


async def grant(parts: Parts, who: Actor, name: str, duties: Sequence[Duty]) -> PersonView:
    """More duties, from the next click on. Raises Refused."""
    _checked(parts, who, duties)
    return await _change(
        parts, who, name, "people.grant", lambda tx: sum(people.grant(tx, name, duty) for duty in duties) > 0, _described(duties)
    )


async def revoke(parts: Parts, who: Actor, name: str, duties: Sequence[Duty]) -> PersonView:
    """Fewer duties, from the next click on. Raises Refused."""
    ask(parts, who, "people.manage", *(duty.area for duty in duties))
    return await _change(
        parts,
        who,
        name,
        "people.revoke",
        lambda tx: sum(people.revoke(tx, name, duty) for duty in duties) > 0,
        _described(duties),
    )


async def reset(parts: Parts, who: Actor, name: str) -> NewPerson:
    """A new first password for somebody who lost theirs; all their sessions end. Raises Refused."""
    password = _first_password()
    password_hash = await asyncio.to_thread(_hasher.hash, password)

    def change(tx: Transaction) -> bool:
        people.set_password(tx, name, password_hash, must_change=True)
        return True

    return NewPerson(person=await _change(parts, who, name, "people.reset", change), first_password=password)


async def reset_second_factor(parts: Parts, who: Actor, name: str) -> PersonView:
    """Take a lost telephone's codes away and end all sessions; the next sign-in sets up new ones. Raises Refused."""

    def change(tx: Transaction) -> bool:
        people.set_factor(tx, name, "", 0, None)
        people.close_all(tx, name)
        return True

    return await _change(parts, who, name, "people.reset-second-factor", change)


async def shut_out(parts: Parts, who: Actor, name: str, *, disabled: bool = True) -> None:
    """End somebody's access at once, or give it back."""

    def change(tx: Transaction) -> bool:
        people.set_disabled(tx, name, disabled=disabled)
        return True

    await _change(parts, who, name, "people.disable" if disabled else "people.enable", change)


async def list_all(parts: Parts, who: Actor) -> list[PersonView]:
    """Everyone who may sign in and has a duty where one may see people; those without any are seen by who sees the province."""
    ask_somewhere(who, "people.see")
    everyone = await parts.database.read(people.list_all)
    if allowed(parts, who, "people.see", parts.config.settings.province):
        return everyone
    return [one for one in everyone if any(allowed(parts, who, "people.see", duty.area) for duty in one.duties)]


async def login(parts: Parts, name: str, password: str, caller: Caller | None = None) -> Session | None:
    """Open a session, or None for a wrong name or password. Raises Refused (429) after some wrong ones, for longer each time."""
    caller = caller or Caller()
    person = await _password_fits(parts, name, password, caller)
    return None if person is None else await _open(parts, person, caller, None)


async def _password_fits(parts: Parts, name: str, password: str, caller: Caller) -> PersonView | None:
    now_ms = parts.now_ms()
    found = await parts.database.read(lambda tx: people.find(tx, name))
    known = devices.key_of(parts, name, caller) if found else ""
    source = f"source {source_of(caller.address)}" if caller.address else ""
    _wait(parts, found, known, source, now_ms)
    if parts.waiting >= MOST_WAITING:
        raise Refused("too many people sign in at once: wait 5 s", code="wait", status=429, wait_s=5)
    parts.waiting += 1
    try:
        async with parts.hashing:
            password_hash = found.password_hash if found else _nobodys_hash()
            good = len(password) <= LONGEST and await asyncio.to_thread(_matches, password_hash, password)
    finally:
        parts.waiting -= 1
    if good and found is not None and not found.person.disabled:
        parts.throttle.right(known)
        return found.person
    for key in (known, source):
        if key:
            parts.throttle.wrong(key, now_ms)
    if found is not None and not good:
        await _count_failure(parts, found, known, now_ms)
    return None


def _wait(parts: Parts, found: people.Login | None, known: str, source: str, now_ms: int) -> None:
    """Hold back: a known browser by its own tries, anybody else by those of their address and of the account."""
    if known:
        wait_s = parts.throttle.wait_s(known, now_ms)
    else:
        wait_s = parts.throttle.wait_s(source, now_ms)
        if found is not None:
            wait_s = max(wait_s, -(-(found.blocked_until_ms - now_ms) // 1000))
    if wait_s > 0:
        raise Refused(f"too many wrong passwords: wait {wait_s} s", code="wait", status=429, wait_s=wait_s)


async def _count_failure(parts: Parts, found: people.Login, known: str, now_ms: int) -> None:
    failures = found.failures + 1
    over = failures - FREE_FAILURES
    wait_s = 0 if over < 0 else min(LONGEST_WAIT_S, 2 ** min(over, 10))
    name = found.person.name

    def store(tx: Transaction) -> None:
        if not known:
            people.set_failures(tx, name, failures, now_ms + wait_s * 1000)
        notes.note(tx, at_ms=now_ms, actor=name, via="page", act="people.wrong-password", what=name, detail=str(failures))

    await parts.database.run(store)


async def _open(parts: Parts, person: PersonView, caller: Caller, factor_ms: int | None) -> Session:
    now_ms = parts.now_ms()
    session, held = sessions.made(person, caller, now_ms, factor_ms)

    def store(tx: Transaction) -> None:
        people.set_failures(tx, person.name, 0, 0)
        people.open_session(tx, held)
        notes.note(
            tx, at_ms=now_ms, actor=person.name, via="page", act="people.login", what=person.name, detail=f"from {caller.address}"
        )

    await parts.database.run(store)
    return session


async def change_password(
    parts: Parts, name: str, old: str, new: str, current: Session | None = None, caller: Caller | None = None
) -> Session:
    """A new password, and a fresh session that knows the second factor of the one before; all older ones end.

    Raises Refused for a wrong old or a weak new one.
    """
    caller = caller or Caller()
    if not SHORTEST <= len(new) <= LONGEST or new == old or name in new.casefold():
        raise Refused(
            f"choose a new password of {SHORTEST} to {LONGEST} characters, without your name, unlike the old one",
            code="weak",
            status=422,
        )
    if await _password_fits(parts, name, old, caller) is None:
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
    if person is None:
        raise _nobody(name)
    return await _open(parts, person, caller, current.factor_ms if current else None)
