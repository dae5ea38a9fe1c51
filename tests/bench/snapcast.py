"""The peer of start spread: Snapcast's server and two clients on this host, each client's sound into a FIFO of the ear."""

from __future__ import annotations

import array
import asyncio
import contextlib
import math
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from tests.bench.ear import RATE, Ear
from tests.bench.measure import ms
from tests.commune import free_port

EVERY_S = 2.0
BURST_S = 0.2
BLOCK_S = 0.02
SETTLE_S = 6.0
"""Clients come up unsynchronised and correct themselves within some seconds; what is heard before does not count."""
CONFIGURATION = """[server]
datadir = {folder}
[http]
enabled = false
[tcp]
enabled = false
[stream]
bind_to_address = 127.0.0.1
port = {port}
source = pipe://{folder}/in.fifo?name=bench&mode=read&sampleformat=48000:16:1&codec=pcm
[logging]
sink = stderr
"""


def is_installed() -> bool:
    """Whether both programs are there."""
    return shutil.which("snapserver") is not None and shutil.which("snapclient") is not None


@contextlib.asynccontextmanager
async def _programs(folder: Path) -> AsyncIterator[None]:
    port = free_port()
    (folder / "snapserver.conf").write_text(CONFIGURATION.format(folder=folder, port=port))
    running: list[asyncio.subprocess.Process] = []

    async def begin(*words: str) -> None:
        nothing = asyncio.subprocess.DEVNULL
        running.append(await asyncio.create_subprocess_exec(*words, stdin=nothing, stdout=nothing, stderr=nothing))

    try:
        await begin("snapserver", "-c", str(folder / "snapserver.conf"))
        await asyncio.sleep(1)
        for number in (1, 2):
            sink = f"file:filename={folder / f'{number}.fifo'}"
            await begin(
                "snapclient",
                "-h",
                "127.0.0.1",
                "-p",
                str(port),
                "-i",
                str(number),
                "--hostID",
                f"bench-{number}",
                "--player",
                sink,
            )
        yield
    finally:
        for child in running:
            child.kill()
            await child.wait()


async def _feed(pipe: int) -> None:
    """A burst every two seconds, in real time, for ever."""
    burst = array.array("h", (int(16_000 * math.cos(n / 10)) for n in range(int(BURST_S * RATE)))).tobytes()
    period = burst + bytes(int(EVERY_S * RATE) * 2 - len(burst))
    step = int(BLOCK_S * RATE) * 2
    loop = asyncio.get_running_loop()
    began_s, sent = loop.time(), 0
    while True:
        at = sent * step % len(period)
        with contextlib.suppress(BlockingIOError):
            os.write(pipe, period[at : at + step])
        sent += 1
        await asyncio.sleep(max(0.0, began_s + sent * BLOCK_S - loop.time()))


def _pipe(folder: Path) -> int:
    folder.mkdir()
    os.mkfifo(folder / "in.fifo")
    return os.open(folder / "in.fifo", os.O_RDWR | os.O_NONBLOCK)


async def spreads_ms(folder: Path, count: int) -> list[float]:
    """How far apart two clients begin the same burst."""
    pipe = _pipe(folder)
    found: list[float] = []
    try:
        async with Ear([folder / "1.fifo", folder / "2.fifo"]) as ear, _programs(folder):
            feeding = asyncio.create_task(_feed(pipe))
            await asyncio.sleep(SETTLE_S)
            for _number in range(count):
                one = await ear.next(0, "first", after_ns=0, deadline_s=3 * EVERY_S)
                if one is None:
                    break
                other = await ear.next(1, "first", after_ns=one.at_ns - 900_000_000, deadline_s=EVERY_S)
                if other is not None:
                    found.append(abs(ms(one.at_ns, other.at_ns)))
            feeding.cancel()
    finally:
        os.close(pipe)
    return found
