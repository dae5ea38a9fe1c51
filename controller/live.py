"""Telling listeners (the page's event streams) what changed, without ever waiting for one of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

from msgspec import Struct

QUEUE: Final = 200
ChangeKind = Literal["node", "incident", "status", "reload"]


class Change(Struct, frozen=True):
    """Something to be looked at again. `reload`: too much changed for this listener, look at everything."""

    kind: ChangeKind
    id: str = ""


class Live:
    """Fans changes out. A listener that is too slow loses its queue and gets one `reload` instead."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Change]] = set()

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[asyncio.Queue[Change]]:
        """A queue of changes for the length of the block."""
        queue: asyncio.Queue[Change] = asyncio.Queue(QUEUE)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def changed(self, kind: ChangeKind, identity: str = "") -> None:
        """Tell everyone. On the event loop only."""
        for queue in self._listeners:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(Change("reload"))
            else:
                queue.put_nowait(Change(kind, identity))
