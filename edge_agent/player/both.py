"""Two ways out at once: what is heard, and its recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_agent.player.sinks import Sink


@dataclass(slots=True)
class BothSinks:
    """The first one keeps the time; the second gets the same blocks and places them by its own count."""

    first: Sink
    second: Sink

    @property
    def underruns(self) -> int:
        """Of the one that keeps the time."""
        return self.first.underruns

    def open(self) -> None:
        """Both, or neither. Raises SinkFailed."""
        self.first.open()
        try:
            self.second.open()
        except OSError:
            self.first.close()
            raise

    def due_ns(self) -> int:
        """As the first one wants it."""
        return self.first.due_ns()

    def next_ns(self) -> int:
        """When the first one will sound it."""
        self.second.next_ns()
        return self.first.next_ns()

    def write(self, block: bytes) -> None:
        """To both."""
        self.first.write(block)
        self.second.write(block)

    def idle(self) -> None:
        """Both."""
        self.first.idle()
        self.second.idle()

    def close(self) -> None:
        """Both."""
        self.first.close()
        self.second.close()
