"""How far a wall clock can be off: known at one moment, and from there by arithmetic alone."""

import math
import time
from typing import Final

from msgspec import Struct

NS_A_MS: Final = 1_000_000
LOOK_EVERY_S: Final = 2.0
STEP_NS: Final = 100_000_000


class Moment(Struct, frozen=True):
    """Wall time and CLOCK_MONOTONIC, read together.

    Time daemons slew both alike, so their difference changes when the wall clock is set, and then by just as much.
    """

    wall_ns: int
    mono_ns: int

    @property
    def offset_ns(self) -> int:
        """What the setting of the wall clock changes."""
        return self.wall_ns - self.mono_ns

    def stepped_since(self, before: "Moment") -> bool:
        """Whether somebody set the wall clock in between."""
        return abs(self.offset_ns - before.offset_ns) > STEP_NS


def moment() -> Moment:
    """Now."""
    return Moment(time.time_ns(), time.monotonic_ns())


class Bound(Struct, frozen=True):
    """At `known` the clock was off by `error_ms` at the most; left alone it strays by `growth_ppm` (µs a second) at the most."""

    error_ms: float
    growth_ppm: float
    known: Moment

    def at_ms(self, now: Moment) -> int:
        """The bound now. A step that no time source has answered for yet is an error of its own size."""
        strayed_ns = (now.mono_ns - self.known.mono_ns) * self.growth_ppm / 1e6
        stepped_ns = abs(now.offset_ns - self.known.offset_ns)
        return math.ceil(self.error_ms + (strayed_ns + stepped_ns) / NS_A_MS)
