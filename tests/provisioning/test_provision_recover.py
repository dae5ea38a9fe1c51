"""A card from a pole, read by the technician's program after the agent's own store wrote it; nothing on it is changed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from edge_agent.commands import PutDocument, PutMark, PutNumber, PutOrder, PutRecord
from edge_agent.events import KeptDocument, KeptOrder
from protocol.envelope import claimed, payload_of
from protocol.seen import Slot
from provisioning.errors import InputRefused
from provisioning.memory import copy_span, find_folder, read_kept
from tests.core import people
from tests.drivers.memory_of import KEY, T0_MS, document, mark, opened, order, record
from tests.provisioning.cards import MIB, loop_device, loops_work, make_image

ROOT = Path(__file__).parents[2]
WRITTEN = 25


def fingerprint(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Every file with its bytes, when it was changed and how large it is."""
    states = {path: path.stat() for path in sorted(folder.rglob("*"))}
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            state.st_mtime_ns,
            state.st_size,
        )
        for path, state in states.items()
    }


def sealed(sent: object) -> tuple[bytes, object]:
    raw = sent.raw  # type: ignore[attr-defined]  what the tests' people sign
    return raw, payload_of(raw)


async def lived(folder: Path) -> None:
    """A node that took a placement, a programme that waits, an order and a stop, and played twice."""
    raw_place, place = sealed(people.placement())
    raw_start, start = sealed(people.start(T0_MS))
    held = claimed(raw_start)
    assert held is not None
    marked = structs.replace(mark(1), incident=start.incident, digest=held[0], seq=start.seq)
    async with opened(folder) as running:
        known = KeptDocument(raw_place, "placement", "aa" * 32, (KEY,), pending=False)
        await running.save(
            1,
            PutDocument(Slot("placement", place.subject, place.authority), known),
            document(2, pending=True),
            PutOrder(KeptOrder(raw_start, marked, T0_MS + 50, "sounding")),
            PutMark(mark(3, op="STOP")),
            PutRecord(record(1, "played", item="sang"), is_open=False),
            PutRecord(structs.replace(record(2, "skipped", item="trua"), reason="quiet-hours"), is_open=False),
            PutRecord(structs.replace(record(3), clock_state="holdover", clock_error_ms=900), is_open=True),
            PutNumber("records_upto", 1),
            PutNumber("floor_ms", T0_MS - 5_000),
            PutNumber("rtc_good_ms", T0_MS - 1_000),
        )
    home = folder / "media" / "ab"
    home.mkdir(parents=True)
    (home / f"{'ab' * 32}.mka").write_bytes(b"x" * 5_000)


async def test_a_card_says_who_it_was_what_it_played_what_it_was_told_and_what_it_knew_of_time(tmp_path: Path):
    await lived(tmp_path)
    kept = read_kept(tmp_path)
    assert (kept.node, kept.boot_count, kept.troubles) == (people.NODE, 1, ())
    assert (kept.floor_ms, kept.rtc_good_ms) == (T0_MS - 5_000, T0_MS - 1_000)
    assert [(each.record.record_id, each.was_open, each.acknowledged) for each in kept.plays] == [
        (3, True, False),
        (2, False, False),
        (1, False, True),
    ]
    assert [(each.record.item, each.record.reason) for each in kept.refusals] == [("trua", "quiet-hours")]
    (only,) = kept.orders
    assert (only.state, only.accepted_ms) == ("sounding", T0_MS + 50)
    assert only.words == payload_of(people.start(T0_MS).raw).text[0].text
    assert [(each.op, each.incident) for each in kept.stops] == [("STOP", f"{3:016x}")]
    assert [(each.kind, each.pending) for each in kept.documents] == [("placement", False), ("programme", True)]
    assert kept.documents[0].seq == payload_of(people.placement().raw).seq
    assert (kept.media_files, kept.media_bytes, kept.last_record_id, kept.acknowledged_record_id) == (1, 5_000, 3, 1)


