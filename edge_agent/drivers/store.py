"""The node's memory: one SQLite file, every transaction fsynced before it is answered, in a thread of its own."""

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.commands import DropDocument, PutDocument, PutMark, PutNumber, PutOrder, PutRecord, Save, Write
from edge_agent.errors import StoreFailed
from edge_agent.events import Event, KeptDocument, KeptOrder, Memory, RecordsRecalled, Saved, SaveFailed
from protocol.reports import PlayRecord
from protocol.seen import OrderMark

log = logging.getLogger(__name__)
BALLAST_BYTES: Final = 1_048_576
"""Given back to the file system when the card is full, so that an emergency can still be kept."""
KEPT_MARKS: Final = 2_000
PRUNED_TO_MARKS: Final = 1_200
RECORDS_KEPT_S: Final = 30 * 86_400
PLAYED_KEPT_MS: Final = 2 * 86_400_000
BUSY_TIMEOUT_S: Final = 10
LONGEST_BATCH: Final = 64

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, subject TEXT NOT NULL, authority TEXT NOT NULL, pending INTEGER NOT NULL,
    digest TEXT NOT NULL, keyids TEXT NOT NULL, raw BLOB NOT NULL,
    PRIMARY KEY (kind, subject, authority, pending)) STRICT;
CREATE TABLE IF NOT EXISTS orders (
    digest TEXT PRIMARY KEY, state TEXT NOT NULL, accepted_ms INTEGER NOT NULL, mark BLOB NOT NULL, raw BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS marks (digest TEXT PRIMARY KEY, seq INTEGER NOT NULL, mark BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS evicted (keyid TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS records (
    record_id INTEGER PRIMARY KEY, is_open INTEGER NOT NULL, written_s INTEGER NOT NULL,
    planned_ms INTEGER NOT NULL, record BLOB NOT NULL) STRICT;
"""
_MARK: Final = msgspec.json.Decoder(OrderMark)
_RECORD: Final = msgspec.json.Decoder(PlayRecord)
_encode: Final = msgspec.json.Encoder().encode


class Store:
    """Opened once at start; `save` never blocks, the answer comes as an event. `sync_delay_s` imitates a slow card."""

    def __init__(self, folder: Path, emit: Callable[[Event], None], *, sync_delay_s: float = 0.0) -> None:
        self._folder = folder
        self._emit = emit
        self._sync_delay_s = sync_delay_s
        self._jobs: queue.SimpleQueue[Save | int | None] = queue.SimpleQueue()
        self._db: sqlite3.Connection | None = None

    @property
    def _path(self) -> Path:
        return self._folder / "node.db"

    def open(self) -> Memory:
        """Open or make the file and read what it holds; a file that SQLite cannot read is put aside and said aloud as amnesia."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            memory = self._open()
        except sqlite3.DatabaseError as error:
            if self._db is not None:
                self._db.close()
            aside = self._path.with_name(f"node.db.unreadable-{int(time.time())}")
            log.error("the store %s cannot be read (%s): put aside as %s, starting without memory", self._path, error, aside.name)  # noqa: TRY400  the sentence says it all
            self._path.replace(aside)
            for ending in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    self._path.with_name("node.db" + ending).unlink()
            memory = self._open()
        self._lay_ballast()
        return memory

    def _open(self) -> Memory:
        self._db = db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check found damage")
        db.executescript(SCHEMA)
        db.execute("BEGIN IMMEDIATE")
        boot_count = self._number("boot_count", 0) + 1
        self._put_number("boot_count", boot_count)
        db.execute("UPDATE records SET is_open = 0 WHERE is_open = 1")
        upto = self._number("records_upto", 0)
        old_s = int(time.time()) - RECORDS_KEPT_S
        db.execute("DELETE FROM records WHERE record_id <= ? AND written_s < ? AND written_s > 0", (upto, old_s))
        self._prune()
        db.execute("COMMIT")
        return self._read(boot_count, upto)

    def _read(self, boot_count: int, upto: int) -> Memory:
        db = self._opened
        first, last = db.execute("SELECT min(record_id), max(record_id) FROM records").fetchone()
        return Memory(
            boot_count=boot_count,
            first_boot=boot_count == 1,
            created_ms=self._number("created_ms", -1) if self._number("created_ms", -1) >= 0 else None,
            floor_ms=self._number("floor_ms", 0),
            documents=tuple(
                KeptDocument(raw, kind, digest, tuple(keyids.split()), bool(pending))
                for kind, digest, keyids, raw, pending in db.execute("SELECT kind, digest, keyids, raw, pending FROM documents")
            ),
            orders=tuple(
                KeptOrder(raw, _MARK.decode(mark), accepted_ms, state)
                for raw, mark, accepted_ms, state in db.execute(
                    "SELECT raw, mark, accepted_ms, state FROM orders ORDER BY accepted_ms"
                )
            ),
            marks=tuple(_MARK.decode(mark) for (mark,) in db.execute("SELECT mark FROM marks ORDER BY seq")),
            evicted_seq=dict(db.execute("SELECT keyid, seq FROM evicted").fetchall()),
            records=self._records_after(upto),
            next_record_id=max(last or 0, upto) + 1,
            first_record_id=first or upto + 1,
            records_upto=upto,
            played=self._played(),
            media=frozenset(path.stem for path in (self._folder / "media").glob("??/*.mka")),
        )

    def _played(self) -> tuple[tuple[str, str, str, int], ...]:
        newest = self._opened.execute("SELECT max(planned_ms) FROM records").fetchone()[0] or 0
        rows = self._opened.execute("SELECT record FROM records WHERE planned_ms > ?", (newest - PLAYED_KEPT_MS,))
        records = [_RECORD.decode(record) for (record,) in rows]
        return tuple((rec.area, rec.authority, rec.item, rec.planned_ms) for rec in records if rec.incident is None)

    def _records_after(self, number: int) -> tuple[PlayRecord, ...]:
        rows = self._opened.execute(
            "SELECT record FROM records WHERE record_id > ? AND is_open = 0 ORDER BY record_id LIMIT 5000", (number,)
        )
        return tuple(_RECORD.decode(record) for (record,) in rows)

    @property
    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreFailed("the store is not open")
        return self._db

    # --- from the desk ---

    def save(self, command: Save) -> None:
        """Write in one transaction, in the order in which it was asked."""
        self._jobs.put(command)

    def recall(self, after: int) -> None:
        """Read the closed records after this one again."""
        self._jobs.put(after)

    async def run(self) -> None:
        """Work until cancelled; what was asked before is still written."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        failure: list[Exception] = []

        def work() -> None:
            try:
                self._work(loop)
            except (sqlite3.Error, RuntimeError) as error:
                failure.append(error)
            finally:
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(done.set)

        thread = threading.Thread(target=work, name="store", daemon=True)
        thread.start()
        try:
            await done.wait()
            raise StoreFailed(f"the store's thread ended: {failure}")
        finally:
            self._jobs.put(None)
            thread.join(timeout=BUSY_TIMEOUT_S)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            jobs = [self._jobs.get()]
            while len(jobs) < LONGEST_BATCH and not self._jobs.empty():
                jobs.append(self._jobs.get())
            saves = [job for job in jobs if isinstance(job, Save)]
            answers: list[Event] = list(self._commit(saves)) if saves else []
            answers += [RecordsRecalled(self._records_after(job)) for job in jobs if isinstance(job, int)]
            for answer in answers:
                loop.call_soon_threadsafe(self._emit, answer)
            if None in jobs:
                self._opened.close()
                return

    # --- writing ---

    def _commit(self, saves: list[Save]) -> tuple[Saved | SaveFailed, ...]:
        """All that waits is one transaction: a slow card pays one sync for it. A full card gets the ballast back, once."""
        try:
            self._write(saves)
        except sqlite3.Error as error:
            log.warning("the store could not write (%s): giving back its ballast", error)
            with contextlib.suppress(OSError):
                self._ballast.unlink(missing_ok=True)
            try:
                self._write(saves)
            except sqlite3.Error as again:
                return tuple(SaveFailed(save.ref, str(again)) for save in saves)
        return tuple(Saved(save.ref) for save in saves)

    def _write(self, saves: list[Save]) -> None:
        db = self._opened
        writes = [write for save in saves for write in save.writes]
        if not writes:
            return
        try:
            db.execute("BEGIN IMMEDIATE")
            for write in writes:
                self._put(write)
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if self._sync_delay_s:
            time.sleep(self._sync_delay_s)

    def _put(self, write: Write) -> None:
        db = self._opened
        match write:
            case PutDocument(slot, document):
                db.execute(
                    "DELETE FROM documents WHERE kind = ? AND subject = ? AND authority = ? AND (pending = 1 OR ? = 0)",
                    (slot.kind, slot.subject, slot.authority, document.pending),
                )
                keyids = " ".join(document.keyids)
                values = (slot.kind, slot.subject, slot.authority, document.pending, document.digest, keyids, document.raw)
                db.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            case DropDocument(slot, pending):
                db.execute(
                    "DELETE FROM documents WHERE kind = ? AND subject = ? AND authority = ? AND pending = ?",
                    (slot.kind, slot.subject, slot.authority, pending),
                )
            case PutOrder(order):
                db.execute(
                    "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?)",
                    (order.mark.digest, order.state, order.accepted_ms, _encode(order.mark), order.raw),
                )
                self._put_mark(order.mark)
            case PutMark(mark):
                self._put_mark(mark)
            case PutRecord(record, is_open):
                db.execute(
                    "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
                    (record.record_id, is_open, int(time.time()), record.planned_ms, _encode(record)),
                )
            case PutNumber(name, value):
                self._put_number(name, value)

    def _put_mark(self, mark: OrderMark) -> None:
        self._opened.execute("INSERT OR IGNORE INTO marks VALUES (?, ?, ?)", (mark.digest, mark.seq, _encode(mark)))

    def _put_number(self, name: str, value: int) -> None:
        self._opened.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, value))

    def _number(self, name: str, otherwise: int) -> int:
        row = self._opened.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
        return otherwise if row is None else int(row[0])

    def _prune(self) -> None:
        """Forget the oldest marks; their keys' evicted seq keeps what is forgotten from ever being new again."""
        db = self._opened
        (count,) = db.execute("SELECT count(*) FROM marks").fetchone()
        if count <= KEPT_MARKS:
            return
        old = db.execute("SELECT digest, mark FROM marks ORDER BY seq LIMIT ?", (count - PRUNED_TO_MARKS,)).fetchall()
        for digest, encoded in old:
            mark = _MARK.decode(encoded)
            for keyid in mark.keyids:
                db.execute(
                    "INSERT INTO evicted VALUES (?, ?) ON CONFLICT (keyid) DO UPDATE SET seq = max(seq, excluded.seq)",
                    (keyid, mark.seq),
                )
            db.execute("DELETE FROM marks WHERE digest = ?", (digest,))
            db.execute("DELETE FROM orders WHERE digest = ?", (digest,))

    @property
    def _ballast(self) -> Path:
        return self._folder / "ballast"

    def _lay_ballast(self) -> None:
        if self._ballast.exists() and self._ballast.stat().st_size == BALLAST_BYTES:
            return
        try:
            with self._ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
        except OSError as error:
            log.warning("no room for the ballast of the store: %s", error)
