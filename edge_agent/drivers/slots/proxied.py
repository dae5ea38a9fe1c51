"""RAUC, and the server on this machine that it streams from, as one thing that runs."""

import asyncio
from collections.abc import Callable

from edge_agent.drivers.slots.proxy import RangeProxy
from edge_agent.drivers.slots.rauc import RaucSlots
from edge_agent.events import Event


class ProxiedSlots(RaucSlots):
    """Both begin and end together: an installation without its source would only wait."""

    def __init__(self, emit: Callable[[Event], None], proxy: RangeProxy, *, bus_address: str | None = None) -> None:
        super().__init__(emit, proxy, bus_address=bus_address)
        self._proxy = proxy

    async def run(self) -> None:
        """Until cancelled. Raises SlotsUnavailable, OSError."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._proxy.run(), name="bundle")
                group.create_task(super().run(), name="rauc")
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
