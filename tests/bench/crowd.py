"""Processes of simulated nodes, steered in step: all connect, all listen for one publication, all rest."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
from pathlib import Path

import msgspec
import psutil

from tests.bench.place import ROOT
from tests.bench.swarm import Material, Mode, Round

PROCESSES = 4
SPARE_FILES = 100
LINE_LIMIT = 64 * 1024 * 1024
CONNECT_S = 300


def allow_files(nodes: int) -> None:
    """Raise the number of open files for the broker that is started next. Raises OSError when that is not allowed."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < nodes + SPARE_FILES:
        raise OSError(f"the broker needs {nodes + SPARE_FILES} open files, {hard} are allowed here: raise it with `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Crowd:
    """All simulated nodes, a share of them in each process."""

    def __init__(self) -> None:
        self._swarms: list[asyncio.subprocess.Process] = []

    async def start(self, port: int, nodes: int, material: Material, folder: Path) -> None:
        """Connect every node."""
        file = folder / "material.json"
        await asyncio.to_thread(file.write_bytes, msgspec.json.encode(material))
        share = nodes // PROCESSES
        for number in range(PROCESSES):
            words = [sys.executable, "-m", "tests.bench.swarm", "--host", "127.0.0.1", "--port", str(port)]
            words += ["--count", str(share), "--first", str(number * share), "--material", str(file)]
            pipe = asyncio.subprocess.PIPE
            self._swarms.append(await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, cwd=ROOT, limit=LINE_LIMIT))
        await asyncio.wait_for(self.answers(), CONNECT_S)

    async def answers(self) -> list[bytes]:
        """The next line of each process. Raises OSError when one has ended."""
        return await asyncio.gather(*(self._line(swarm) for swarm in self._swarms))

    async def _line(self, swarm: asyncio.subprocess.Process) -> bytes:
        assert swarm.stdout is not None
        line = await swarm.stdout.readline()
        if not line:
            raise OSError("a process of simulated nodes ended")
        return line

    async def tell(self, word: str) -> None:
        """One command to each."""
        for swarm in self._swarms:
            assert swarm.stdin is not None
            swarm.stdin.write(f"{word}\n".encode())
            await swarm.stdin.drain()

    async def listen(self, mode: Mode) -> None:
        """Begin a round: after this every node waits for a publication."""
        await self.tell(mode)
        await self.answers()

    async def rounds(self) -> list[Round]:
        """What each process saw of the round that was begun."""
        return [msgspec.json.decode(line, type=Round) for line in await self.answers()]

    def resident_mb(self) -> float:
        """Of all simulated nodes."""
        return sum(psutil.Process(swarm.pid).memory_info().rss for swarm in self._swarms) / 1e6

    async def close(self) -> None:
        """End every process."""
        for swarm in self._swarms:
            with contextlib.suppress(ProcessLookupError):
                swarm.kill()
            await swarm.wait()
