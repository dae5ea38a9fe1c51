"""Samples on their way from the thread that brings them to the mixer, which takes them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from edge_agent.player.pcm import RATE, WIDTH

ENOUGH = RATE // 5
"""200 ms: what must be there before a relay begins to sound, or sounds again after it ran dry."""


class Ring:
    """Filled by one thread, emptied by another. `arrived` and `taken` count samples and are each written by one side only."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.fault = ""
        self.arrived = 0
        self.taken = 0
        self.news_ns = time.monotonic_ns()
        self._wake = wake
        self._blocks: deque[bytes] = deque()
        self._rest = b""

    @property
    def queued(self) -> int:
        """How many samples are there."""
        return self.arrived - self.taken

    def put(self, samples: bytes) -> None:
        """Add behind; whoever waits for a beginning is woken when there is enough for one."""
        self._blocks.append(samples)
        before = self.arrived
        self.arrived = before + len(samples) // WIDTH
        self.news_ns = time.monotonic_ns()
        if before < ENOUGH <= self.arrived:
            self._wake()

    def end(self, fault: str) -> None:
        """Nothing more will come, and why; the first reason counts."""
        self.fault = self.fault or fault
        self._wake()

    def take(self, count: int) -> bytes:
        """At most so many samples from the front."""
        wanted = count * WIDTH
        while len(self._rest) < wanted and self._blocks:
            self._rest += self._blocks.popleft()
        stretch, self._rest = self._rest[:wanted], self._rest[wanted:]
        self.taken += len(stretch) // WIDTH
        return stretch
