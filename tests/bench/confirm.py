"""From the confirmed request to the first sample and to the first spoken word: loopback, 3G link, and while a node fetches."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.bench.bare import Bare
from tests.bench.measure import Figure, Limit, judge, ms
from tests.bench.office import Office
from tests.bench.place import Options, say
from tests.bench.town import Town, office_town

LOOPBACK_MS = 150
MOBILE_MS = 1_000
MOBILE_TIMES = 1.35
FETCH_MS = 2_000
NODE_PAUSE_S = 5.0
"""Between two orders to one node: its sound of three seconds is over, and it is idle."""
MOBILE_NODES = 12
CROSS_CHECKED = 50


@dataclass
class Tally:
    """What was heard of the orders so far; `lost` were never heard."""

    first_ms: list[float] = field(default_factory=list)
    word_ms: list[float] = field(default_factory=list)
    words: list[tuple[str, str, float]] = field(default_factory=list)
    lost: int = 0
    wordless: int = 0


async def one_order(there: Town[Office], node: str, tally: Tally) -> None:
    """Confirm an emergency for one node, and listen."""
    asked = await there.site.confirm(node, sound_max_s=3)
    first = await there.first(node, asked.at_ns)
    if first is None:
        tally.lost += 1
        return
    tally.first_ms.append(ms(first.at_ns, asked.at_ns))
    word = await there.ear.next(there.line(node), "word", after_ns=first.at_ns, deadline_s=4)
    if word is None:
        tally.wordless += 1
        return
    tally.word_ms.append(ms(word.at_ns, asked.at_ns))
    tally.words.append((asked.incident, node, ms(word.at_ns, first.at_ns)))


async def apart_ms(there: Town[Office], tally: Tally) -> list[float]:
    """Heard time from first sample to first word, less what the node's receipt says of the same."""
    found = []
    for incident, node, heard_ms in tally.words[:CROSS_CHECKED]:
        row = await there.site.row(incident, node)
        if row is not None and row.spoken_ms is not None and row.sounding_ms is not None:
            found.append(heard_ms - (row.spoken_ms - row.sounding_ms))
    return found


async def rounds(there: Town[Office], count: int, tally: Tally, bare: Bare | None = None, pause_s: float = NODE_PAUSE_S) -> None:
    """So many orders in turn over the nodes; with a bare peer, one of its messages between two of ours."""
    loop = asyncio.get_running_loop()
    step_s = pause_s / len(there.nodes)
    under_way: set[asyncio.Task[None]] = set()
    began_s = loop.time()
    for number in range(count):
        task = asyncio.create_task(one_order(there, there.nodes[number % len(there.nodes)], tally))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        await asyncio.sleep(max(0.0, began_s + (number + 0.5) * step_s - loop.time()))
        if bare is not None:
            bare.send(number % len(there.nodes), there.site.order_bytes)
        await asyncio.sleep(max(0.0, began_s + (number + 1) * step_s - loop.time()))
        if (number + 1) % 50 == 0:
            say(f"{number + 1} of {count} orders")
    await asyncio.gather(*under_way)


async def figures(
    there: Town[Office], where: str, tally: Tally, goal_ms: float, limit: Limit | None = None, note: str = ""
) -> list[Figure]:
    """First sample against its goal; the first word, which begins after the chime of 1.9 s, beside it."""
    apart = judge("", await apart_ms(there, tally))
    cross = "" if apart.p50 is None else f"heard {apart.p50:+.1f} ms from what receipts say (p50 of {apart.n})"
    size = f"real controller, request over its unix socket; orders of {there.site.order_bytes} bytes"
    notes = "; ".join(part for part in (size, note) if part)
    return [
        judge(f"confirm to first sample, {where}", tally.first_ms, goal=goal_ms, limit=limit, lost=tally.lost, note=notes),
        judge(f"confirm to first word, {where}", tally.word_ms, lost=tally.wordless + tally.lost, note=cross),
    ]


async def loopback(options: Options) -> list[Figure]:
    """At least 500 orders to idle nodes on this host."""
    tally = Tally()
    async with office_town(options, 8) as there:
        await there.start_all()
        await rounds(there, options.count(504, 24), tally)
        await asyncio.sleep(3)
        return await figures(there, "loopback", tally, LOOPBACK_MS)


async def mobile(options: Options) -> list[Figure]:
    """The same over the 3G link, a bare publisher and subscriber over the same link between the orders."""
    tally = Tally()
    async with office_town(options, MOBILE_NODES) as there, Bare(there.site, MOBILE_NODES, options) as bare:
        await there.start_all()
        await rounds(there, options.count(504, 48), tally, bare)
        await asyncio.sleep(5)
        limit = Limit("bare TLS publisher and subscriber there", bare.delays_ms(), MOBILE_TIMES)
        note = f"bare peer: {len(bare.delays_ms())} of {bare.sent} came"
        return await figures(there, "3G", tally, MOBILE_MS, limit, note)
