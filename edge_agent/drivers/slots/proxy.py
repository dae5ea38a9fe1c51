"""What RAUC streams from: a server on this machine that asks the controller for what is missing, however often the link breaks.

RAUC gives up when a link breaks, and a client that then fetched the whole bundle would use up the SIM. So RAUC sees a server
that merely is slow: ranges are resumed from the last whole block, blocks that came once never come again, also after a power
cut; and nothing but ranges is ever answered.
"""

import asyncio
import contextlib
import http.client
import logging
import random
import re
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_agent.commands import Install
from edge_agent.drivers.slots.blocks import Blocks, brought
from edge_agent.drivers.slots.upstream import Refused, Upstream
from edge_agent.errors import FetchFailed
from edge_agent.events import BundleBrought, Event, MediaReceived

log = logging.getLogger(__name__)
HEAD_MAX_BYTES: Final = 8_192
PIECE_BYTES: Final = 65_536
KEEP_EVERY_BYTES: Final = 2**20
TELL_EVERY_BYTES: Final = 2**18
TIMEOUT_S: Final = 30.0
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
LOOK_EVERY_S: Final = 2.0
DISK_RESERVE_BYTES: Final = 64 * 2**20
REQUEST: Final = re.compile(r"(GET|HEAD) /([0-9a-f]{64}) HTTP/1\.[01]")
RANGE: Final = re.compile(r"^range:[ \t]*bytes=(\d{1,15})-(\d{0,15})[ \t]*$", re.IGNORECASE | re.MULTILINE)


class _Job:
    """One bundle while RAUC installs it."""

    def __init__(self, wanted: Install, blocks: Blocks) -> None:
        self.wanted = wanted
        self.blocks = blocks
        self.left = wanted.budget_bytes
        self.why = ""
        self.open = True
        self.unkept = 0
        self.waiting = 0
        """So many answers wait for the link: if RAUC gives up now, the bytes are not to blame."""


