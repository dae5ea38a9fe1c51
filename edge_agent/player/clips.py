"""Recordings, decoded by libVLC into a ring that the mixer reads; no libVLC call ever runs in the mixer's thread.

libVLC decodes about 1.1 s at once and then in real time. Its callbacks only append and set flags: one that waits
more than 40 ms makes libVLC drop sound, and one that calls libVLC back deadlocks. A ring that fills up
(a play that is prepared before its time) pauses libVLC, which loses nothing.
"""

from __future__ import annotations

import stat
import struct
import time
from collections import deque
from pathlib import Path

from edge_agent.player.decoder import Decoder
from edge_agent.player.files import FileMedia
from edge_agent.player.loader import Loader
from edge_agent.player.pcm import BLOCK, RATE, WIDTH
from edge_agent.player.score import Clip
from edge_agent.player.sources import MISSING

LONGEST = 30 * 60 * RATE
"""30 minutes: where a recording of unknown length is cut."""
FULL_BYTES = 2 * RATE * WIDTH
LOW_BYTES = RATE * WIDTH
ENOUGH_BYTES = 4 * BLOCK * WIDTH
SETTLING_NS = 60_000_000
"""libVLC may give a block from the file's head before it goes to the start that was asked for, and then flushes."""
STALLED_NS = 3_000_000_000
"""Law 5 allows the amplifier 5 s with nothing playing."""
SHORT_BY = RATE // 10
HEAD_BYTES = 4096


def is_native(head: bytes) -> bool:
    """Whether a recording's first bytes say that it decodes to 48 kHz: Opus, or WAV at that rate."""
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return b"OpusHead" in head
    return head[:4] == b"RIFF" and head[8:16] == b"WAVEfmt " and head[24:28] == RATE.to_bytes(4, "little")


def pre_skip(head: bytes) -> int:
    """How many samples of encoder delay libVLC leaves at the start of an Opus recording in Matroska.

    libVLC 3.0.24 obeys neither CodecDelay nor the field of the same meaning in OpusHead there (312 samples from
    libopus); in Ogg it does, but loses the head (so recordings travel as Matroska).
    """
    at = head.find(b"OpusHead")
    if not head.startswith(b"\x1a\x45\xdf\xa3") or at < 0 or len(head) < at + 12:
        return 0
    return int(struct.unpack_from("<H", head, at + 10)[0])


