"""Radio streams, decoded by libVLC into a ring; one object is one connection, and `Link` makes the next.

(libVLC's own ``:http-reconnect`` does nothing.)
"""

from __future__ import annotations

import threading
import time

from edge_agent.player.decoder import Decoder
from edge_agent.player.loader import Loader
from edge_agent.player.pcm import RATE
from edge_agent.player.ring import Ring

FULL = 2 * RATE
LOW = RATE


class StreamFeed:
    """A connection to a radio server, from the moment that this is made."""

    def __init__(self, url: str, loader: Loader) -> None:
        self.ring = Ring(loader.wake)
        self.closed = False
        self.held = False
        self._url = url
        self._loader = loader
        self._decoder: Decoder | None = None
        loader.tend(self)

    # --- the mixer's side

    def eased(self) -> None:
        """Let libVLC go on when there is room again."""
        if self.held and self.ring.queued < LOW:
            self._loader.tend(self)

    def close(self) -> None:
        """Let the loader release libVLC's part."""
        if not self.closed:
            self.closed = True
            self._loader.tend(self)

    # --- libVLC's side: only flags and an append

    def _on_samples(self, samples: bytes) -> None:
        if self.closed:
            return
        self.ring.put(samples)
        if self.ring.queued > FULL and not self.held:
            self._loader.tend(self)

    def _on_flush(self) -> None:
        """What is in the ring is still to be heard."""

    def _on_end(self) -> None:
        self.ring.end("ended" if self.ring.arrived else "held no sound that can be decoded")

    def _on_error(self) -> None:
        self.ring.end("cannot be opened")

    # --- the loader's side

    def waits(self) -> bool:
        """Whether it is still to be opened."""
        return self._decoder is None and not (self.ring.fault or self.closed)

    def open(self) -> None:
        """Begin to connect; libVLC does the rest in threads of its own."""
        instance = self._loader.instance(native=False)
        self._decoder = Decoder(
            instance,
            instance.media_new_location(self._url),
            on_samples=self._on_samples,
            on_flush=self._on_flush,
            on_end=self._on_end,
            on_error=self._on_error,
        )
        if not self._decoder.start():
            self._on_error()

    def balance(self) -> None:
        """Pause libVLC while the ring is full, so that a server faster than real time fills no memory."""
        if self._decoder is None or self.ring.fault:
            return
        if not self.held and self.ring.queued > FULL:
            self.held = True
            self._decoder.pause(on=True)
        elif self.held and self.ring.queued < LOW:
            self._decoder.pause(on=False)
            self.ring.news_ns = time.monotonic_ns()
            self.held = False

    def release(self) -> None:
        """Stop libVLC in a thread of its own: while a name is looked up in vain that takes 19 s (measured)."""
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            threading.Thread(target=decoder.release, name="farewell", daemon=True).start()
