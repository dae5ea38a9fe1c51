"""What a node costs and how soon it can sound: start, memory, processor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.bench.measure import Figure, judge, ms
from tests.bench.place import Options, say
from tests.bench.standin import StandIn
from tests.bench.town import Town, standin_town
from tests.commune import order_topic

READY_MS = 3_000
MEMORY_MB = 65
PLAYING_PERCENT, IDLE_PERCENT = 3, 1
TICKS_S = os.sysconf("SC_CLK_TCK")
PLAY_S = 100
KB = 1024
FILE_COLUMN = 5
SIZE_WORDS = 3


async def ready(options: Options) -> list[Figure]:
    """An order waits at the broker for a node that is off; from exec of its agent to the first sample."""
    count = options.count(30, 5)
    delays_ms: list[float] = []
    async with standin_town(options, 1) as there:
        node = there.nodes[0]
        await there.start_all()
        for number in range(count):
            await there.end(node)
            order = there.site.order(node, sound_max_s=1)
            await there.site.hand(order_topic(order), there.site.commune.seal_as(order))
            at_ns = there.begin(node)
            first = await there.first(node, at_ns)
            if first is not None:
                delays_ms.append(ms(first.at_ns, at_ns))
                await there.over(node, first.at_ns)
            if (number + 1) % 10 == 0:
                say(f"{number + 1} of {count} starts")
        await asyncio.sleep(1)
    note = "exec of the agent to the first sample of an order queued at the broker, 300 ms of collection included"
    return [judge("ready to sound", delays_ms, goal=READY_MS, lost=count - len(delays_ms), note=note)]


def memory_mb(processes: list[psutil.Process]) -> tuple[float, list[float]]:
    """What these processes would hold if they were alone on the computer, and the PSS of each as it is here.

    Here the bench's own Python shares pages with them, which would flatter their PSS: so their private pages are added up,
    and each shared mapping is counted once, at the larger of its residents.
    """
    private_kb, pss_mb = 0, []
    shared_kb: dict[tuple[str, str, str], int] = {}
    for process in processes:
        pss_kb = 0
        for mapping, sizes in _mappings(process.pid):
            private = sizes["Private_Clean"] + sizes["Private_Dirty"]
            private_kb += private
            shared_kb[mapping] = max(shared_kb.get(mapping, 0), sizes["Rss"] - private)
            pss_kb += sizes["Pss"]
        pss_mb.append(pss_kb / KB)
    return (private_kb + sum(shared_kb.values())) / KB, pss_mb


def _mappings(pid: int) -> Iterator[tuple[tuple[str, str, str], dict[str, int]]]:
    """Each mapping of a process, named by file, offset and rights, with its sizes in kB."""
    name, sizes = ("", "", ""), dict[str, int]()
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            if sizes:
                yield name, sizes
            sizes = {}
            name = (words[5] if len(words) > FILE_COLUMN else f"{pid} {words[0]}", words[2], words[1])
        elif len(words) == SIZE_WORDS:
            sizes[words[0][:-1]] = int(words[1])
    if sizes:
        yield name, sizes


def _cpu_s(process: psutil.Process) -> float:
    """User and system time of a process with its ended children, from /proc/PID/stat."""
    stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, stat[11:15])) / TICKS_S


async def cpu_percent(processes: list[psutil.Process], seconds: float) -> list[float]:
    """Share of one core of each process over a while."""
    before = [_cpu_s(process) for process in processes]
    await asyncio.sleep(seconds)
    return [(_cpu_s(process) - was) / seconds * 100 for process, was in zip(processes, before, strict=True)]


def _named(values: list[float], unit: str) -> str:
    names = ["agent", "player", *(f"child {number}" for number in range(3, 9))]
    return ", ".join(f"{name} {value:.3g} {unit}" for name, value in zip(names, values, strict=False))


async def costs(options: Options) -> list[Figure]:
    """Memory and processor of agent and player, playing and idle; one node, measured in every stretch of time."""
    stretch_s, stretches = (20.0, 1) if options.quick else (60.0, 3)
    async with standin_town(options, 1) as there:
        node = there.nodes[0]
        await there.start_all()
        memory, playing = [], []
        parts: list[float] = []
        for _stretch in range(stretches):
            asked = await there.site.confirm(node, sound_max_s=PLAY_S, repeats=20)
            await there.first(node, asked.at_ns)
            await asyncio.sleep(5)
            both = there.processes(node)
            shares = await cpu_percent(both, stretch_s)
            together, parts = memory_mb(both)
            memory.append(together)
            playing.append(sum(shares))
            await there.site.stop(node, asked.incident)
            await asyncio.sleep(5)
        idle, idle_memory = await _idle(there, node, stretch_s, stretches)
    note = f"as if alone on the computer; PSS here, beside the bench: {_named(parts, 'MB')}"
    return [
        judge("memory of agent and player while playing", memory, unit="MB PSS", goal=MEMORY_MB, note=note),
        judge("memory of agent and player, idle", idle_memory, unit="MB PSS"),
        judge("processor while playing", playing, unit="% of a core", goal=PLAYING_PERCENT, note=_named(shares, "%")),
        judge("processor, idle", idle, unit="% of a core", goal=IDLE_PERCENT),
    ]


async def _idle(there: Town[StandIn], node: str, stretch_s: float, stretches: int) -> tuple[list[float], list[float]]:
    idle, memory = [], []
    for _stretch in range(stretches):
        both = there.processes(node)
        idle.append(sum(await cpu_percent(both, stretch_s)))
        memory.append(memory_mb(both)[0])
    return idle, memory
