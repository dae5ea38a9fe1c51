"""STOP to silence: a confirmed STOP during the opening chime, which never pauses, until its last sample."""

from __future__ import annotations

import asyncio
import random

from tests.bench.measure import Figure, judge, ms
from tests.bench.office import Office
from tests.bench.place import Options
from tests.bench.town import HEAR_S, Town, office_town

GOAL_MS = 100
NODES = 8
PAUSE_S = 4.0
EARLIEST_S, LATEST_S = 0.2, 1.5
"""Within the chime of 1.86 s: a STOP between two words would look faster than it is."""


async def _one(there: Town[Office], node: str, wait_s: float, silences_ms: list[float]) -> None:
    asked = await there.site.confirm(node, sound_max_s=5)
    first = await there.first(node, asked.at_ns, HEAR_S)
    if first is None:
        return
    await asyncio.sleep(wait_s)
    stopped_ns = await there.site.stop(node, asked.incident)
    over = await there.over(node, first.at_ns, HEAR_S)
    if over is not None:
        silences_ms.append(max(0.0, ms(over.at_ns, stopped_ns)))


async def run(options: Options) -> list[Figure]:
    """Stop emergencies at random instants of their chime."""
    count = options.count(200, 16)
    chance = random.Random(1)
    silences_ms: list[float] = []
    loop = asyncio.get_running_loop()
    async with office_town(options, NODES) as there:
        await there.start_all()
        tasks = []
        began_s = loop.time()
        for number in range(count):
            wait_s = chance.uniform(EARLIEST_S, LATEST_S)
            tasks.append(asyncio.create_task(_one(there, there.nodes[number % NODES], wait_s, silences_ms)))
            await asyncio.sleep(max(0.0, began_s + (number + 1) * PAUSE_S / NODES - loop.time()))
        await asyncio.gather(*tasks)
    return [judge("STOP to silence, loopback", silences_ms, goal=GOAL_MS, lost=count - len(silences_ms))]
