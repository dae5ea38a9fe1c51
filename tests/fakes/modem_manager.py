"""ModemManager's documented D-Bus objects, as far as a signal is read off them, on a private bus."""

import contextlib
from collections.abc import AsyncIterator

from dbus_fast import BusType, PropertyAccess, RequestNameReply
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_property

HOME, SEARCHING, ROAMING = 1, 2, 5
LTE = 1 << 14
HSPA = 1 << 8


class Modem(ServiceInterface):
    """org.freedesktop.ModemManager1.Modem."""

    def __init__(self, *, percent: int = 63, technologies: int = LTE, state: int = 8, failed: int = 0) -> None:
        super().__init__("org.freedesktop.ModemManager1.Modem")
        self.percent, self.technologies, self.state, self.failed = percent, technologies, state, failed

    @dbus_property(access=PropertyAccess.READ)
    def SignalQuality(self) -> "(ub)":  # noqa: F821, N802
        return [self.percent, True]

    @dbus_property(access=PropertyAccess.READ)
    def AccessTechnologies(self) -> "u":  # noqa: F821, N802
        return self.technologies

    @dbus_property(access=PropertyAccess.READ)
    def State(self) -> "i":  # noqa: F821, N802
        return self.state

    @dbus_property(access=PropertyAccess.READ)
    def StateFailedReason(self) -> "u":  # noqa: F821, N802
        return self.failed

    @dbus_property(access=PropertyAccess.READ)
    def Model(self) -> "s":  # noqa: F821, N802
        return "EC25"


class Modem3gpp(ServiceInterface):
    """org.freedesktop.ModemManager1.Modem.Modem3gpp."""

    def __init__(self, operator: str = "Viettel", registration: int = HOME) -> None:
        super().__init__("org.freedesktop.ModemManager1.Modem.Modem3gpp")
        self.operator, self.registration = operator, registration

    @dbus_property(access=PropertyAccess.READ)
    def OperatorName(self) -> "s":  # noqa: F821, N802
        return self.operator

    @dbus_property(access=PropertyAccess.READ)
    def RegistrationState(self) -> "u":  # noqa: F821, N802
        return self.registration


@contextlib.asynccontextmanager
async def manager(address: str, *modems: tuple[ServiceInterface, ...]) -> AsyncIterator[None]:
    """ModemManager with these modems, each as its interfaces."""
    bus = await MessageBus(bus_address=address, bus_type=BusType.SESSION).connect()
    for number, interfaces in enumerate(modems):
        for interface in interfaces:
            bus.export(f"/org/freedesktop/ModemManager1/Modem/{number}", interface)
    assert await bus.request_name("org.freedesktop.ModemManager1") is RequestNameReply.PRIMARY_OWNER
    try:
        yield
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()
