"""RAUC over D-Bus, as far as an update needs it: calls with deadlines, and its errors as ours."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError
from msgspec import Struct

from edge_agent.errors import SlotsUnavailable

RAUC: Final = "de.pengutronix.rauc"
INSTALLER: Final = "de.pengutronix.rauc.Installer"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
DAEMON: Final = "org.freedesktop.DBus"
DEADLINE_S: Final = 60.0
"""Marking writes the boot loader's environment: a slow card takes seconds."""
WATCHED: Final = (
    f"type='signal',sender='{RAUC}',path='/',interface='{INSTALLER}',member='Completed'",
    f"type='signal',sender='{RAUC}',path='/',interface='{PROPERTIES}',member='PropertiesChanged'",
    f"type='signal',sender='{DAEMON}',member='NameOwnerChanged',arg0='{RAUC}'",
)


class Copies(Struct, frozen=True):
    """The two copies by their boot names: which runs, which the boot loader takes next, which are good.

    `written`: the hash of the manifest by which the copy was written that does not run; empty when RAUC does not say.
    """

    booted: str
    next: str
    good: dict[str, bool]
    written: str


class Bus:
    """One connection; `heard` is given the member's name and the body of every signal of RAUC."""

    def __init__(self, address: str | None, heard: Callable[[str, list[Any]], None]) -> None:
        self._bus = MessageBus(bus_address=address, bus_type=BusType.SYSTEM)
        self._heard = heard

    async def open(self) -> None:
        """Connect and listen. Raises SlotsUnavailable."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._bus.connect()
        except (OSError, DBusError, TimeoutError, ValueError) as error:
            raise SlotsUnavailable(f"the system's D-Bus cannot be reached: {error!r}") from error
        self._bus.add_message_handler(self._take)
        for rule in WATCHED:
            await self.call(DAEMON, "/org/freedesktop/DBus", DAEMON, "AddMatch", "s", rule)

    def close(self) -> None:
        """Let go."""
        self._bus.disconnect()

    async def gone(self) -> None:
        """Wait until the connection ends. Raises SlotsUnavailable."""
        try:
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # dbus-fast left this one untyped
        except (OSError, EOFError, DBusError) as error:
            raise SlotsUnavailable(f"the system's D-Bus went away: {error!r}") from error
        raise SlotsUnavailable("the system's D-Bus went away")

    def _take(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL and message.member in (
            "Completed",
            "PropertiesChanged",
            "NameOwnerChanged",
        ):
            self._heard(message.member, message.body)

    async def call(self, to: str, path: str, interface: str, member: str, signature: str = "", *body: object) -> list[Any]:
        """Call and wait for the answer. Raises SlotsUnavailable with what the other side said."""
        message = Message(destination=to, path=path, interface=interface, member=member, signature=signature, body=list(body))
        try:
            async with asyncio.timeout(DEADLINE_S):
                reply = await self._bus.call(message)
        except (OSError, EOFError, DBusError, TimeoutError) as error:
            raise SlotsUnavailable(f"{member}: {error!r}") from error
        if reply is None or reply.message_type is MessageType.ERROR:
            said = reply.body[0] if reply is not None and reply.body else "no answer"
            raise SlotsUnavailable(f"{member}: {said}")
        answer: list[Any] = reply.body
        return answer

    async def rauc(self, member: str, signature: str = "", *body: object) -> list[Any]:
        """A method of RAUC's installer."""
        return await self.call(RAUC, "/", INSTALLER, member, signature, *body)

    async def property(self, name: str) -> str:
        """One of its properties that is a text."""
        (value,) = await self.call(RAUC, "/", PROPERTIES, "Get", "ss", INSTALLER, name)
        return str(value.value)

    async def install(self, source: str, manifest: str) -> None:
        """Begin to install the bundle that has this manifest; the signal Completed tells its end. Raises SlotsUnavailable.

        RAUC 1.13 cannot be told which manifest to ask for, so it is asked what it finds; what was written, `copies` tells.
        """
        (found,) = await self.rauc("InspectBundle", "sa{sv}", source, {})
        told = found["manifest-hash"].value if "manifest-hash" in found else "none"
        if told != manifest:
            raise SlotsUnavailable(f"manifest hash differs: the release names {manifest[:12]}, the bundle has {str(told)[:12]}")
        await self.rauc("InstallBundle", "sa{sv}", source, {})

    async def copies(self) -> Copies:
        """What RAUC says of the slots; it answers only while it installs nothing. Raises SlotsUnavailable."""
        (slots,) = await self.rauc("GetSlotStatus")
        (primary,) = await self.rauc("GetPrimary")
        told = {name: {key: value.value for key, value in about.items()} for name, about in slots}
        booted = next((about.get("bootname", "") for about in told.values() if about.get("state") == "booted"), "")
        after = told.get(primary, {}).get("bootname", "")
        if not booted or not after:
            raise SlotsUnavailable(f"RAUC names no booted slot, or none to boot next ({primary!r}): look at `rauc status`")
        good = {str(about["bootname"]): about.get("boot-status") == "good" for about in told.values() if about.get("bootname")}
        others = (about for about in told.values() if about.get("bootname") and about.get("state") != "booted")
        return Copies(str(booted), str(after), good, next((str(about.get("bundle.hash", "")) for about in others), ""))
