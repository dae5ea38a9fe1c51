"""Who reads, and by which clock: what every check of a sealed document is made with."""

from msgspec import Struct

from protocol.units import ClockState


class Clock(Struct, frozen=True):
    """Wall time in UTC ms, how far it is to be trusted, and the instant below which time cannot be, however bad the clock."""

    wall_ms: int
    state: ClockState
    floor_ms: int = 0

    @property
    def usable(self) -> bool:
        """Good enough for anything timed."""
        return self.state in ("good", "holdover")

    @property
    def usable_for_start(self) -> bool:
        """Good enough to judge whether a START is fresh."""
        return self.state != "unknown"

    def is_past(self, at_ms: int) -> bool:
        """Whether an instant is surely over: by a usable clock, else by the floor. An attested clock ends nothing."""
        return at_ms <= (self.wall_ms if self.usable else self.floor_ms)


class Me(Struct, frozen=True):
    """Who reads: a node (its id and the nonces it has out), or the controller (None)."""

    node: str | None = None
    nonces: tuple[str, ...] = ()
