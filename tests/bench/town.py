"""A town for a bench: real broker, real agents with a FIFO each, the ear that hears them, and whoever gives the orders.

`office`: the real controller gives them. `standin`: a bare publisher does, where only the node is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import psutil

from protocol import topics
from protocol.bulletins import Item
from tests.bench.ear import Ear, Heard
from tests.bench.office import Office
from tests.bench.place import ROOT, Options, say
from tests.bench.standin import SETTLEMENT, StandIn, client_of
from tests.bench.words import CHIME_SAMPLES, Asked
from tests.commune import AgentProcess, Commune

READY_S = 60.0
HEAR_S = 15.0


class Site(Protocol):
    """Whoever gives orders."""

    async def confirm(self, node: str, *, sound_max_s: int = 3, repeats: int = 1) -> Asked:
        """An emergency for one node is confirmed now."""

    async def stop(self, node: str, incident: str) -> int:
        """It is stopped; returns when the request was made."""

    async def rule(self, items: Sequence[Item]) -> None:
        """Hours round the clock and a programme."""

    async def until_up(self, node: str, since_ms: int, deadline_s: float) -> None:
        """A node has said hello since an instant. Raises TimeoutError."""


Who = TypeVar("Who", bound=Site)


@dataclass
class Town(Generic[Who]):
    """Everything that runs for one group. `folders`: each node's node.toml."""

    site: Who
    folders: dict[str, Path]
    ear: Ear
    arguments: tuple[str, ...]
    across: tuple[str, ...]
    agents: dict[str, AgentProcess] = field(default_factory=dict)

    @property
    def nodes(self) -> list[str]:
        """The nodes in the order of their FIFOs."""
        return list(self.folders)

    def line(self, node: str) -> int:
        """Which FIFO is that node's."""
        return self.nodes.index(node)

    def begin(self, node: str) -> int:
        """Start a node's agent; returns the instant just before."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        at_ns = time.monotonic_ns()
        self.agents[node] = AgentProcess(self.folders[node], *self.arguments, prefix=self.across, environment=environment)
        return at_ns

    async def end(self, node: str) -> None:
        """Let a node's agent say goodbye."""
        agent = self.agents.pop(node, None)
        if agent is not None and agent.child.poll() is None:
            await asyncio.to_thread(agent.stop)

    def processes(self, node: str) -> list[psutil.Process]:
        """The agent and what it started, the agent first (`ip netns exec` becomes what it runs)."""
        agent = psutil.Process(self.agents[node].child.pid)
        return [agent, *agent.children(recursive=True)]

    async def up(self, node: str) -> None:
        """Start a node and wait until whoever gives orders has heard it."""
        since_ms = time.time_ns() // 1_000_000
        self.begin(node)
        await self.site.until_up(node, since_ms, READY_S)

    async def first(self, node: str, after_ns: int, deadline_s: float = HEAR_S) -> Heard | None:
        """The first sample of the next sound."""
        return await self.ear.next(self.line(node), "first", after_ns=after_ns, deadline_s=deadline_s)

    async def over(self, node: str, after_ns: int, deadline_s: float = HEAR_S) -> Heard | None:
        """The last sample of the sound."""
        return await self.ear.next(self.line(node), "end", after_ns=after_ns, deadline_s=deadline_s)

    async def warm(self, node: str) -> None:
        """One order that does not count: imports, caches and the player are there as on a node that has run for a day."""
        asked = await self.site.confirm(node, sound_max_s=1)
        if await self.first(node, asked.at_ns, READY_S) is None:
            raise TimeoutError(f"node {node} is silent: see {self.agents[node].log}")
        await self.over(node, asked.at_ns)

    async def start_all(self) -> None:
        """Start every agent and let each sound once."""
        say(f"starting {len(self.nodes)} nodes")
        for node in self.nodes:
            await self.up(node)
        for node in self.nodes:
            await self.warm(node)
        await asyncio.sleep(1)

    async def close(self) -> None:
        """End every agent."""
        await asyncio.gather(*(self.end(node) for node in list(self.agents)))


def _folder(options: Options) -> Path:
    folder = options.folder / f"town-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    return folder


@contextlib.asynccontextmanager
async def _heard(
    site: Who, folders: dict[str, Path], folder: Path, options: Options, arguments: tuple[str, ...]
) -> AsyncIterator[Town[Who]]:
    fifos = [folder / f"{number}.fifo" for number in range(len(folders))]
    async with Ear(fifos, word_after=CHIME_SAMPLES) as ear:
        there = Town(site, folders, ear, arguments, options.across)
        try:
            yield there
        finally:
            await there.close()


@contextlib.asynccontextmanager
async def office_town(options: Options, nodes: int) -> AsyncIterator[Town[Office]]:
    """Nodes of the real controller: enrolled and placed, not yet started."""
    folder = _folder(options)
    office = await asyncio.to_thread(Office, folder, options.host)
    try:
        await asyncio.to_thread(office.start)
        for number in range(nodes):
            await asyncio.to_thread(office.add_node, f"fifo:{folder / f'{number}.fifo'}")
        async with _heard(office, office.nodes, folder, options, ()) as there:
            yield there
    finally:
        await office.close()


@contextlib.asynccontextmanager
async def standin_town(
    options: Options, nodes: int, *, amplifier: str = "none", arguments: tuple[str, ...] = ()
) -> AsyncIterator[Town[StandIn]]:
    """Nodes under a bare publisher, not yet started; `PATH` in the amplifier's spec becomes a file of each node."""
    folder = _folder(options)
    commune = Commune(folder, host=options.host)
    await commune.broker.start()
    try:
        for number in range(nodes):
            spec = amplifier.replace("PATH", str(folder / f"{number}.amp"))
            commune.add_node(SETTLEMENT, sink=f"fifo:{folder / f'{number}.fifo'}", amplifier=spec)
        async with client_of(commune) as client:
            await client.subscribe(f"{topics.ROOT}/node/+/hello", qos=1)
            site = StandIn(commune, client)
            watching = asyncio.create_task(site.watch())
            async with _heard(site, commune.nodes, folder, options, arguments) as there:
                yield there
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    finally:
        await commune.broker.stop()
