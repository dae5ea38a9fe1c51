"""A node on a machine with two slots, in virtual time; the power may go before or after each of its steps."""

import itertools
from collections.abc import Iterable

from edge_agent.commands import Activate, Confirm, HoldInstall, Install, PutUpdate, Restart, Save
from edge_agent.events import (
    Event,
    InstallEnded,
    InstallProgressed,
    MachineChecked,
    PlayerReady,
    SlotConfirmed,
    SlotsChecked,
    SlotsFailed,
)
from protocol.reports import Health, UpdateState
from tests.core.harness import Node
from tests.core.people import HOUR_MS, ISSUED, MIDNIGHT, settled
from tests.core.player import MS_NS
from tests.fakes.ab_machine import Image, Machine
from tests.protocol import vector_world as world

NIGHT = MIDNIGHT + HOUR_MS
INSTALL_S = 200
RESTART_MS = 30_000
OLD = Image(build=6)
NEW = Image(build=7)


class PowerCut(Exception):
    """The power went, in the middle of what was being done."""


def release(seq: int = ISSUED, build: int = 7, **more):
    return world.signed(world.release(seq, build, **more), "v1", "v2")


class Updating(Node):
    """`cuts`: the numbers of the instants at which the power goes; each step has one before it and one after it."""

    longest_sleep_s = 60.0

    def __init__(self, *documents, image: Image = NEW, cuts: Iterable[int] = (), at_ms: int = NIGHT, old: Image = OLD) -> None:
        self.machine = Machine(slots={"A": old, "B": Image(build=5)})
        self.images = {7: image}
        self.cuts = set(cuts)
        self.instants = itertools.count()
        self.asked: list[object] = []
        self.loud_at: list[object] = []
        self.unsaved: list[object] = []
        self.install_held = False
        self.fails: dict[str, list[str]] = {"install": [], "activate": [], "confirm": []}
        self.lasting = False
        self.power_low: bool | None = None
        self.healths: list[Health] = []
        self.broker_there = True
        self.machine.boot()
        super().__init__(at_ms, *settled(), *documents)

    # --- the power ---

    def _instant(self) -> None:
        if next(self.instants) in self.cuts:
            raise PowerCut

    def live(self, seconds: float) -> "Updating":
        """Let time pass, through every power cut in it."""
        until_ms = self.true_ms + round(seconds * 1000)
        while self.true_ms < until_ms:
            try:
                self.run((until_ms - self.true_ms) / 1000)
            except PowerCut:
                self.power_cut()
        return self

    def power_cut(self, off_ms: int = 10_000, clock: str = "good") -> None:
        self.machine.boot()
        super().power_cut(off_ms, clock)

    def _boot(self) -> None:
        super()._boot()
        self.asked_now: list[object] = []
        lacks = self.machine.runs.lacks
        if "clock" in lacks:
            self.clock = "unknown"
        self._soon(2_000, self.machine.checked)
        if "sound" not in lacks:
            self._soon(3_000, PlayerReady)
        if "broker" not in lacks and self.broker_there:
            self._soon(20_000, self._connected)
        self._soon(5_000, lambda: MachineChecked(10**9, 4_000, 60, self.power_low))

    def _connected(self) -> None:
        if not self.linked:
            self.connect()

    def _soon(self, after_ms: int, make) -> None:
        self.later(self.mono_ns + after_ms * MS_NS, make)

    # --- the machine ---

    def _obey(self, command) -> None:
        match command:
            case Install() | Activate() | Confirm() | Restart():
                self._instant()
                self.asked.append(command)
                loud = bool(self.player.active) or bool(self.state.alarms)
                of_update = not isinstance(command, Confirm) or self.machine.booted == "B"
                if of_update and self.card.update != self.state.update:
                    self.unsaved.append(command)
                if loud and not isinstance(command, Confirm):
                    self.loud_at.append(command)
                self._do(command)
                if not isinstance(command, Restart):
                    self._instant()
            case HoldInstall(hold):
                self.install_held = hold
            case _:
                super()._obey(command)

    def _said(self, message) -> None:
        if isinstance(message, Health):
            self.healths.append(message)
        super()._said(message)

    def _do(self, command) -> None:
        match command:
            case Install():
                self.machine.begin_install()
                self._soon(20_000, lambda: InstallProgressed(command.bytes // 9))
                self._soon(INSTALL_S * 1000, self._installed)
            case Activate():
                if why := self._failing("activate"):
                    self._soon(100, lambda: SlotsFailed(why))
                else:
                    self.machine.activate(between=self._instant)
                    self._soon(500, self.machine.checked)
            case Confirm():
                if why := self._failing("confirm"):
                    self._soon(100, lambda: SlotsFailed(why))
                else:
                    self.machine.confirm()
                    self._soon(500, SlotConfirmed)
            case Restart():
                self._soon(1_000, self._go_down)

    def _failing(self, what: str) -> str:
        return self.fails[what].pop(0) if self.fails[what] else ""

    def _installed(self) -> Event:
        self._instant()
        if why := self._failing("install"):
            self.machine.busy = False
            return InstallEnded(why, self.lasting)
        self.machine.end_install(self.images[self.state.update.build])
        return InstallEnded()

    def _go_down(self) -> None:
        raise PowerCut

    def _commit(self, save: Save, fails: bool) -> Event:
        step = any(isinstance(write, PutUpdate) for write in save.writes)
        if step:
            self._instant()
        answer = super()._commit(save, fails)
        if step:
            self._instant()
        return answer

    # --- what is to be seen ---

    def told(self) -> UpdateState | None:
        from edge_agent.core import update_view
        from edge_agent.core.state import Turn

        return update_view.of(Turn(self.state, self.instant()))

    def how_often(self, kind: type) -> int:
        return sum(isinstance(command, kind) for command in self.asked)


__all__ = ["SlotsChecked", "Updating", "release"]
