"""The computer itself: figures for health, and the watchdog of systemd."""

import asyncio
import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_agent.events import Event, MachineChecked

LOOK_EVERY_S: Final = 60.0
THERMAL: Final = Path("/sys/class/thermal/thermal_zone0/temp")
MONITORS: Final = Path("/sys/class/hwmon")
UNDERVOLTAGE: Final = "rpi_volt"
"""The kernel's name for the Pi's own watch over its supply (below 4.63 V); other machines have none."""


def notify(state: str) -> None:
    """Tell systemd something (`READY=1`, `WATCHDOG=1`); nothing happens where there is none. Protocol: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(state.encode(), address)


def power_low(monitors: Path = MONITORS) -> bool | None:
    """Whether the supply sags; None on a machine that cannot tell."""
    for name in sorted(monitors.glob("*/name")):
        try:
            if name.read_text(encoding="ascii").strip() == UNDERVOLTAGE:
                return int(name.with_name("in0_lcrit_alarm").read_text(encoding="ascii")) != 0
        except (OSError, ValueError):
            continue
    return None


class Machine:
    """Looks at disk, temperature and uptime once a minute."""

    def __init__(self, folder: Path, emit: Callable[[Event], None]) -> None:
        self._folder = folder
        self._emit = emit

    async def run(self) -> None:
        """Look, tell, sleep."""
        while True:
            self._emit(
                MachineChecked(shutil.disk_usage(self._folder).free, self._temperature_cc(), int(time.monotonic()), power_low())
            )
            await asyncio.sleep(LOOK_EVERY_S)

    @staticmethod
    def _temperature_cc() -> int | None:
        try:
            return int(THERMAL.read_text()) // 10
        except (OSError, ValueError):
            return None
