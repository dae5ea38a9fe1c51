"""Power cuts: the real store and fetcher in a process that is killed at any instant, on a card that forgets what was not synced.

`python -m tests.drivers.cuts FOLDER URL CA CUTS SEED` says as JSON what it saw; the server at URL has the files of `POOL`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import ssl
import sys
import time
from pathlib import Path

from edge_agent.commands import PutDocument, PutMark, PutNumber, PutOrder, PutRecord, Save, Want
from edge_agent.drivers import fetcher as fetching
from edge_agent.drivers.fetcher import Fetcher
from edge_agent.drivers.store import Store
from edge_agent.events import Event, KeptDocument, MediaStored, Memory, Saved, SaveFailed
from protocol.seen import Slot
from tests.drivers.memory_of import KEY, T0_MS, digest, mark, order, record
from tests.drivers.sectors import Card, Journal, note

POOL = tuple(random.Random(number).randbytes(60_000) for number in range(24))
SHA = tuple(hashlib.sha256(content).hexdigest() for content in POOL)
SLOT = Slot("programme", "52.24076", "52.24076")
LONGEST_LIFE_S = 0.4
SLOW_SYNC_S = 0.01
"""As a card has it: else a kill hardly ever comes between a rename and the sync of its folder."""
KILLED_ONLY = 0.25
"""So often only the process ends: the next finds what the system still remembers, and a later cut may take it all the same."""
WELL_BEGUN = 0.8
"""So many lives are let begin first, however slow the machine; the others are cut in their start too."""
ALIVE = b"alive"
PATIENCE_S = 60.0
WAITING, IN_FORCE = True, False


def media_of(version: int) -> tuple[str, ...]:
    """The set of a version."""
    return tuple(SHA[(version * 5 + step) % len(SHA)] for step in (0, 1, 7))


def programme(version: int, *, pending: bool) -> PutDocument:
    raw = json.dumps({"version": version, "fill": "x" * 9_000}).encode()
    return PutDocument(SLOT, KeptDocument(raw, "programme", digest(-version), (KEY,), pending=pending))


def version_of(kept: KeptDocument) -> int:
    return int(json.loads(kept.raw)["version"])


# --- the process that is killed ---


class Life:
    """Orders with their records; and sets that wait until their files are there, and then take the place of the old."""

    def __init__(self, folder: Path, url: str, ca: str, journal: Journal) -> None:
        self._journal = journal
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self.store = Store(folder, self._events.put_nowait)
        self.memory = self.store.open()
        context = ssl.create_default_context(cafile=ca)
        (folder / "media").mkdir(exist_ok=True)
        words = (lambda: context, lambda _sha: "Loa x", self._events.put_nowait, random.Random(1))
        self.fetcher = Fetcher(lambda: url, folder / "media", *words, disk_reserve_bytes=0)
        self._means: dict[int, str] = {}
        self._have = set(self.memory.media)
        held = {kept.pending: version_of(kept) for kept in self.memory.documents}
        self._waiting, self._in_force = held.get(WAITING), held.get(IN_FORCE, 0)
        self._number = self.memory.next_record_id

    async def run(self) -> None:
        running = [asyncio.create_task(self.store.run()), asyncio.create_task(self.fetcher.run())]
        self._journal.fact("alive")
        if self._waiting is None:
            self._ask()
        else:
            self.fetcher.fetch(self._missing())
        self._order()
        while True:
            event = await self._events.get()
            if isinstance(event, Saved):
                meant = self._means.pop(event.ref)
                self._journal.fact(meant)
                self._saved(*meant.split())
            elif isinstance(event, MediaStored):
                self._journal.fact(f"stored {event.sha256}")
                self._have.add(event.sha256)
            elif isinstance(event, SaveFailed):
                self._journal.fact(f"failed {event.reason}")
            if self._waiting is not None and not self._missing() and "force" not in " ".join(self._means.values()):
                self._save(f"force {self._waiting}", programme(self._waiting, pending=False))
            assert not any(task.done() for task in running)

    def _save(self, means: str, *writes) -> None:
        ref = max(self._means, default=0) + 1
        self._means[ref] = means
        self.store.save(Save(ref, writes))

    def _saved(self, what: str, number: str) -> None:
        if what == "closed":
            self._order()
        elif what == "pending":
            self._waiting = int(number)
            self.fetcher.fetch(self._missing())
        elif what == "force":
            self._in_force, self._waiting = int(number), None
            self._ask()

    def _order(self) -> None:
        """An order with its open record in one transaction, then both closed with a STOP in another."""
        number = self._number
        self._number += 1
        begun = (PutOrder(order(number)), PutRecord(record(number), is_open=True), PutNumber("introduced", 1))
        self._save(f"begun {number}", *begun)
        ended = (PutRecord(record(number, "played"), is_open=False), PutOrder(order(number, "ended")))
        ended += (PutMark(mark(number + 1_000_000, op="STOP")), PutNumber("floor_ms", number))
        self._save(f"closed {number}", *ended, PutNumber("records_upto", max(self.memory.records_upto, number - 100)))

    def _ask(self) -> None:
        version = self._in_force + 1
        self._save(f"pending {version}", programme(version, pending=True))

    def _missing(self) -> tuple[Want, ...]:
        media = media_of(self._waiting) if self._waiting is not None else ()
        return tuple(Want(sha, len(POOL[SHA.index(sha)])) for sha in media if sha not in self._have)


def live(folder: Path, url: str, ca: str, notes: Path) -> None:
    """Never ends by itself."""
    journal = Journal(notes)
    kept = note(journal)
    real = os.fsync

    def synced(handle: int) -> None:
        time.sleep(SLOW_SYNC_S)
        real(handle)
        journal.fact(f"synced {Path(f'/proc/self/fd/{handle}').readlink()}")

    fetching.os.fsync = synced  # type: ignore[attr-defined]  the store's small file beside the database uses the same
    life = Life(folder, url, ca, journal)
    journal.fact(f"boot {life.memory.boot_count}")
    asyncio.run(life.run())
    assert kept


# --- the card, and what must be on it ---


class Broken(AssertionError):
    """A law did not hold."""


class Rounds:
    """Lives and cuts of one node; `truth` is what the lives were answered so far."""

    def __init__(self, folder: Path, url: str, ca: str, seed: int) -> None:
        self._folder, self._url, self._ca = folder / "state", url, ca
        self._notes, self._copy = folder / "notes", folder / "copy"
        self._chance = random.Random(seed)
        self.truth: dict[str, int] = {"begun": 0, "closed": 0, "pending": 0, "force": 0, "boot": 0}
        self.seen = dict.fromkeys(("cuts", "lives", "orders", "sets", "sectors", "cuts in a checkpoint"), 0)
        self.seen |= {"parts harmed": 0, "renames undone": 0}
        store = Store(self._folder, lambda _event: None)
        store.open()
        store._opened.close()
        self._stored: set[str] = set()
        self._closed: set[int] = set()
        self._after_a_cut()

    def _after_a_cut(self) -> None:
        """What is there now was read from the card itself."""
        self._card = Card(self._folder)
        self._boots = (self._folder / "boots").read_bytes()
        self._unsure_names: set[str] = set()

    def one(self) -> None:
        """A life or some, a cut, and what is left."""
        self._life()
        while self._chance.random() < KILLED_ONLY:
            self._judge()
            self._life()
        self._cut()

    def _cut(self) -> None:
        self.seen["cuts"] += 1
        self.seen["cuts in a checkpoint"] += bool(self._card.unsure["node.db"])
        self.seen["sectors"] += self._card.cut(self._chance)
        self._harm_media()
        self._tidy(self._judge())
        self._after_a_cut()

    def last(self) -> None:
        """A life that goes on until a set came into force in it, and its cut."""
        self._life(until=b"force ")
        self._cut()

    def _life(self, until: bytes = b"") -> None:
        pid = os.fork()
        if pid == 0:
            try:
                live(self._folder, self._url, self._ca, self._notes)
            finally:
                os._exit(1)
        if until or self._chance.random() < WELL_BEGUN:
            self._await(pid, until or ALIVE)
        time.sleep(self._chance.uniform(0.0, LONGEST_LIFE_S))
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise Broken("the life ended by itself")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.seen["lives"] += 1
        self._card.facts.clear()
        self._card.replay(self._notes.read_bytes() if self._notes.exists() else b"")
        self._notes.unlink(missing_ok=True)
        self._learn(self._card.facts)

    def _await(self, pid: int, words: bytes) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not self._notes.exists() or words not in self._notes.read_bytes():
            if time.monotonic() > deadline_s:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise Broken(f"a life never said {words!r}")
            time.sleep(0.02)

    def _learn(self, facts: list[str]) -> None:
        for fact in facts:
            what, _, number = fact.partition(" ")
            if what in self.truth:
                self.truth[what] = max(self.truth[what], int(number))
                self._closed |= {int(number)} if what == "closed" else set()
            elif what == "stored":
                self._stored.add(number)
            elif what == "synced":
                self._synced(Path(number))
            elif what == "failed":
                raise Broken(f"a transaction failed: {number}")

    def _synced(self, path: Path) -> None:
        """A file's bytes are sure with its own sync, its name only with its folder's after that."""
        if path.suffix == ".part":
            self._unsure_names.add(path.stem)
        else:
            self._unsure_names = {name for name in self._unsure_names if path.name != name[:2]}

    def _harm_media(self) -> None:
        """A part that was not synced holds anything; a rename whose folder was not synced may not have happened."""
        media = self._folder / "media"
        for part in (media / "part").glob("*.part"):
            size = part.stat().st_size
            if part.stem in self._unsure_names or not size or self._chance.random() < 0.3:
                continue
            content, at = bytearray(part.read_bytes()), self._chance.randrange(size)
            how = self._chance.choice(["short", "zeros", "torn"])
            if how == "short":
                del content[at:]
            elif how == "zeros":
                content[at:] = bytes(size - at)
            else:
                content[at : at + 512] = self._chance.randbytes(min(512, size - at))
            part.write_bytes(content)
            self.seen["parts harmed"] += 1
        for whole in media.glob("??/*.mka"):
            if whole.stem in self._unsure_names and self._chance.random() < 0.7:
                whole.replace(media / "part" / f"{whole.stem}.part")
                self.seen["renames undone"] += 1
        if self._chance.random() < 0.3:
            (self._folder / "boots").write_bytes(self._boots)  # nobody syncs the folder for it

    def _judge(self) -> Memory:
        """On a copy: the next life opens the card as the cut left it."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._folder, self._copy)
        store = Store(self._copy, lambda _event: None)
        memory = store.open()
        store._opened.close()
        with sqlite3.connect(self._copy / "node.db") as db:
            said = db.execute("PRAGMA integrity_check").fetchone()[0]
        db.close()
        _check("the database is whole", said == "ok", said)
        _check("nothing was put aside", not list(self._copy.glob("*.unreadable-*")))
        _check("it knows that it was met before", not (memory.first_boot and self.truth["begun"]))
        _check("starts are counted", memory.boot_count > self.truth["boot"], memory.boot_count, self.truth["boot"])
        self._judge_records(memory)
        self._judge_sets(memory)
        held = {kept.pending: version_of(kept) for kept in memory.documents}
        self.seen["sets"], self.seen["orders"] = held.get(IN_FORCE, 0), memory.next_record_id - 1
        return memory

    def _judge_records(self, memory: Memory) -> None:
        played = {told.record_id for told in memory.records if told.ending == "played"}
        numbers = {told.record_id for told in memory.records}
        _check("records are whole", sorted(numbers) == list(range(memory.records_upto + 1, memory.next_record_id)))
        _check("no record is lost", memory.next_record_id > self.truth["begun"], memory.next_record_id, self.truth["begun"])
        _check("no end is lost", {number for number in self._closed if number > memory.records_upto} <= played)
        _check("the floor stands", memory.floor_ms >= self.truth["closed"])
        forgotten = memory.evicted_seq.get(KEY, 0)
        orders = {kept.mark.seq - T0_MS: kept.state for kept in memory.orders}
        _check("each order is kept once", len(orders) == len(memory.orders))
        _check("each record has its order", all(number in orders or T0_MS + number <= forgotten for number in numbers))
        _check("each order has its record", max(orders, default=0) < memory.next_record_id)
        halves = [number for number in numbers & set(orders) if (orders[number] == "ended") != (number in played)]
        _check("a transaction is never half", not halves, halves)
        stops = {held.seq - T0_MS - 1_000_000 for held in memory.marks if held.op == "STOP"}
        _check("a STOP is there with its end", numbers & stops == played or forgotten > T0_MS + 1_000_000)

    def _judge_sets(self, memory: Memory) -> None:
        held = {kept.pending: version_of(kept) for kept in memory.documents}
        in_force, waiting = held.get(IN_FORCE, 0), held.get(WAITING, 0)
        _check("what is in force stays", in_force >= self.truth["force"], in_force, self.truth["force"])
        _check("what waits stays", max(in_force, waiting) >= self.truth["pending"], waiting, self.truth["pending"])
        files = {path.stem: path for path in (self._copy / "media").glob("??/*.mka")}
        _check(
            "what is there is what it is called", all(SHA.index(_sha(path)) == SHA.index(name) for name, path in files.items())
        )
        _check("what was stored is there", self._stored <= set(files))
        missing = set(media_of(in_force)) - set(files) if in_force else set()
        _check("a set is complete", not missing, in_force, missing, self.seen)

    def _tidy(self, memory: Memory) -> None:
        """Files that no version needs go, so that there is something to fetch; after a cut only, when what is held is sure."""
        held = {version_of(kept) for kept in memory.documents}
        needed = {sha for version in held for sha in media_of(version)}
        for path in (self._folder / "media").glob("??/*.mka"):
            if path.stem not in needed:
                path.unlink()
                self._stored.discard(path.stem)


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check(law: str, holds: bool, *seen: object) -> None:
    if not holds:
        raise Broken(f"{law}: {seen}")


def main(folder: str, url: str, ca: str, cuts: str, seed: str) -> None:
    rounds = Rounds(Path(folder), url, ca, int(seed))
    broken = []
    for number in range(int(cuts)):
        try:
            (rounds.last if number == int(cuts) - 1 else rounds.one)()
        except Broken as law:
            broken.append(f"cut {number}: {law}")
            break
    print(json.dumps({"broken": broken, **rounds.seen}))


if __name__ == "__main__":
    main(*sys.argv[1:])
