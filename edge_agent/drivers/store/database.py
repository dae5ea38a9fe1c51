"""The SQLite file: what it holds as a Memory, and writes as transactions. Knows no clock: the card's own figures order it."""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from edge_agent.commands import DropDocument, PutDocument, PutMark, PutNumber, PutOrder, PutReach, PutRecord, PutUpdate, Write
from edge_agent.events import KeptDocument, KeptOrder, KeptReach, KeptUpdate, Memory
from protocol.reports import PlayRecord
from protocol.seen import OrderMark

DATABASE: Final = "node.db"
KEPT_MARKS: Final = 2_000
PRUNED_TO_MARKS: Final = 1_200
RECORDS_KEPT_MS: Final = 30 * 86_400_000
RECORDS_KEPT: Final = 20_000
BULLETINS_KEPT_MS: Final = 2 * 86_400_000
RECALLED: Final = 5_000
BUSY_TIMEOUT_S: Final = 2
RAN: Final = "suspend "
RAN_NUMBERS: Final = "SELECT name, value FROM numbers WHERE name GLOB ?"
UNREADABLE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_IOERR})
"""Damage, tables of another shape, sectors that the card does not give back: trying again would end the same way."""

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
    record_id INTEGER PRIMARY KEY, is_open INTEGER NOT NULL, occurrence_ms INTEGER, record BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS updates (one INTEGER PRIMARY KEY CHECK (one = 1), kept BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS reaches (one INTEGER PRIMARY KEY CHECK (one = 1), kept BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS records_by_occurrence ON records (occurrence_ms);
"""
_MARK: Final = msgspec.json.Decoder(OrderMark)
_RECORD: Final = msgspec.json.Decoder(PlayRecord)
_UPDATE: Final = msgspec.json.Decoder(KeptUpdate)
_REACH: Final = msgspec.json.Decoder(KeptReach)
Kept = TypeVar("Kept")
_encode: Final = msgspec.json.Encoder().encode


class Damaged(Exception):
    """The file is there and cannot be used."""


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


class Database:
    """One open file. Raises Damaged for one that cannot be read, sqlite3.Error for everything else that goes wrong."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
        try:
            # exclusive: a second agent on the same memory would sound everything twice; and no -shm file is needed on a full card
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            check = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            self._db.close()
            if code_of(error) in UNREADABLE:
                raise Damaged(str(error)) from error
            raise
        if check != "ok":
            self._db.close()
            raise Damaged(f"quick_check: {check}")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # --- the start ---

    def begin(self, boot_count: int) -> None:
        """Count this start, close what the last one left open, forget what is old. Raises sqlite3.Error when it cannot write."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for statement in SCHEMA.split(";"):
                self._db.execute(statement)
            self._put_number("boot_count", boot_count)
            self._db.execute("UPDATE records SET is_open = 0 WHERE is_open = 1")
            self._prune_records()
            self._prune_marks()
            self._db.execute(
                "DELETE FROM numbers WHERE name GLOB ? AND substr(name, ?) NOT IN (SELECT digest FROM documents)",
                (RAN + "*", len(RAN) + 1),
            )
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def boot_count(self) -> int:
        """How often this memory was opened; 0 for one that is new. Raises Damaged for tables that are not ours."""
        try:
            tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            return self.number("boot_count", 0) if tables else 0
        except sqlite3.DatabaseError as error:
            raise Damaged(str(error)) from error

    def read(self, boot_count: int, *, first_boot: bool, media: Mapping[str, int]) -> Memory:
        """Everything that it holds. Raises Damaged."""
        try:
            return self._read(boot_count, first_boot=first_boot, media=media)
        except (sqlite3.DatabaseError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Damaged(str(error)) from error

    def _read(self, boot_count: int, *, first_boot: bool, media: Mapping[str, int]) -> Memory:
        db = self._db
        upto = self.number("records_upto", 0)
        created_ms = self.number("created_ms", -1)
        rtc_good_ms = self.number("rtc_good_ms", -1)
        first, last = db.execute("SELECT min(record_id), max(record_id) FROM records").fetchone()
        orders = db.execute("SELECT raw, mark, accepted_ms, state FROM orders ORDER BY accepted_ms")
        documents = db.execute("SELECT raw, kind, digest, keyids, pending FROM documents")
        return Memory(
            boot_count=boot_count,
            first_boot=first_boot or not (self.number("introduced", 0) or upto),
            created_ms=created_ms if created_ms >= 0 else None,
            floor_ms=self.number("floor_ms", 0),
            rtc_good_ms=rtc_good_ms if rtc_good_ms >= 0 else None,
            documents=tuple(
                KeptDocument(raw, kind, digest, tuple(keyids.split()), bool(pending))
                for raw, kind, digest, keyids, pending in documents
            ),
            orders=tuple(KeptOrder(raw, _MARK.decode(mark), accepted_ms, state) for raw, mark, accepted_ms, state in orders),
            marks=tuple(_MARK.decode(mark) for (mark,) in db.execute("SELECT mark FROM marks ORDER BY seq")),
            evicted_seq=dict(db.execute("SELECT keyid, seq FROM evicted").fetchall()),
            records=self.records_after(upto),
            next_record_id=max(last or 0, upto) + 1,
            first_record_id=first or upto + 1,
            records_upto=upto,
            bulletins=self._bulletins(),
            media=media,
            media_month=self.number("media_month", 0),
            media_bytes=self.number("media_bytes", 0),
            suspends_ran_ms={name.removeprefix(RAN): ran_ms for name, ran_ms in db.execute(RAN_NUMBERS, (RAN + "*",))},
            update=self._one("SELECT kept FROM updates", _UPDATE),
            reach=self._one("SELECT kept FROM reaches", _REACH),
        )

    def _one(self, query: str, decoder: msgspec.json.Decoder[Kept]) -> Kept | None:
        """None also for one in another program's words: after a fall-back an older build reads what a newer one wrote."""
        try:
            row = self._db.execute(query).fetchone()
            return None if row is None else decoder.decode(row[0])
        except (sqlite3.OperationalError, msgspec.MsgspecError):  # no such table on a full card of an older build
            return None

    def _bulletins(self) -> tuple[PlayRecord, ...]:
        newest = self._db.execute("SELECT max(occurrence_ms) FROM records").fetchone()[0] or 0
        query = "SELECT record FROM records WHERE occurrence_ms > ? ORDER BY record_id"
        return tuple(_RECORD.decode(record) for (record,) in self._db.execute(query, (newest - BULLETINS_KEPT_MS,)))

    def records_after(self, number: int) -> tuple[PlayRecord, ...]:
        """Closed records with higher numbers, the oldest first."""
        rows = self._db.execute(
            "SELECT record FROM records WHERE record_id > ? AND is_open = 0 ORDER BY record_id LIMIT ?", (number, RECALLED)
        )
        return tuple(_RECORD.decode(record) for (record,) in rows)

    def number(self, name: str, otherwise: int) -> int:
        """A number that is kept under a name."""
        row = self._db.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
        return otherwise if row is None else int(row[0])

    # --- writing ---

    def write(self, writes: Iterable[Write]) -> None:
        """One transaction: all of it is on disk afterwards, or (sqlite3.Error) nothing."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            for write in writes:
                self._put(write)
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def shrink_log(self) -> None:
        """Move what the log holds into the file and cut the log: on a full card this alone may make room."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _put(self, write: Write) -> None:
        db = self._db
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
                occurrence_ms = record.planned_ms if record.incident is None else None
                db.execute(
                    "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)",
                    (record.record_id, is_open, occurrence_ms, _encode(record)),
                )
            case PutUpdate(update):
                db.execute("INSERT OR REPLACE INTO updates VALUES (1, ?)", (_encode(update),))
            case PutReach(reach):
                db.execute("INSERT OR REPLACE INTO reaches VALUES (1, ?)", (_encode(reach),))
            case PutNumber(name, value):
                self._put_number(name, value)

    def _put_mark(self, mark: OrderMark) -> None:
        self._db.execute("INSERT OR IGNORE INTO marks VALUES (?, ?, ?)", (mark.digest, mark.seq, _encode(mark)))

    def _put_number(self, name: str, value: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, value))

    # --- forgetting ---

    def _prune_records(self) -> None:
        """Forget records that the controller has and that lie 30 days behind the newest bulletin, or are too many.

        Measured on the records themselves: a clock that is 20 years off must not make an item of today play again.
        """
        db = self._db
        upto = self.number("records_upto", 0)
        newest_ms, last = db.execute("SELECT max(occurrence_ms), max(record_id) FROM records").fetchone()
        kept_from = db.execute(
            "SELECT min(record_id) FROM records WHERE occurrence_ms >= ?", ((newest_ms or 0) - RECORDS_KEPT_MS,)
        ).fetchone()[0]
        edge = max(kept_from or 0, (last or 0) - RECORDS_KEPT + 1)
        db.execute("DELETE FROM records WHERE record_id <= ? AND record_id < ?", (upto, edge))

    def _prune_marks(self) -> None:
        """Forget the oldest marks but those that stand; their keys' evicted seq keeps what is forgotten from being new again."""
        db = self._db
        (count,) = db.execute("SELECT count(*) FROM marks").fetchone()
        if count <= KEPT_MARKS:
            return
        old = db.execute(
            "SELECT digest, mark FROM marks WHERE digest NOT IN"
            " (SELECT digest FROM orders WHERE state IN ('accepted', 'sounding')) ORDER BY seq LIMIT ?",
            (count - PRUNED_TO_MARKS,),
        ).fetchall()
        for digest, encoded in old:
            mark = _MARK.decode(encoded)
            for keyid in mark.keyids:
                db.execute(
                    "INSERT INTO evicted VALUES (?, ?) ON CONFLICT (keyid) DO UPDATE SET seq = max(seq, excluded.seq)",
                    (keyid, mark.seq),
                )
            db.execute("DELETE FROM marks WHERE digest = ?", (digest,))
            db.execute("DELETE FROM orders WHERE digest = ?", (digest,))
