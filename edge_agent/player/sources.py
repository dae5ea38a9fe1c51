"""What a part of a play is read from: one port, and the sources that need nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge_agent.player.pcm import WIDTH, ramp

MISSING = "is missing"
CUT_FADE = 240
"""5 ms: a tone that is cut in the middle ends without a click."""


class Source(Protocol):
    """Samples in order, as far as they are there."""

    @property
    def fault(self) -> str:
        """Why it gave less than it should; empty when all is well."""

    @property
    def failed(self) -> bool:
        """Whether its fault is one that the whole play ends with, whatever else was heard."""

    def turn(self, *, patient: bool, at_ns: int, quiet_ns: int) -> None:
        """Its part begins at this instant, and the play will not have been heard for so long by then.

        A patient play waits for a file still to come, for as long as the part says.
        """

    def ready(self) -> bool:
        """Whether reading now gives enough to begin with, or the end."""

    def read(self, count: int) -> bytes:
        """At most so many samples; fewer, or none, when there are no more at present."""

    def over(self) -> bool:
        """Whether nothing more will come."""

    def left(self) -> int | None:
        """How many samples are still to come, when that is known."""

    def close(self) -> None:
        """No more is wanted."""


@dataclass(slots=True)
class ToneSource:
    """A synthesised tone, repeated or cut to a length."""

    samples: bytes
    length: int
    position: int = 0
    fault: str = ""
    failed: bool = False

    @classmethod
    def of(cls, samples: bytes, length: int | None, skip: int) -> ToneSource:
        """The tone from a position on; None plays it once."""
        return cls(samples, len(samples) // WIDTH if length is None else length, skip)

    def turn(self, *, patient: bool, at_ns: int, quiet_ns: int) -> None:
        """Nothing to wait for."""

    def ready(self) -> bool:
        """Always."""
        return True

    def read(self, count: int) -> bytes:
        """The next stretch, seamless where the tone begins anew."""
        count = min(count, max(0, self.length - self.position))
        whole = len(self.samples) // WIDTH
        stretch = b""
        while (have := len(stretch) // WIDTH) < count:
            start = (self.position + have) % whole
            stretch += self.samples[start * WIDTH : (start + count - have) * WIDTH]
        self.position += count
        return self._faded(stretch) if self.length % whole and self.length - self.position < CUT_FADE else stretch

    def _faded(self, stretch: bytes) -> bytes:
        """Bring what lies in the last 5 ms down to nothing, block by block along one line."""
        after = self.length - self.position
        moving = min(CUT_FADE - after, len(stretch) // WIDTH)
        if moving <= 0:
            return stretch
        split = len(stretch) - moving * WIDTH
        return stretch[:split] + ramp(stretch[split:], (after + moving) / CUT_FADE, after / CUT_FADE)

    def over(self) -> bool:
        """Whether its length is reached."""
        return self.position >= self.length

    def left(self) -> int:
        """Always known."""
        return max(0, self.length - self.position)

    def close(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class Rest:
    """Silence by intention."""

    length: int
    fault: str = ""
    failed: bool = False

    def turn(self, *, patient: bool, at_ns: int, quiet_ns: int) -> None:
        """Nothing to wait for."""

    def ready(self) -> bool:
        """Always."""
        return True

    def read(self, count: int) -> bytes:
        """Zeros."""
        count = min(count, self.length)
        self.length -= count
        return bytes(count * WIDTH)

    def over(self) -> bool:
        """Whether its length is reached."""
        return self.length <= 0

    def left(self) -> int:
        """Always known."""
        return max(0, self.length)

    def close(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class Nothing:
    """A part that cannot sound, with the reason."""

    fault: str
    failed: bool = False

    def turn(self, *, patient: bool, at_ns: int, quiet_ns: int) -> None:
        """Nothing to wait for."""

    def ready(self) -> bool:
        """Always: its end is there."""
        return True

    def read(self, count: int) -> bytes:  # noqa: ARG002 - the port's signature
        """None."""
        return b""

    def over(self) -> bool:
        """From the start."""
        return True

    def left(self) -> int:
        """None."""
        return 0

    def close(self) -> None:
        """Nothing is held."""