async def test_nothing_on_the_card_is_changed_and_a_mounted_parent_will_do(tmp_path: Path, provision):
    folder = tmp_path / "mnt" / "loa-agent"
    await lived(folder)
    before = fingerprint(tmp_path / "mnt")
    said = provision("recover", "mnt")
    assert said.code == 0, said.err
    for words in (people.NODE, "quiet-hours", "đang kêu lúc mất điện", "holdover, ± 900 ms", "2 chưa báo về", "đã có vị trí"):
        assert words in said.out
    told = json.loads(provision("recover", "mnt", "--json").out)
    assert (told["node"], told["boot_count"]) == (people.NODE, 1)
    assert fingerprint(tmp_path / "mnt") == before


def killed(folder: Path) -> list[int]:
    """A store that is killed in the middle of its writing; the numbers that it had answered."""
    words = [sys.executable, "-m", "tests.drivers.memory_of", str(folder)]
    child = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    answered = [int(child.stdout.readline()) for _ in range(WRITTEN)]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    return answered


def test_after_a_power_cut_all_that_was_answered_is_told_out_of_the_log(tmp_path: Path):
    answered = killed(tmp_path)
    assert (tmp_path / "node.db-wal").stat().st_size > 0
    before = fingerprint(tmp_path)
    kept = read_kept(tmp_path)
    assert kept.last_record_id >= answered[-1]
    assert kept.orders[0].seq >= T0_MS + answered[-1]
    assert kept.troubles == ()
    assert fingerprint(tmp_path) == before


def test_a_log_that_was_torn_anywhere_tells_what_is_whole_before_the_tear(tmp_path: Path):
    answered = killed(tmp_path / "whole")
    log = (tmp_path / "whole" / "node.db-wal").read_bytes()
    chance, lasts = random.Random(5), []
    for number, length in enumerate(sorted(chance.randrange(len(log)) for _ in range(12))):
        torn = tmp_path / f"torn{number}"
        shutil.copytree(tmp_path / "whole", torn)
        (torn / "node.db-wal").write_bytes(log[:length] + chance.randbytes(512))
        kept = read_kept(torn)
        numbers = [each.record.record_id for each in kept.plays]
        assert numbers == list(range(kept.last_record_id, kept.last_record_id - len(numbers), -1))
        lasts.append(kept.last_record_id)
    assert lasts == sorted(lasts)
    assert lasts[-1] <= answered[-1] + 1


def on_a_whole_card(partition: bytes, path: Path) -> None:
    """An image of a card: MBR, a FAT partition, and this one behind it."""
    content = bytearray(make_image(path))
    at = len(content) // 512
    content[462:478] = struct.pack("<8BII", 0, 0, 0, 0, 0x83, 0, 0, 0, at, len(partition) // 512)
    path.write_bytes(bytes(content) + partition)


def ext4_of(folder: Path, path: Path) -> bytes:
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(folder), str(path), "32M"], check=True)
    return path.read_bytes()


