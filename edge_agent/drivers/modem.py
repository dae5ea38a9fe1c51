"""What ModemManager says of the mobile modem, asked once over D-Bus; nothing is changed."""

import asyncio
from typing import Any, Final

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError
from msgspec import Struct

from edge_agent.errors import ModemUnavailable

DEADLINE_S: Final = 10.0
MANAGER: Final = "org.freedesktop.ModemManager1"
PLACE: Final = "/org/freedesktop/ModemManager1"
MODEM: Final = f"{MANAGER}.Modem"
NETWORK: Final = f"{MODEM}.Modem3gpp"
NOBODY: Final = frozenset({"org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"})
"""What the bus answers where ModemManager is not installed, or does not run."""
TECHNOLOGIES: Final = ((0x8000, "5G"), (0x34000, "4G"), (0x3FE0, "3G"), (0x1E, "2G"))
"""MMModemAccessTechnology, a bit each; the best one is told: 5GNR; LTE and its narrow kinds; UMTS to EVDO; GSM to EDGE."""
REGISTERED: Final = frozenset({1, 5, 6, 7, 9, 10})
"""MMModem3gppRegistrationState: home, roaming, and each of them on 4G without calls, which carries data like the others."""
LOCKED: Final = 2
FAILED: Final = -1
"""MMModemState."""
SIM_MISSING: Final = 2
"""MMModemStateFailedReason."""


class Modem(Struct, frozen=True, kw_only=True):
    """One modem as it is now. `trouble`: locked (the SIM asks for its PIN), no-sim, failed, or nothing."""

    model: str
    operator: str
    technology: str
    percent: int
    registered: bool
    trouble: str = ""


async def look(bus_address: str | None = None) -> tuple[Modem, ...]:
    """Every modem; none where there is no ModemManager. Raises ModemUnavailable."""
    bus = MessageBus(bus_address=bus_address, bus_type=BusType.SYSTEM)
    try:
        async with asyncio.timeout(DEADLINE_S):
            await bus.connect()
            asked = Message(
                destination=MANAGER, path=PLACE, interface="org.freedesktop.DBus.ObjectManager", member="GetManagedObjects"
            )
            reply = await bus.call(asked)
    except (OSError, EOFError, DBusError, TimeoutError, ValueError) as error:
        raise ModemUnavailable(f"D-Bus: {error!r}") from error
    finally:
        bus.disconnect()
    if reply is None or reply.message_type is MessageType.ERROR:
        if reply is not None and reply.error_name in NOBODY:
            return ()
        raise ModemUnavailable(f"ModemManager: {reply.body[0] if reply is not None and reply.body else 'no answer'}")
    return tuple(_modem(about) for about in reply.body[0].values() if MODEM in about)


def _modem(about: dict[str, dict[str, Any]]) -> Modem:
    found = {name: value.value for name, value in about[MODEM].items()}
    network = {name: value.value for name, value in about.get(NETWORK, {}).items()}
    bits = int(found.get("AccessTechnologies", 0))
    return Modem(
        model=str(found.get("Model", "")),
        operator=str(network.get("OperatorName", "") or network.get("OperatorCode", "")),
        technology=next((name for mask, name in TECHNOLOGIES if bits & mask), ""),
        percent=int(found.get("SignalQuality", (0, False))[0]),
        registered=network.get("RegistrationState", 0) in REGISTERED,
        trouble=_trouble(int(found.get("State", 0)), int(found.get("StateFailedReason", 0))),
    )


def _trouble(state: int, reason: int) -> str:
    if state == FAILED:
        return "no-sim" if reason == SIM_MISSING else "failed"
    return "locked" if state == LOCKED else ""
