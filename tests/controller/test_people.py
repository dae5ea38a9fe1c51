"""Sign-in: first passwords shown once, argon2, the same answer for unknown names, guessing held back, sessions that end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.__main__ import build
from controller.actions import audit, people
from controller.config import load
from controller.errors import Refused
from controller.init import InitOptions, initialise
from controller.parts import SYSTEM, Parts


class Time:
    now_ms = 1_800_000_000_000


@pytest.fixture
async def parts(tmp_path: Path):
    initialise(tmp_path / "state", InitOptions(province=52, broker_port=1, https_port=1))
    made = build(load(tmp_path / "state"), lambda: Time.now_ms)
    yield made
    made.database.close()


async def person(parts: Parts, name: str = "lan") -> str:
    return (await people.create(parts, SYSTEM, name, "Nguyễn Thị Lan", "officer")).first_password


async def test_the_first_password_opens_a_session_and_must_be_changed(parts: Parts) -> None:
    password = await person(parts)
    session = await people.login(parts, "lan", password)
    assert session is not None
    assert session.person.must_change
    assert people.actor_of(session).role == "officer"
    assert await people.session(parts, session.token) == session
    fresh = await people.change_password(parts, "lan", password, "một câu dài dễ nhớ")
    assert await people.session(parts, session.token) is None
    assert not fresh.person.must_change
    assert await people.session(parts, fresh.token) == fresh
    assert await people.login(parts, "lan", password) is None


async def test_nothing_in_the_database_opens_anything(parts: Parts) -> None:
    password = await person(parts)
    session = await people.login(parts, "lan", password)
    assert session is not None
    await asyncio.to_thread(parts.database.close)
    content = b"".join(file.read_bytes() for file in parts.config.state.glob("loa.db*"))
    assert password.encode() not in content
    assert session.token.encode() not in content


async def test_wrong_and_unknown_get_the_same_answer_and_guessing_is_held_back(parts: Parts) -> None:
    password = await person(parts)
    assert await people.login(parts, "nobody", "x") is None
    for _ in range(5):
        assert await people.login(parts, "lan", "wrong") is None
    with pytest.raises(Refused) as caught:
        await people.login(parts, "lan", password)
    assert caught.value.code == "wait"
    assert caught.value.status == 429
    assert caught.value.wait_s
    Time.now_ms += 2_000
    assert await people.login(parts, "lan", password) is not None


async def test_a_session_ends_by_logout_and_by_time(parts: Parts) -> None:
    password = await person(parts)
    first, second = await people.login(parts, "lan", password), await people.login(parts, "lan", password)
    assert first is not None
    assert second is not None
    await people.logout(parts, first.token)
    assert await people.session(parts, first.token) is None
    Time.now_ms += people.SESSION_MS + 1
    assert await people.session(parts, second.token) is None


async def test_names_and_passwords_have_rules(parts: Parts) -> None:
    password = await person(parts)
    for name in ("Lan", "l", "x y", "../x", "lan"):
        with pytest.raises(Refused):
            await people.create(parts, SYSTEM, name, "Ai Đó", "officer")
    for weak in ("short", password, "lan-lan-lan-lan"):
        with pytest.raises(Refused, match="at least"):
            await people.change_password(parts, "lan", password, weak)
    with pytest.raises(Refused, match="old password"):
        await people.change_password(parts, "lan", "wrong", "một câu dài dễ nhớ")


async def test_a_reset_ends_every_session(parts: Parts) -> None:
    password = await person(parts)
    session = await people.login(parts, "lan", password)
    assert session is not None
    again = await people.reset(parts, SYSTEM, "lan")
    assert await people.session(parts, session.token) is None
    assert await people.login(parts, "lan", again.first_password) is not None
    acts = [line.act for line in await audit.list_all(parts)]
    assert {"people.create", "people.login", "people.reset"} <= set(acts)


async def test_a_disabled_person_stays_out(parts: Parts) -> None:
    password = await person(parts)
    session = await people.login(parts, "lan", password)
    assert session is not None
    await people.shut_out(parts, SYSTEM, "lan")
    assert await people.session(parts, session.token) is None
    assert await people.login(parts, "lan", password) is None
