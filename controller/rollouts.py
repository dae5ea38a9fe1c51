"""Moves rollouts on: when nodes said something, when the link came or went, and when time has passed."""

import asyncio
import contextlib
from typing import Final

from controller.actions import rollouts
from controller.parts import Parts

IDLE_S: Final = 60.0
REST_S: Final = 0.3
"""Between two looks: the words of many nodes fold into one."""
SHARE: Final = 10
"""After a long look so many times as long a rest: a large fleet never takes more than a tenth of a core."""


class RolloutKeeper:
    """Looks after the rollouts as long as serve runs; all it knows is in the database."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._parts.rollouts.clear()
            begun_s = asyncio.get_running_loop().time()
            wake_ms = await rollouts.tick(self._parts)
            await asyncio.sleep(max(REST_S, SHARE * (asyncio.get_running_loop().time() - begun_s)))
            left_s = IDLE_S if wake_ms is None else (wake_ms - self._parts.now_ms()) / 1000
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(left_s, 0.0), IDLE_S)):
                    await self._parts.rollouts.wait()
