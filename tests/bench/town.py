"""A town for a bench: real broker, real agents with a FIFO each, the ear that hears them, and whoever gives the orders."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import msgspec
import psutil

from controller import ca
from edge_agent.player import tones
from protocol import topics
from protocol.documents import Item
from protocol.envelope import payload_of
from protocol.errors import ProtocolError
from protocol.orders import Start, Text
from protocol.reports import Alive, Hello, OrderResult, Receipt
from tests.bench.ear import RATE, Ear, Heard
from tests.bench.place import ROOT, Options, say
from tests.commune import AgentProcess, Commune, order_topic

SETTLEMENT = "52.24076.001"
COMMUNE_AREA = "52.24076"
WORDS = "Nước sông Ba dâng cao, đề nghị bà con chuyển đến trường học ngay. Thông báo số {number}."
CHIME_SAMPLES = 3 * int(tones.NOTE_S * RATE) + int(tones.RING_S * RATE)
READY_S = 60.0
HEAR_S = 15.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A confirmed request: when it arrived, what it is called, and how large the sealed order is."""

    at_ns: int
    incident: str
    size_bytes: int


@dataclass
class StandIn:
    """In the controller's place: seals at the request and publishes; no database, no page."""

    commune: Commune
    client: aiomqtt.Client
    births: dict[str, list[tuple[int, Alive]]] = field(default_factory=dict)
    hellos: dict[str, list[int]] = field(default_factory=dict)
    results: dict[str, list[tuple[int, str, OrderResult]]] = field(default_factory=dict)
    said: asyncio.Event = field(default_factory=asyncio.Event)
    plays: int = 0
    number: int = 0

    async def watch(self) -> None:
        """Take in what nodes say."""
        decode = msgspec.json.Decoder(Alive)
        async for message in self.client.messages:
            now_ns = time.monotonic_ns()
            raw = message.payload if isinstance(message.payload, bytes) else b""
            address = topics.parse(message.topic.value)
            if address.row.name == "alive":
                self.births.setdefault(address.node or "", []).append((now_ns, decode.decode(raw)))
            else:
                self._report(now_ns, address.node or "", raw)
            self.said.set()

    def _report(self, now_ns: int, node: str, raw: bytes) -> None:
        with contextlib.suppress(ProtocolError):
            said = payload_of(raw)
            if isinstance(said, Hello):
                self.hellos.setdefault(node, []).append(now_ns)
            elif isinstance(said, Receipt):
                self.plays += len(said.plays)
                for result in said.results:
                    self.results.setdefault(result.incident or "", []).append((now_ns, node, result))

    def order(self, node: str, *, sound_max_s: int = 3, repeats: int = 1) -> Start:
        """An emergency for one node, in new words each time, so that its speech is never in a cache."""
        self.number += 1
        words = WORDS.format(number=self.number)
        start = self.commune.start(
            node, authority=COMMUNE_AREA, text=(Text(lang="vi", text=words),), sound_max_s=sound_max_s, repeats=repeats
        )
        assert isinstance(start, Start)
        return msgspec.structs.replace(start, area_no=1000 + list(self.commune.nodes).index(node))

    async def confirm(self, node: str, *, sound_max_s: int = 3, repeats: int = 1) -> Asked:
        """The request of an officer is confirmed now: everything from here to the loudspeaker counts."""
        order = self.order(node, sound_max_s=sound_max_s, repeats=repeats)
        at_ns = time.monotonic_ns()
        raw = self.commune.seal_as(order)
        await self.client.publish(order_topic(order), raw, qos=1, timeout=30)
        return Asked(at_ns, order.incident, len(raw))

    async def hand(self, topic: str, raw: bytes, *, retain: bool = False) -> int:
        """Publish bytes that are sealed already; returns the instant before the first of them left."""
        at_ns = time.monotonic_ns()
        await self.client.publish(topic, raw, qos=1, retain=retain, timeout=30)
        return at_ns

    async def stop(self, node: str, incident: str) -> int:
        """A confirmed STOP; returns when the request arrived."""
        order = self.commune.stop(node, incident, authority=COMMUNE_AREA)
        order = msgspec.structs.replace(order, area_no=1000 + list(self.commune.nodes).index(node))
        at_ns = time.monotonic_ns()
        await self.client.publish(order_topic(order), self.commune.seal_as(order), qos=1, retain=False, timeout=30)
        return at_ns

    async def rule(self, items: Sequence[Item]) -> None:
        """Hours round the clock and a programme for the commune, retained as the controller would."""
        for document in (self.commune.station(COMMUNE_AREA), self.commune.programme(*items, area=COMMUNE_AREA)):
            name = "station" if document.kind == "station" else "programme"
            where = topics.topic(name, area=COMMUNE_AREA, authority=COMMUNE_AREA)
            await self.hand(where, self.commune.seal_as(document), retain=True)


