"""`save` never blocks and is answered when it is on the disk; a thread writes, in the order in which it was asked."""

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

from edge_agent.commands import PutDocument, PutMark, PutOrder, PutRecord, Save
from edge_agent.drivers.store.ballast import Ballast
from edge_agent.drivers.store.database import DATABASE, Damaged, Database, code_of
from edge_agent.errors import StoreFailed
from edge_agent.events import Event, Memory, RecordsRecalled, Saved, SaveFailed

log = logging.getLogger(__name__)
LONGEST_BATCH: Final = 64
LAST_WRITES_S: Final = 10.0
BALLAST_AGAIN_S: Final = 60.0
ENDINGS: Final = ("", "-wal")


class Store:
    """Opened once at start. `sync_delay_s` imitates a slow card."""

    def __init__(self, folder: Path, emit: Callable[[Event], None], *, sync_delay_s: float = 0.0) -> None:
        self._folder = folder
        self._emit = emit
        self._sync_delay_s = sync_delay_s
        self._jobs: queue.SimpleQueue[Save | int | None] = queue.SimpleQueue()
        self._db: Database | None = None
        self._ballast = Ballast(folder / "ballast")
        self._ballast_due_s = 0.0

    # --- the start ---

    def open(self) -> Memory:
        """Open or make the file and read what it holds; a file that cannot be read is put aside and said aloud as amnesia.

        A card that is full is still read: the node says so, and keeps nothing new until there is room.
        Raises StoreFailed when the folder cannot be used, or another agent uses it.
        """
        path = self._folder / DATABASE
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                memory = self._open(path)
            except Damaged as damage:
                self._put_aside(path, damage)
                memory = self._open(path)
        except (OSError, sqlite3.Error, Damaged) as error:
            busy = isinstance(error, sqlite3.Error) and code_of(error) == sqlite3.SQLITE_BUSY
            remedy = "another loa-agent uses it: end that one" if busy else "look at the card and at who owns the folder"
            raise StoreFailed(f"{path}: {error}; {remedy}") from error
        self._ballast.lay()
        return memory

    def _open(self, path: Path) -> Memory:
        """Raises Damaged, sqlite3.Error."""
        db = Database(path)
        try:
            before = db.boot_count()
            boot_count = max(before, self._boots_beside()) + 1
            self._begin(db, boot_count)
            self._count_beside(boot_count)
            media = _files_for_sure(self._folder / "media")
            memory = db.read(boot_count, first_boot=before == 0, media=media)
        except (Damaged, sqlite3.Error, OSError):
            db.close()
            raise
        self._db = db
        return memory

    def _begin(self, db: Database, boot_count: int) -> None:
        """Count the start. On a full card: with the ballast's room, and if need be not at all."""
        for last in (False, True):
            try:
                db.begin(boot_count)
            except sqlite3.Error as error:
                if code_of(error) != sqlite3.SQLITE_FULL:
                    raise
                log.warning("the card is full (%s)%s", error, ": starting all the same, nothing is kept" if last else "")
                self._ballast.give()
                if last and db.boot_count() > 0:
                    self._emit(SaveFailed(0, f"at start: {error}"))
                    return
                if last:
                    raise
            else:
                return

    @property
    def _boots(self) -> Path:
        return self._folder / "boots"

    def _boots_beside(self) -> int:
        """The same count outside the database: births are told apart by it, also after the database is lost."""
        try:
            return int(self._boots.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _count_beside(self, boot_count: int) -> None:
        new = self._boots.with_name("boots.new")
        try:
            with new.open("w", encoding="ascii") as file:
                file.write(str(boot_count))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._boots)
        except OSError as error:
            log.warning("the count of starts is kept in the database alone: %s", error)

    def _put_aside(self, path: Path, damage: Damaged) -> None:
        aside = path.with_name(f"{DATABASE}.unreadable-{time.time_ns()}")
        log.error("the store %s cannot be read (%s): put aside as %s, starting without memory", path, damage, aside.name)
        for old in sorted(self._folder.glob(f"{DATABASE}.unreadable-*"))[:-2]:
            old.unlink()
        for ending in ENDINGS:
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + ending).replace(aside.with_name(aside.name + ending))

    # --- from the desk ---

    def save(self, command: Save) -> None:
        """Write in one transaction, in the order in which it was asked."""
        self._jobs.put(command)

    def recall(self, after: int) -> None:
        """Read the closed records after this one again."""
        self._jobs.put(after)

    async def run(self) -> None:
        """Work until cancelled; what was asked before is still written. Raises StoreFailed."""
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
            thread.join(timeout=LAST_WRITES_S)

    # --- in the thread ---

    @property
    def _opened(self) -> Database:
        if self._db is None:
            raise StoreFailed("the store is not open")
        return self._db

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            jobs = [self._jobs.get()]
            while len(jobs) < LONGEST_BATCH and not self._jobs.empty():
                jobs.append(self._jobs.get())
            saves = [job for job in jobs if isinstance(job, Save)]
            answers: list[Event] = list(self._commit(saves)) if saves else []
            answers += [RecordsRecalled(self._opened.records_after(job)) for job in jobs if isinstance(job, int)]
            for answer in answers:
                loop.call_soon_threadsafe(self._emit, answer)
            if None in jobs:
                self._opened.close()
                return
            self._renew_ballast()

    def _commit(self, saves: list[Save]) -> tuple[Saved | SaveFailed, ...]:
        """All that waits is one transaction: a slow card pays one sync for it. When that fails, each is tried by itself."""
        if len(saves) > 1:
            try:
                self._write(*saves)
            except sqlite3.Error as error:
                log.warning("%d transactions could not be written together (%s): one by one", len(saves), error)
            else:
                return tuple(Saved(save.ref) for save in saves)
        return tuple(self._commit_one(save) for save in saves)

    def _commit_one(self, save: Save) -> Saved | SaveFailed:
        """Only what an emergency needs may have the ballast: a programme or a bulletin's record must not use it up."""
        last_hope = [self._give_ballast] if is_urgent(save) else []
        reason = ""
        for make_room in (None, self._opened.shrink_log, *last_hope):
            try:
                if make_room is not None:
                    make_room()
                self._write(save)
            except sqlite3.Error as error:
                reason = str(error)
                if code_of(error) != sqlite3.SQLITE_FULL:
                    break
            else:
                return Saved(save.ref)
        log.error("the store could not write: %s", reason)
        return SaveFailed(save.ref, reason)

    def _give_ballast(self) -> None:
        log.warning("the card is full: giving back the store's ballast")
        self._ballast.give()

    def _write(self, *saves: Save) -> None:
        writes = [write for save in saves for write in save.writes]
        if not writes:
            return
        self._opened.write(writes)
        if self._sync_delay_s:
            time.sleep(self._sync_delay_s)

    def _renew_ballast(self) -> None:
        """Somebody made room on the card: keep the ballast again."""
        now_s = time.monotonic()
        if now_s >= self._ballast_due_s:
            self._ballast_due_s = now_s + BALLAST_AGAIN_S
            self._ballast.lay()


def _files_for_sure(media: Path) -> dict[str, int]:
    """The media that lie there whole with their sizes, the oldest first. Their names are synced before they are believed.

    A process that was killed between a rename and its folder's sync leaves a name that the next power cut may take back, and
    until then a set could have been put in force on it. 256 folders take 17-50 ms.
    """
    found: list[tuple[int, str, int]] = []
    for home in media.glob("??"):
        try:
            handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            states = [(path.stem, path.stat()) for path in home.glob("*.mka")]
        except OSError as error:
            log.warning("media in %s are fetched anew: %s", home, error)
            continue
        found.extend((state.st_mtime_ns, name, state.st_size) for name, state in states)
    return {name: size for _, name, size in sorted(found)}


def is_urgent(save: Save) -> bool:
    """Whether a transaction belongs to an order (to begin it, to end it, to count its play), or suspends a key."""
    return any(
        isinstance(write, PutOrder | PutMark)
        or (isinstance(write, PutRecord) and write.record.incident is not None)
        or (isinstance(write, PutDocument) and write.slot.kind == "suspend")
        for write in save.writes
    )
