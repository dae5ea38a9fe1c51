"""One child process that plays: its lines, its signs of life, its end."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge_agent.player import wire
from edge_agent.player.score import InputName

SILENT_S = 0.6
"""The child's mixer beats every 250 ms; two missed beats and some are a hang."""
LATE_S = 0.1
START_S = 3.0
FIRST_START_S = 60.0
"""The first start of an installation makes the tones and libVLC's plugin list (0.6 s here, some seconds on a Pi)."""
QUIT_S = 1.0
UNREAD_BYTES = 256 * 1024


@dataclass(slots=True)
class Child:
    """A running player. `life` reads it to its end and says why it ended."""

    process: Process
    report: Callable[[wire.Report], None]
    ready: bool = False
    sign_s: float = field(default_factory=time.monotonic)

    @classmethod
    async def spawn(cls, sink: str, cache: Path, inputs: Mapping[InputName, str], report: Callable[[wire.Report], None]) -> Child:
        """Start a player; its log goes where ours goes."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent.player", "--sink", sink, "--cache", str(cache)),
            *(word for name, device in inputs.items() for word in ("--input", f"{name}={device}")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process, report)

    def send(self, order: wire.Order) -> None:
        """Hand an order over; never waits."""
        stdin = self.process.stdin
        if stdin is None or stdin.is_closing():
            return  # its end is about to be noticed, and what was active is ordered anew
        if stdin.transport.get_write_buffer_size() > UNREAD_BYTES:
            self.kill()
            return
        stdin.write(wire.line(order))

    async def life(self, *, first: bool) -> str:
        """Pass its reports on until it ends or falls silent; return why."""
        reading = asyncio.create_task(self._read(), name="player's lines")
        watching = asyncio.create_task(self._watch(FIRST_START_S if first else START_S), name="player's pulse")
        try:
            done, _ = await asyncio.wait((reading, watching), return_when=asyncio.FIRST_COMPLETED)
            return (reading if reading in done else watching).result()
        finally:
            for task in (reading, watching):
                task.cancel()
            await asyncio.gather(reading, watching, return_exceptions=True)

    async def _read(self) -> str:
        stdout = self.process.stdout
        if stdout is None:
            return "it has no output"
        while line := await stdout.readline():
            self.sign_s = time.monotonic()
            try:
                report = wire.report(line)
            except msgspec.DecodeError as error:
                return f"it wrote what is no report ({error})"
            self.ready = self.ready or isinstance(report, wire.Ready)
            self.report(report)
        return f"it ended with status {await self._end()}"

    async def _end(self) -> int:
        """Its output is closed: a moment for it to go by itself."""
        try:
            async with asyncio.timeout(QUIT_S):
                return await self.process.wait()
        except TimeoutError:
            self.kill()
            return await self.process.wait()

    async def _watch(self, start_s: float) -> str:
        """Wait for a silence that is the child's own, not ours."""
        while True:
            allowed_s = SILENT_S if self.ready else start_s
            wake_s = min(self.sign_s + allowed_s, time.monotonic() + SILENT_S)
            await asyncio.sleep(max(0.0, wake_s - time.monotonic()))
            now_s, allowed_s = time.monotonic(), SILENT_S if self.ready else start_s
            if now_s - wake_s > LATE_S:
                self.sign_s = max(self.sign_s, now_s - allowed_s / 2)  # this loop was held up: its lines may be unread
            elif now_s - self.sign_s >= allowed_s:
                return f"no sign of life for {round((now_s - self.sign_s) * 1000)} ms"

    def kill(self) -> None:
        """End it at once, stopped or not."""
        if self.process.returncode is None:
            self.process.kill()

    async def bury(self) -> None:
        """Make sure that it is gone, without asking."""
        self.kill()
        await self.process.wait()

    async def quit(self) -> None:
        """Ask it to end, then make sure."""
        self.send(wire.Quit())
        if self.process.stdin is not None:
            self.process.stdin.close()
        await self._end()
