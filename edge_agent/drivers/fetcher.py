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
from typing import Final
from urllib.parse import urlsplit

from edge_agent.commands import Want
from edge_agent.errors import FetchFailed
from edge_agent.events import Event, MediaFailed, MediaStored

log = logging.getLogger(__name__)
CHUNK_BYTES: Final = 8_192
RECEIVE_BUFFER_BYTES: Final = 24_576
"""What may be under way when an order comes: at 1 Mbit/s a fifth of a second."""
TIMEOUT_S: Final = 30.0
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
DISK_RESERVE_BYTES: Final = 64 * 2**20


class Fetcher:
    """Works through what is wanted, one file at a time, in a thread that can be told to let go of the link."""

    def __init__(
        self,
        media_url: str,
        folder: Path,
        context: Callable[[], ssl.SSLContext],
        authorise: Callable[[str], str],
        emit: Callable[[Event], None],
        chance: random.Random,
    ) -> None:
        self._url = urlsplit(media_url)
        self._folder = folder
        self._context = context
        self._authorise = authorise
        self._emit = emit
        self._chance = chance
        self._wants: tuple[Want, ...] = ()
        self._woken = asyncio.Event()
        self._held = False
        self._let_go = threading.Event()
        self._failed: dict[str, float] = {}

    def fetch(self, wants: tuple[Want, ...]) -> None:
        """These are needed, in this order."""
        self._wants = wants
        self._failed = {sha: wait for sha, wait in self._failed.items() if any(want.sha256 == sha for want in wants)}
        self._woken.set()

    def hold(self, *, held: bool) -> None:
        """Leave the link to an order, or go on."""
        self._held = held
        if held:
            self._let_go.set()
        self._woken.set()

    async def run(self) -> None:
        """Fetch what is wanted until cancelled; a failure waits its turn and is tried again."""
        loop = asyncio.get_running_loop()
        again_at: dict[str, float] = {}
        try:
            while True:
                self._woken.clear()
                now = loop.time()
                ready = [want for want in self._wants if again_at.get(want.sha256, 0.0) <= now]
                if self._held or not ready:
                    later = [at for sha, at in again_at.items() if any(want.sha256 == sha for want in self._wants)]
                    wait_s = max(0.05, min(later) - now) if later and not self._held else None
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), wait_s)
                    continue
                want = ready[0]
                self._let_go.clear()
                if not await self._one(want):
                    again_at[want.sha256] = loop.time() + self._wait_s(want)
        finally:
            self._let_go.set()

    async def _one(self, want: Want) -> bool:
        try:
            whole = await asyncio.to_thread(self._download, want)
        except (OSError, http.client.HTTPException, ssl.SSLError, FetchFailed) as error:
            log.info("media %s not fetched: %s", want.sha256[:12], error)
            self._emit(MediaFailed(want.sha256, str(error)[:200]))
            return False
        if whole:
            self._wants = tuple(other for other in self._wants if other.sha256 != want.sha256)
            self._failed.pop(want.sha256, None)
            self._emit(MediaStored(want.sha256))
        return True

    def _wait_s(self, want: Want) -> float:
        wait_s = min(self._failed.get(want.sha256, FIRST_WAIT_S / 2) * 2, LONGEST_WAIT_S)
        self._failed[want.sha256] = wait_s
        return wait_s * self._chance.uniform(0.5, 1.5)

    # --- in the thread ---

    def _download(self, want: Want) -> bool:
        """Go on where the part file ends. Returns False when told to let go. Raises FetchFailed and what the network raises."""
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < want.bytes + DISK_RESERVE_BYTES:
            raise FetchFailed(f"no room: {free_bytes} bytes free, {want.bytes} needed beside a reserve for emergencies")
        part = self._folder / "part" / f"{want.sha256}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        have = 0
        with part.open("ab+") as file:
            file.seek(0)
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                have += len(chunk)
            if have < want.bytes:
                have = self._receive(want, file, digest, have)
            if have < want.bytes:
                return False
            file.flush()
            os.fsync(file.fileno())
        if have != want.bytes or digest.hexdigest() != want.sha256:
            part.unlink()
            raise FetchFailed("the bytes are not those that the programme names: thrown away")
        self._keep(part, want.sha256)
        return True

    def _receive(self, want: Want, file: "object", digest: "hashlib._Hash", have: int) -> int:
        connection = self._connect()
        try:
            headers = {"Authorization": self._authorise(want.sha256), "Range": f"bytes={have}-"}
            connection.request("GET", f"/media/{want.sha256}", headers=headers)
            response = connection.getresponse()
            if response.status != http.client.PARTIAL_CONTENT and not (response.status == http.client.OK and have == 0):
                raise FetchFailed(f"the controller answered {response.status} {response.reason}")
            while have < want.bytes and not self._let_go.is_set():
                chunk = response.read(min(CHUNK_BYTES, want.bytes - have))
                if not chunk:
                    raise FetchFailed(f"the connection ended after {have} of {want.bytes} bytes")
                file.write(chunk)  # type: ignore[attr-defined]  # a binary file
                digest.update(chunk)
                have += len(chunk)
        finally:
            connection.close()
        return have

    def _connect(self) -> http.client.HTTPSConnection:
        host, port = self._url.hostname or "", self._url.port or 443
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S)
        raw = socket.create_connection((host, port), timeout=TIMEOUT_S)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        connection.sock = self._context().wrap_socket(raw, server_hostname=host)
        return connection

    def _keep(self, part: Path, sha256: str) -> None:
        home = self._folder / sha256[:2]
        home.mkdir(exist_ok=True)
        part.replace(home / f"{sha256}.mka")
        for folder in (home, self._folder):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
