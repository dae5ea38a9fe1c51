"""The amplifier's power: none, a GPIO line, or a log file that another process can read."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import gpiod
from gpiod.line import Direction, Value

from edge_agent.errors import AmplifierFailed
from edge_agent.ports import Amplifier

LONGEST_POWER_ON_MS = 4000
"""Law 5 allows 5 s with nothing playing; an amplifier that needs more cannot keep it."""
HEADER_LABELS: Final = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1")
"""What Linux calls the chip behind a Raspberry Pi's 40-pin header: up to the Pi 3 and Zero 2, Pi 4, Pi 5 (drivers/pinctrl)."""
DEVICES = Path("/dev")
CONSUMER: Final = "loa-amplifier"
PERMISSION: Final = "the agent's user needs the group gpio, its unit DeviceAllow=char-gpiochip rw"
GPIOD_ERRORS: Final = (OSError, ValueError, NotImplementedError)  # reason: gpiod raises the last for EOPNOTSUPP


@dataclass(slots=True)
class NoAmplifier:
    """An amplifier that is always on, or switched by the card itself."""

    power_on_ms: int = 0
    is_on: bool = False

    def on(self) -> None:
        """Nothing to switch."""
        self.is_on = True

    def off(self) -> None:
        """Nothing to switch."""
        self.is_on = False

    def close(self) -> None:
        """Nothing to let go of."""
        self.is_on = False


class GpioAmplifier:
    """A GPIO line, high for power; low from the start.

    `chip` is a device (`/dev/gpiochip0`) or a label; none: the chip behind the 40-pin header, whatever its number. When the agent
    ends, the line is low and let go; when it is killed, the kernel frees the line with its process. Some kernels leave a freed
    line driven: what a killed agent left on ends as it starts again, and the board needs a pull-down.
    """

    def __init__(self, line: int, power_on_ms: int, chip: str = "") -> None:
        self.power_on_ms = power_on_ms
        self.is_on = False
        self._line = line
        device = chip if chip.startswith("/") else _find_chip(chip)
        try:
            self._request: gpiod.LineRequest | None = _take(device, line)
        except GPIOD_ERRORS as error:
            raise AmplifierFailed(f"GPIO {line} of {device} cannot drive the amplifier: {_reason(error)}") from error

    def on(self) -> None:
        """Drive the line high."""
        self._switch(on=True)

    def off(self) -> None:
        """Drive the line low."""
        self._switch(on=False)

    def _switch(self, *, on: bool) -> None:
        if self._request is None:
            raise AmplifierFailed(f"GPIO {self._line} is closed: the amplifier cannot be switched")
        try:
            self._request.set_value(self._line, Value.ACTIVE if on else Value.INACTIVE)
        except GPIOD_ERRORS as error:
            raise AmplifierFailed(f"GPIO {self._line} does not switch the amplifier: {error.args[-1]}") from error
        self.is_on = on

    def close(self) -> None:
        """Drive the line low and let it go, also when it cannot be driven. Raises AmplifierFailed."""
        if self._request is None:
            return
        try:
            self.off()
        finally:
            self._request.release()
            self._request, self.is_on = None, False


def _find_chip(label: str) -> str:
    """The device of the one chip with this label; without one, of the header's. Raises AmplifierFailed."""
    wanted = (label,) if label else HEADER_LABELS
    labels: dict[str, str] = {}
    denied = ""
    for path in sorted(DEVICES.glob("gpiochip*")):
        if path.is_symlink():  # a Pi 5 keeps an old number as a second name of its header's chip
            continue
        try:
            with gpiod.Chip(str(path)) as chip:
                labels[str(path)] = chip.get_info().label
        except PermissionError:
            denied = f"{path} may not be opened; {PERMISSION}"
        except GPIOD_ERRORS:  # pulled out while we looked
            continue
    found = [device for device, each in labels.items() if each in wanted]
    if len(found) == 1:
        return found[0]
    name = " or ".join(wanted)
    if found:
        raise AmplifierFailed(f"{' and '.join(found)} are both labelled {name}: name one, as gpio:LINE?chip={found[0]}")
    here = ", ".join(f"{each} ({device})" for device, each in labels.items()) or "none"
    remedy = denied or "name the board's own, as gpio:LINE?chip=LABEL"
    raise AmplifierFailed(f"no GPIO chip is labelled {name}, those here are {here}: {remedy}")


def _take(device: str, line: int) -> gpiod.LineRequest:
    """The line, driven low, for us alone. Raises GPIOD_ERRORS."""
    with gpiod.Chip(device) as chip:
        count = chip.get_info().num_lines
        if line >= count:
            raise ValueError(f"its lines are 0 to {count - 1}; count as Linux does (GPIO 17), not the header's pins")
        settings = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)
        try:
            return chip.request_lines({line: settings}, consumer=CONSUMER)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            holder = chip.get_line_info(line).consumer or "something without a name"
            raise OSError(errno.EBUSY, f"{holder} uses that line; choose another, or end that use") from error


def _reason(error: Exception) -> str:
    match error:
        case PermissionError():
            return f"it may not be opened; {PERMISSION}"
        case ValueError() | OSError(errno=errno.EBUSY):
            return str(error.args[-1])
        case _:
            return f"{error.args[-1]}; name a GPIO chip of this board"


@dataclass(slots=True)
class FileAmplifier:
    """Writes each change as a line `mono_ns on|off`, for tests and demonstrations judged from outside."""

    path: Path
    power_on_ms: int = 0
    is_on: bool = field(default=False)

    def __post_init__(self) -> None:
        self._say("off")  # what a killed agent left on ends here

    def _say(self, word: str) -> None:
        try:
            with self.path.open("a", encoding="ascii") as log:
                log.write(f"{time.monotonic_ns()} {word}\n")
        except OSError as error:
            raise AmplifierFailed(f"amplifier log {self.path}: {error.strerror}; choose a writable folder") from error

    def on(self) -> None:
        """Note that it is on."""
        if not self.is_on:
            self._say("on")
            self.is_on = True

    def off(self) -> None:
        """Note that it is off."""
        if self.is_on:
            self.is_on = False
            self._say("off")

    def close(self) -> None:
        """Note that it is off."""
        self.off()


def parse(spec: str) -> Amplifier:
    """The amplifier that a word of the configuration names: none, gpio:LINE?on_ms=N&chip=LABEL, file:PATH?on_ms=N.

    Raises ValueError with the remedy, AmplifierFailed.
    """
    kind, _, rest = spec.partition(":")
    place, _, query = rest.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    words = {"on_ms": "0", **dict(given)}
    known = {"on_ms", "chip"} if kind == "gpio" else {"on_ms"}
    if not words.keys() <= known or not all(words.values()) or len(dict(given)) < len(given):
        raise ValueError(f"amplifier {spec!r}: behind the ? stand on_ms=N and, for gpio alone, chip=LABEL, each once")
    on_ms = words["on_ms"]
    if not on_ms.isdecimal() or int(on_ms) > LONGEST_POWER_ON_MS:
        raise ValueError(f"amplifier {spec!r}: on_ms must be 0 to {LONGEST_POWER_ON_MS}")
    if spec == "none":
        return NoAmplifier()
    if kind == "gpio" and place.isdecimal():
        return GpioAmplifier(int(place), int(on_ms), words.get("chip", ""))
    if kind == "file" and place:
        return FileAmplifier(Path(place), int(on_ms))
    raise ValueError(f"amplifier {spec!r} is none of none, gpio:LINE?on_ms=N&chip=LABEL, file:PATH?on_ms=N")
