"""The second factor: codes of a telephone (RFC 6238). Set up once, each code good once, guessing held back."""

import hashlib
import secrets
from functools import partial
from typing import Final

from controller.actions import devices, sessions
from controller.actions.sessions import Caller
from controller.actions.views import Session
from controller.core import totp
from controller.errors import Refused
from controller.parts import Parts
from controller.store import notes, people
from controller.store.database import Transaction

PURPOSE: Final = "second factor"
FREE_FAILURES: Final = 5
LONGEST_WAIT_S: Final = 3_600
"""24 guesses a day, three codes of a million at a time: less than three in a hundred a year, for who has the password too."""
MOST_SETTING_UP: Final = 1_000


def begin(parts: Parts, session: Session) -> bytes:
    """The secret to be shown to who sets a second factor up; the same for this session until it is proven."""
    key = hashlib.sha256(session.token.encode()).hexdigest()
    if key not in parts.setting_up:
        while len(parts.setting_up) >= MOST_SETTING_UP:
            parts.setting_up.pop(next(iter(parts.setting_up)))
        parts.setting_up[key] = secrets.token_bytes(totp.SECRET_BYTES)
    return parts.setting_up[key]


async def finish(parts: Parts, session: Session, typed: str, caller: Caller) -> Session | None:
    """Prove the shown secret by its code: kept from now on, the session renewed. None for a wrong code. Raises Refused."""
    name, now_ms = session.person.name, parts.now_ms()
    if session.person.second_factor:
        raise Refused(f"{name} has a second factor: an operator takes it away first", code="has-factor", status=409)
    secret = begin(parts, session)
    step = totp.matching(secret, typed, now_ms, 0)
    if step is None:
        return None
    sealed = parts.vault.seal(PURPOSE, name, secret)

    def store(tx: Transaction) -> bool:
        found = people.find(tx, name)
        if found is None or found.factor:
            return False
        people.set_factor(tx, name, sealed, step, now_ms)
        people.close_all(tx, name)
        notes.note(tx, at_ms=now_ms, actor=name, via="page", act="people.set-up-second-factor", what=name)
        return True

    if not await parts.database.run(store):
        raise Refused(f"{name} has a second factor: an operator takes it away first", code="has-factor", status=409)
    return await sessions.renewed(parts, session, caller, now_ms)


async def give(parts: Parts, session: Session, typed: str, caller: Caller) -> Session | None:
    """Open a session that waits for its code. None for a wrong code. Raises Refused (429) after five, for longer each time."""
    if not await check(parts, session.person.name, typed, caller):
        return None
    return await sessions.renewed(parts, session, caller, parts.now_ms())


async def check(parts: Parts, name: str, typed: str, caller: Caller) -> bool:
    """Whether this is the person's code now; it counts no more afterwards. Raises Refused (429)."""
    now_ms = parts.now_ms()
    found = await parts.database.read(lambda tx: people.find(tx, name))
    if found is None or not found.factor:
        return False
    known = devices.key_of(parts, name, caller)
    held_back_s = (
        parts.throttle.wait_s(f"code {known}", now_ms) if known else -(-(found.factor_blocked_until_ms - now_ms) // 1000)
    )
    if held_back_s > 0:
        raise Refused(f"too many wrong codes: wait {held_back_s} s", code="wait", status=429, wait_s=held_back_s)
    secret = parts.vault.open(PURPOSE, name, found.factor)
    if secret is None:
        raise Refused(
            f"the second factor of {name} cannot be read with this machine's key: an operator resets it",
            code="factor-unreadable",
            status=409,
        )
    step = totp.matching(secret, typed, now_ms, found.factor_step)
    if step is not None and await parts.database.run(partial(people.use_step, name=name, step=step)):
        parts.throttle.right(f"code {known}")
        return True
    await _count(parts, found, known, now_ms)
    return False


async def _count(parts: Parts, found: people.Login, known: str, now_ms: int) -> None:
    failures, name = found.factor_failures + 1, found.person.name
    over = failures - FREE_FAILURES
    wait_s = 0 if over < 0 else min(LONGEST_WAIT_S, 2 ** min(over, 12))

    def store(tx: Transaction) -> None:
        if not known:
            people.set_factor_failures(tx, name, failures, now_ms + wait_s * 1000)
        notes.note(tx, at_ms=now_ms, actor=name, via="page", act="people.wrong-code", what=name, detail=str(failures))

    if known:
        parts.throttle.wrong(f"code {known}", now_ms)
    await parts.database.run(store)
