"""One connection and thread that writes, urgent work first; another that only reads, so that no list delays an order."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

T = TypeVar("T")
Transaction = Connection
"""What a function given to `run` works with; it ends with the function, committed, or rolled back if that raised."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS: Final = 10_000


class Turnstile:
    """Lets one through at a time; whoever is urgent passes those who wait."""

    def __init__(self) -> None:
        self._busy = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._ordinary: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def pass_(self, *, urgent: bool) -> AsyncIterator[None]:
        """Hold the turn for the length of the block."""
        if self._busy:
            mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            (self._urgent if urgent else self._ordinary).append(mine)
            try:
                await mine
            except asyncio.CancelledError:
                if mine.done() and not mine.cancelled():
                    self._hand_on()
                raise
        self._busy = True
        try:
            yield
        finally:
            self._hand_on()

    def _hand_on(self) -> None:
        for waiting in (self._urgent, self._ordinary):
            while waiting:
                following = waiting.popleft()
                if not following.done():
                    following.set_result(None)
                    return
        self._busy = False


def _on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "cache_size=-16000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _on_begin_reading(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("PRAGMA query_only=ON")


def open_engine(url: str, *, reading: bool = False) -> Engine:
    """An engine for a SQLite or PostgreSQL URL, with our durability settings."""
    if url.startswith("sqlite"):
        engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin_reading if reading else _on_begin)
    return engine


def migrate(url: str) -> None:
    """Bring the schema to this program's version; a newer schema than this program knows stops it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, "head")


def url_of(file: Path) -> str:
    """The database URL of a SQLite file."""
    return f"sqlite:///{file}"


class Scribes(Protocol):
    """Whatever signs the audit log's rows; told how each transaction ended."""

    def settle(self, *, committed: bool) -> None:
        """The transaction has ended."""


class _Lane:
    """A connection in a thread of its own; one transaction at a time."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.scribe: Scribes | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._turn = Turnstile()

    def now(self, work: Callable[[Transaction], T]) -> T:
        """One transaction, at once and in this thread."""
        committed = False
        try:
            with self._engine.begin() as connection:
                connection.info["scribe"] = self.scribe
                done = work(connection)
            committed = True
        finally:
            if self.scribe is not None:
                self.scribe.settle(committed=committed)
        return done

    async def run(self, work: Callable[[Transaction], T], *, urgent: bool) -> T:
        """One transaction in the lane's thread."""
        async with self._turn.pass_(urgent=urgent):
            return await asyncio.get_running_loop().run_in_executor(self._thread, self.now, work)

    def close(self) -> None:
        """Finish what runs and close the connection."""
        self._thread.shutdown()
        self._engine.dispose()


class Database:
    """The store's door: `run` gives a function of ours a connection inside one transaction, `read` one that may only look."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._writing = _Lane(open_engine(url), "store")
        self._reading = _Lane(open_engine(url, reading=True), "store-read")

    def sign_with(self, scribe: Scribes) -> None:
        """From now on rows of the audit log are signed by this."""
        self._writing.scribe = scribe

    def run_now(self, work: Callable[[Transaction], T]) -> T:
        """One transaction, at once and in this thread: for what happens before there is a loop."""
        return self._writing.now(work)

    def look_now(self, work: Callable[[Transaction], T]) -> T:
        """Look at what is committed, at once and in this thread."""
        return self._reading.now(work)

    async def run(self, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        """One transaction; it is committed when this returns."""
        return await self._writing.run(work, urgent=urgent)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Look at what is committed; whatever writes goes on meanwhile."""
        return await self._reading.run(work, urgent=False)

    def close(self) -> None:
        """Finish what runs and close the file."""
        self._reading.close()
        self._writing.close()
