"""An ear of its own: a process that reads FIFOs in real time and tells when their sound was heard.

heard(n) = max(arrival of the sample's block, heard(n-1) + 1/48000): what came late stays late, as in a card. It shares no
process with any agent, so no agent can help itself. It runs with SCHED_FIFO where it may, so that its own lateness
does not become the agent's. Lines of JSON on standard output, one an event.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import selectors
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import msgspec
import numpy as np
from msgspec import Struct

from tests.bench.place import ROOT

RATE = 48_000
NS_A_SAMPLE = 1e9 / RATE
LOUD = round(32768 * 10 ** (-60 / 20))
WORD_LOUD = round(32768 * 10 ** (-45 / 20))
QUIET_NS = 400_000_000
"""So long without a loud sample, and a sound is over; longer than the breath between two words."""
READ_BYTES = 65_536
What = Literal["first", "word", "end"]


class Heard(Struct, frozen=True, kw_only=True):
    """`first`: a sound begins; `word`: the first loud sample after the opening chime; `end`: its last loud sample."""

    line: int
    what: What
    at_ns: int
    rms_dbfs: float | None = None
    peak_dbfs: float | None = None


def dbfs(value: float) -> float:
    """A linear sample value as level."""
    return round(float(20 * np.log10(max(1e-3, value) / 32768)), 2)


@dataclass(slots=True)
class Line:
    """What is known of one FIFO."""

    number: int
    word_after: int
    next_ns: float = 0.0
    rest: bytes = b""
    sounding: bool = False
    last_ns: float = 0.0
    since_first: int = 0
    word_told: bool = False
    squares: float = 0.0
    peak: int = 0

    def take(self, arrived_ns: int, data: bytes) -> list[Heard]:
        """Judge what was read just now."""
        data = self.rest + data
        whole = len(data) // 2 * 2
        self.rest = data[whole:]
        samples = np.abs(np.frombuffer(data[:whole], "<i2").astype(np.int32))
        begin_ns = max(float(arrived_ns), self.next_ns)
        self.next_ns = begin_ns + len(samples) * NS_A_SAMPLE
        told: list[Heard] = []
        loud = np.flatnonzero(samples >= LOUD)
        start = 0
        if len(loud):
            if not self.sounding:
                start = int(loud[0])
                self._begin()
                told.append(Heard(line=self.number, what="first", at_ns=round(begin_ns + start * NS_A_SAMPLE)))
            self.last_ns = begin_ns + int(loud[-1]) * NS_A_SAMPLE
        if self.sounding:
            told += self._word(samples[start:], begin_ns + start * NS_A_SAMPLE)
            self.since_first += len(samples) - start
            self.squares += float(np.square(samples[start:].astype(np.float64)).sum())
            self.peak = max(self.peak, int(samples[start:].max(initial=0)))
        return told

    def _begin(self) -> None:
        self.sounding, self.word_told = True, False
        self.since_first, self.squares, self.peak = 0, 0.0, 0

    def _word(self, samples: np.ndarray, begin_ns: float) -> list[Heard]:
        skip = max(0, self.word_after - self.since_first)
        if self.word_told or not self.word_after or skip >= len(samples):
            return []
        loud = np.flatnonzero(samples[skip:] >= WORD_LOUD)
        if not len(loud):
            return []
        self.word_told = True
        return [Heard(line=self.number, what="word", at_ns=round(begin_ns + (skip + int(loud[0])) * NS_A_SAMPLE))]

    def rest_until(self, now_ns: int) -> list[Heard]:
        """Tell the end of a sound once it is long over."""
        if not self.sounding or now_ns - self.last_ns < QUIET_NS:
            return []
        self.sounding = False
        rms = (self.squares / max(1, self.since_first)) ** 0.5
        return [
            Heard(line=self.number, what="end", at_ns=round(self.last_ns), rms_dbfs=dbfs(rms), peak_dbfs=dbfs(float(self.peak)))
        ]


def listen(paths: Sequence[Path], word_after: int) -> None:
    """Read until killed."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    ears = selectors.DefaultSelector()
    lines = []
    for number, path in enumerate(paths):
        # opened for writing too, so that a writer's going is no end of file
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        lines.append(Line(number, word_after))
        ears.register(handle, selectors.EVENT_READ, lines[-1])
    tell = msgspec.json.Encoder()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        told: list[Heard] = []
        for key, _events in ears.select(0.1):
            now_ns = time.monotonic_ns()
            with contextlib.suppress(BlockingIOError):
                told += key.data.take(now_ns, os.read(key.fd, READ_BYTES))
        now_ns = time.monotonic_ns()
        for line in lines:
            told += line.rest_until(now_ns)
        if told:
            sys.stdout.write("".join(tell.encode(heard).decode() + "\n" for heard in told))
            sys.stdout.flush()


class Ear:
    """The listening process as seen by a bench: ask for the next event of a line."""

    def __init__(self, paths: Sequence[Path], *, word_after: int = 0) -> None:
        self.paths = paths
        self._word_after = word_after
        self._queues: list[asyncio.Queue[Heard]] = [asyncio.Queue() for _path in paths]
        self._child: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for path in self.paths:
            if not path.is_fifo():
                os.mkfifo(path)
        words = [sys.executable, "-m", "tests.bench.ear", "--word-after", str(self._word_after), *map(str, self.paths)]
        self._child = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
        assert self._child.stdout is not None
        await asyncio.wait_for(self._child.stdout.readline(), 30)
        self._reader = asyncio.create_task(self._read(self._child.stdout))
        return self

    async def _read(self, stream: asyncio.StreamReader) -> None:
        decode = msgspec.json.Decoder(Heard)
        while line := await stream.readline():
            heard = decode.decode(line)
            self._queues[heard.line].put_nowait(heard)

    async def next(self, line: int, what: What, *, after_ns: int, deadline_s: float) -> Heard | None:
        """The next such event that was heard after an instant; None when the deadline passes. Others are dropped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while True:
                    heard = await self._queues[line].get()
                    if heard.what == what and heard.at_ns >= after_ns:
                        return heard
        return None

    async def __aexit__(self, *_exc: object) -> None:
        if self._reader is not None:
            self._reader.cancel()
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
            await self._child.wait()


def main() -> None:
    """Listen to the FIFOs that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--word-after", type=int, default=0, help="samples of the opening chime; 0: no words are looked for")
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        listen(args.paths, args.word_after)


if __name__ == "__main__":
    main()
