"""Who writes in the controller's database can make its page say "warned"; `loa audit receipts` finds each such word."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from protocol import keys
from protocol.envelope import digest_of, seal
from protocol.reports import OrderResult, Receipt
from tests.attacks.test_receipts import eventually
from tests.controller.headquarters import SETTLEMENT, Headquarters, begun


@pytest.fixture(scope="module")
def hq(tmp_path_factory):
    with begun(tmp_path_factory.mktemp("hq")) as made:
        yield made


@pytest.fixture
async def warned(hq: Headquarters, tmp_path: Path):
    """A START that sounds at one node and was not answered by another; and a copy of the state, with the database as it is."""
    heard, silent = hq.new_node(), hq.new_node()
    silent.answers = False
    start = hq.start_order(SETTLEMENT)
    async with heard.connected(), silent.connected():
        await heard.until(lambda peer: len(peer.held) >= 4)
        hq.post("/v1/orders", hq.sealed(start))
        await eventually(lambda: hq.row(start.incident, heard.node).spoken_ms, "one sounds")
        await silent.until(lambda peer: peer.opened)
        copy = tmp_path / "state"
        shutil.copytree(hq.state, copy, ignore=shutil.ignore_patterns("run", "loa.db*"))
        with sqlite3.connect(hq.state / "loa.db") as source, sqlite3.connect(copy / "loa.db") as target:
            source.backup(target)
        yield heard, silent, start, copy


def receipts(state: Path, *words: str) -> tuple[int, dict]:
    done = run(state, "--json", *words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def run(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = (sys.executable, "-c", "from controller.cli import app; app()")
    return subprocess.run(
        (*program, "audit", "receipts", "--state", state, *words), capture_output=True, text=True, timeout=60, check=False
    )


def write(state: Path, statement: str, *values) -> None:
    with contextlib.closing(sqlite3.connect(state / "loa.db")) as db, db:
        assert db.execute(statement, values).rowcount == 1


def doubts(state: Path, start) -> set[tuple[str, str, str]]:
    code, found = receipts(state, "--incident", start.incident)
    assert code == 1
    return {(each["node"], each["state"], each["why"]) for each in found["doubts"]}


def told(node, start, by, result: str = "sounding") -> bytes:
    digest = digest_of("order", msgspec.json.encode(start))
    one = OrderResult(incident=start.incident, order_seq=start.seq, result=result, digest=digest, at_ms=1, spoken_at_ms=1)
    return seal(Receipt(**node.common(), results=(one,)), [keys.sealer(by)])


FORGE_ROW = (
    "UPDATE order_nodes SET state = 'sounding', received_ms = 1, sounding_ms = 1, spoken_ms = 1 WHERE node = ? AND digest = ?"
)
SHIFT = "UPDATE order_nodes SET spoken_ms = spoken_ms - 60000 WHERE node = ? AND digest = ?"
FORGE_WORD = (
    "INSERT INTO receipts SELECT order_nodes.digest, node, ?, ? FROM order_nodes JOIN orders USING (digest) "
    "WHERE incident = ? AND node = ?"
)


async def test_what_nodes_sealed_holds_from_the_pinned_root_down(hq, warned):
    _heard, _silent, start, state = warned
    code, found = receipts(state, "--incident", start.incident, "--root", hq.root_digest)
    assert (code, found["doubts"], found["states"]) == (0, [], 2)
    assert found["root"] == hq.root_digest
    code, found = receipts(state)
    assert (code, found["doubts"]) == (0, [])


async def test_a_state_that_was_written_by_hand_has_no_receipt(warned):
    _heard, silent, start, state = warned
    write(state, FORGE_ROW, silent.node, digest_of("order", msgspec.json.encode(start)))
    why = "no sealed receipt is kept"
    assert doubts(state, start) == {(silent.node, "sounding", why), (silent.node, "spoken", why)}


async def test_another_nodes_receipt_or_one_by_a_key_of_the_writer_proves_nothing(warned):
    heard, silent, start, state = warned
    write(state, FORGE_ROW, silent.node, digest_of("order", msgspec.json.encode(start)))
    write(state, FORGE_WORD, "sounding", told(heard, start, heard.report_key), start.incident, silent.node)
    write(state, FORGE_WORD, "spoken", told(silent, start, keys.new_key()), start.incident, silent.node)
    why = "the kept receipt is not sealed by the node's report key"
    assert doubts(state, start) == {(silent.node, "sounding", why), (silent.node, "spoken", why)}


async def test_a_placement_of_the_writers_own_gives_his_key_no_weight(hq, warned):
    _heard, silent, start, state = warned
    mine = keys.new_key()
    silent.report_key, true_key = mine, silent.report_key
    forged = hq.placement(silent, prev=None)
    raw = seal(forged, [keys.sealer(mine)])
    write(state, FORGE_ROW, silent.node, digest_of("order", msgspec.json.encode(start)))
    for name in ("sounding", "spoken"):
        write(state, FORGE_WORD, name, told(silent, start, mine), start.incident, silent.node)
    write(state, "UPDATE documents SET raw = ? WHERE kind = 'placement' AND subject = ?", raw, silent.node)
    why = "no placement signed under this root names the node's report key"
    assert doubts(state, start) == {(silent.node, "sounding", why), (silent.node, "spoken", why)}
    silent.report_key = true_key


async def test_a_time_made_earlier_and_a_receipt_of_another_order_are_found(hq, warned):
    heard, silent, start, state = warned
    other = hq.start_order(SETTLEMENT)
    write(state, SHIFT, heard.node, digest_of("order", msgspec.json.encode(start)))
    write(state, FORGE_ROW, silent.node, digest_of("order", msgspec.json.encode(start)))
    for name in ("sounding", "spoken"):
        write(state, FORGE_WORD, name, told(silent, other, silent.report_key), start.incident, silent.node)
    why = "the kept receipt says something else"
    assert doubts(state, start) == {(heard.node, "spoken", why), (silent.node, "sounding", why), (silent.node, "spoken", why)}


async def test_a_root_of_the_writers_own_is_not_the_one_of_the_record(hq, warned):
    *_, state = warned
    done = run(state, "--root", "ab" * 32)
    assert done.returncode == 1
    assert "is not among the stored ones" in done.stderr
    assert hq.root_digest not in done.stdout