def test_a_whole_card_whose_power_was_cut_is_read_with_its_journal_and_stays_as_it_is(tmp_path: Path, provision):
    """A real ext4, copied while it is mounted and written to: what was synced lies partly in the journal alone."""
    raw, at = tmp_path / "raw", tmp_path / "at"
    at.mkdir()
    raw.write_bytes(bytes(64 * MIB))
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(raw)], check=True)
    if not loops_work():
        pytest.skip("loop devices need root")
    with loop_device(raw) as loop:
        if subprocess.run(["mount", str(loop), str(at)], check=False).returncode != 0:
            pytest.skip("no mounts here")
        try:
            (at / "media" / "ab").mkdir(parents=True)
            (at / "media" / "ab" / f"{'ab' * 32}.mka").write_bytes(b"x" * 5_000)
            os.sync()
            answered = killed(at / "loa-agent")
            cut = raw.read_bytes()
        finally:
            subprocess.run(["umount", str(at)], check=True)
    on_a_whole_card(cut, tmp_path / "card.img")
    before = hashlib.sha256((tmp_path / "card.img").read_bytes()).hexdigest()
    said = provision("recover", "card.img", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told["last_record_id"] >= answered[-1]
    assert (told["boot_count"], told["troubles"], told["folder"]) == (1, [], "card.img")
    assert hashlib.sha256((tmp_path / "card.img").read_bytes()).hexdigest() == before


async def test_a_card_that_was_taken_out_in_peace_tells_its_media_too(tmp_path: Path, provision):
    await lived(tmp_path / "data" / "loa-agent")
    on_a_whole_card(ext4_of(tmp_path / "data", tmp_path / "part"), tmp_path / "card.img")
    told = json.loads(provision("recover", "card.img", "--json").out)
    assert (told["node"], told["media_files"], told["media_bytes"]) == (people.NODE, 1, 5_000)
    assert [each["was_open"] for each in told["plays"]] == [True, False, False]


@pytest.mark.parametrize("made", ["nothing", "no node's"])
def test_a_card_without_a_nodes_memory_is_a_sentence(tmp_path: Path, provision, made):
    make_image(tmp_path / "card.img")
    if made == "no node's":
        subprocess.run(["mke2fs", "-q", "-t", "ext4", str(tmp_path / "part"), "8M"], check=True)
        on_a_whole_card((tmp_path / "part").read_bytes(), tmp_path / "card.img")
    said = provision("recover", "card.img")
    assert said.code == 1
    assert "no node's memory is on card.img" in said.err
    assert "Traceback" not in said.err


async def test_a_damaged_file_tells_what_can_be_read_and_that_it_is_damaged(tmp_path: Path):
    async with opened(tmp_path) as running:
        for number in range(1, 200):
            running.store.save(running_save(number))
        await running.answers(199)
    path = tmp_path / "node.db"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8_192] = os.urandom(8_192)
    path.write_bytes(content)
    kept = read_kept(tmp_path)
    assert kept.boot_count == 1
    assert any("damaged" in trouble or "cannot be read" in trouble for trouble in kept.troubles)


def running_save(number: int):
    from edge_agent.commands import Save

    return Save(number, (PutOrder(order(number, "ended")), PutRecord(record(number, "played"), is_open=False), document(number)))


def test_a_card_whose_memory_is_rubbish_still_tells_its_starts(tmp_path: Path, provision):
    (tmp_path / "boots").write_text("41")
    (tmp_path / "node.db").write_bytes(random.Random(1).randbytes(50_000))
    said = provision("recover", ".", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert (told["boot_count"], told["plays"]) == (41, [])
    assert told["troubles"]
    assert "Traceback" not in provision("recover", ".").err


def test_a_memory_that_the_agent_put_aside_is_named(tmp_path: Path):
    (tmp_path / "boots").write_text("3")
    (tmp_path / "node.db.unreadable-17").write_bytes(b"rubbish")
    kept = read_kept(find_folder(tmp_path))
    assert kept.boot_count == 3
    assert "node.db.unreadable-17" in kept.troubles[0]


@pytest.mark.parametrize(("made", "words"), [((), "no node.db below"), (("a/node.db", "b/node.db"), "name one of")])
def test_a_folder_that_is_no_nodes_is_a_sentence(tmp_path: Path, made, words):
    for name in made:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(InputRefused, match=words):
        find_folder(tmp_path)
    with pytest.raises(InputRefused, match="there is no folder"):
        find_folder(tmp_path / "none")


@pytest.mark.parametrize("offset_bytes", [0, 4_096, 1_000_000])
def test_a_copy_with_holes_is_the_same_bytes_and_no_larger(tmp_path, offset_bytes):
    source, target, mib = tmp_path / "source", tmp_path / "target", MIB
    with source.open("wb") as file:
        for at, content in ((0, b"a" * 70_000), (3 * mib + 5, b"b" * 9), (8 * mib, b"c" * 200_000)):
            file.seek(at)
            file.write(content)
        file.truncate(20 * mib)
    assert copy_span(source, target, offset_bytes, 15 * mib) == []
    assert target.read_bytes() == source.read_bytes()[offset_bytes : offset_bytes + 15 * mib]
    assert target.stat().st_blocks * 512 < mib
