"""Signed-in browsers: opened, renewed when they rise, found again by their cookie, listed and ended."""

import hashlib
import secrets
from typing import Final

from msgspec import Struct

from controller.actions.views import PersonView, Session, SessionView, Stage
from controller.core import access
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import notes, people
from controller.store.database import Transaction

SESSION_MS: Final = 12 * 3_600_000
"""A working day; then password and code again."""
HALF_MS: Final = 600_000
"""How long a session may wait for its second factor or its new password."""
IDLE_MS: Final = 3_600_000
"""Without a request for that long it ends. An open page asks every few seconds, so whoever keeps watch is not thrown out."""
TOUCH_MS: Final = 60_000
SHOWN: Final = 12
"""Digits of a session's digest by which its owner names it."""
AGENT_LETTERS: Final = 200


class Caller(Struct, frozen=True, kw_only=True):
    """Who knocks: the address, what the browser calls itself, and the mark of a browser that was let in before."""

    address: str = ""
    agent: str = ""
    device: str = ""


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def actor_of(session: Session) -> Actor:
    """The person behind an open session as actions know them; of any other, somebody without duties."""
    duties = session.person.duties if session.stage == "open" else ()
    return Actor(name=session.person.name, via="page", duties=duties)


def stage_of(person: PersonView, factor_ms: int | None) -> Stage:
    """How far a session is that password (and second factor, if `factor_ms`) opened."""
    if person.must_change:
        return "password"
    if person.second_factor:
        return "code" if factor_ms is None else "open"
    return "set-up" if access.needs_second_factor(person.duties) else "open"


def made(person: PersonView, caller: Caller, now_ms: int, factor_ms: int | None) -> tuple[Session, people.Held]:
    """A new session, and what is stored of it."""
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    stage = stage_of(person, factor_ms)
    expires_ms = now_ms + (SESSION_MS if stage == "open" else HALF_MS)
    session = Session(token=token, csrf=csrf, person=person, expires_ms=expires_ms, stage=stage, factor_ms=factor_ms)
    held = people.Held(
        token_hash=_hash(token),
        person=person,
        csrf=csrf,
        created_ms=now_ms,
        seen_ms=now_ms,
        expires_ms=expires_ms,
        factor_ms=factor_ms,
        source=caller.address,
        agent=caller.agent[:AGENT_LETTERS],
    )
    return session, held


async def renewed(parts: Parts, old: Session, caller: Caller, factor_ms: int) -> Session:
    """A session that rose by a second factor: new token, new form token; the old ones open nothing any more."""
    now_ms = parts.now_ms()

    def store(tx: Transaction) -> Session:
        found = people.find(tx, old.person.name)
        session, held = made(found.person if found else old.person, caller, now_ms, factor_ms)
        people.close_session(tx, _hash(old.token))
        people.open_session(tx, held)
        notes.note(tx, at_ms=now_ms, actor=old.person.name, via="page", act="people.second-factor", what=old.person.name)
        return session

    parts.setting_up.pop(_hash(old.token), None)
    return await parts.database.run(store)


async def session(parts: Parts, token: str) -> Session | None:
    """The session of a cookie, if it still stands; this counts as use."""
    now_ms, token_hash = parts.now_ms(), _hash(token)
    found = await parts.database.read(lambda tx: people.session(tx, token_hash, now_ms, IDLE_MS))
    if found is None:
        return None
    if now_ms - found.seen_ms > TOUCH_MS:
        await parts.database.run(lambda tx: people.touch(tx, token_hash, now_ms))
    return Session(
        token=token,
        csrf=found.csrf,
        person=found.person,
        expires_ms=found.expires_ms,
        stage=stage_of(found.person, found.factor_ms),
        factor_ms=found.factor_ms,
    )


async def logout(parts: Parts, token: str) -> None:
    """End a session."""
    now_ms, token_hash = parts.now_ms(), _hash(token)
    parts.setting_up.pop(token_hash, None)

    def store(tx: Transaction) -> None:
        found = people.session(tx, token_hash, now_ms, IDLE_MS)
        if people.close_session(tx, token_hash) and found is not None:
            name = found.person.name
            notes.note(tx, at_ms=now_ms, actor=name, via="page", act="people.logout", what=name)

    await parts.database.run(store)


async def own(parts: Parts, current: Session) -> list[SessionView]:
    """All sessions of the person behind this one."""
    now_ms, name = parts.now_ms(), current.person.name
    found = await parts.database.read(lambda tx: people.sessions_of(tx, name, now_ms, IDLE_MS))
    return [
        SessionView(
            id=held.token_hash[:SHOWN],
            created_ms=held.created_ms,
            seen_ms=held.seen_ms,
            expires_ms=held.expires_ms,
            source=held.source,
            agent=held.agent,
            open=stage_of(held.person, held.factor_ms) == "open",
            current=held.token_hash == _hash(current.token),
        )
        for held in found
    ]


async def end(parts: Parts, current: Session, session_id: str | None) -> None:
    """End one of one's own sessions, or (None) all but this one. Raises Refused for one that is not there."""
    now_ms, name = parts.now_ms(), current.person.name

    def store(tx: Transaction) -> int:
        others = [held for held in people.sessions_of(tx, name, now_ms, IDLE_MS) if held.token_hash != _hash(current.token)]
        chosen = [held for held in others if session_id in (None, held.token_hash[:SHOWN])]
        for held in chosen:
            people.close_session(tx, held.token_hash)
        if chosen:
            notes.note(
                tx, at_ms=now_ms, actor=name, via="page", act="people.end-sessions", what=name, detail=f"{len(chosen)} ended"
            )
        return len(chosen)

    if not await parts.database.run(store) and session_id is not None:
        raise Refused("this session has ended already", code="no-session", status=404)
