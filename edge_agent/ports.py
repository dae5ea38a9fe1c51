"""What drivers ask of each other's things without knowing them."""

from pathlib import Path
from typing import Protocol


class Amplifier(Protocol):
    """The power of the loudspeakers' amplifier."""

    power_on_ms: int

    @property
    def is_on(self) -> bool:
        """Whether it has power."""

    def on(self) -> None:
        """Give it power; it can sound `power_on_ms` later. Raises AmplifierFailed."""

    def off(self) -> None:
        """Take its power; harmless when it is off. Raises AmplifierFailed."""

    def close(self) -> None:
        """Take its power and let go of it."""


class Voice(Protocol):
    """The node's own voice."""

    def path_of(self, lang: str, text: str) -> Path:
        """Where the recording of a text is, or will be. Raises SpeechUnavailable."""

    async def clip(self, lang: str, text: str) -> Path:
        """Make the recording unless it is there. Raises SpeechUnavailable."""
