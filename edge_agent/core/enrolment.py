"""When a node asks for a certificate, when for new dates, and how long it waits after a no. Pure."""

from typing import Final

from msgspec import Struct

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
LOOK_EVERY_S: Final = 600.0
"""How often a certificate's age is looked at; a thousand nodes look at their own times."""
UNLINKED_S: Final = 900.0
"""So long without the broker, and a node that cannot tell the date asks for new dates: perhaps the old ones are over."""


class Dates(Struct, frozen=True):
    """From when until when a certificate counts."""

    from_ms: int
    until_ms: int

    @property
    def renew_at_ms(self) -> int:
        """Two thirds of its life are over: 30 days are left of 90, in which the controller may be away."""
        return self.from_ms + (self.until_ms - self.from_ms) * 2 // 3


def wants_renewal(dates: Dates, now_ms: int, *, clock_usable: bool, unlinked_s: float) -> bool:
    """Whether it is time for new dates: by the clock if it can be used, else when nobody let us in for long."""
    if clock_usable:
        return now_ms >= dates.renew_at_ms
    return unlinked_s >= UNLINKED_S


def next_look_s(dates: Dates, now_ms: int, *, clock_usable: bool, dice: float) -> float:
    """Until when to sleep, with `dice` in [0, 1): not past the time to renew, and never twice at once."""
    rhythm_s = LOOK_EVERY_S * (0.5 + dice)
    if not clock_usable:
        return rhythm_s
    return min(rhythm_s, max(1.0, (dates.renew_at_ms - now_ms) / 1000 * (1 + dice / 10)))


def wait_s(failures: int, dice: float, asked_s: float = 0.0) -> float:
    """How long to wait after so many failures in a row, with `dice` in [0, 1); never less than the controller asked for."""
    grown = min(FIRST_WAIT_S * 2.0 ** min(failures - 1, 16), LONGEST_WAIT_S)
    return max(grown * (0.5 + dice), min(asked_s, LONGEST_WAIT_S))