@dataclass
class Town:
    """Everything that runs for one group."""

    commune: Commune
    site: StandIn
    nodes: list[str]
    ear: Ear
    arguments: tuple[str, ...]
    across: tuple[str, ...]
    agents: dict[str, AgentProcess] = field(default_factory=dict)

    def line(self, node: str) -> int:
        """Which FIFO is that node's."""
        return self.nodes.index(node)

    def begin(self, node: str) -> int:
        """Start a node's agent; returns the instant just before."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        at_ns = time.monotonic_ns()
        self.agents[node] = AgentProcess(self.commune.nodes[node], *self.arguments, prefix=self.across, environment=environment)
        return at_ns

    def end(self, node: str) -> None:
        """Let a node's agent say goodbye."""
        agent = self.agents.pop(node, None)
        if agent is not None and agent.child.poll() is None:
            agent.stop()

    def processes(self, node: str) -> list[psutil.Process]:
        """The agent and its player, in that order (without the `ip netns exec` before it, which is replaced by it)."""
        agent = psutil.Process(self.agents[node].child.pid)
        return [agent, *agent.children(recursive=True)]

    async def until_hello(self, node: str, after_ns: int, deadline_s: float = READY_S) -> None:
        """Wait for a hello later than an instant. Raises TimeoutError."""
        async with asyncio.timeout(deadline_s):
            while not any(at_ns > after_ns for at_ns in self.site.hellos.get(node, ())):
                self.site.said.clear()
                await self.site.said.wait()

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


@contextlib.asynccontextmanager
async def town(
    options: Options,
    nodes: int,
    *,
    amplifier: str = "none",
    arguments: tuple[str, ...] = (),
    media_url: str | None = None,
    started: bool = True,
) -> AsyncIterator[Town]:
    """Build it, warm it, and take it down."""
    folder = options.folder / f"town-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    commune = Commune(folder, host=options.host)
    if media_url is not None:
        commune.media_url = media_url
    await commune.broker.start()
    try:
        for number in range(nodes):
            spec = amplifier.replace("PATH", str(folder / f"{number}.amp"))
            commune.add_node(SETTLEMENT, sink=f"fifo:{folder / f'{number}.fifo'}", amplifier=spec)
        async with _peopled(commune, folder, arguments, options) as there:
            if started:
                await start_all(there)
            yield there
    finally:
        await commune.broker.stop()


@contextlib.asynccontextmanager
async def _peopled(commune: Commune, folder: Path, arguments: tuple[str, ...], options: Options) -> AsyncIterator[Town]:
    cert, key = commune.issue("controller")
    context = ca.client_context(commune.ca_file, cert, key)
    client = aiomqtt.Client(
        commune.host, commune.port, identifier="controller", protocol=aiomqtt.ProtocolVersion.V5, tls_context=context
    )
    fifos = [folder / f"{number}.fifo" for number in range(len(commune.nodes))]
    async with client, Ear(fifos, word_after=CHIME_SAMPLES) as ear:
        for leaf in ("hello", "receipt", "alive"):
            await client.subscribe(f"{topics.ROOT}/node/+/{leaf}", qos=1)
        site = StandIn(commune, client)
        there = Town(commune, site, list(commune.nodes), ear, arguments, options.across)
        watching = asyncio.create_task(site.watch())
        try:
            yield there
        finally:
            for node in list(there.agents):
                there.end(node)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def start_all(there: Town) -> None:
    """Start every agent and let each sound once."""
    say(f"starting {len(there.nodes)} nodes")
    for node in there.nodes:
        began_ns = there.begin(node)
        await there.until_hello(node, began_ns)
    for node in there.nodes:
        await there.warm(node)
    await asyncio.sleep(1)


__all__ = ["Asked", "StandIn", "Town", "order_topic", "start_all", "town"]
