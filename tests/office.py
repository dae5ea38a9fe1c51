"""In the controller's place at a real broker: publishes what people sealed, opens what nodes say with the report keys on file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import aiomqtt
import msgspec

from controller import ca
from protocol import keys, topics
from protocol.documents import Network, Root
from protocol.envelope import payload_of, unseal
from protocol.errors import ProtocolError
from protocol.messages import Sealed
from protocol.reports import Alive, Health, Hello, OrderResult, PlayRecord, Receipt, RecordMark
from protocol.rules import Clock, Me
from protocol.seen import Seen
from protocol.trust import Trust
from protocol.units import Document
from tests.commune import Commune, now_ms, order_topic
from tests.waiting import until

AGAIN_S = 0.1


@dataclass
class Office:
    """Stays connected over everything the broker suffers. With `acknowledges` it also keeps records and says up to where."""

    commune: Commune
    acknowledges: bool = False
    port: int | None = None
    alive: list[Alive] = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    hellos: list[Hello] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    records: dict[str, dict[int, PlayRecord]] = field(default_factory=dict)
    unreadable: list[tuple[str, bytes]] = field(default_factory=list)
    offers: list[tuple[str, bytes]] = field(default_factory=list)
    connects: int = 0
    _client: aiomqtt.Client | None = None

    async def __aenter__(self) -> Self:
        cert, key = self.commune.issue("controller")
        self._tls = ca.client_context(self.commune.ca_file, cert, key)
        root = payload_of(self.commune.root)
        assert isinstance(root, Root)
        self._trust = Trust(root)
        self._task = asyncio.create_task(self._stay())
        await until(lambda: self._client is not None, what="the office's connection")
        return self

    async def __aexit__(self, *_exc: object) -> None:
        while not self._task.done():  # Python 3.11's wait_for may swallow one cancellation
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)

    async def _stay(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    self.commune.host,
                    self.port or self.commune.port,
                    identifier="controller",
                    protocol=aiomqtt.ProtocolVersion.V5,
                    tls_context=self._tls,
                    timeout=5,
                ) as client:
                    await client.subscribe("loa/1/node/#", qos=1)
                    self._client = client
                    self.connects += 1
                    async for message in client.messages:
                        try:
                            await self._take(message)
                        except (ProtocolError, msgspec.MsgspecError):
                            self.unreadable.append((message.topic.value, bytes(message.payload or b"")))
            self._client = None
            await asyncio.sleep(AGAIN_S)

    async def _take(self, message: aiomqtt.Message) -> None:
        raw = message.payload if isinstance(message.payload, bytes) else b""
        address = topics.parse(message.topic.value)
        match address.row.name:
            case "alive":
                self.alive.append(msgspec.json.decode(raw, type=Alive))
            case "health":
                self.health.append(msgspec.json.decode(raw, type=Health))
            case "hello" | "receipt":
                await self._report(raw, message.topic.value, address.node or "")

    async def _report(self, raw: bytes, topic: str, node: str) -> None:
        now = Clock(now_ms(), "good")
        said = unseal(raw, topic=topic, trust=self._trusting(node), me=Me(), now=now, seen=Seen()).payload
        if isinstance(said, Hello):
            self.hellos.append(said)
            if self.acknowledges:
                await self._mark(node)
            for where, offer in self.offers:
                await self.publish(where, offer)
        elif isinstance(said, Receipt):
            self.receipts.append(said)
            await self._keep(node, said.plays)

    def _trusting(self, node: str) -> Trust:
        path = self.commune.nodes[node].parent / "report.key"
        return self._trust.with_report_keys({node: keys.public_hex(keys.from_pem(path.read_bytes(), None))})

    async def _keep(self, node: str, plays: tuple[PlayRecord, ...]) -> None:
        held = self.records.setdefault(node, {})
        for told in plays:
            held[told.record_id] = told
        if self.acknowledges and plays:
            await self._mark(node)

    async def _mark(self, node: str) -> None:
        """All up to n: the answer to hellos and plays."""
        held, upto = self.records.get(node, {}), 0
        while upto + 1 in held:
            upto += 1
        await self.publish(topics.topic("records", node=node), msgspec.json.encode(RecordMark(upto=upto)))

    async def publish(self, topic: str, raw: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1, over however many connections it takes."""
        for _ in range(100):
            if self._client is not None:
                with contextlib.suppress(aiomqtt.MqttError):
                    await self._client.publish(topic, raw, qos=1, retain=retain, timeout=5)
                    return
            await asyncio.sleep(AGAIN_S)
        raise AssertionError(f"nothing could be published on {topic}")

    async def say(self, payload: Sealed, *who: str, retain: bool | None = None) -> bytes:
        """Seal as these people and publish where it belongs; STOPs and documents are retained."""
        raw = self.commune.seal_as(payload, *who)
        if isinstance(payload, Document):
            parts = {"area": payload.subject, "authority": payload.authority}
            if isinstance(payload, Network):
                parts = {"node": payload.subject}
            await self.publish(topics.topic(payload.kind, **parts), raw, retain=True if retain is None else retain)
        else:
            keep = type(payload).__name__.endswith("Stop") if retain is None else retain
            await self.publish(order_topic(payload), raw, retain=keep)
        return raw

    # --- what was heard ---

    def results(self, node: str, incident: str | None = None) -> Iterator[OrderResult]:
        """Every order result of a node, in order."""
        for receipt in self.receipts:
            if receipt.node == node:
                yield from (told for told in receipt.results if incident is None or told.incident == incident)

    def plays(self, node: str) -> list[PlayRecord]:
        """Every record a node told, each time that it told it."""
        return [told for receipt in self.receipts if receipt.node == node for told in receipt.plays]

    def hello(self, node: str) -> Hello | None:
        """The last hello of a node."""
        return next((hello for hello in reversed(self.hellos) if hello.node == node), None)

    async def came_to(self, node: str, incident: str | None, result: str, within_s: float = 20) -> OrderResult:
        """Wait for a result."""

        def look() -> OrderResult | None:
            return next((told for told in self.results(node, incident) if told.result == result), None)

        return await until(look, within_s, f"{result} of {incident} on {node}")

    async def played(self, node: str, count: int = 1, within_s: float = 30) -> list[PlayRecord]:
        """Wait for so many records."""
        await until(lambda: len(self.records.get(node, {})) >= count, within_s, f"{count} records of {node}")
        return [self.records[node][number] for number in sorted(self.records[node])]

    async def up(self, node: str, within_s: float = 30, after: int = 0) -> Hello:
        """Wait for a hello after the first `after` of them."""

        def look() -> Hello | None:
            theirs = [hello for hello in self.hellos if hello.node == node]
            return theirs[-1] if len(theirs) > after else None

        return await until(look, within_s, f"hello of {node}")