class RangeProxy:
    """A `Source` of bundles on 127.0.0.1. `most_bytes_s` leaves room on the link for orders."""

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
        most_bytes_s: int | None = None,
    ) -> None:
        self._folder = folder
        self._emit = emit
        self._chance = chance
        self._port = 0
        self._untold = 0
        self._job: _Job | None = None
        self._free = asyncio.Event()
        self._free.set()
        self._one = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._up = Upstream(media_url, context, authorise, self._count, timeout_s=timeout_s, most_bytes_s=most_bytes_s)

    async def run(self) -> None:
        """Serve until cancelled."""
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_MAX_BYTES)
        self._port = server.sockets[0].getsockname()[1]
        try:
            async with server:
                await self._look_for_brought()
        finally:
            self._port = 0
            if self._job is not None:
                self.close(keep=True)
            self._up.close()

    def open(self, wanted: Install) -> str:
        """The address of this bundle for RAUC. Raises OSError when there is no room for it, or nobody serves."""
        if not self._port:
            raise OSError("the server for bundles is not up yet")
        if self._job is not None:
            self.close(keep=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        blocks = Blocks(self._folder, wanted.sha256, wanted.bytes)
        if shutil.disk_usage(self._folder).free < blocks.missing_bytes + DISK_RESERVE_BYTES:
            missing_bytes = blocks.missing_bytes
            blocks.close(drop=False)
            raise OSError(f"no room: {missing_bytes} bytes may come, beside a reserve for emergencies")
        self._job = _Job(wanted, blocks)
        return f"http://127.0.0.1:{self._port}/{wanted.sha256}"

    def hold(self, *, held: bool) -> None:
        """Leave the link to an order, or go on."""
        if held:
            self._free.clear()
        else:
            self._free.set()

    def close(self, *, keep: bool) -> str:
        """RAUC is done. Unless told to keep it, what came is kept only when the link failed: else it is used, or damaged."""
        job, self._job = self._job, None
        if job is None:
            return ""
        job.open = False
        why = job.why or ("link: RAUC gave up waiting" if job.waiting else "")
        with contextlib.suppress(OSError):
            job.blocks.close(drop=not (keep or why))
        return why

    async def _look_for_brought(self) -> None:
        """Tell of a bundle that was handed in whole, until cancelled."""
        told = ""
        while True:
            found = await asyncio.to_thread(brought, self._folder)
            if found and found != told:
                self._emit(BundleBrought(found))
            told = found
            await asyncio.sleep(LOOK_EVERY_S)

    # --- one connection of RAUC ---

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            log.info("a connection for the bundle ended: %r", error)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request. Returns whether another may follow."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return False
        job = self._job
        asked = REQUEST.match(head)
        if asked is None or job is None or asked[2] != job.wanted.sha256:
            return await _say(writer, "404 Not Found")
        size = job.wanted.bytes
        if asked[1] == "HEAD":
            return await _say(writer, "200 OK", f"Content-Length: {size}", keep=True)
        found = RANGE.search(head.replace("\r", ""))
        if found is None:
            job.why = "whole: RAUC asked for the whole bundle at once, which would use up the SIM"
            return await _say(writer, "416 Range Not Satisfiable")
        begin = int(found[1])
        end = min(size, int(found[2]) + 1) if found[2] else size
        if not begin < end:
            return await _say(writer, "416 Range Not Satisfiable", f"Content-Range: bytes */{size}")
        return await self._give(job, begin, end, reader, writer)

    async def _give(self, job: _Job, begin: int, end: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """The bytes as they come; the head of the answer once the first of them are here."""
        if not await self._bring(job, begin, min(end, begin + PIECE_BYTES), reader):
            return await _say(writer, "503 Service Unavailable")
        words = (f"Content-Range: bytes {begin}-{end - 1}/{job.wanted.bytes}", f"Content-Length: {end - begin}")
        await _say(writer, "206 Partial Content", *words, keep=True)
        for at in range(begin, end, PIECE_BYTES):
            beyond = min(end, at + PIECE_BYTES)
            if not await self._bring(job, at, beyond, reader):
                return False
            writer.write(job.blocks.read(at, beyond))
            await writer.drain()
        return True

    # --- the link ---

    async def _bring(self, job: _Job, begin: int, end: int, reader: asyncio.StreamReader) -> bool:
        """Wait until these bytes are here. Returns False when they will not come, or nobody waits any more."""
        job.waiting += 1
        try:
            return await self._wait_for(job, begin, end, reader)
        finally:
            job.waiting -= 1

    async def _wait_for(self, job: _Job, begin: int, end: int, reader: asyncio.StreamReader) -> bool:
        wait_s = FIRST_WAIT_S
        while job.open and (gap := job.blocks.missing(begin, end)) is not None:
            if reader.at_eof() or job.why:
                return False
            if job.left is not None and job.left <= 0:
                job.why = "budget: the SIM has nothing left for firmware this month"
                return False
            await self._free.wait()
            try:
                async with self._one:
                    await asyncio.to_thread(self._receive, job, gap)
                wait_s = FIRST_WAIT_S
            except Refused as error:
                job.why = str(error)
                return False
            except (OSError, http.client.HTTPException, FetchFailed) as error:
                log.info("bundle: %r, again in %.0f s", error, wait_s)
                await asyncio.sleep(wait_s * self._chance.uniform(0.5, 1.5))
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        return job.open

    def _receive(self, job: _Job, gap: tuple[int, int]) -> None:
        """In a thread, one at a time."""

        def may() -> bool:
            return job.open and self._free.is_set() and (job.left is None or job.left > 0)

        if not may():
            return
        try:
            self._up.receive(job.blocks, job.wanted.sha256, *gap, may)
        finally:
            self._tell()
        if job.unkept >= KEEP_EVERY_BYTES:
            job.unkept = 0
            job.blocks.keep()

    def _count(self, count_bytes: int) -> None:
        job = self._job
        if job is not None:
            job.unkept += count_bytes
            if job.left is not None:
                job.left -= count_bytes
        self._untold += count_bytes
        if self._untold >= TELL_EVERY_BYTES:
            self._tell()

    def _tell(self) -> None:
        """What the link carried is told in pieces: each is a turn of the core."""
        told, self._untold = self._untold, 0
        if self._loop is not None and told:
            with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
                self._loop.call_soon_threadsafe(self._emit, MediaReceived(told))


async def _say(writer: asyncio.StreamWriter, status: str, *headers: str, keep: bool = False) -> bool:
    """The head of an answer; one that ends the connection has nothing behind it."""
    ends = () if keep else ("Content-Length: 0", "Connection: close")
    writer.write("\r\n".join((f"HTTP/1.1 {status}", "Accept-Ranges: bytes", *headers, *ends, "", "")).encode())
    await writer.drain()
    return keep
