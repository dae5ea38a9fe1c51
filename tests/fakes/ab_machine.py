"""A machine with two copies of its firmware, as U-Boot and RAUC make it: an order, a count of starts left for each, a loader.

What lies in `order`, `left` and `slots` survives a power cut; which slot runs, and an installation under way, does not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge_agent.events import SlotsChecked

STARTS: Final = 3
OTHER: Final = {"A": "B", "B": "A"}


@dataclass(frozen=True)
class Image:
    """A build; `starts`: whether its kernel comes up. `lacks` names what of its health is broken."""

    build: int
    starts: bool = True
    lacks: frozenset[str] = frozenset()
    says_build: int | None = None
    compatible: str = "loa-node"


@dataclass
class Machine:
    """It runs what the boot loader chose; `history` is every slot that the loader tried."""

    slots: dict[str, Image | None]
    order: list[str] = field(default_factory=lambda: ["A", "B"])
    left: dict[str, int] = field(default_factory=lambda: {"A": STARTS, "B": STARTS})
    booted: str = "A"
    busy: bool = False
    history: list[str] = field(default_factory=list)

    @property
    def runs(self) -> Image:
        image = self.slots[self.booted]
        assert image is not None
        return image

    @property
    def other(self) -> str:
        return OTHER[self.booted]

    @property
    def next(self) -> str:
        return next((slot for slot in self.order if self.left[slot] > 0), self.order[0])

    def checked(self) -> SlotsChecked:
        image = self.runs
        return SlotsChecked(
            compatible=image.compatible,
            version=f"2026.11.{image.build}",
            build=image.says_build or image.build,
            booted=self.booted,
            next=self.next,
            busy=self.busy,
        )

    def boot(self) -> None:
        """Power comes, or the machine was restarted: the loader counts a start down before it tries it."""
        self.busy = False
        for _ in range(100):
            slot = next((slot for slot in self.order if self.left[slot] > 0), None)
            if slot is None:  # U-Boot's last resort: all counts anew, in the same order
                self.left = {"A": STARTS, "B": STARTS}
                continue
            self.left[slot] -= 1
            self.history.append(slot)
            image = self.slots[slot]
            if image is not None and image.starts:
                self.booted = slot
                return
        raise AssertionError("no slot starts: this machine is a brick")

    def begin_install(self) -> None:
        """RAUC first takes the slot out of the loader's choice, then overwrites it."""
        self.busy = True
        self.left[self.other] = 0
        self.slots[self.other] = None

    def end_install(self, image: Image) -> None:
        self.slots[self.other] = image
        self.busy = False

    def activate(self, between: Callable[[], None] = lambda: None) -> None:
        """Two writes to the loader's environment, the count first; `between` them the power may go."""
        self.left[self.other] = STARTS
        between()
        self.order = [self.other, self.booted]

    def confirm(self) -> None:
        self.left[self.booted] = STARTS
