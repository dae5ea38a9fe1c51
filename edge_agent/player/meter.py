"""What a play really sent: level, peak and its longest silence."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.player.pcm import FLOOR_CDB, RATE, WIDTH, audioop, cdb

SILENT_BELOW = 33
"""-60 dBFS in 16-bit samples."""


@dataclass(slots=True)
class Meter:
    """Adds up the stretches of a play's sound parts; pauses are never shown to it."""

    samples: int = 0
    energy: float = 0.0
    peak: int = 0
    silent: int = 0
    longest_silent: int = 0

    def hear(self, stretch: bytes) -> None:
        """Take a stretch (10 ms or less) into account."""
        count = len(stretch) // WIDTH
        if not count:
            return
        self.samples += count
        self.energy += float(audioop.rms(stretch, WIDTH)) ** 2 * count
        peak = audioop.max(stretch, WIDTH)
        self.peak = max(self.peak, peak)
        self.silent = self.silent + count if peak < SILENT_BELOW else 0
        self.longest_silent = max(self.longest_silent, self.silent)

    @property
    def rms_cdb(self) -> int:
        """The level over all that was heard."""
        return cdb((self.energy / self.samples) ** 0.5) if self.samples else FLOOR_CDB

    @property
    def peak_cdb(self) -> int:
        """The highest sample."""
        return cdb(self.peak)

    @property
    def silent_ms(self) -> int:
        """The longest run below -60 dBFS."""
        return self.longest_silent * 1000 // RATE
