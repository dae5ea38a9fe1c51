"""Sign-in: first passwords shown once, argon2, the same answer for unknown names, guessing held back, sessions that end."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from controller.__main__ import build
from controller.actions import audit, people, second_factor, sessions
from controller.actions.sessions import Caller
from controller.config import load
from controller.core import totp
from controller.core.access import Duty
from controller.errors import Refused
from controller.init import InitOptions, initialise
from controller.parts import SYSTEM, Actor, Parts

AUTHOR, EMERGENCY = Duty("author", "52.24076"), Duty("emergency", "52.24076")
OWN = "một câu dài dễ nhớ"


class Time:
    now_ms = 1_800_000_000_000


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("people") / "state"
    initialise(made, InitOptions(province=52, broker_port=1, https_port=1))
    return made


@pytest.fixture
async def parts(master: Path, tmp_path: Path):
    shutil.copytree(master, tmp_path / "state")
    made = build(load(tmp_path / "state"), lambda: Time.now_ms)
    yield made
    made.database.close()


async def person(parts: Parts, name: str = "lan", *duties: Duty) -> str:
    return (await people.create(parts, SYSTEM, name, "Nguyễn Thị Lan", duties or (AUTHOR,))).first_password


async def test_the_first_password_opens_a_session_and_must_be_changed(parts: Parts) -> None:
    password = await person(parts)
    session = await people.login(parts, "lan", password)
    assert session is not None
    assert session.person.must_change
    assert sessions.actor_of(session).duties == (), "who has not changed it yet may do nothing"
    assert await sessions.session(parts, session.token) == session
    fresh = await people.change_password(parts, "lan", password, OWN)
    assert sessions.actor_of(fresh).duties == (AUTHOR,)
    assert await sessions.session(parts, session.token) is None
    assert not fresh.person.must_change
    assert await sessions.session(parts, fresh.token) == fresh
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


async def test_a_session_ends_by_logout_by_time_and_by_lying_idle(parts: Parts) -> None:
    await people.change_password(parts, "lan", await person(parts), OWN)
    first, second, third = [await people.login(parts, "lan", OWN) for _ in range(3)]
    await sessions.logout(parts, first.token)
    assert await sessions.session(parts, first.token) is None
    for _ in range(sessions.SESSION_MS // (sessions.IDLE_MS // 2) - 1):
        Time.now_ms += sessions.IDLE_MS // 2
        assert await sessions.session(parts, second.token) is not None, "in use all the time"
    assert await sessions.session(parts, third.token) is None, "it lay idle"
    Time.now_ms += sessions.IDLE_MS // 2 + 1
    assert await sessions.session(parts, second.token) is None, "its twelve hours are over"


async def test_own_sessions_are_listed_and_ended(parts: Parts) -> None:
    await people.change_password(parts, "lan", await person(parts), OWN)
    here = await people.login(parts, "lan", OWN, Caller(address="10.0.0.1", agent="Firefox"))
    there = await people.login(parts, "lan", OWN, Caller(address="10.0.0.2", agent="Chrome"))
    found = await sessions.own(parts, here)
    told = {(one.source, one.agent, one.current) for one in found}
    assert told >= {("10.0.0.1", "Firefox", True), ("10.0.0.2", "Chrome", False)}
    other = next(one for one in found if one.source == "10.0.0.2")
    await sessions.end(parts, here, other.id)
    assert await sessions.session(parts, there.token) is None
    with pytest.raises(Refused):
        await sessions.end(parts, here, other.id)
    await sessions.end(parts, here, None)
    assert [one.current for one in await sessions.own(parts, here)] == [True]
    acts = [line.act for line in await audit.list_all(parts, SYSTEM)]
    assert acts.count("people.end-sessions") == 2


async def test_names_and_passwords_have_rules(parts: Parts) -> None:
    password = await person(parts)
    for name in ("Lan", "l", "x y", "../x", "lan"):
        with pytest.raises(Refused):
            await people.create(parts, SYSTEM, name, "Ai Đó", (AUTHOR,))
    for weak in ("short", password, "lan-lan-lan-lan"):
        with pytest.raises(Refused, match="10 to 200"):
            await people.change_password(parts, "lan", password, weak)
    with pytest.raises(Refused, match="old password"):
        await people.change_password(parts, "lan", "wrong", OWN)


async def test_a_reset_ends_every_session(parts: Parts) -> None:
    password = await person(parts)
    session = await people.login(parts, "lan", password)
    assert session is not None
    again = await people.reset(parts, SYSTEM, "lan")
    assert await sessions.session(parts, session.token) is None
    assert await people.login(parts, "lan", again.first_password) is not None
    acts = [line.act for line in await audit.list_all(parts, SYSTEM)]
    assert {"people.create", "people.login", "people.reset"} <= set(acts)


async def test_a_disabled_person_stays_out(parts: Parts) -> None:
    password = await person(parts)
    session = await people.login(parts, "lan", password)
    assert session is not None
    await people.shut_out(parts, SYSTEM, "lan")
    assert await sessions.session(parts, session.token) is None
    assert await people.login(parts, "lan", password) is None


async def officer(parts: Parts) -> tuple[bytes, sessions.Session]:
    """An officer who may start emergencies, with a telephone set up and a session open."""
    session = await people.change_password(parts, "lan", await person(parts, "lan", EMERGENCY), OWN)
    assert (session.stage, sessions.actor_of(session).duties) == ("set-up", ())
    secret = second_factor.begin(parts, session)
    risen = await second_factor.finish(parts, session, totp.code_at(secret, totp.step_of(Time.now_ms)), Caller())
    assert risen is not None
    Time.now_ms += totp.STEP_MS
    return secret, risen


async def test_a_second_factor_is_set_up_before_anything_else_and_the_session_is_a_new_one(parts: Parts) -> None:
    session = await people.change_password(parts, "lan", await person(parts, "lan", EMERGENCY), OWN)
    secret = second_factor.begin(parts, session)
    assert second_factor.begin(parts, session) == secret, "the picture stays while it is being scanned"
    assert await second_factor.finish(parts, session, "000000", Caller()) is None
    risen = await second_factor.finish(parts, session, totp.code_at(secret, totp.step_of(Time.now_ms)), Caller())
    assert risen.stage == "open"
    assert sessions.actor_of(risen).duties == (EMERGENCY,)
    assert risen.token != session.token
    assert risen.csrf != session.csrf
    assert await sessions.session(parts, session.token) is None
    with pytest.raises(Refused):
        await second_factor.finish(parts, risen, "000000", Caller())


async def test_a_code_opens_once_and_a_password_alone_opens_nothing(parts: Parts) -> None:
    secret, _ = await officer(parts)
    code = totp.code_at(secret, totp.step_of(Time.now_ms))
    first, second = [await people.login(parts, "lan", OWN) for _ in range(2)]
    assert (first.stage, sessions.actor_of(first).duties) == ("code", ())
    assert (await second_factor.give(parts, first, code, Caller())).stage == "open"
    assert await second_factor.give(parts, second, code, Caller()) is None, "each code counts once"
    for drift in (-2, 2):
        wrong = totp.code_at(secret, totp.step_of(Time.now_ms) + drift)
        assert await second_factor.give(parts, second, wrong, Caller()) is None
    ahead = totp.code_at(secret, totp.step_of(Time.now_ms) + 1)
    assert (await second_factor.give(parts, second, ahead, Caller())).stage == "open", "a telephone half a minute ahead"


async def test_guessing_codes_is_held_back_and_the_right_one_too(parts: Parts) -> None:
    secret, _ = await officer(parts)
    session = await people.login(parts, "lan", OWN)
    for _ in range(second_factor.FREE_FAILURES):
        assert await second_factor.give(parts, session, "000000", Caller()) is None
    with pytest.raises(Refused) as caught:
        await second_factor.give(parts, session, totp.code_at(secret, totp.step_of(Time.now_ms)), Caller())
    assert (caught.value.code, caught.value.status) == ("wait", 429)


async def test_a_lost_telephone_is_taken_away_by_an_operator_and_all_sessions_end(parts: Parts) -> None:
    _, session = await officer(parts)
    await people.reset_second_factor(parts, SYSTEM, "lan")
    assert await sessions.session(parts, session.token) is None
    assert (await people.login(parts, "lan", OWN)).stage == "set-up"
    assert "people.reset-second-factor" in [line.act for line in await audit.list_all(parts, SYSTEM)]


async def test_the_secret_of_a_telephone_is_not_readable_in_the_database(parts: Parts) -> None:
    secret, session = await officer(parts)
    await asyncio.to_thread(parts.database.close)
    content = b"".join(file.read_bytes() for file in parts.config.state.glob("loa.db*"))
    for told in (secret, secret.hex().encode(), totp.written(secret).replace(" ", "").encode(), session.token.encode()):
        assert told not in content


async def test_strangers_who_guess_do_not_keep_a_known_browser_out(parts: Parts) -> None:
    from controller.actions import devices

    await people.change_password(parts, "lan", await person(parts), OWN)
    known = Caller(address="10.0.0.1", device=devices.mark(parts, "lan"))
    for _ in range(people.FREE_FAILURES):
        assert await people.login(parts, "lan", "sai", Caller(address="203.0.113.7")) is None
    with pytest.raises(Refused):
        await people.login(parts, "lan", OWN, Caller(address="10.0.0.9"))
    assert await people.login(parts, "lan", OWN, known) is not None
    forged = Caller(address="10.0.0.9", device=devices.mark(parts, "tuan"))
    for _ in range(people.FREE_FAILURES):
        assert await people.login(parts, "lan", "sai", Caller(address="203.0.113.7")) is None
    with pytest.raises(Refused):
        await people.login(parts, "lan", OWN, forged)


async def test_one_source_is_held_back_over_many_names_and_others_are_not(parts: Parts) -> None:
    from controller import throttle

    await people.change_password(parts, "lan", await person(parts), OWN)
    for number in range(throttle.FREE):
        assert await people.login(parts, f"ai{number}", "sai", Caller(address="2001:db8::1")) is None
    with pytest.raises(Refused) as caught:
        await people.login(parts, "lan", OWN, Caller(address="2001:db8::ffff:2"))
    assert caught.value.status == 429
    assert await people.login(parts, "lan", OWN, Caller(address="2001:db8:0:1::1")) is not None


async def test_duties_count_from_the_next_look_and_a_guarded_one_asks_for_the_telephone_first(parts: Parts) -> None:
    session = await people.change_password(parts, "lan", await person(parts), OWN)
    assert session.stage == "open"
    await people.grant(parts, SYSTEM, "lan", (EMERGENCY,))
    now = await sessions.session(parts, session.token)
    assert (now.stage, sessions.actor_of(now).duties) == ("set-up", ())
    await people.revoke(parts, SYSTEM, "lan", (EMERGENCY,))
    now = await sessions.session(parts, session.token)
    assert (now.stage, sessions.actor_of(now).duties) == ("open", (AUTHOR,))


async def test_whoever_manages_a_commune_makes_nobody_for_the_province(parts: Parts) -> None:
    local = Actor(name="van", via="page", duties=(Duty("operator", "52.24076"),))
    await people.create(parts, local, "minh", "Minh", (AUTHOR,))
    for duty in (Duty("emergency", "52"), Duty("auditor", "52.24100")):
        with pytest.raises(Refused) as caught:
            await people.grant(parts, local, "minh", (duty,))
        assert caught.value.code == "right"
    await people.create(parts, SYSTEM, "chi", "Chi", (Duty("operator", "52"),))
    with pytest.raises(Refused):
        await people.reset(parts, local, "chi")
    with pytest.raises(Refused):
        await people.reset_second_factor(parts, local, "chi")
    assert [one.name for one in await people.list_all(parts, local)] == ["minh"]
