"""Media over HTTPS: ranged, resumed, hashed while read, fsynced and renamed; it leaves the link to an order at once."""

import asyncio
import contextlib
import hashlib
import http.client
import logging
import os
import random
import shutil
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from edge_agent.carried import carried_bytes
from edge_agent.commands import Want
from edge_agent.errors import FetchFailed
from edge_agent.events import Event, MediaEvicted, MediaFailed, MediaReceived, MediaStored

log = logging.getLogger(__name__)
CHUNK_BYTES: Final = 8_192
RECEIVE_BUFFER_BYTES: Final = 24_576
"""What may be under way when an order comes: at 1 Mbit/s a fifth of a second."""
TIMEOUT_S: Final = 30.0
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
LONGEST_WAIT_WRONG_S: Final = 6 * 3_600.0
"""Wrong bytes cost a whole file of a metered link each time."""
DISK_RESERVE_BYTES: Final = 64 * 2**20
TELL_EVERY_BYTES: Final = 2**20
"""So much of a long file may a power cut take from the count of what the link carried."""


class WrongBytes(FetchFailed):
    """All of the file came, and it is not the one that was signed."""


class Fetcher:
    """Works through what is wanted, one file at a time, in a thread that can be told to let go of the link."""

    def __init__(
        self,
        media_url: Callable[[], str],
        folder: Path,
        context: Callable[[], ssl.SSLContext],
        authorise: Callable[[str], str],
        emit: Callable[[Event], None],
        chance: random.Random,
        *,
        timeout_s: float = TIMEOUT_S,
        disk_reserve_bytes: int = DISK_RESERVE_BYTES,
    ) -> None:
        self._media_url = media_url
        self._folder = folder
        self._context = context
        self._authorise = authorise
        self._emit = emit
        self._chance = chance
        self._timeout_s = timeout_s
        self._disk_reserve_bytes = disk_reserve_bytes
        self._wants: tuple[Want, ...] = ()
        self._current: Want | None = None
        self._woken = asyncio.Event()
        self._held = False
        self._link = _Link()
        self._waits_s: dict[str, float] = {}
        self._evictions: tuple[str, ...] = ()
        self._meter = _Meter()

    def fetch(self, wants: tuple[Want, ...], budget_bytes: int | None = None) -> None:
        """These are needed, in this order; a file that is new and goes before the one under way makes it wait.

        When the link has carried `budget_bytes` for them, nothing more is fetched until told anew.
        """
        self._meter.allow(budget_bytes)
        known, self._wants = set(self._wants), wants
        self._waits_s = {sha: wait for sha, wait in self._waits_s.items() if any(want.sha256 == sha for want in wants)}
        if self._current is not None:
            before = wants[: wants.index(self._current)] if self._current in wants else wants
            if self._current not in wants or any(want not in known for want in before):
                self._link.let_go()
        self._woken.set()

    def hold(self, *, held: bool) -> None:
        """Leave the link to an order, or go on."""
        self._held = held
        if held:
            self._link.let_go()
        self._woken.set()

    def evict(self, files: tuple[str, ...]) -> None:
        """Take these off the card before the next file is fetched: what is evicted and then wanted comes anew."""
        self._evictions += files
        self._woken.set()

    async def run(self) -> None:
        """Fetch what is wanted until cancelled; a failure waits its turn and is tried again."""
        loop = asyncio.get_running_loop()
        again_at: dict[str, float] = {}
        self._meter.tell = lambda count: _in_loop(loop, self._emit, MediaReceived(count))
        try:
            while True:
                self._woken.clear()
                await self._let_go_of_files()
                now = loop.time()
                ready = [want for want in self._wants if again_at.get(want.sha256, 0.0) <= now]
                waits = self._held or self._meter.is_used_up
                if waits or not ready:
                    later = [again_at[want.sha256] for want in self._wants if want.sha256 in again_at]
                    wait_s = max(0.05, min(later) - now) if later and not waits else None
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait_s):
                            await self._woken.wait()
                    continue
                self._current = want = ready[0]
                self._link.take()
                wait_s = await self._one(want)
                self._current = None
                if wait_s is not None:
                    again_at[want.sha256] = loop.time() + wait_s
        finally:
            self._current = None
            self._link.let_go()

    async def _let_go_of_files(self) -> None:
        while self._evictions:
            sha256, self._evictions = self._evictions[0], self._evictions[1:]
            try:
                await asyncio.to_thread(self._home(sha256).unlink, missing_ok=True)
            except OSError as error:
                self._emit(MediaFailed(sha256, f"it cannot be taken off the card: {error}"[:200]))
            else:
                self._emit(MediaEvicted(sha256))

    async def _one(self, want: Want) -> float | None:
        """Fetch one file, or a part of it. Returns how long to wait before it is tried again."""
        try:
            whole = await asyncio.to_thread(self._download, want)
        except (OSError, http.client.HTTPException, FetchFailed) as error:
            if self._link.gone and not isinstance(error, WrongBytes):
                return None  # we closed it ourselves
            log.info("media %s not fetched: %s", want.sha256[:12], error)
            self._emit(MediaFailed(want.sha256, str(error)[:200] or type(error).__name__))
            return self._wait_s(want, LONGEST_WAIT_WRONG_S if isinstance(error, WrongBytes) else LONGEST_WAIT_S)
        if whole:
            self._wants = tuple(other for other in self._wants if other.sha256 != want.sha256)
            self._waits_s.pop(want.sha256, None)
            self._emit(MediaStored(want.sha256))
        return None

    def _wait_s(self, want: Want, longest_s: float) -> float:
        wait_s = min(self._waits_s.get(want.sha256, FIRST_WAIT_S / 2) * 2, longest_s)
        self._waits_s[want.sha256] = wait_s
        return wait_s * self._chance.uniform(0.5, 1.5)

    # --- in the thread ---

    def _download(self, want: Want) -> bool:
        """Go on where the part file ends. Returns False when told to let go. Raises FetchFailed and what the network raises."""
        part = self._folder / "part" / f"{want.sha256}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        self._make_room(want, part)
        with part.open("ab+") as file:
            digest, have = hashlib.sha256(), 0
            file.seek(0)
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                have += len(chunk)
            if have < want.bytes:
                digest, have = self._receive(want, file, digest, have)
            if have < want.bytes:
                return False
            file.flush()
            os.fsync(file.fileno())
        if have != want.bytes or digest.hexdigest() != want.sha256:
            part.unlink()
            raise WrongBytes("the bytes are not those that the programme names: thrown away")
        self._keep(part, want.sha256)
        return True

    def _make_room(self, want: Want, part: Path) -> None:
        """Never fill the card: what was begun and is no longer wanted goes first. Raises FetchFailed."""
        needed = want.bytes + self._disk_reserve_bytes - (part.stat().st_size if part.exists() else 0)
        if shutil.disk_usage(self._folder).free >= needed:
            return
        wanted = {other.sha256 for other in self._wants}
        for old in part.parent.glob("*.part"):
            if old.stem not in wanted:
                old.unlink(missing_ok=True)
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < needed:
            raise FetchFailed(f"no room: {free_bytes} bytes free, {want.bytes} needed beside a reserve for emergencies")

    def _receive(self, want: Want, file: BinaryIO, digest: "hashlib._Hash", have: int) -> "tuple[hashlib._Hash, int]":
        connection, sock = self._connect()
        try:
            sock.do_handshake()
            headers = {"Authorization": self._authorise(want.sha256), "Range": f"bytes={have}-"}
            connection.request("GET", f"/media/{want.sha256}", headers=headers)
            response = connection.getresponse()
            if response.status == http.client.OK and have:
                file.truncate(0)  # whoever answered knows no ranges: all of it comes again
                digest, have = hashlib.sha256(), 0
            elif response.status not in (http.client.OK, http.client.PARTIAL_CONTENT):
                raise FetchFailed(f"the controller answered {response.status} {response.reason}")
            while have < want.bytes and not self._link.gone and not self._meter.is_used_up:
                chunk = response.read1(min(CHUNK_BYTES, want.bytes - have))
                if not chunk:
                    raise FetchFailed(f"the connection ended after {have} of {want.bytes} bytes")
                file.write(chunk)
                digest.update(chunk)
                have += len(chunk)
                self._meter.count(len(chunk))
        finally:
            self._link.drop()
            self._meter.close(sock)
            connection.close()
        return digest, have

    def _connect(self) -> tuple[http.client.HTTPSConnection, ssl.SSLSocket]:
        """A connection before its handshake, so that one that fails is counted as well."""
        url = urlsplit(self._media_url())
        host, port = url.hostname or "", url.port or 443
        connection = http.client.HTTPSConnection(host, port, timeout=self._timeout_s)
        raw = socket.create_connection((host, port), timeout=self._timeout_s)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._link.hold(raw)
        sock = self._context().wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
        connection.sock = sock
        self._link.hold(sock)
        return connection, sock

    def _home(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.mka"

    def _keep(self, part: Path, sha256: str) -> None:
        home = self._home(sha256)
        home.parent.mkdir(exist_ok=True)
        part.replace(home)
        for folder in (home.parent, self._folder):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _in_loop(loop: asyncio.AbstractEventLoop, emit: Callable[[Event], None], event: Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop ended while a download did
        loop.call_soon_threadsafe(emit, event)


class _Meter:
    """What the link carries for content: told in pieces, and held against the budget. Used from the loop and from the thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: int | None = None
        self._untold = 0
        self._of_this_try = 0
        self.tell: Callable[[int], None] = lambda _count: None

    def allow(self, budget_bytes: int | None) -> None:
        """A new budget: whoever gave it does not know of what is still untold."""
        with self._lock:
            self._left = None if budget_bytes is None else budget_bytes - self._untold

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more may come."""
        return self._left is not None and self._left <= 0

    def count(self, count_bytes: int, *, ends: bool = False) -> None:
        """So much of a file came."""
        with self._lock:
            self._of_this_try += count_bytes
            self._untold += count_bytes
            if self._left is not None:
                self._left -= count_bytes
            told = self._untold if ends or self.is_used_up or self._untold >= TELL_EVERY_BYTES else 0
            self._untold -= told
        if told:
            self.tell(told)

    def close(self, sock: socket.socket) -> None:
        """A try is over: what the connection carried beside the file (handshake, headers, TLS) counts too."""
        self.count(max(0, carried_bytes(sock) - self._of_this_try), ends=True)  # of an old kernel the file's own bytes count
        self._of_this_try = 0


class _Link:
    """The connection of the moment, which another thread may break at once: a read that waits would hold it for `TIMEOUT_S`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.gone = False

    def take(self) -> None:
        """A new download begins."""
        with self._lock:
            self.gone = False

    def hold(self, sock: socket.socket) -> None:
        """Remember what to break. Raises ConnectionAbortedError when it was already told to let go."""
        with self._lock:
            if self.gone:
                sock.close()
                raise ConnectionAbortedError("let go")
            self._socket = sock

    def drop(self) -> None:
        """Nothing is open any more."""
        with self._lock:
            self._socket = None

    def let_go(self) -> None:
        """Break what is open; nothing new opens until `take`."""
        with self._lock:
            self.gone = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # the plain one: SSLSocket's own would let a read that is under way take ciphertext for the file's bytes
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
