"""Where the mixed samples go: one port, and the two sinks that need no sound card (a WAV file, a FIFO)."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs

import msgspec

from edge_agent.player.pace import Pace
from edge_agent.player.pcm import BLOCK_NS, RATE, WIDTH, to_little_endian

log = logging.getLogger(__name__)

WAV_HEADER_BYTES = 44
HEADER_EVERY_NS = 1_000_000_000
WAV_LATE_NS = 40_000_000
"""What the 40 ms buffer of a card would bear."""
FIFO_LATE_NS = 20_000_000
FIFO_PIPE_BYTES = 4096
"""The smallest pipe there is, 42 ms: a reader that stops does not hoard old sound."""


class SinkFailed(OSError):
    """The way out for sound cannot be used; the sentence says what to do."""


class Sink(Protocol):
    """A way out for blocks of 10 ms."""

    @property
    def underruns(self) -> int:
        """How often a block came too late, or could not be handed on."""

    def open(self) -> None:
        """Take hold of the device or file. Raises SinkFailed."""

    def due_ns(self) -> int:
        """How long until the next block is wanted; 0 or less: now."""

    def next_ns(self) -> int:
        """The instant at which the next sample written will be heard."""

    def write(self, block: bytes) -> None:
        """Take one block; never waits. Raises SinkFailed."""

    def idle(self) -> None:
        """Nothing will come for a while, and what was written has been heard."""

    def close(self) -> None:
        """Let go."""


class Origin(msgspec.Struct, frozen=True):
    """The sidecar of a WAV: the instant of its first sample, by both clocks."""

    rate: int
    first_sample_mono_ns: int
    first_sample_wall_ms: int
    boot_id: str


def boot_id() -> str:
    """Which run of this computer the monotonic clock belongs to."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(slots=True)
