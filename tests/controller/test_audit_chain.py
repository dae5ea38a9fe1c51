"""The audit log: what is altered, deleted, swapped, added, cut off or written anew is found, at the first row that differs."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.__main__ import build
from controller.actions import audit, people
from controller.config import Config, load
from controller.core import audit_chain
from controller.core.access import Duty
from controller.core.audit_chain import GENESIS, Row, hash_of
from controller.errors import Refused
from controller.init import InitOptions, initialise
from controller.parts import SYSTEM
from controller.store.chain import BROKEN
from controller.store.database import MIGRATIONS, migrate, url_of
from protocol.keys import public_hex

DAY_MS = 86_400_000
NOW_MS = 1_800_000_000_000
ROWS, SIGNED = 12, 8


class Time:
    now_ms = NOW_MS


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose log has eight rows under a signed head, and four after it."""
    state = tmp_path_factory.mktemp("audit") / "state"
    initialise(state, InitOptions(province=52, broker_port=1, https_port=1))
    asyncio.run(acts(load(state)))
    return state


async def acts(config: Config) -> None:
    parts = build(config, lambda: NOW_MS)
    await people.create(parts, SYSTEM, "lan", "Lan", (Duty("author", "52"),))
    for number in range(ROWS - 1):
        if number == SIGNED - 1:
            assert await audit.sign_head(parts, audit.open_key(parts.config)[0])
        role = ("approver", "technician", "auditor")[number % 3]
        act = people.revoke if number // 3 % 2 else people.grant
        await act(parts, SYSTEM, "lan", (Duty(role, "52"),))
    parts.database.close()


@pytest.fixture
def config(master: Path, tmp_path: Path) -> Config:
    shutil.copytree(master, tmp_path / "state")
    return load(tmp_path / "state")


def change(config: Config, *statements: str) -> None:
    """Whoever can write into the database, but has not the key."""
    with sqlite3.connect(config.state / "loa.db") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def verdict(config: Config) -> audit_chain.Verdict:
    return audit.verify_database(config, public_hex(audit.open_key(config)[0]))


def test_a_log_that_nobody_touched_holds(config: Config) -> None:
    found = verdict(config)
    assert (found.good, found.rows, found.heads, found.signed_upto) == (True, ROWS, 1, 8)


SWAP = (
    "UPDATE audit SET id = 99 WHERE id = {0}",
    "UPDATE audit SET id = {0} WHERE id = {1}",
    "UPDATE audit SET id = {1} WHERE id = 99",
)
COPY = """INSERT INTO audit (id, at_ms, actor, via, act, object, detail, hash, seal)
    SELECT 13, at_ms, actor, via, act, object, detail, hash, seal FROM audit WHERE id = 2"""
