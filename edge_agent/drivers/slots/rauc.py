"""The two slots as RAUC keeps them. With `activate-installed=false` in its system.conf only `activate` changes what boots."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from edge_agent.commands import Activate, Confirm, Install, Restart
from edge_agent.drivers.slots.bus import RAUC, Bus
from edge_agent.drivers.slots.image import OS_RELEASE, running
from edge_agent.errors import SlotsUnavailable
from edge_agent.events import Event, InstallEnded, InstallProgressed, SlotConfirmed, SlotsChecked, SlotsFailed

log = logging.getLogger(__name__)
ASKS: Final = 16
BOOTED: Final = "booted"
RESTART_WORD: Final = Path("/run/loa-agent/restart")
"""A unit of systemd restarts the machine when this file comes (loa-restart.path): the agent may nothing else as root."""
LASTING: Final = ("manifest hash", "compatible", "signature", "format")
"""Words of RAUC about the bundle itself: the same bytes would be refused again. Everything else may be the link or the card."""


class Source(Protocol):
    """Where RAUC is to read a bundle from."""

    def open(self, wanted: Install) -> str:
        """An address for RAUC. Raises OSError."""

    def hold(self, *, held: bool) -> None:
        """Leave the link to an order, or go on."""

    def close(self, *, keep: bool) -> str:
        """The installation is over; why the bundle could not be had, if that is why (""). `keep`: it may go on later."""


class RaucSlots:
    """One thing at a time, in the order asked. Whatever fails is told; a bus that is gone ends `run`."""

    def __init__(
        self,
        emit: Callable[[Event], None],
        source: Source,
        *,
        bus_address: str | None = None,
        os_release: Path = OS_RELEASE,
        restart_word: Path = RESTART_WORD,
    ) -> None:
        self._emit = emit
        self._source = source
        self._address = bus_address
        self._os_release = os_release
        self._restart_word = restart_word
        self._asks: asyncio.Queue[Install | Activate | Confirm | Restart] = asyncio.Queue(ASKS)
        self._installing: Install | None = None
        self._busy = False
        self._asking: asyncio.Future[None] | None = None

    # --- from the desk ---

    def install(self, command: Install) -> None:
        """Bring a bundle into the other slot."""
        self._ask(command)

    def activate(self) -> None:
        """The boot loader shall try the other slot next."""
        self._ask(Activate())

    def confirm(self) -> None:
        """The slot that runs is good."""
        self._ask(Confirm())

    def restart(self) -> None:
        """Restart the machine."""
        self._ask(Restart())

    def hold(self, *, held: bool) -> None:
        """Leave the link to an order, or go on."""
        self._source.hold(held=held)

    def _ask(self, command: Install | Activate | Confirm | Restart) -> None:
        try:
            self._asks.put_nowait(command)
        except asyncio.QueueFull:
            log.warning("%s dropped: %d asks wait already; it will be asked again", type(command).__name__, ASKS)

    # --- the work ---

    async def run(self) -> None:
        """Say what runs, then do what is asked. Raises SlotsUnavailable."""
        bus = Bus(self._address, lambda member, body: self._heard(bus, member, body))
        try:
            await bus.open()
            self._emit(await self._look(bus))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._work(bus), name="slots")
                group.create_task(bus.gone(), name="slots' bus")
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            self._end("the program let go of RAUC", keep=True)
            bus.close()

    async def _work(self, bus: Bus) -> None:
        while True:
            command = await self._asks.get()
            try:
                await self._do(bus, command)
            except (SlotsUnavailable, OSError) as error:
                log.warning("%s: %s", type(command).__name__, error)
                if isinstance(command, Install):
                    self._end(str(error))  # what was looked at and refused must not be what is looked at the next time
                else:
                    self._emit(SlotsFailed(str(error)[:200]))

    async def _do(self, bus: Bus, command: Install | Activate | Confirm | Restart) -> None:
        match command:
            case Install():
                if self._busy:
                    log.warning("an installation is under way already: the second is left out")
                    return
                self._installing, self._busy = command, True
                await bus.install(self._source.open(command), command.manifest)
            case Activate():
                await bus.rauc("Mark", "ss", "active", "other")
                self._emit(await self._look(bus))
            case Confirm():
                await bus.rauc("Mark", "ss", "good", BOOTED)
                self._emit(SlotConfirmed())
            case Restart():
                self._restart_word.touch()

    async def _look(self, bus: Bus) -> SlotsChecked:
        """What runs and what boots next. While RAUC installs it tells less: nothing changes then, so the rest is known."""
        image, compatible = running(self._os_release), await bus.property("Compatible")
        self._busy = await bus.property("Operation") != "idle"
        if self._busy:
            booted = after = await bus.property("BootSlot")
        else:
            copies = await bus.copies()
            booted, after = copies.booted, copies.next
        return SlotsChecked(
            compatible=compatible, version=image.version, build=image.build, booted=booted, next=after, busy=self._busy
        )

    # --- what RAUC says by itself ---

    def _heard(self, bus: Bus, member: str, body: list[Any]) -> None:
        if member == "NameOwnerChanged" and body[0] == RAUC and not body[2]:
            self._end("RAUC ended in the middle of it", keep=True)
        elif member == "Completed" and self._busy:
            ask = self._hold_against_release(bus) if body[0] == 0 else self._say_why(bus)
            self._asking = asyncio.ensure_future(ask)
        elif member == "PropertiesChanged" and self._installing is not None and "Progress" in body[1]:
            percent = int(body[1]["Progress"].value[0])
            if percent > 0:
                self._emit(InstallProgressed(self._installing.bytes * percent // 100))

    async def _hold_against_release(self, bus: Bus) -> None:
        """What was written is what two persons released: the bundle may have been another one after it was looked at."""
        if self._installing is None:  # begun by an earlier start of this program: nobody knows any more what for
            self._end("it ended, and is done again by whoever knows what was released", keep=True)
            return
        wanted = self._installing.manifest
        try:
            written = (await bus.copies()).written
        except SlotsUnavailable as error:
            self._end(str(error), keep=True)
        else:
            self._end("" if written == wanted else "manifest hash of what was written is not the one that was released")

    async def _say_why(self, bus: Bus) -> None:
        why = "RAUC gave no reason"
        with contextlib.suppress(SlotsUnavailable):
            why = await bus.property("LastError") or why
        self._end(why)

    def _end(self, why: str, *, keep: bool = False) -> None:
        """An installation is over, one way or the other."""
        if not self._busy:
            return
        self._installing, self._busy = None, False
        of_source = self._source.close(keep=keep)
        lasting = not of_source and any(word in why.lower() for word in LASTING)
        self._emit(InstallEnded((of_source or why)[:200] if why else "", lasting=bool(why) and lasting))