class ClipSource:
    """One recording on its way: filled by libVLC's threads, emptied by the mixer."""

    def __init__(self, clip: Clip, skip: int, loader: Loader) -> None:
        self.clip = clip
        self.fault = ""
        self.failed = False
        self.closed = False
        self.drained = False
        self.paused = False
        self.missing_after_ns: int | None = None
        self._decoder: Decoder | None = None
        self._file: FileMedia | None = None
        self._loader = loader
        self._skip = skip
        self._drop_bytes = 0
        self._limit = (LONGEST if clip.samples is None else clip.samples) - skip
        self._given = 0
        self._settled = skip == 0
        self._first_ns = 0
        self._blocks: deque[bytes] = deque()
        self._rest = b""
        self._arrived_bytes = 0  # written by libVLC's thread only
        self._taken_bytes = 0  # written by the mixer's thread only
        self._news_ns = time.monotonic_ns()
        loader.tend(self)

    # --- the mixer's side

    def turn(self, *, patient: bool, at_ns: int, quiet_ns: int) -> None:  # noqa: ARG002 - the port's signature
        """A missing file is waited for from now on; not again by a play that has waited in vain before."""
        if self.missing_after_ns is None:
            wait_ms = self.clip.wait_ms if patient else 0
            self.missing_after_ns = time.monotonic_ns() + wait_ms * 1_000_000
            self._news_ns = max(self._news_ns, self.missing_after_ns)
            self._loader.tend(self)

    @property
    def _queued_bytes(self) -> int:
        return self._arrived_bytes - self._taken_bytes

    def ready(self) -> bool:
        """Whether 40 ms are there (and are from where it is to begin), or the end; or less than that, and nothing more comes."""
        if not self._settled and self._queued_bytes:
            self._settled = self.drained or time.monotonic_ns() - self._first_ns > SETTLING_NS
        enough = self._settled and self._queued_bytes >= ENOUGH_BYTES + self._drop_bytes
        return enough or self.drained or self._stalled() or self.over()

    def read(self, count: int) -> bytes:
        """What has been decoded, up to the true length."""
        count = min(count, self._limit - self._given)
        wanted = count * WIDTH
        while (len(self._rest) < wanted or self._drop_bytes) and self._blocks:
            block = self._blocks.popleft()
            self._taken_bytes += len(block)
            if self._drop_bytes:
                dropped = min(self._drop_bytes, len(block))
                self._drop_bytes -= dropped
                block = block[dropped:]
            self._rest += block
        stretch, self._rest = self._rest[:wanted], self._rest[wanted:]
        self._given += len(stretch) // WIDTH
        if self.paused and self._queued_bytes < LOW_BYTES:
            self._loader.tend(self)
        return stretch

    def over(self) -> bool:
        """Whether the true length is reached, the file has no more, or it gives nothing any more."""
        if self._given >= self._limit:
            if self.clip.samples is None:
                self.fault = self.fault or "has no end; cut after 30 minutes"
            return True
        if self._rest or self._blocks:
            return False
        if self.drained:
            self._judge_end()
        elif not self.fault and self._stalled():
            self.fault = f"gave no sound for {STALLED_NS // 1_000_000_000} s"
        return bool(self.drained or self.fault)

    def _stalled(self) -> bool:
        """Whether libVLC has it open and has given nothing for too long."""
        return self._decoder is not None and not self.paused and time.monotonic_ns() - self._news_ns > STALLED_NS

    def _judge_end(self) -> None:
        if self.fault or self.closed:
            return
        if not self._arrived_bytes:
            self.fault = "holds no sound that can be decoded (empty or corrupt)"
        elif self.clip.samples is not None and self._limit - self._given > SHORT_BY:
            self.fault = f"ended {(self._limit - self._given) * 1000 // RATE} ms early (truncated or corrupt)"

    def left(self) -> int | None:
        """Up to the true length; without one, what is queued once libVLC has come to the end."""
        if self.clip.samples is not None:
            return self._limit - self._given
        return (self._queued_bytes + len(self._rest)) // WIDTH if self.drained else None

    def close(self) -> None:
        """Let the loader release libVLC's part."""
        self.closed = True
        self._loader.tend(self)

    # --- libVLC's side: only flags and an append

    def _on_samples(self, samples: bytes) -> None:
        self._blocks.append(samples)
        before = self._arrived_bytes
        self._arrived_bytes = before + len(samples)
        self._news_ns = time.monotonic_ns()
        enough = ENOUGH_BYTES + self._drop_bytes
        self._first_ns = self._first_ns or self._news_ns
        if before < enough <= self._arrived_bytes or not self._settled:
            self._loader.wake()
        if self._queued_bytes > FULL_BYTES and not self.paused:
            self._loader.tend(self)

    def _on_flush(self) -> None:
        if not self._settled and not self.drained:  # the one behind the end would wipe what is still to be heard
            self._blocks.clear()
            self._taken_bytes = self._arrived_bytes  # nobody reads before it is settled

    def _on_end(self) -> None:
        self.drained = True
        self._loader.wake()

    def _on_error(self) -> None:
        self.fault = self.fault or "cannot be opened or decoded"
        self.drained = True
        self._loader.wake()

    # --- the loader's side

    def waits(self) -> bool:
        """Whether its file is still to come."""
        return self._decoder is None and not (self.fault or self.closed)

    def open(self) -> None:
        """Begin to decode, if the file is there."""
        head = self._head()
        if head is None:
            return
        try:
            self._file = FileMedia(Path(self.clip.path))
        except OSError as error:
            self._give_up(f"cannot be read ({error.strerror})")
            return
        instance = self._loader.instance(native=is_native(head))
        self._drop_bytes = pre_skip(head) * WIDTH
        media = self._file.media(instance)
        if self._skip:
            media.add_option(f":start-time={(self._skip + self._drop_bytes // WIDTH) / RATE:.6f}")
            self._drop_bytes = 0
        decoder = Decoder(
            instance,
            media,
            on_samples=self._on_samples,
            on_flush=self._on_flush,
            on_end=self._on_end,
            on_error=self._on_error,
        )
        self._news_ns = time.monotonic_ns()
        self._decoder = decoder
        if not decoder.start():
            self._on_error()

    def _head(self) -> bytes | None:
        """The file's first bytes; None while it is not there, or when it cannot be read."""
        path = Path(self.clip.path)
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                self._give_up("is no file")
                return None
            with path.open("rb") as file:
                return file.read(HEAD_BYTES)
        except FileNotFoundError:
            if self.missing_after_ns is not None and time.monotonic_ns() >= self.missing_after_ns:
                self._give_up(MISSING)
        except OSError as error:
            self._give_up(f"cannot be read ({error.strerror})")
        return None

    def _give_up(self, fault: str) -> None:
        self.fault = fault
        self._loader.wake()

    def balance(self) -> None:
        """Pause libVLC while the ring is full."""
        if self._decoder is None or self.drained:
            return
        if not self.paused and self._queued_bytes > FULL_BYTES:
            self.paused = True
            self._decoder.pause(on=True)
        elif self.paused and self._queued_bytes < LOW_BYTES:
            self.paused = False
            self._decoder.pause(on=False)

    def release(self) -> None:
        """Stop libVLC and free what it holds."""
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.release()
        file, self._file = self._file, None
        if file is not None:
            file.close()
        self._blocks.clear()
