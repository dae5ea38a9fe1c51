"""What an idle node costs its SIM in a month, headers counted on the link, and how soon its loss is noticed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time

from protocol.bulletins import Item, Variant
from tests.bench.measure import Figure, judge
from tests.bench.office import Office
from tests.bench.place import NODE_SPACE, Options, say
from tests.bench.sounds import Sound, plant, tone
from tests.bench.timed import instants, items
from tests.bench.town import Town, office_town

MONTH_MB = 10
LOST_S = 100
DAYS, DAY_S = 30, 86_400
PLAYS_A_DAY = 6
PLAYS = 6
SETTLE_S = 8.0
LOOK_S = 0.5
SAME_PING_S = 5.0
"""Request, answer and acknowledgement of one keep-alive lie within this."""
SEED_S = 12


def link_bytes() -> int:
    """Bytes with IP headers that the node's end of the link has carried, both ways."""
    words = ["ip", "-n", NODE_SPACE, "-s", "-j", "link", "show", "dev", "lnk0"]
    stats = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)[0]["stats64"]
    return int(stats["rx"]["bytes"]) + int(stats["tx"]["bytes"])


async def _cost_of_plays(there: Town[Office], sound: Sound) -> tuple[int, int]:
    """Bytes of a new programme, and of one play with its record (the sound itself lies there already)."""
    silent = Item(
        id="silent", title="Bản tin", rrule="FREQ=DAILY;BYHOUR=3;BYMINUTE=30", variants=(Variant(lang="vi", media=sound.media),)
    )
    await there.site.rule([silent])
    await asyncio.sleep(SETTLE_S)
    before = link_bytes()
    await there.site.rule([*items(instants(int(time.time()) + SEED_S, PLAYS), sound), silent])
    await asyncio.sleep(SETTLE_S)
    programme = link_bytes() - before
    before = link_bytes()
    for number in range(PLAYS):
        if await there.first(there.nodes[0], 0, SEED_S + SETTLE_S) is None:
            raise TimeoutError(f"planned play {number + 1} was not heard")
    await asyncio.sleep(SETTLE_S)
    return programme, (link_bytes() - before) // PLAYS


async def _quiet_a_day(seconds: float) -> tuple[float, str]:
    """Bytes a day of a node that only keeps its connection: from one keep-alive to a later one, so that none counts in half."""
    loop = asyncio.get_running_loop()
    end_s, last, changes = loop.time() + seconds, link_bytes(), list[tuple[float, int]]()
    while loop.time() < end_s:
        await asyncio.sleep(LOOK_S)
        now = link_bytes()
        if now != last and (not changes or loop.time() - changes[-1][0] > SAME_PING_S):
            changes.append((loop.time(), last))
        last = now
    (first_s, first), (last_s, final) = changes[0], changes[-1]
    said = f"{final - first} bytes in {last_s - first_s:.0f} s with {len(changes) - 1} keep-alives"
    return (final - first) / max(1.0, last_s - first_s) * DAY_S, said


async def _cost_of_reconnect(there: Town[Office]) -> int:
    """Bytes from a broker that goes and comes back until the node is quiet again."""
    before, since_ms = link_bytes(), time.time_ns() // 1_000_000
    await asyncio.to_thread(there.site.restart_broker)
    await there.site.until_up(there.nodes[0], since_ms, 120)
    await asyncio.sleep(SETTLE_S)
    return link_bytes() - before


async def _until_lost(there: Town[Office], carrier: int) -> float | None:
    """Seconds from a link that goes dark until the controller shows the node as lost."""
    loop = asyncio.get_running_loop()
    os.kill(carrier, signal.SIGSTOP)
    began_s = loop.time()
    try:
        while loop.time() - began_s < LOST_S * 1.5:
            if await there.site.presence(there.nodes[0]) == "lost":
                return loop.time() - began_s
            await asyncio.sleep(LOOK_S)
    finally:
        os.kill(carrier, signal.SIGCONT)
    return None


async def run(options: Options) -> list[Figure]:
    """Count the bytes of a quiet stretch, of one reconnect, of a programme and of plays; then cut the link."""
    sound = await tone(options.folder)
    quiet_s = 180 if options.quick else 900
    async with office_town(options, 1) as there:
        plant(sound, next(iter(there.folders.values())).parent)
        await asyncio.to_thread(there.site.into_library, sound.path, sound.media)
        await there.start_all()
        await asyncio.sleep(SETTLE_S)
        programme, play = await _cost_of_plays(there, sound)
        reconnect = await _cost_of_reconnect(there)
        say(f"programme {programme} B, play {play} B, reconnect {reconnect} B; now {quiet_s} s of quiet")
        quiet, said = await _quiet_a_day(quiet_s)
        losses_s = []
        for number in range(options.count(3, 1)):
            await asyncio.sleep(SETTLE_S * (1 + 2 * number))
            lost_s = await _until_lost(there, options.link_pid)
            if lost_s is not None:
                losses_s.append(lost_s)
                say(f"loss {number + 1} shown after {lost_s:.1f} s")
            await there.site.until_up(there.nodes[0], time.time_ns() // 1_000_000, 120)
    day = quiet + reconnect + PLAYS_A_DAY * play + programme
    note = (
        f"{said}; one reconnect a day {reconnect}, {PLAYS_A_DAY} plays a day {play} each, "
        f"one programme a day {programme}; IP and TCP headers counted; sounds themselves not"
    )
    expected = options.count(3, 1)
    return [
        judge("idle data, 30 days extrapolated", [day * DAYS / 1e6], unit="MB", goal=MONTH_MB, percent=100, note=note),
        judge(
            "link cut to the node shown as lost",
            losses_s,
            unit="s",
            goal=LOST_S,
            percent=100,
            lost=expected - len(losses_s),
            note="keep-alive and will of the same connection as the idle data",
        ),
    ]
