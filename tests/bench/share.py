"""The node's own share: bytes in to first sample, also with a slow card and with an amplifier that needs time."""

from __future__ import annotations

import asyncio

from tests.bench.measure import Figure, judge, ms
from tests.bench.place import Options, say
from tests.bench.standin import StandIn
from tests.bench.town import Town, standin_town
from tests.commune import order_topic

GOAL_MS = 40
AMPLIFIER_MS = 500
NODES = 8
PAUSE_S = 5.6
"""A sound of one second, the amplifier's linger of two and its start of a half: then the node is idle and cold again."""


async def _measure(there: Town[StandIn], count: int) -> tuple[list[float], int]:
    """Hand sealed orders to one node after the other; the clock starts before the first byte leaves."""
    loop = asyncio.get_running_loop()
    delays_ms: list[float] = []
    under_way: set[asyncio.Task[None]] = set()

    async def one(node: str) -> None:
        order = there.site.order(node, sound_max_s=1)
        raw = there.site.commune.seal_as(order)
        sending = asyncio.create_task(there.first(node, 0))
        at_ns = await there.site.hand(order_topic(order), raw)
        first = await sending
        if first is not None and first.at_ns >= at_ns:
            delays_ms.append(ms(first.at_ns, at_ns))
        await there.over(node, at_ns, 5)

    began_s = loop.time()
    for number in range(count):
        task = asyncio.create_task(one(there.nodes[number % NODES]))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        await asyncio.sleep(max(0.0, began_s + (number + 1) * PAUSE_S / NODES - loop.time()))
    await asyncio.gather(*under_way)
    return delays_ms, count - len(delays_ms)


async def _case(options: Options, name: str, extra_ms: float, *, delay_ms: int = 0, amplifier: str = "none") -> Figure:
    say(f"node's share{name}")
    arguments = ("--store-delay-ms", str(delay_ms)) if delay_ms else ()
    async with standin_town(options, NODES, amplifier=amplifier, arguments=arguments) as there:
        await there.start_all()
        delays_ms, lost = await _measure(there, options.count(200, 16))
    note = "from before the publisher's write to the broker, so with the broker's forward"
    return judge(f"bytes in to first sample{name}", delays_ms, goal=GOAL_MS + extra_ms, lost=lost, note=note)


async def run(options: Options) -> list[Figure]:
    """Four nodes in four ways: as they are, with a card that needs 50 and 200 ms to sync, with an amplifier of 500 ms."""
    return [
        await _case(options, "", 0),
        await _case(options, ", store sync 50 ms", 50, delay_ms=50),
        await _case(options, ", store sync 200 ms", 200, delay_ms=200),
        await _case(options, ", amplifier 500 ms", AMPLIFIER_MS, amplifier=f"file:PATH?on_ms={AMPLIFIER_MS}"),
    ]
