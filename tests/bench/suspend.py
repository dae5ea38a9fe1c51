"""A suspension asked of the real controller until the key is void on every connected node: the last sample of what it said."""

from __future__ import annotations

import asyncio
import random
import time

from protocol.orders import Text
from tests.bench.ear import Heard
from tests.bench.measure import Figure, judge, ms
from tests.bench.office import Office
from tests.bench.place import Options, say
from tests.bench.town import HEAR_S, Town, office_town
from tests.bench.trust import suspended
from tests.bench.words import words
from tests.controller.headquarters import SETTLEMENT

GOAL_MS = 2_000
NODES = 8
EARLIEST_S, LATEST_S = 0.2, 1.2
"""Within the chime of 1.86 s: a key that is void between two words would look faster than it is."""
REST_S = 2.5
SAID = Text(lang="vi", text=words(0))
"""The same each time, and a first round that does not count: eight poles' voices on two cores would be measured otherwise."""


async def _round(there: Town[Office], wait_s: float) -> list[float | None]:
    """One order of the officer's key on all nodes; the key is suspended while they sound, and freed again."""
    quarters, site = there.site.headquarters, there.site
    order = quarters.start_order(SETTLEMENT, text=(SAID,), repeats=5, sound_max_s=60)
    asked_ns = time.monotonic_ns()
    await site.submit(quarters.sealed(order))
    firsts = await asyncio.gather(*(there.first(node, asked_ns, HEAR_S) for node in there.nodes))
    await asyncio.sleep(wait_s)
    at_ns = time.monotonic_ns()
    await site.suspend(quarters.sealed(suspended(quarters, "officer", hours=1), "chair"))
    overs = await asyncio.gather(*(_over(there, node, first) for node, first in zip(there.nodes, firsts, strict=True)))
    await site.suspend(quarters.sealed(suspended(quarters, "officer", hours=0), "deputy"))
    await asyncio.sleep(REST_S)
    return [None if over is None else max(0.0, ms(over.at_ns, at_ns)) for over in overs]


async def _over(there: Town[Office], node: str, first: Heard | None) -> Heard | None:
    return None if first is None else await there.over(node, first.at_ns, HEAR_S)


async def run(options: Options) -> list[Figure]:
    """Suspend the key of what sounds, again and again."""
    rounds = options.count(25, 2)
    chance = random.Random(1)
    voids: list[float | None] = []
    async with office_town(options, NODES) as there:
        await there.start_all()
        await _round(there, LATEST_S)
        for _ in range(rounds):
            voids += await _round(there, chance.uniform(EARLIEST_S, LATEST_S))
        say(f"{rounds} rounds on {NODES} nodes")
    samples = [void for void in voids if void is not None]
    name = "suspend to the key void on every connected node"
    return [judge(name, samples, goal=GOAL_MS, lost=len(voids) - len(samples), note="to the last sample of what it had said")]
