"""Deadlines and limits for whoever connects: a request's head and body must come in time, a response must be read.

uvicorn itself waits for a first request for ever. A connection counts as half open until its first head is whole; of those a
source has only so many, and the oldest gives way, so that whoever comes now and asks quickly is always heard.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from controller.core.gate import source_of

HANDSHAKE_S: Final = 10.0
HEAD_S: Final = 10.0
BODY_S: Final = 30.0
"""Forms have at most 64 KiB: 2 kB/s, slower than any link that could open the page."""
STALL_S: Final = 120.0
"""A node on a bad link drains the 48 KiB between the transport's two marks in that time at 400 B/s."""
HEAD_BYTES: Final = 32_768
HALF_OPEN_A_SOURCE: Final = 64
"""Nodes of one mobile operator share addresses; each is half open for some milliseconds."""
HALF_OPEN: Final = 1_024


class Places:
    """Connections that may not stay, oldest first, in all and by source; where there are too many, the oldest gives way."""

    def __init__(self, a_source: int = HALF_OPEN_A_SOURCE, most: int = HALF_OPEN) -> None:
        self._a_source = a_source
        self._most = most
        self._all: OrderedDict[int, tuple[str, Callable[[], None]]] = OrderedDict()
        self._by_source: dict[str, OrderedDict[int, None]] = {}

    def add(self, key: int, source: str, drop: Callable[[], None]) -> None:
        """A new one; where there are too many, the oldest of them is dropped."""
        own = self._by_source.setdefault(source, OrderedDict())
        if len(own) >= self._a_source:
            self._drop(next(iter(own)))
        elif len(self._all) >= self._most:
            self._drop(next(iter(self._all)))
        self._all[key] = (source, drop)
        self._by_source.setdefault(source, OrderedDict())[key] = None

    def _drop(self, key: int) -> None:
        _, drop = self._all[key]
        self.remove(key)
        drop()

    def remove(self, key: int) -> None:
        """It asked, or it went."""
        source, _ = self._all.pop(key, ("", None))
        own = self._by_source.get(source)
        if own is not None:
            own.pop(key, None)
            if not own:
                del self._by_source[source]


class Bounded(H11Protocol):
    """One connection with its deadlines; `half_open` is shared by all of a server."""

    half_open: Places

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._phase: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent has it
        """The handshake is done; a head must follow."""
        super().connection_made(transport)
        self.half_open.add(id(self), source_of(self.client[0] if self.client else ""), transport.abort)
        self._expect(h11.IDLE)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request: the deadline is the part's own, and no dribble of bytes puts it off."""
        super().data_received(data)
        state = self.conn.their_state
        if state is not h11.IDLE:
            self.half_open.remove(id(self))
        if state in (h11.IDLE, h11.SEND_BODY):
            self._expect(state)
        else:
            self._met()

    def _expect(self, phase: object) -> None:
        if self._phase is not phase:
            self._met()
            self._phase = phase
            wait_s = BODY_S if phase is h11.SEND_BODY else HEAD_S
            self._timer = self.loop.call_later(wait_s, self.transport.abort)

    def _met(self) -> None:
        self._phase = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        """The peer does not read: for so long and no longer."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._flows()

    def _flows(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        self.half_open.remove(id(self))
        self._met()
        super().connection_lost(exc)
        self._flows()


def bounded() -> type[Bounded]:
    """A protocol class with a count of its own, for one server."""

    class Own(Bounded):
        half_open = Places()

    return Own
