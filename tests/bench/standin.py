"""In the controller's place where only the node is measured: seals at the request and publishes; no database, no page."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiomqtt
import msgspec

from controller import ca
from protocol import topics
from protocol.bulletins import Item
from protocol.envelope import payload_of
from protocol.errors import ProtocolError
from protocol.orders import Start, Text
from protocol.reports import Hello
from tests.bench.words import Asked, words
from tests.commune import Commune, order_topic

COMMUNE_AREA = "52.24076"
SETTLEMENT = "52.24076.001"
FIRST_NODE_NO = 1000


@dataclass
class StandIn:
    """A publisher with the officer's key, and what it hears from nodes."""

    commune: Commune
    client: aiomqtt.Client
    hellos_ms: dict[str, int] = field(default_factory=dict)
    said: asyncio.Event = field(default_factory=asyncio.Event)
    number: int = 0

    async def watch(self) -> None:
        """Take in what nodes say."""
        async for message in self.client.messages:
            raw = message.payload if isinstance(message.payload, bytes) else b""
            with contextlib.suppress(ProtocolError):
                said = payload_of(raw)
                if isinstance(said, Hello):
                    self.hellos_ms[said.node] = time.time_ns() // 1_000_000
                    self.said.set()

    async def until_up(self, node: str, since_ms: int, deadline_s: float) -> None:
        """Wait for a hello since an instant. Raises TimeoutError."""
        async with asyncio.timeout(deadline_s):
            while self.hellos_ms.get(node, 0) < since_ms:
                self.said.clear()
                await self.said.wait()

    def order(self, node: str, *, sound_max_s: int = 3, repeats: int = 1) -> Start:
        """An emergency for one node."""
        self.number += 1
        text = (Text(lang="vi", text=words(self.number)),)
        start = self.commune.start(node, authority=COMMUNE_AREA, text=text, sound_max_s=sound_max_s, repeats=repeats)
        assert isinstance(start, Start)
        return msgspec.structs.replace(start, area_no=self._area_no(node))

    def _area_no(self, node: str) -> int:
        return FIRST_NODE_NO + list(self.commune.nodes).index(node)

    async def confirm(self, node: str, *, sound_max_s: int = 3, repeats: int = 1) -> Asked:
        """Seal and publish an emergency."""
        order = self.order(node, sound_max_s=sound_max_s, repeats=repeats)
        at_ns = time.monotonic_ns()
        raw = self.commune.seal_as(order)
        await self.client.publish(order_topic(order), raw, qos=1, timeout=30)
        return Asked(at_ns, order.incident)

    async def stop(self, node: str, incident: str) -> int:
        """Seal and publish a STOP; returns when that began."""
        order = self.commune.stop(node, incident, authority=COMMUNE_AREA)
        order = msgspec.structs.replace(order, area_no=self._area_no(node))
        at_ns = time.monotonic_ns()
        await self.client.publish(order_topic(order), self.commune.seal_as(order), qos=1, timeout=30)
        return at_ns

    async def hand(self, topic: str, raw: bytes, *, retain: bool = False) -> int:
        """Publish bytes that are sealed already; returns the instant before the first of them left."""
        at_ns = time.monotonic_ns()
        await self.client.publish(topic, raw, qos=1, retain=retain, timeout=30)
        return at_ns

    async def rule(self, items: Sequence[Item]) -> None:
        """Hours round the clock and a programme for the commune, retained as the controller would."""
        for document in (self.commune.station(COMMUNE_AREA), self.commune.programme(*items, area=COMMUNE_AREA)):
            where = topics.topic(document.kind, area=COMMUNE_AREA, authority=COMMUNE_AREA)
            await self.hand(where, self.commune.seal_as(document), retain=True)


def client_of(commune: Commune) -> aiomqtt.Client:
    """The stand-in's connection, under the controller's name."""
    cert, key = commune.issue("controller")
    context = ca.client_context(commune.ca_file, cert, key)
    return aiomqtt.Client(
        commune.host, commune.port, identifier="controller", protocol=aiomqtt.ProtocolVersion.V5, tls_context=context
    )
