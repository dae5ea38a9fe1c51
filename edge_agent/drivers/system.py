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
KERNEL_LOG: Final = Path("/dev/kmsg")
SAGGED: Final = b"Undervoltage detected"
THROTTLED: Final = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
"""The Pi's firmware's own word, which only Raspberry Pi's kernel shows."""
SLOWED_NOW: Final = 0b1111
"""Of it, at this moment: too little voltage, the clock capped, slowed down, or at the soft limit of temperature."""
KERNEL_LINE_BYTES: Final = 8192
SOUNDING: Final = "đang phát / sounding"
SILENT: Final = "im / silent"
"""The agent's word in `systemctl status`; an alarm that waits for its next repeat is sounding."""


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


def power_sagged(log: Path = KERNEL_LOG) -> bool | None:
    """Whether the kernel saw the supply sag since boot, as far back as its log goes; None when that may not be read."""
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        while line := _kernel_line(descriptor):
            if SAGGED in line:
                return True
    except BlockingIOError:
        return False
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _kernel_line(descriptor: int) -> bytes:
    """The next record of the kernel's log; of one that was written over meanwhile the reader hears EPIPE, and goes on."""
    while True:
        try:
            return os.read(descriptor, KERNEL_LINE_BYTES)
        except BrokenPipeError:
            continue


def slowed_down(file: Path = THROTTLED) -> bool | None:
    """Whether the Pi runs slower now for want of power or for heat; None on a machine that cannot tell."""
    try:
        return bool(int(file.read_text(encoding="ascii"), 16) & SLOWED_NOW)
    except (OSError, ValueError):
        return None


def file_system_errors(folder: Path, sys: Path = Path("/sys")) -> int | None:
    """How many errors ext4 has counted on the file system of a folder since it was made; None on another one."""
    device = folder.stat().st_dev
    block = (sys / "dev/block" / f"{os.major(device)}:{os.minor(device)}").resolve().name
    try:
        return int((sys / "fs/ext4" / block / "errors_count").read_text(encoding="ascii"))
    except (OSError, ValueError):
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
