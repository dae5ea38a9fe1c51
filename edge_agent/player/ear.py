"""Whether something sounds: silence is what a dead carrier or an open socket gives, below -60 dBFS."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.player.meter import SILENT_BELOW
from edge_agent.player.pcm import BLOCK, RATE, WIDTH, audioop

CLICK = 3 * BLOCK
"""Sound shorter than 30 ms is a click on the line and ends no silence."""
STEADY = RATE // 2
FORGOTTEN = RATE


def audible(stretch: bytes) -> bool:
    """Whether the level is -60 dBFS or more; a constant offset, as cheap inputs have, is no sound."""
    mean = audioop.avg(stretch, WIDTH)
    return bool(audioop.rms(audioop.bias(stretch, WIDTH, -mean), WIDTH) >= SILENT_BELOW)


@dataclass(slots=True)
class Ear:
    """Counts samples: of silence since the last sound, and of sound since the last second of silence."""

    quiet: int = 0
    sound: int = 0
    _run: int = 0

    def hear(self, stretch: bytes) -> None:
        """Take a stretch (10 ms or less) into account."""
        count = len(stretch) // WIDTH
        if not count:
            return
        if audible(stretch):
            self._run += count
            self.sound += count
        else:
            self._run = 0
        self.quiet = 0 if self._run >= CLICK else self.quiet + count
        if self.quiet >= FORGOTTEN:
            self.sound = 0

    @property
    def steady(self) -> bool:
        """Whether it is real sound: half a second of it, without a second of silence in between."""
        return self.sound >= STEADY
