"""The sound card, through libasound by ctypes (the binding on PyPI would need a compiler on the node)."""

from __future__ import annotations

import ctypes
import errno
import functools
import logging
import time
from dataclasses import dataclass, field

from edge_agent.player.pace import Pace
from edge_agent.player.pcm import BLOCK, BLOCK_NS, RATE, WIDTH, ns_of
from edge_agent.player.sinks import SinkFailed

log = logging.getLogger(__name__)

PLAYBACK = 0
CAPTURE = 1
NONBLOCK = 1
S16_LITTLE = 2
INTERLEAVED = 3
LATENCY_US = 40_000
START_AFTER = 2 * BLOCK
"""20 ms are in the card's buffer before it begins, so that one late block is not heard."""
LATE_NS = 40_000_000


@functools.cache
def library() -> ctypes.CDLL:
    """Libasound with the types of what is called."""
    try:
        asound = ctypes.CDLL("libasound.so.2")
    except OSError as error:
        raise SinkFailed("libasound.so.2 is missing; install libasound2") from error
    pcm, frames = ctypes.c_void_p, ctypes.c_long
    asound.snd_strerror.restype = ctypes.c_char_p
    asound.snd_pcm_open.argtypes = [ctypes.POINTER(pcm), ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
    unsigned = ctypes.c_uint
    asound.snd_pcm_set_params.argtypes = [pcm, ctypes.c_int, ctypes.c_int, unsigned, unsigned, ctypes.c_int, unsigned]
    asound.snd_pcm_writei.argtypes = [pcm, ctypes.c_char_p, ctypes.c_ulong]
    asound.snd_pcm_readi.argtypes = [pcm, ctypes.c_char_p, ctypes.c_ulong]
    asound.snd_pcm_readi.restype = asound.snd_pcm_writei.restype = frames
    asound.snd_pcm_wait.argtypes = [pcm, ctypes.c_int]
    asound.snd_pcm_avail_delay.argtypes = [pcm, ctypes.POINTER(frames), ctypes.POINTER(frames)]
    asound.snd_pcm_get_params.argtypes = [pcm, ctypes.POINTER(ctypes.c_ulong), ctypes.POINTER(ctypes.c_ulong)]
    asound.snd_pcm_recover.argtypes = [pcm, ctypes.c_int, ctypes.c_int]
    for name in ("snd_pcm_start", "snd_pcm_drop", "snd_pcm_prepare", "snd_pcm_close"):
        getattr(asound, name).argtypes = [pcm]
    return asound


@dataclass(slots=True)
class AlsaSink:
    """One ALSA device, 48 kHz mono, a 40 ms buffer of which about 20 ms are used.

    A device that consumes nothing at a rate of its own (the ``null`` plugin) is paced by our clock.
    """

    device: str
    underruns: int = 0
    _pcm: ctypes.c_void_p = field(default_factory=ctypes.c_void_p)
    _buffer: int = 0
    _written: int = 0
    _paced: bool = False
    _pace: Pace = field(default_factory=lambda: Pace(time.monotonic_ns(), LATE_NS))

    def open(self) -> None:
        """Open the device and agree on its format."""
        asound = library()
        self._check(
            asound.snd_pcm_open(ctypes.byref(self._pcm), self.device.encode(), PLAYBACK, NONBLOCK),
            "cannot be opened; `aplay -L` lists what there is",
        )
        self._check(
            asound.snd_pcm_set_params(self._pcm, S16_LITTLE, INTERLEAVED, 1, RATE, 1, LATENCY_US),
            "does not take 48 kHz mono; name it with plughw: or default:",
        )
        size, period = ctypes.c_ulong(), ctypes.c_ulong()
        asound.snd_pcm_get_params(self._pcm, ctypes.byref(size), ctypes.byref(period))
        self._buffer = size.value

    def _check(self, result: int, meaning: str) -> None:
        if result < 0:
            cause = library().snd_strerror(result).decode(errors="replace")
            raise SinkFailed(f"sound device {self.device} {meaning} ({cause})")

    def _state(self) -> tuple[int, int]:
        """How many samples lie in the buffer, and how many until a new one is heard."""
        avail, delay = ctypes.c_long(), ctypes.c_long()
        result = library().snd_pcm_avail_delay(self._pcm, ctypes.byref(avail), ctypes.byref(delay))
        if result < 0:
            self._recover(result)
            return 0, 0
        return max(0, self._buffer - avail.value), max(0, delay.value)

    def _recover(self, result: int) -> None:
        """Make the card ready again after it ran dry or slept; anything else is its end."""
        self.underruns += 1
        self._written = 0
        self._check(library().snd_pcm_recover(self._pcm, result, 1), "is gone; look at its plug and power")

    def due_ns(self) -> int:
        """When less than 20 ms are left in the buffer."""
        if self._paced:
            return self._pace.planned_ns() - time.monotonic_ns() - BLOCK_NS if self._pace.running else 0
        if self._written < START_AFTER:
            return 0
        return ns_of(self._state()[0] - START_AFTER)

    def next_ns(self) -> int:
        """The present and what lies ahead in the card."""
        if self._paced:
            return self._pace.next_ns()
        return time.monotonic_ns() + ns_of(self._state()[1] if self._written else 0)

    def write(self, block: bytes) -> None:
        """Give the block to the card; start it when enough is there."""
        count = len(block) // WIDTH
        if self._paced:
            self._pace.take(count)
        result = library().snd_pcm_writei(self._pcm, block, count)
        if result == -errno.EAGAIN:
            self.underruns += 1
            return
        if result < 0:
            self._recover(result)
            self._check(library().snd_pcm_writei(self._pcm, block, count), "takes no sound")
        self._written += count
        if self._written == START_AFTER:
            library().snd_pcm_start(self._pcm)
            if not self._paced and self._state()[0] == 0:
                log.info("sound device %s has no clock: ours is used", self.device)
                self._paced = True
                self._pace.take(START_AFTER)

    def idle(self) -> None:
        """Drop the card's buffer; what it held has been heard."""
        self._pace.running = False
        self._written = 0
        library().snd_pcm_drop(self._pcm)
        self._check(library().snd_pcm_prepare(self._pcm), "cannot be made ready again")

    def close(self) -> None:
        """Let go of the device."""
        if self._pcm:
            library().snd_pcm_close(self._pcm)
            self._pcm = ctypes.c_void_p()
