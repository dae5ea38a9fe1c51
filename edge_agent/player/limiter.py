"""Sums blocks and holds the sum at or under -1 dBFS, seeing one block ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.player.pcm import BLOCK_BYTES, SILENT_BLOCK, WIDTH, audioop, ramp

CEILING = 29_203
"""-1 dBFS in 16-bit samples (32768 x 10^(-1/20) = 29204.8, and audioop rounds away from zero below it)."""
HEADROOM = 8
"""How many full voices the 32-bit sum can hold."""
WIDE = 4
RELEASE_PER_BLOCK = 1 / 25
"""From silence back to full in 250 ms."""
NARROW = 65_536 // HEADROOM


@dataclass(frozen=True, slots=True)
class Mix:
    """One block, summed: 16-bit when a single voice needs no room, else 32-bit with headroom."""

    samples: bytes
    wide: bool
    peak: float

    @property
    def gain(self) -> float:
        """The most that this block can bear."""
        return min(1.0, CEILING / self.peak) if self.peak > CEILING else 1.0


SILENCE = Mix(SILENT_BLOCK, wide=False, peak=0.0)


def add(blocks: Sequence[bytes]) -> Mix:
    """The sum of blocks of equal length."""
    if not blocks:
        return SILENCE
    if len(blocks) == 1:
        return Mix(blocks[0], wide=False, peak=audioop.max(blocks[0], WIDTH))
    total = bytes(BLOCK_BYTES * WIDE // WIDTH)
    for block in blocks:
        total = audioop.add(total, audioop.mul(audioop.lin2lin(block, WIDTH, WIDE), WIDE, 1 / HEADROOM), WIDE)
    return Mix(total, wide=True, peak=audioop.max(total, WIDE) / NARROW)


@dataclass(slots=True)
class Limiter:
    """Lets a block through at a gain that is already low enough when the next, louder one comes."""

    gain: float = 1.0

    def pass_through(self, block: Mix, following: Mix) -> bytes:
        """The block as 16-bit samples, never above the ceiling."""
        start = min(self.gain, block.gain)
        end = min(block.gain, following.gain, start + RELEASE_PER_BLOCK)
        self.gain = end
        if start == end == 1.0 and not block.wide:
            return block.samples
        if start == end:
            return self._scaled(block, start)
        # A louder sum than 16 bits hold is brought down first, then moved along the rest of the ramp.
        highest = max(start, end)
        return ramp(self._scaled(block, highest), start / highest, end / highest)

    @staticmethod
    def _scaled(block: Mix, gain: float) -> bytes:
        if not block.wide:
            return audioop.mul(block.samples, WIDTH, gain)
        return audioop.lin2lin(audioop.mul(block.samples, WIDE, gain * HEADROOM), WIDE, WIDTH)
