"""Bulletins at their second: start error of two nodes, idle and beside a busy core, and how far apart the two begin."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from protocol.bulletins import Item, Variant
from tests.bench import snapcast
from tests.bench.measure import Figure, Limit, judge, ms
from tests.bench.place import Options, say
from tests.bench.plainvlc import PlainVlc
from tests.bench.sounds import Sound, plant, tone
from tests.bench.standin import StandIn
from tests.bench.town import Town, standin_town

IDLE_MS, BUSY_MS, SPREAD_MS = 5, 20, 20
EVERY_S = 3
LEAD_S = 8
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


@dataclass
class Errors:
    """Start errors of ours and of the peer, and the spread of our two nodes."""

    ours_ms: list[float] = field(default_factory=list)
    peer_ms: list[float] = field(default_factory=list)
    spread_ms: list[float] = field(default_factory=list)
    lost: int = 0


def instants(first_s: int, count: int) -> list[int]:
    """Whole Unix seconds, `EVERY_S` apart."""
    return [first_s + number * EVERY_S for number in range(count)]


def items(at_s: Sequence[int], sound: Sound) -> list[Item]:
    """One item for each minute that holds some of the instants."""
    minutes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for second in at_s:
        local = datetime.fromtimestamp(second, ZONE)
        minutes[local.hour, local.minute].append(local.second)
    return [
        Item(
            id=f"at-{hour}-{minute}",
            title="Giờ hẹn",
            rrule=f"FREQ=DAILY;BYHOUR={hour};BYMINUTE={minute};BYSECOND={','.join(map(str, seconds))}",
            variants=(Variant(lang="vi", media=sound.media),),
        )
        for (hour, minute), seconds in minutes.items()
    ]


async def _one(there: Town[StandIn], peer: PlainVlc, at_s: int, sound: Sound, errors: Errors) -> None:
    """One planned second: our nodes at it, the peer 1.5 s later."""
    apart_ns = time.time_ns() - time.monotonic_ns()
    due_ns = at_s * 1_000_000_000 - apart_ns
    heard = await asyncio.gather(*(there.first(node, due_ns - 1_000_000_000, LEAD_S + EVERY_S) for node in there.nodes))
    for first in heard:
        if first is None:
            errors.lost += 1
        else:
            errors.ours_ms.append(abs(ms(first.at_ns, due_ns) - sound.onset_ms))
    begun = [first.at_ns for first in heard if first is not None]
    if len(begun) == len(there.nodes):
        errors.spread_ms.append(ms(max(begun), min(begun)))
    late_ms = await peer.late_ms(due_ns + 1_500_000_000)
    if late_ms is not None:
        errors.peer_ms.append(abs(late_ms - sound.onset_ms))


async def _plan(there: Town[StandIn], count: int, sound: Sound) -> Errors:
    errors = Errors()
    at_s = instants(int(time.time()) + LEAD_S, count)
    await there.site.rule(items(at_s, sound))
    async with PlainVlc(sound.path) as peer:
        for number, second in enumerate(at_s, 1):
            await _one(there, peer, second, sound, errors)
            if number % 50 == 0:
                say(f"{number} of {count} planned starts")
    return errors


async def run(options: Options) -> list[Figure]:
    """Planned starts idle, then the same beside a process that keeps one core busy, then Snapcast's two clients."""
    count = options.count(100, 10)
    sound = await tone(options.folder)
    async with standin_town(options, 2) as there:
        for folder in there.folders.values():
            plant(sound, folder.parent)
        await there.start_all()
        idle = await _plan(there, count, sound)
        say("one core busy")
        spinner = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
        try:
            busy = await _plan(there, count, sound)
        finally:
            spinner.kill()
            await spinner.wait()
    say("Snapcast")
    peers = await snapcast.spreads_ms(options.folder / "snapcast", count) if snapcast.is_installed() else []
    clients = Limit("Snapcast, two clients (its stream never rests, so its worst lateness stays)", peers)
    plain = "python-vlc play() at T"
    return [
        judge("timed start error, idle", idle.ours_ms, goal=IDLE_MS, limit=Limit(plain, idle.peer_ms), lost=idle.lost),
        judge("timed start error, one core busy", busy.ours_ms, goal=BUSY_MS, limit=Limit(plain, busy.peer_ms), lost=busy.lost),
        judge("start spread of two nodes", idle.spread_ms, goal=SPREAD_MS, limit=clients, percent=95),
    ]