FORGERIES = {
    "an actor": (("UPDATE audit SET actor = 'ai' WHERE id = 3",), 3),
    "a time": (("UPDATE audit SET at_ms = at_ms + 1 WHERE id = 11",), 11),
    "a detail": (("UPDATE audit SET detail = detail || ' ' WHERE id = 1",), 1),
    "a row in the middle is deleted": (("DELETE FROM audit WHERE id = 5",), 5),
    "the first row is deleted": (("DELETE FROM audit WHERE id = 1",), 1),
    "several rows are deleted": (("DELETE FROM audit WHERE id BETWEEN 4 AND 9",), 4),
    "a deleted row's place is closed": (("DELETE FROM audit WHERE id = 5", "UPDATE audit SET id = id - 1 WHERE id > 5"), 5),
    "two rows are swapped": (tuple(each.format(2, 6) for each in SWAP), 2),
    "two rows after the head are swapped": (tuple(each.format(10, 11) for each in SWAP), 10),
    "everything is deleted": (("DELETE FROM audit",), 1),
    "all up to before the signed row": (("DELETE FROM audit WHERE id > 6",), 7),
    "a row with a copied hash is added": (
        (COPY,),
        ROWS + 1,
    ),
    "a signature is taken away": (("UPDATE audit SET seal = '' WHERE id = 10",), 10),
    "a head's row": (("UPDATE audit_heads SET id = 7",), 7),
    "a head's time": (("UPDATE audit_heads SET at_ms = at_ms - 1",), 8),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_is_changed_in_the_database_is_found_at_its_row(config: Config, forgery: str) -> None:
    statements, row = FORGERIES[forgery]
    change(config, *statements)
    found = verdict(config)
    assert not found.good
    assert found.wrong_id == row, found.why


def rechain(config: Config, first: int, key: Ed25519PrivateKey | None = None) -> None:
    """An attacker who knows how the chain is made writes it anew from one row on, perhaps signing with a key of their own."""
    with sqlite3.connect(config.state / "loa.db") as database:
        before = GENESIS
        database.row_factory = sqlite3.Row
        for values in database.execute("SELECT * FROM audit ORDER BY id").fetchall():
            row = Row(**dict(values))
            if row.id >= first:
                made = hash_of(before, row)
                seal = audit_chain.seal_row(key, made) if key else row.seal
                database.execute("UPDATE audit SET hash = ?, seal = ? WHERE id = ?", (made, seal, row.id))
                before = made
            else:
                before = row.hash
    database.close()


@pytest.mark.parametrize("forger", [None, Ed25519PrivateKey.generate()])
def test_a_chain_written_anew_is_found_by_head_and_signatures(config: Config, forger: Ed25519PrivateKey | None) -> None:
    change(config, "UPDATE audit SET actor = 'ai' WHERE id = 3")
    rechain(config, 3, forger)
    assert verdict(config).wrong_id == 8, "the row that was signed"
    change(config, "DELETE FROM audit_heads")
    assert verdict(config).wrong_id == 3, "its own signature"


@pytest.mark.parametrize("forger", [None, Ed25519PrivateKey.generate()])
def test_a_row_added_with_a_right_hash_is_found_for_its_signature(config: Config, forger: Ed25519PrivateKey | None) -> None:
    change(
        config,
        "INSERT INTO audit (id, at_ms, actor, via, act, object) VALUES (13, 1800000000000, 'lan', 'page', 'order.start', 'x')",
    )
    rechain(config, ROWS + 1, forger)
    found = verdict(config)
    assert (found.wrong_id, "did not write this row" in found.why) == (ROWS + 1, True)


def test_an_export_is_checked_on_any_machine_and_an_end_that_was_cut_off_shows_against_an_older_one(config: Config) -> None:
    lines = list(audit.export(config))
    public = public_hex(audit.open_key(config)[0])
    assert audit.verify_lines(iter(lines), public).good
    assert audit.verify_lines(iter(lines), None).good
    assert not audit.verify_lines(iter(lines), "ab" * 32).good
    without = [line for line in lines if b'"id":6,' not in line]
    assert audit.verify_lines(iter(without), public).wrong_id == 6
    forged = [line.replace(b'"lan"', b'"tuan"') for line in lines]
    assert audit.verify_lines(iter(forged), public).wrong_id == 1
    with pytest.raises(Refused, match="line 1"):
        audit.verify_lines(iter([b"{}\n"]), public)


async def test_serve_says_so_at_its_start_and_signs_nothing_more(config: Config) -> None:
    change(config, "UPDATE audit SET actor = 'ai' WHERE id = 3")
    parts = build(config, lambda: NOW_MS + DAY_MS)
    try:
        assert parts.audit_trouble.startswith("row 3")
        assert await audit.sign_head(parts, audit.open_key(config)[0], daily=False) is None
        assert (await audit.list_all(parts, SYSTEM))[0].act == BROKEN
    finally:
        parts.database.close()


async def test_a_log_cut_or_grown_while_serve_runs_is_noted_at_the_next_act(config: Config) -> None:
    parts = build(config, lambda: NOW_MS)
    try:
        await people.grant(parts, SYSTEM, "lan", (Duty("operator", "52"),))
        change(config, "DELETE FROM audit WHERE id = 13")
        await people.revoke(parts, SYSTEM, "lan", (Duty("operator", "52"),))
        acts = [line.act for line in await audit.list_all(parts, SYSTEM)]
        assert acts[:2] == ["people.revoke", BROKEN]
    finally:
        parts.database.close()


async def test_an_act_that_fails_leaves_no_row_and_no_false_alarm(config: Config) -> None:
    parts = build(config, lambda: NOW_MS)
    try:
        before = len(await audit.list_all(parts, SYSTEM))

        def fails(tx) -> None:
            from controller.store import notes

            notes.note(tx, at_ms=NOW_MS, actor="lan", via="page", act="x", what="y")
            raise RuntimeError

        with pytest.raises(RuntimeError):
            await parts.database.run(fails)
        await people.grant(parts, SYSTEM, "lan", (Duty("operator", "52"),))
        acts = [line.act for line in await audit.list_all(parts, SYSTEM)]
        assert (len(acts), acts[0]) == (before + 1, "people.grant")
    finally:
        parts.database.close()
    assert verdict(config).good


async def test_the_head_is_signed_once_a_day_and_holds_what_came_since(config: Config) -> None:
    Time.now_ms = NOW_MS
    parts = build(config, lambda: Time.now_ms)
    key = audit.open_key(config)[0]
    try:
        await people.grant(parts, SYSTEM, "lan", (Duty("operator", "52"),))
        assert await audit.sign_head(parts, key) is None, "today's is signed"
        Time.now_ms += DAY_MS
        head = await audit.sign_head(parts, key)
        assert head is not None
        assert head.id == ROWS + 1
        Time.now_ms += DAY_MS
        assert await audit.sign_head(parts, key) is None, "nothing was added"
    finally:
        parts.database.close()
    assert verdict(config).signed_upto == ROWS + 1


def test_rows_from_before_the_chain_are_chained_and_then_signed(tmp_path: Path) -> None:
    """An upgrade: the tables of the first release with people, acts and gaps in their numbers."""
    initialise(tmp_path / "state", InitOptions(province=52, broker_port=1, https_port=1))
    file = tmp_path / "old.db"
    old = AlembicConfig()
    old.set_main_option("script_location", str(MIGRATIONS))
    old.attributes["url"] = url_of(file)
    command.upgrade(old, "0001")
    with sqlite3.connect(file) as database:
        database.execute("INSERT INTO areas (id, no, level, name) VALUES ('52', 100000052, 'province', 'Gia Lai')")
        for name, role in (("lan", "officer"), ("tuan", "operator")):
            database.execute(
                "INSERT INTO users (name, full_name, password_hash, role, must_change, created_ms) VALUES (?, ?, '', ?, 0, 1)",
                (name, name, role),
            )
        database.execute("INSERT INTO sessions (token_hash, name, csrf, created_ms, expires_ms) VALUES ('x', 'lan', 'y', 1, 2)")
        for number in (1, 2, 5, 9):
            database.execute(
                "INSERT INTO audit (id, at_ms, actor, via, act, object) VALUES (?, 1, 'lan', 'page', 'x', 'Đ')", (number,)
            )
    database.close()
    migrate(url_of(file))
    for each in (tmp_path / "state").glob("loa.db*"):
        each.unlink()
    shutil.copy(file, tmp_path / "state" / "loa.db")
    config = load(tmp_path / "state")
    unsigned = audit.verify_database(config, None)
    assert (unsigned.good, unsigned.rows, unsigned.unsigned) == (True, 4, 4)
    parts = build(config)
    everyone = {one.name: {duty.role for duty in one.duties} for one in parts.database.look_now(people.people.list_all)}
    parts.database.close()
    assert parts.audit_trouble == ""
    assert everyone == {"lan": {"emergency", "author"}, "tuan": {"operator", "technician", "auditor"}}
    assert verdict(config).signed_upto == 4
    change(config, "DELETE FROM audit_heads")
    again = build(config)
    again.database.close()
    assert again.audit_trouble, "only the key's first start takes an unsigned log as it stands"
