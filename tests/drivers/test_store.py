"""The node's memory, with the real SQLite file: what a power cut, damage and a full card leave of it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec import structs

from edge_agent.commands import DropDocument, PutMark, PutNumber, PutOrder, PutReach, PutRecord, Save
from edge_agent.drivers.store import Store
from edge_agent.drivers.store import database as base
from edge_agent.errors import StoreFailed
from edge_agent.events import KeptReach, Memory, RecordsRecalled, Saved, SaveFailed
from protocol.documents import Endpoint, Reach
from protocol.seen import Seen
from tests import vectors
from tests.drivers.memory_of import KEY, T0_MS, digest, document, mark, opened, order, record
from tests.waiting import until

ROOT = Path(__file__).parents[2]
KILLS = 12
ROUTINE_DAY_MS = 86_400_000


def reopened(folder: Path) -> Memory:
    store = Store(folder, lambda _event: None)
    memory = store.open()
    store._opened.close()
    return memory


async def test_what_was_answered_is_there_at_the_next_start(tmp_path):
    async with opened(tmp_path) as running:
        assert running.memory.first_boot
        assert running.memory.boot_count == 1
        put = document(1)
        writes = (
            put,
            PutOrder(order(1)),
            PutMark(mark(2, op="STOP")),
            PutRecord(record(1), is_open=True),
            PutNumber("floor_ms", 5),
            PutNumber("introduced", 1),
        )
        assert isinstance(await running.save(7, *writes), Saved)
    memory = reopened(tmp_path)
    assert (memory.boot_count, memory.first_boot, memory.floor_ms) == (2, False, 5)
    assert memory.documents == (put.document,)
    assert memory.orders == (order(1),)
    assert memory.marks == (mark(1), mark(2, op="STOP"))
    assert memory.records == (record(1, "cut"),)
    assert memory.next_record_id == 2


async def test_a_document_in_force_replaces_the_one_that_waits_and_a_dropped_one_is_gone(tmp_path):
    async with opened(tmp_path) as running:
        await running.save(1, document(1))
        waits = structs.replace(document(1).document, pending=True, digest=digest(2))
        slot = document(1).slot
        await running.save(2, type(document(1))(slot, waits))
        memory_of_both = running.store._opened.read(0, first_boot=False, media={})
        assert {kept.pending for kept in memory_of_both.documents} == {True, False}
        await running.save(3, type(document(1))(slot, structs.replace(waits, pending=False)))
        await running.save(4, document(5), document(6))
        await running.save(5, DropDocument(document(5).slot, pending=False))
    assert {kept.digest for kept in reopened(tmp_path).documents} == {digest(2), digest(6)}


def test_names_of_media_are_synced_before_they_are_believed(tmp_path, monkeypatch):
    home = tmp_path / "media" / "ab"
    home.mkdir(parents=True)
    (home / f"{'ab' * 32}.mka").write_bytes(b"whole")
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (real(handle), synced.append(Path(f"/proc/self/fd/{handle}").readlink())))
    assert set(reopened(tmp_path).media) == {"ab" * 32}
    assert home in synced


async def test_the_place_of_a_played_item_is_remembered_and_an_order_is_none(tmp_path):
    async with opened(tmp_path) as running:
        await running.save(1, PutRecord(record(1, "played", item="sang"), is_open=False), PutRecord(record(2), is_open=False))
    assert [(record.item, record.planned_ms) for record in reopened(tmp_path).bulletins] == [("sang", T0_MS + 1)]


async def test_the_media_on_the_card_come_with_their_sizes_the_oldest_first_and_so_does_what_the_month_has_cost(tmp_path):
    async with opened(tmp_path) as running:
        await running.save(1, PutNumber("media_month", 202_701), PutNumber("media_bytes", 12_345))
    for age_s, (letters, size) in enumerate((("bb", 300), ("aa", 200), ("cc", 100))):
        file = tmp_path / "media" / letters / f"{letters * 32}.mka"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"0" * size)
        os.utime(file, (1_000_000 - age_s, 1_000_000 - age_s))
    (tmp_path / "media" / "part").mkdir()
    (tmp_path / "media" / "part" / f"{'dd' * 32}.part").write_bytes(b"half")
    memory = reopened(tmp_path)
    assert list(memory.media.items()) == [("cc" * 32, 100), ("aa" * 32, 200), ("bb" * 32, 300)]
    assert (memory.media_month, memory.media_bytes) == (202_701, 12_345)


async def test_the_way_to_the_controller_is_remembered_and_words_of_another_program_are_none(tmp_path):
    kept = KeptReach(digest="ab" * 32, wanted=Reach(brokers=(Endpoint(host="b.vn"),)), state="trial", brief=True, silent_h=3)
    async with opened(tmp_path) as running:
        assert running.memory.reach is None
        await running.save(1, PutReach(kept))
    assert reopened(tmp_path).reach == kept
    with contextlib.closing(sqlite3.connect(tmp_path / "node.db", isolation_level=None)) as db:
        db.execute("UPDATE reaches SET kept = ?", (b'{"of":"tomorrow"',))
    assert reopened(tmp_path).reach is None


def test_a_power_cut_at_any_instant_loses_nothing_that_was_answered_and_leaves_nothing_half(tmp_path):
    chance = random.Random(4)
    folder = tmp_path / "state"
    answered = 0
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.drivers.memory_of", str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as writer:
            assert writer.stdout is not None
            answered = max(answered, int(writer.stdout.readline()))
            time.sleep(chance.uniform(0.0, 0.15))
            writer.send_signal(signal.SIGKILL)
            answered = max(
                [answered, *(int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n"))]
            )
        memory = reopened(folder)
        numbers = [told.record_id for told in memory.records]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= answered
        assert {kept.mark.digest for kept in memory.orders} == {digest(number) for number in numbers}
        ended = {kept.mark.digest for kept in memory.orders if kept.state == "ended"}
        assert ended == {told.digest for told in memory.records if told.ending == "played"}
        assert {digest(number + 1_000_000) for number in numbers if digest(number) in ended} == {
            held.digest for held in memory.marks if held.op == "STOP"
        }
    assert memory.boot_count == 2 * KILLS


async def _with_log(tmp_path: Path) -> Path:
    """A folder as a power cut leaves it: the file, and a log that holds most of it."""
    folder = tmp_path / "state"
    async with opened(folder) as running:
        await running.save(100, PutNumber("introduced", 1))
        for number in range(1, 41):
            await running.save(number, PutOrder(order(number)), PutRecord(record(number), is_open=False))
        shutil.copytree(folder, tmp_path / "cut")
    return tmp_path / "cut"


async def test_a_torn_log_leaves_whole_transactions_and_never_amnesia(tmp_path):
    cut = await _with_log(tmp_path)
    log_bytes = (cut / "node.db-wal").stat().st_size
    chance = random.Random(11)
    for round_ in range(12):
        folder = tmp_path / f"torn{round_}"
        shutil.copytree(cut, folder)
        log = folder / "node.db-wal"
        where = chance.randrange(log_bytes // 2, log_bytes)
        if round_ % 2:
            os.truncate(log, where)
        else:
            with log.open("r+b") as file:
                file.seek(where)
                file.write(chance.randbytes(512))
        memory = reopened(folder)
        numbers = [told.record_id for told in memory.records]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(memory.orders) == len(numbers)
        assert not memory.first_boot


def _rubbish(path: Path) -> None:
    path.write_bytes(b"no database " * 2_000)


def _torn(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _scratched(path: Path) -> None:
    with path.open("r+b") as file:
        for at in range(4_096, path.stat().st_size, 4_096):
            file.seek(at)
            file.write(b"\xa5" * 2_000)


def _foreign(path: Path) -> None:
    import sqlite3

    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE numbers (other TEXT)")
    db.close()


@pytest.mark.parametrize("harm", [_rubbish, _torn, _scratched, _foreign])
async def test_a_file_that_cannot_be_read_is_put_aside_and_said_as_amnesia(tmp_path, harm):
    async with opened(tmp_path) as running:
        for number in range(1, 30):
            await running.save(number, PutOrder(order(number)), document(number))
    harm(tmp_path / "node.db")
    async with opened(tmp_path) as running:
        memory = running.memory
        assert memory.first_boot
        assert memory.created_ms is None
        assert memory.orders == ()
        assert memory.boot_count == 2, "births are told apart by it, also after the memory is lost"
        assert isinstance(await running.save(1, PutOrder(order(99))), Saved)
    assert len(list(tmp_path.glob("node.db.unreadable-*"))) >= 1
    assert [kept.mark for kept in reopened(tmp_path).orders] == [mark(99)]


async def test_files_put_aside_do_not_fill_the_card(tmp_path):
    for _ in range(6):
        async with opened(tmp_path):
            pass
        _rubbish(tmp_path / "node.db")
    assert len(list(tmp_path.glob("node.db.unreadable-*"))) <= 3


async def test_a_second_agent_on_the_same_memory_is_turned_away_and_the_memory_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "BUSY_TIMEOUT_S", 0.2)
    async with opened(tmp_path) as running:
        await running.save(1, PutOrder(order(1)))
        with pytest.raises(StoreFailed, match="another loa-agent"):
            Store(tmp_path, lambda _event: None).open()
        assert isinstance(await running.save(2, PutOrder(order(2))), Saved)
    assert not list(tmp_path.glob("node.db.unreadable-*"))
    assert len(reopened(tmp_path).orders) == 2


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreFailed, match=r"node\.db: .*look at the card"):
        Store(tmp_path / "state", lambda _event: None).open()


@pytest.mark.root
def test_a_full_card_keeps_an_emergency_and_gives_way_for_nothing_less(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root for a mount namespace")
    card = tmp_path / "card"
    card.mkdir()
    words = ["unshare", "-m", sys.executable, "-m", "tests.drivers.full_card", str(card), "7000"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said == {
        "kept before": "Saved",
        "ballast laid": True,
        "large": "SaveFailed",
        "routine": "SaveFailed",
        "ballast after routine": True,
        "order": "Saved",
        "ballast after order": False,
        "told at start": True,
        "boot count": 2,
        "orders": ["accepted"],
        "document 1": True,
        "with room again": "Saved",
        "ballast again": True,
    }


async def test_what_cannot_be_written_is_answered_and_the_rest_is_kept(tmp_path):
    async with opened(tmp_path) as running:
        running.store._opened._db.execute("CREATE TRIGGER no BEFORE INSERT ON documents BEGIN SELECT RAISE(ABORT, 'no'); END")
        for ref, writes in enumerate(((PutOrder(order(1)),), (document(1),), (PutOrder(order(2)),)), start=1):
            running.store.save(Save(ref, writes))
        answers = await running.answers(1, 2, 3)
    assert [type(answer) for answer in answers] == [Saved, SaveFailed, Saved]
    memory = reopened(tmp_path)
    assert len(memory.orders) == 2
    assert memory.documents == ()


async def test_on_a_slow_card_what_waits_shares_one_sync_and_is_answered_in_order(tmp_path):
    async with opened(tmp_path, sync_delay_s=0.2) as running:
        began_s = time.monotonic()
        for ref in range(1, 41):
            running.store.save(Save(ref, (PutMark(mark(ref)),)))
        await running.answers(*range(1, 41))
        assert time.monotonic() - began_s < 4
        assert [event.ref for event in running.events] == list(range(1, 41))


async def test_what_was_asked_before_the_end_is_still_written(tmp_path):
    async with opened(tmp_path, sync_delay_s=0.1) as running:
        for ref in range(1, 6):
            running.store.save(Save(ref, (PutOrder(order(ref)),)))
    assert len(reopened(tmp_path).orders) == 5


async def test_closed_records_are_read_again_and_open_ones_are_not(tmp_path):
    async with opened(tmp_path) as running:
        for number in range(1, 6):
            await running.save(number, PutRecord(record(number, "played"), is_open=number == 5))
        running.store.recall(2)
        await until(lambda: any(isinstance(event, RecordsRecalled) for event in running.events))
        assert [told.record_id for told in running.events[-1].records] == [3, 4]
    assert [told.record_id for told in reopened(tmp_path).records] == [1, 2, 3, 4, 5]


async def test_only_records_that_the_controller_has_and_that_are_a_month_old_are_forgotten(tmp_path):
    async with opened(tmp_path) as running:
        for number in range(1, 61):
            put = record(number, "played", item="sang", planned_ms=T0_MS + number * ROUTINE_DAY_MS)
            await running.save(number, PutRecord(put, is_open=False))
        await running.save(100, PutNumber("records_upto", 20))
    memory = reopened(tmp_path)
    assert memory.first_record_id == 21, "60 days of records, the controller has 20: those it has not are never forgotten"
    assert [told.record_id for told in memory.records] == list(range(21, 61))
    assert memory.next_record_id == 61
    async with opened(tmp_path) as running:
        await running.save(1, PutNumber("records_upto", 60))
    assert reopened(tmp_path).first_record_id == 30


async def test_what_is_forgotten_is_never_new_again_and_what_stands_is_not_forgotten(tmp_path):
    good = next(case for case in vectors.cases() if case.name == "good-start")
    world = vectors.reader("node")
    _said, start = vectors.meet(world, good.steps[0])
    assert start is not None
    theirs = structs.replace(
        mark(1), seq=start.payload.seq, keyids=start.keyids, digest=start.digest, incident="00000000000000a1"
    )
    newer = [structs.replace(mark(number), seq=start.payload.seq + number) for number in range(2, base.KEPT_MARKS + 101)]
    async with opened(tmp_path) as running:
        stands = structs.replace(order(2), mark=newer[0])
        ended = structs.replace(order(1, "ended"), mark=theirs)
        await running.save(1, PutOrder(ended), PutOrder(stands), *(PutMark(held) for held in newer))
    memory = reopened(tmp_path)
    assert base.PRUNED_TO_MARKS <= len(memory.marks) <= base.KEPT_MARKS
    assert theirs.digest not in {held.digest for held in memory.marks}
    assert memory.orders == (stands,)
    assert memory.evicted_seq[theirs.keyids[0]] == theirs.seq
    assert memory.evicted_seq[KEY] >= newer[1].seq
    seen = Seen(documents=world.seen.documents, evicted_seq=memory.evicted_seq)
    said, _opened = vectors.meet(structs.replace(world, seen=seen), good.steps[0])
    assert said == "superseded"
