"""A gain that moves in straight lines, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.player.pcm import WIDTH, audioop, ramp


@dataclass(slots=True)
class Fader:
    """Where a gain is, where it goes, and in how many samples."""

    gain: float = 1.0
    target: float = 1.0
    samples_left: int = 0

    def move(self, target: float, samples: int) -> None:
        """Go to a gain within so many samples, from wherever it is."""
        self.target = target
        self.samples_left = samples
        if samples <= 0:
            self.gain = target

    @property
    def highest(self) -> float:
        """The most it can be from here on."""
        return max(self.gain, self.target)

    @property
    def at_rest(self) -> bool:
        """Whether it has arrived."""
        return self.samples_left <= 0

    def apply(self, samples: bytes) -> bytes:
        """The samples under the gain, which moves on by their length."""
        if self.at_rest:
            return samples if self.gain == 1.0 else audioop.mul(samples, WIDTH, self.gain)
        count = len(samples) // WIDTH
        moving = min(count, self.samples_left)
        end = self.gain + (self.target - self.gain) * moving / self.samples_left
        head = ramp(samples[: moving * WIDTH], self.gain, end)
        self.samples_left -= moving
        self.gain = self.target if self.at_rest else end
        tail = samples[moving * WIDTH :]
        return head + (audioop.mul(tail, WIDTH, self.gain) if tail else b"")
