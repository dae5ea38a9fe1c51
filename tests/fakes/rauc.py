"""RAUC's documented D-Bus interface, served on a private bus, with the machine of ab_machine.py behind it.

As RAUC 1.13 does: while an installation is under way, Mark and GetSlotStatus answer with an error; InstallBundle answers at once
and Completed comes later; unknown arguments are refused; the reason of a failure stands in LastError.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator

from dbus_fast import BusType, DBusError, PropertyAccess, RequestNameReply, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

from tests.fakes.ab_machine import Image, Machine

FAILED = "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code30"
NAMES = {"A": "rootfs.0", "B": "rootfs.1"}
KNOWN_ARGS = {
    "ignore-compatible",
    "ignore-version-limit",
    "transaction-id",
    "tls-cert",
    "tls-key",
    "tls-ca",
    "tls-no-verify",
    "http-headers",
}


class Installer(ServiceInterface):
    """de.pengutronix.rauc.Installer. `bundles`: by address, the image in a bundle and its manifest's hash."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("de.pengutronix.rauc.Installer")
        self.machine = machine
        self.bundles: dict[str, tuple[Image, str]] = {}
        self.asked: list[str] = []
        self.broken = ""
        self.last_error = ""
        self.progress = [0, "", 0]
        self._install: str | None = None
        self.written: dict[str, str] = {}
        self.swapped: dict[str, tuple[Image, str]] = {}

    def _not_busy(self) -> None:
        if self.machine.busy:
            raise DBusError(FAILED, "already processing a different method")

    def _say(self, percent: int, words: str) -> None:
        self.progress = [percent, words, 1]
        self.emit_properties_changed({"Progress": self.progress})

    def _fail(self, why: str) -> None:
        self.machine.busy = False
        self.last_error = why
        self.emit_properties_changed({"LastError": why, "Operation": "idle"})
        self.Completed(1)

    @dbus_method()
    def InspectBundle(self, source: "s", args: "a{sv}") -> "a{sv}":  # noqa: F722, F821, N802
        self._not_busy()
        if unknown := set(args) - KNOWN_ARGS:
            raise DBusError(FAILED, f"Unsupported key: {unknown}")
        if source not in self.bundles:
            raise DBusError(FAILED, "Failed to open bundle: 404")
        return {"manifest-hash": Variant("s", self.bundles[source][1])}

    @dbus_method()
    def InstallBundle(self, source: "s", args: "a{sv}"):  # noqa: F722, F821, N802
        if self.machine.busy:
            raise DBusError(FAILED, "already processing a different method")
        if unknown := set(args) - KNOWN_ARGS:
            raise DBusError(FAILED, f"Unsupported key: {unknown}")
        self.machine.busy = True
        self.asked.append(source)
        self.emit_properties_changed({"Operation": "installing"})
        asyncio.get_running_loop().call_soon(self._open, source)

    def _open(self, source: str) -> None:
        self._say(0, "Installing")
        if source not in self.bundles:
            self._fail("Failed to open bundle: 404")
        else:
            self._say(20, "Determining target install group done.")
            self.machine.begin_install()
            self._install = source

    def go_on(self, *, fail: str = "") -> None:
        assert self._install is not None
        source, self._install = self._install, None
        if fail:
            self._fail(fail)
            return
        image, manifest = self.swapped.get(source, self.bundles[source])
        self.machine.end_install(image)
        self.written[self.machine.other] = manifest
        self._say(100, "Installing done.")
        self.emit_properties_changed({"Operation": "idle"})
        self.Completed(0)

    @dbus_method()
    def Mark(self, state: "s", slot_identifier: "s") -> "ss":  # noqa: F821, N802
        self._not_busy()
        if self.broken:
            raise DBusError(FAILED, self.broken)
        slot = {"booted": self.machine.booted, "other": self.machine.other}[slot_identifier]
        if (state, slot_identifier) == ("active", "other"):
            self.machine.activate()
        elif (state, slot_identifier) == ("good", "booted"):
            self.machine.confirm()
        else:
            raise DBusError(FAILED, f"unknown subcommand {state}")
        return [NAMES[slot], f"marked slot {NAMES[slot]} as {state}"]

    @dbus_method()
    def GetSlotStatus(self) -> "a(sa{sv})":  # noqa: F722, N802
        self._not_busy()
        return [
            [
                name,
                {
                    "class": Variant("s", "rootfs"),
                    "device": Variant("s", f"/dev/mmcblk0p{number}"),
                    "type": Variant("s", "ext4"),
                    "bootname": Variant("s", slot),
                    "state": Variant("s", "booted" if slot == self.machine.booted else "inactive"),
                    "boot-status": Variant("s", "good" if self.machine.left[slot] else "bad"),
                    "installed.count": Variant("u", number),
                    **({"bundle.hash": Variant("s", self.written[slot])} if slot in self.written else {}),
                },
            ]
            for number, (slot, name) in enumerate(NAMES.items(), 2)
        ] + [["appfs.0", {"class": Variant("s", "appfs"), "state": Variant("s", "active")}]]

    @dbus_method()
    def GetPrimary(self) -> "s":  # noqa: F821, N802
        self._not_busy()
        return NAMES[self.machine.next]

    @dbus_signal()
    def Completed(self, result: int) -> "i":  # noqa: F821, N802
        return result

    @dbus_property(access=PropertyAccess.READ)
    def Operation(self) -> "s":  # noqa: F821, N802
        return "installing" if self.machine.busy else "idle"

    @dbus_property(access=PropertyAccess.READ)
    def LastError(self) -> "s":  # noqa: F821, N802
        return self.last_error

    @dbus_property(access=PropertyAccess.READ)
    def Progress(self) -> "(isi)":  # noqa: F821, N802
        return self.progress

    @dbus_property(access=PropertyAccess.READ)
    def Compatible(self) -> "s":  # noqa: F821, N802
        return self.machine.runs.compatible

    @dbus_property(access=PropertyAccess.READ)
    def BootSlot(self) -> "s":  # noqa: F821, N802
        return self.machine.booted


@contextlib.asynccontextmanager
async def private_bus() -> AsyncIterator[str]:
    """A dbus-daemon of our own; its address."""
    program = shutil.which("dbus-daemon")
    assert program is not None
    words = ("--session", "--nofork", "--print-address=1", "--nopidfile")
    daemon = await asyncio.create_subprocess_exec(program, *words, stdout=asyncio.subprocess.PIPE)
    assert daemon.stdout is not None
    try:
        yield (await daemon.stdout.readline()).decode().strip()
    finally:
        daemon.terminate()
        await daemon.wait()


class Service:
    """RAUC on a bus."""

    def __init__(self, machine: Machine) -> None:
        self.installer = Installer(machine)
        self._bus: MessageBus | None = None

    async def open(self, address: str) -> None:
        self._bus = await MessageBus(bus_address=address, bus_type=BusType.SESSION).connect()
        self._ended = asyncio.ensure_future(self._bus.wait_for_disconnect())
        self._bus.export("/", self.installer)
        assert await self._bus.request_name("de.pengutronix.rauc") is RequestNameReply.PRIMARY_OWNER

    def die(self) -> None:
        """RAUC's process ends."""
        assert self._bus is not None
        if self._bus.connected:
            self._bus.disconnect()
