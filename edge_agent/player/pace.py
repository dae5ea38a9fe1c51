"""A sink's clock: which instant belongs to the next sample, by CLOCK_MONOTONIC."""

from __future__ import annotations

import time
from dataclasses import dataclass

from edge_agent.player.pcm import ns_of, samples_of_ns


@dataclass(slots=True)
class Pace:
    """Counts samples from an origin; a stretch without sound moves the count on.

    ``late_ns`` is how far behind the clock a block may come and still take its planned place; beyond that the
    count jumps to the present, as a card that ran dry would, and an underrun is counted.
    """

    origin_ns: int
    late_ns: int
    position: int = 0
    running: bool = False
    underruns: int = 0

    def planned_ns(self) -> int:
        """The instant that the count gives the next sample."""
        return self.origin_ns + ns_of(self.position)

    def next_ns(self) -> int:
        """Fix the instant of the next sample, and say it: its planned one, or the present if that is too far gone."""
        behind_ns = time.monotonic_ns() - self.planned_ns()
        if behind_ns > (self.late_ns if self.running else 0):
            self.underruns += self.running
            self.position += samples_of_ns(behind_ns)
        self.running = True
        return self.planned_ns()

    def take(self, samples: int) -> int:
        """Place so many samples; return the position of the first, counted from the origin."""
        if not self.running:
            self.next_ns()
        start = self.position
        self.position += samples
        return start
