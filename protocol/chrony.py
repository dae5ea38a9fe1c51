"""What chronyd says of a computer's clock, as `chronyc -c tracking` prints it: nodes and timekeepers go by the same figures."""

import math
from typing import Final

from msgspec import Struct

CHRONYC: Final = ("chronyc", "-n", "-c")
SYNCHRONISED_AGE_S: Final = 10_800.0
"""Eight polls at chrony's longest usual interval (1,024 s) are 2.3 h: after three hours no source has answered."""
TEMPERATURE_PPM: Final = 10.0
"""chrony knows the crystal's frequency as of the last measurement; by as much it can move from a noon in the sun to a night."""
FIELDS: Final = 14
FIGURES: Final = (3, 4, 9, 10, 11)
"""Of a line's fields: time of the reference (s), offset (s), skew (ppm), root delay (s), root dispersion (s)."""
NOT_IN_STEP: Final = "Not synchronised"
LEAPS: Final = frozenset({"Normal", "Insert second", "Delete second", NOT_IN_STEP})
LOCAL_REFERENCE: Final = "7F7F0101"
"""127.127.1.1: chronyd's `local` mode, which means that it follows nobody."""


class TrackingUnread(ValueError):
    """chronyc said something of another shape: its version is not known to us."""


class Tracking(Struct, frozen=True):
    """What chronyd says of the system's clock. `age_s` counts from the last measurement that it took in."""

    in_step: bool
    age_s: float
    error_ms: float
    growth_ppm: float

    @property
    def is_fresh(self) -> bool:
        """In step, and with a source that still answers."""
        return self.in_step and self.age_s <= SYNCHRONISED_AGE_S


def parse(line: str, wall_s: float) -> Tracking:
    """One line of `chronyc -c tracking`, read at this wall time.

    The bound is chrony's own (chronyc(1), `tracking`): |offset| + root dispersion + half the root delay; the dispersion already
    grows with the skew since the last measurement, and we add what temperature may do. Raises TrackingUnread.
    """
    fields = line.strip().split(",")
    try:
        reference_s, offset_s, skew_ppm, delay_s, dispersion_s = figures = [float(fields[number]) for number in FIGURES]
        stratum, leap = int(fields[2]), fields[13]
    except (ValueError, IndexError) as error:
        raise TrackingUnread(f"chronyc said {line[:200]!r} ({error}): its version is not known to us") from error
    if len(fields) != FIELDS or leap not in LEAPS or not all(map(math.isfinite, figures)):
        raise TrackingUnread(f"chronyc said {line[:200]!r}: its version is not known to us")
    age_s = max(0.0, wall_s - reference_s)
    return Tracking(
        in_step=leap != NOT_IN_STEP and fields[0] != LOCAL_REFERENCE and stratum > 0,
        age_s=age_s,
        error_ms=1_000 * (abs(offset_s) + dispersion_s + delay_s / 2) + age_s * TEMPERATURE_PPM / 1_000,
        growth_ppm=abs(skew_ppm) + TEMPERATURE_PPM,
    )