class WavSink:
    """A WAV file in which silence is kept: position = time since its first sample.

    A file begun earlier in the same boot is continued at its own place in time, so that a player replaced
    in the middle of a bulletin leaves one recording.
    """

    path: Path
    max_s: int = 3600
    _pace: Pace = field(init=False)
    _fd: int = -1
    _bytes: int = 0
    _header_ns: int = 0
    _full: bool = False

    @property
    def underruns(self) -> int:
        """How often the mixer came too late."""
        return self._pace.underruns

    @property
    def sidecar(self) -> Path:
        """Where the instant of the first sample is written."""
        return self.path.with_name(self.path.name + ".json")

    def open(self) -> None:
        """Continue this boot's file, or begin a new one at this instant."""
        try:
            origin = self._earlier()
            if origin is None:
                origin = Origin(RATE, time.monotonic_ns(), time.time_ns() // 1_000_000, boot_id())
                self.path.unlink(missing_ok=True)
                self.sidecar.write_bytes(msgspec.json.encode(origin))
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            held = max(0, os.fstat(self._fd).st_size - WAV_HEADER_BYTES)
            self._bytes = held - held % WIDTH
            self._pace = Pace(origin.first_sample_mono_ns, WAV_LATE_NS, self._bytes // WIDTH)
            self._header()
        except OSError as error:
            raise SinkFailed(
                f"cannot record to {self.path}: {error.strerror}; choose a writable folder for the wav sink"
            ) from error

    def _earlier(self) -> Origin | None:
        try:
            origin = msgspec.json.decode(self.sidecar.read_bytes(), type=Origin)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        age_ns = time.monotonic_ns() - origin.first_sample_mono_ns
        same = origin.boot_id == boot_id() and 0 <= age_ns < self.max_s * 1_000_000_000
        return origin if same and self.path.exists() else None

    def due_ns(self) -> int:
        """At most 20 ms ahead of the clock."""
        return self._pace.planned_ns() - time.monotonic_ns() - BLOCK_NS if self._pace.running else 0

    def next_ns(self) -> int:
        """The instant of the next sample in the file."""
        return self._pace.next_ns()

    def write(self, block: bytes) -> None:
        """Put the block at its place in time; a gap before it reads as zeros."""
        start = self._pace.take(len(block) // WIDTH) * WIDTH
        if start + len(block) > self.max_s * RATE * WIDTH:
            if not self._full:
                self._full = True
                log.warning("%s has reached its limit of %d s: recording stops", self.path, self.max_s)
            return
        try:
            os.pwrite(self._fd, to_little_endian(block), WAV_HEADER_BYTES + start)
        except OSError as error:
            raise SinkFailed(f"cannot record to {self.path}: {error.strerror}; make room or end the wav sink") from error
        self._bytes = start + len(block)
        if time.monotonic_ns() - self._header_ns > HEADER_EVERY_NS:
            self._header()

    def _header(self) -> None:
        self._header_ns = time.monotonic_ns()
        sizes = (b"RIFF", self._bytes + 36, b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * WIDTH, WIDTH, 16, b"data", self._bytes)
        os.pwrite(self._fd, struct.pack("<4sI4s4sIHHIIHH4sI", *sizes), 0)

    def idle(self) -> None:
        """Make the file readable as it is."""
        self._pace.running = False
        self._header()

    def close(self) -> None:
        """Make the file readable and let go of it."""
        if self._fd >= 0:
            self._header()
            os.close(self._fd)
            self._fd = -1


@dataclass(slots=True)
class FifoSink:
    """A named pipe with raw samples, each block at its own instant; without a reader they are lost in real time."""

    path: Path
    _pace: Pace = field(init=False)
    _fd: int = -1
    _dropped: int = 0

    @property
    def underruns(self) -> int:
        """How often the mixer came too late, or the reader was too slow."""
        return self._pace.underruns + self._dropped

    def open(self) -> None:
        """Make the pipe if there is none; a reader may come and go."""
        self._pace = Pace(time.monotonic_ns(), FIFO_LATE_NS)
        try:
            if not self.path.is_fifo():
                os.mkfifo(self.path, 0o640)
        except OSError as error:
            raise SinkFailed(f"cannot make the pipe {self.path}: {error.strerror}; choose another path") from error

    def due_ns(self) -> int:
        """Each block at the instant of its first sample, so that a reader hears by the clock."""
        return self._pace.planned_ns() - time.monotonic_ns() if self._pace.running else 0

    def next_ns(self) -> int:
        """The instant of the next sample."""
        return self._pace.next_ns()

    def _connected(self) -> bool:
        if self._fd < 0:
            try:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, FIFO_PIPE_BYTES)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads
                    raise SinkFailed(f"cannot write to the pipe {self.path}: {error.strerror}") from error
        return self._fd >= 0

    def write(self, block: bytes) -> None:
        """Hand the block to the reader, or drop it."""
        self._pace.take(len(block) // WIDTH)
        if not self._connected():
            return
        try:
            os.write(self._fd, block)
        except BlockingIOError:
            self._dropped += 1
        except BrokenPipeError:
            self.close()

    def idle(self) -> None:
        """Write nothing."""
        self._pace.running = False

    def close(self) -> None:
        """Let go of the pipe."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def parse(spec: str) -> Sink:
    """The sink that a word of the configuration names: wav:PATH[?max_s=N], fifo:PATH, alsa:DEVICE, or two joined by `+`.

    Raises ValueError with the remedy.
    """
    first, joined, second = spec.partition("+")
    if joined:
        from edge_agent.player.both import BothSinks

        return BothSinks(parse(first), parse(second))
    kind, _, rest = spec.partition(":")
    if kind == "alsa" and rest:
        from edge_agent.player.alsa import AlsaSink

        return AlsaSink(rest)
    if kind == "fifo" and rest:
        return FifoSink(Path(rest))
    path, _, query = rest.partition("?")
    if kind == "wav" and path:
        limit = parse_qs(query).get("max_s", ["3600"])[0]
        if limit.isdecimal() and int(limit) > 0:
            return WavSink(Path(path), int(limit))
    raise ValueError(f"sink {spec!r} is none of wav:PATH?max_s=SECONDS, fifo:PATH, alsa:DEVICE, nor two of them joined by `+`")
