"""The way back to the agent: lines on stdout, never waited for."""

from __future__ import annotations

import logging
import os
from collections import deque
from dataclasses import dataclass, field

from edge_agent.player.wire import Beat, Report, line

log = logging.getLogger(__name__)

BACKLOG = 256
"""Reports kept for an agent that does not read; beats are not kept."""


class AgentGone(OSError):
    """Nobody reads our reports any more."""


@dataclass(slots=True)
class Outlet:
    """Writes whole lines to a pipe that does not block; a line under 4096 bytes goes whole or not at all."""

    fd: int
    _backlog: deque[bytes] = field(default_factory=deque)

    def __post_init__(self) -> None:
        os.set_blocking(self.fd, False)

    def send(self, report: Report) -> None:
        """Write the report now, or keep it until there is room. Raises AgentGone."""
        if isinstance(report, Beat) and self._backlog:
            self.flush()
            return
        self._backlog.append(line(report))
        self.flush()
        if len(self._backlog) > BACKLOG:
            log.error("the agent reads nothing: report dropped: %s", self._backlog.popleft().decode())

    def flush(self) -> None:
        """Write what is kept, as far as there is room. Raises AgentGone."""
        while self._backlog:
            try:
                os.write(self.fd, self._backlog[0])
            except BlockingIOError:
                return
            except BrokenPipeError as error:
                raise AgentGone("the agent closed our output") from error
            self._backlog.popleft()
