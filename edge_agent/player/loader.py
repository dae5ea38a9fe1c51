"""The one thread that calls libVLC for recordings and streams: opens, pauses and releases them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

import vlc

from edge_agent.player.decoder import new_instance

POLL_S = 0.02


class Tended(Protocol):
    """Something that the loader looks after."""

    @property
    def closed(self) -> bool:
        """Whether nobody wants it any more."""

    def waits(self) -> bool:
        """Whether it is still to be opened; it is then tried every 20 ms."""

    def open(self) -> None:
        """Begin, if that is possible now. Never takes long."""

    def balance(self) -> None:
        """Hold back what runs ahead, let go on what has room again."""

    def release(self) -> None:
        """Free what is held. Never takes long."""


class Loader(threading.Thread):
    """Looks after recordings and streams as they ask for it."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__(name="loader", daemon=True)
        self.wake = wake
        self.busy_since_ns: int | None = None
        self._jobs: queue.SimpleQueue[Tended] = queue.SimpleQueue()
        self._open: list[Tended] = []
        self._instances: dict[bool, vlc.Instance] = {}
        self.instance(native=True)

    def instance(self, *, native: bool) -> vlc.Instance:
        """The libVLC for recordings at 48 kHz, or for all else. Raises OSError."""
        if native not in self._instances:
            self._instances[native] = new_instance(native=native)
        return self._instances[native]

    def tend(self, thing: Tended) -> None:
        """Look after it soon; from any thread."""
        self._jobs.put(thing)

    def run(self) -> None:
        """Look after things as they ask for it; one that cannot be opened yet is polled."""
        while True:
            waiting = any(thing.waits() for thing in self._open)
            try:
                thing = self._jobs.get(timeout=POLL_S if waiting else None)
            except queue.Empty:
                things = [thing for thing in self._open if thing.waits()]
            else:
                things = [thing]
            self.busy_since_ns = time.monotonic_ns()
            for thing in things:
                self._tend(thing)
            self.busy_since_ns = None

    def _tend(self, thing: Tended) -> None:
        if thing.closed:
            thing.release()
            if thing in self._open:
                self._open.remove(thing)
            return
        if thing not in self._open:
            self._open.append(thing)
        if thing.waits():
            thing.open()
        thing.balance()
