"""The port `Slots` on the machine of ab_machine.py: installs when told to go on, fails when told to, loses power."""

import asyncio
from collections.abc import Callable

from edge_agent.commands import Install
from edge_agent.events import Event, InstallEnded, InstallProgressed, SlotConfirmed, SlotsFailed
from tests.fakes.ab_machine import Image, Machine

MANIFEST = "3d" * 32


class FakeSlots:
    """`bundles`: what lies at the source, by SHA-256, with its manifest's hash."""

    def __init__(self, machine: Machine, emit: Callable[[Event], None]) -> None:
        self.machine = machine
        self.bundles: dict[str, tuple[Image, str]] = {}
        self.held = False
        self.broken = ""
        self._emit = emit
        self._install: Install | None = None

    async def run(self) -> None:
        self._emit(self.machine.checked())
        await asyncio.Event().wait()

    def install(self, command: Install) -> None:
        if self.machine.busy:
            return
        if command.sha256 not in self.bundles:
            self._emit(InstallEnded("no such bundle at the source"))
        elif self.bundles[command.sha256][1] != command.manifest:
            self._emit(InstallEnded("manifest hash differs", lasting=True))
        else:
            self.machine.begin_install()
            self._install = command
            self._emit(InstallProgressed(command.bytes * 20 // 100))

    def go_on(self, *, fail: str = "") -> None:
        """The rest of the bundle comes, or the stream breaks off."""
        assert self._install is not None
        command, self._install = self._install, None
        if fail:
            self.machine.busy = False
            self._emit(InstallEnded(fail))
            return
        self.machine.end_install(self.bundles[command.sha256][0])
        self._emit(InstallProgressed(command.bytes))
        self._emit(InstallEnded())

    def activate(self) -> None:
        if self.machine.busy or self.broken:
            self._emit(SlotsFailed(self.broken or "busy"))
            return
        self.machine.activate()
        self._emit(self.machine.checked())

    def confirm(self) -> None:
        if self.machine.busy or self.broken:
            self._emit(SlotsFailed(self.broken or "busy"))
            return
        self.machine.confirm()
        self._emit(SlotConfirmed())

    def restart(self) -> None:
        self.machine.boot()

    def hold(self, *, held: bool) -> None:
        self.held = held
