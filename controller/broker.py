"""The link to the broker: connects again and again, lets the outbox and the offers out, takes reports in.

A report is acknowledged after its transaction is committed, so a kill at any instant only makes it come twice.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec
from aiomqtt import Client, Message, MqttError

from controller import readback
from controller.actions import orders, suspends
from controller.core.peek import peek
from controller.errors import Refused
from controller.offers import Lagging, Offers
from controller.outbox import Outbox
from controller.parts import SYSTEM, Parts
from controller.post import Publisher, open_client
from controller.reports import Effects, Received, Reports, lag_of
from controller.store import documents as stored_documents
from controller.store import nodes
from controller.store import orders as stored_orders
from protocol import topics
from protocol.errors import ProtocolError, WrongType
from protocol.reports import Alive

BATCH: Final = 16
"""One transaction for as many reports as wait: an order never stands behind more than about 20 ms of them."""
BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
QUIET_S: Final = 1.0
READBACK_S: Final = 20.0
REPORT_ROWS: Final = frozenset({"hello", "receipt", "health", "alive"})
log = logging.getLogger("loa.broker")


class BrokerLink:
    """Keeps one connection. `draw` gives numbers in [0, 1) for the jitter of reconnecting."""

    def __init__(self, parts: Parts, draw: Callable[[], float]) -> None:
        self._parts = parts
        self._draw = draw
        self._lagging = Lagging()

    def expect(self, area: str) -> None:
        """A document for this area came into force: look after a while whether its nodes took it."""
        self._lagging.expect(self._parts.world.nodes_in(area), self._parts.now_ms())

    async def run(self) -> None:
        """Hold the link until cancelled."""
        failures = 0
        while True:
            begun_ms = self._parts.now_ms()
            try:
                async with open_client(self._parts) as client, asyncio.TaskGroup() as group:
                    connection = _Connection(self._parts, client, self._lagging, group)
                    await connection.run()
            except* (MqttError, OSError) as broken:
                self._parts.broker.trouble = _first(broken)
            await self._unlinked()
            failures = 0 if self._parts.now_ms() - begun_ms > BACKOFF_S[-1] * 1000 else failures + 1
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)] * (0.5 + self._draw()))

    async def _unlinked(self) -> None:
        state = self._parts.broker
        if state.connected:
            log.warning("the broker is gone: %s", state.trouble)
            state.connected, state.since_ms = False, None
            await readback.forget_presence(self._parts)
            self._parts.live.changed("status")


class _Connection:
    """What lasts as long as one connection does."""

    def __init__(self, parts: Parts, client: Client, lagging: Lagging, group: asyncio.TaskGroup) -> None:
        self._parts = parts
        self._client = client
        self._lagging = lagging
        self._group = group
        self._publisher = Publisher(client, parts)
        self._reports = Reports(parts)
        self._retained: dict[str, bytes] = {}
        self._births: dict[str, int] = {}
        self._uptime_s: int | None = None
        self._told = asyncio.Event()

    async def run(self) -> None:
        """Work until the connection breaks. Raises MqttError."""
        reading = self._group.create_task(self._read())
        filters = [(readback.UPTIME, 0), *((each, 1) for each in (*readback.REPORTS, *readback.OWN))]
        await self._client.subscribe(filters)
        state = self._parts.broker
        state.connected, state.since_ms, state.trouble = True, self._parts.now_ms(), ""
        log.info("linked to the broker")
        self._parts.live.changed("status")
        self._parts.wake.set()
        self._parts.offers.set()
        self._parts.rollouts.set()
        self._group.create_task(Outbox(self._parts, self._publisher).run())
        self._group.create_task(Offers(self._parts, self._publisher, self._lagging, self._unread).run())
        self._group.create_task(self._mend())
        await reading

    def _unread(self) -> int:
        return len(self._client.messages)

    async def _mend(self) -> None:
        """When the broker has told what it keeps, put right what is missing or other; see who is there and who lags."""
        loop = asyncio.get_running_loop()
        latest_s, quiet = loop.time() + READBACK_S, False
        while not quiet and loop.time() < latest_s:
            self._told.clear()
            try:
                async with asyncio.timeout(QUIET_S):
                    await self._told.wait()
            except TimeoutError:
                quiet = True
        mended = await readback.mend(self._parts, self._retained)
        log.info("read back %d retained messages, mended %d", len(self._retained), mended)
        if self._uptime_s is not None:
            await readback.believe(self._parts, self._births, self._uptime_s)
            self._parts.rollouts.set()
        now_ms, world = self._parts.now_ms(), self._parts.world
        states = await self._parts.database.read(nodes.all_states)
        self._lagging.expect((node for node, state in states.items() if lag_of(world, state, now_ms)), now_ms)
        self._parts.offers.set()

    async def _read(self) -> None:
        messages = aiter(self._client.messages)
        while True:
            batch = [await anext(messages)]
            while len(batch) < BATCH and self._unread():
                batch.append(await anext(messages))
            await self._take(batch)
            for message in batch:
                if message.qos:
                    self._client._client.ack(message.mid, message.qos)  # noqa: SLF001  aiomqtt has no acknowledgement of its own

    async def _take(self, batch: list[Message]) -> None:
        reports: list[Received] = []
        for message in batch:
            payload = message.payload if isinstance(message.payload, bytes) else b""
            received = Received(message.topic.value, payload, message.retain)
            if received.topic == readback.UPTIME:
                self._take_uptime(payload)
            elif payload:
                if received.retained:
                    self._told.set()
                if await self._is_report(received):
                    reports.append(received)
        if reports:
            effects = await self._reports.take(reports)
            self._follow(effects)

    async def _is_report(self, received: Received) -> bool:
        """Tell reports, which go on together, from what is read back and from orders, which are dealt with here."""
        try:
            name = topics.parse(received.topic).row.name
        except WrongType:
            name = ""
        if name in REPORT_ROWS:
            if name == "alive" and received.retained:
                self._remember_birth(received.payload)
            return True
        if received.retained or name != "order":
            self._retained[received.topic] = received.payload
        if name == "order":
            await self._take_order(received)
        if name == "suspend":
            await self._take_suspend(received)
        return False

    def _remember_birth(self, payload: bytes) -> None:
        try:
            alive = msgspec.json.decode(payload, type=Alive)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if alive.online:
            self._births[alive.node] = alive.birth

    def _take_uptime(self, payload: bytes) -> None:
        number = payload.split(b" ")[0]
        if self._uptime_s is None and number.isdigit():
            self._uptime_s = int(number)

    async def _take_order(self, received: Received) -> None:
        """An order that we did not let out ourselves (`loa` did, while we were away): take it in like any other."""
        try:
            digest = peek(received.payload).digest
        except ProtocolError as error:
            await orders.refuse(self._parts, error, received.topic, "")
            return
        if await self._parts.database.read(lambda tx: stored_orders.by_digest(tx, digest)) is not None:
            return
        origin = orders.Origin(requested_at_ms=self._parts.now_ms(), topic=received.topic, published=True)
        try:
            await orders.submit(self._parts, SYSTEM, received.payload, origin)
        except Refused as refused:
            log.warning("an order on %s is not taken in: %s", received.topic, refused.sentence)

    async def _take_suspend(self, received: Received) -> None:
        """One that `loa` let out while we were away."""
        try:
            digest = peek(received.payload).digest
        except ProtocolError as error:
            await orders.refuse(self._parts, error, received.topic, "")
            return
        if await self._parts.database.read(lambda tx: stored_documents.by_digest(tx, digest)) is not None:
            return
        try:
            await suspends.submit(self._parts, SYSTEM, received.payload, topic=received.topic)
        except Refused as refused:
            log.warning("a suspension on %s is not taken in: %s", received.topic, refused.sentence)

    def _follow(self, effects: Effects) -> None:
        self._lagging.told(effects.lagging, self._parts.now_ms())
        if effects.posts:
            self._group.create_task(self._publisher.send_all(effects.posts))


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    """The first plain reason in a group of them."""
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else str(error) or type(error).__name__
    return ""
