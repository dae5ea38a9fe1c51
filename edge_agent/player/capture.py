"""An input of the board (line, FM receiver), read through libasound by a thread of its own while its part lasts.

Open or not is the whole of its state: outside a part no device is open, so that nothing can come in (laws 1 and 4).
"""

from __future__ import annotations

import ctypes
import errno
import logging
import threading
import time

from edge_agent.player.alsa import CAPTURE, INTERLEAVED, NONBLOCK, S16_LITTLE, library
from edge_agent.player.loader import Loader
from edge_agent.player.pcm import BLOCK, BLOCK_BYTES, RATE, WIDTH, ns_of
from edge_agent.player.ring import Ring
from edge_agent.player.sinks import SinkFailed

log = logging.getLogger(__name__)

LATENCY_US = 100_000
WAIT_MS = 20
"""How long the thread waits for samples before it looks whether it is still wanted."""
TRIAL = 5 * BLOCK
"""50 ms that came in less than half that time are from a device without a clock of its own."""


class InputGone(OSError):
    """The device cannot be opened or read; the sentence is what the play's reason says."""


class InputFeed:
    """A capture device, 48 kHz mono, from the moment that its thread has opened it until it is closed."""

    def __init__(self, device: str, loader: Loader) -> None:
        self.ring = Ring(loader.wake)
        self.closed = False
        self.held = False
        self.overruns = 0
        self._device = device
        self._loader = loader
        self._thread: threading.Thread | None = None
        self._pcm = ctypes.c_void_p()
        loader.tend(self)

    # --- the mixer's side

    def eased(self) -> None:
        """A card cannot be held back."""

    def close(self) -> None:
        """The thread closes the device within 20 ms."""
        self.closed = True

    # --- the loader's side

    def waits(self) -> bool:
        """Whether its thread is still to begin."""
        return self._thread is None and not self.closed

    def open(self) -> None:
        """Begin the thread; it opens the device, which may take its time."""
        self._thread = threading.Thread(target=self._capture, name="input", daemon=True)
        self._thread.start()

    def balance(self) -> None:
        """Nothing runs ahead."""

    def release(self) -> None:
        """The thread has let go of everything."""

    # --- its own thread

    def _capture(self) -> None:
        try:
            self._open_device()
            self._read_on()
        except (InputGone, SinkFailed) as error:
            self.ring.end(str(error))
        finally:
            if self._pcm:
                library().snd_pcm_close(self._pcm)
            self._loader.tend(self)

    def _check(self, result: int, what: str) -> None:
        if result < 0:
            cause = library().snd_strerror(result).decode(errors="replace")
            raise InputGone(f"input {self._device} {what} ({cause})")

    def _open_device(self) -> None:
        asound = library()
        opened = asound.snd_pcm_open(ctypes.byref(self._pcm), self._device.encode(), CAPTURE, NONBLOCK)
        self._check(opened, "cannot be opened; `arecord -L` lists what there is")
        agreed = asound.snd_pcm_set_params(self._pcm, S16_LITTLE, INTERLEAVED, 1, RATE, 1, LATENCY_US)
        self._check(agreed, "does not give 48 kHz mono; name it with plughw:")
        self._check(asound.snd_pcm_start(self._pcm), "does not begin")

    def _read_on(self) -> None:
        """Block after block into the ring; a device without a clock is read by ours."""
        asound, buffer = library(), ctypes.create_string_buffer(BLOCK_BYTES)
        began_ns, count, tried, free_running = time.monotonic_ns(), 0, False, False
        while not self.closed:
            ahead_ns = ns_of(count) - (time.monotonic_ns() - began_ns)
            if free_running and ahead_ns > 0:
                time.sleep(ahead_ns / 1e9)
            elif not tried and count >= TRIAL:
                tried, free_running = True, ahead_ns > ns_of(count) // 2
                if free_running:
                    log.info("input %s has no clock: ours is used", self._device)
            result = asound.snd_pcm_wait(self._pcm, WAIT_MS)
            result = asound.snd_pcm_readi(self._pcm, buffer, BLOCK) if result > 0 else result
            if result in (-errno.EPIPE, -errno.ESTRPIPE):
                self.overruns += 1
                self._check(asound.snd_pcm_recover(self._pcm, result, 1), "is gone; look at its plug")
                self._check(asound.snd_pcm_start(self._pcm), "does not begin again")
            elif result > 0:
                self.ring.put(buffer.raw[: result * WIDTH])
                count += result
            elif result == -errno.EAGAIN:
                time.sleep(0.001)
            else:
                self._check(result, "is gone; look at its plug")
