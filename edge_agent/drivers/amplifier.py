"""The amplifier's power: none, a GPIO line, or a log file that another process can read."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from edge_agent.errors import AmplifierFailed

if TYPE_CHECKING:
    import gpiozero

    from edge_agent.ports import Amplifier

LONGEST_POWER_ON_MS = 4000
"""Law 5 allows 5 s with nothing playing; an amplifier that needs more cannot keep it."""


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
    """A GPIO line, high for power.

    When the agent ends, the line is closed and becomes an input; when it is killed, the kernel frees the line
    with its process. Some kernels leave a freed line driven: the board needs a pull-down, and the companion or
    the unit's ExecStopPost is the second lock.
    """

    def __init__(self, pin: int, power_on_ms: int) -> None:
        import gpiozero
        from gpiozero.exc import GPIOZeroError

        self.power_on_ms = power_on_ms
        self._pin = pin
        self._errors: tuple[type[Exception], ...] = (GPIOZeroError, OSError)
        try:
            self._line: gpiozero.OutputDevice | None = gpiozero.OutputDevice(pin, initial_value=False)
        except self._errors as error:
            raise AmplifierFailed(
                f"GPIO {pin} cannot drive the amplifier: {error}; check the pin's number and who else uses it"
            ) from error

    @property
    def is_on(self) -> bool:
        """Whether the line is high."""
        return self._line is not None and bool(self._line.value)

    def on(self) -> None:
        """Drive the line high."""
        self._switch(on=True)

    def off(self) -> None:
        """Drive the line low."""
        self._switch(on=False)

    def _switch(self, *, on: bool) -> None:
        if self._line is None:
            raise AmplifierFailed(f"GPIO {self._pin} is closed: the amplifier cannot be switched")
        try:
            self._line.on() if on else self._line.off()
        except self._errors as error:
            raise AmplifierFailed(f"GPIO {self._pin} does not switch the amplifier: {error}") from error

    def close(self) -> None:
        """Drive the line low and free it."""
        if self._line is not None:
            self._line.off()
            self._line.close()
            self._line = None


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
    """The amplifier that a word of the configuration names: none, gpio:PIN?on_ms=N, file:PATH?on_ms=N.

    Raises ValueError with the remedy, AmplifierFailed.
    """
    kind, _, rest = spec.partition(":")
    place, _, query = rest.partition("?")
    on_ms = parse_qs(query).get("on_ms", ["0"])[0]
    if not on_ms.isdecimal() or int(on_ms) > LONGEST_POWER_ON_MS:
        raise ValueError(f"amplifier {spec!r}: on_ms must be 0 to {LONGEST_POWER_ON_MS}")
    if spec == "none":
        return NoAmplifier()
    if kind == "gpio" and place.isdecimal():
        return GpioAmplifier(int(place), int(on_ms))
    if kind == "file" and place:
        return FileAmplifier(Path(place), int(on_ms))
    raise ValueError(f"amplifier {spec!r} is none of none, gpio:PIN?on_ms=N, file:PATH?on_ms=N")
