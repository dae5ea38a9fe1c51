"""The link to the broker: our own reconnect, acknowledgement only when told, birth and will under one number."""

import asyncio
import contextlib
import logging
import random
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.events import Arrived, Event, LinkDown, LinkUp
from protocol import topics
from protocol.documents import Endpoint
from protocol.reports import BIRTHS_A_BOOT, Alive

log = logging.getLogger(__name__)
KEEP_ALIVE_S: Final = 60
WILL_DELAY_S: Final = 5
"""Lost within 60 x 1.5 + 5 = 95 s."""
SESSION_EXPIRY_S: Final = 40 * 86_400
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
CONNECT_TIMEOUT_S: Final = 20.0
PUBLISH_TIMEOUT_S: Final = 30.0
GOODBYE_TIMEOUT_S: Final = 2.0
OUTBOX: Final = 256
NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: certificate dates mean nothing to a wrong clock; the CA is still checked."""
_encode: Final = msgspec.json.Encoder().encode


class Credentials(msgspec.Struct, frozen=True):
    """The files of TLS: whom we trust, and who we are."""

    ca: Path
    certificate: Path
    key: Path


class _Report(msgspec.Struct, frozen=True):
    topic: str
    payload: bytes
    retain: bool = False


class _Filters(msgspec.Struct, frozen=True):
    names: tuple[str, ...]


def server_context(roots: Path, *, check_dates: bool) -> ssl.SSLContext:
    """TLS 1.3 to a server of the pinned roots; certificate dates are checked only when our clock can tell."""
    context = ssl.create_default_context(cafile=str(roots))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if not check_dates:
        context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    return context


def tls_context(credentials: Credentials, *, check_dates: bool) -> ssl.SSLContext:
    """The same, and we show our certificate."""
    context = server_context(credentials.ca, check_dates=check_dates)
    context.load_cert_chain(credentials.certificate, credentials.key)
    return context


def _heed() -> None:
    """Hear the word to end, if it was swallowed: by wait_for inside aiomqtt (on 3.11), or by a failed goodbye's error."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Broker:
    """Keeps one MQTT 5 session alive; messages become events, and PUBACK waits until the desk says so."""

    def __init__(
        self,
        node: str,
        host: str,
        port: int,
        credentials: Credentials,
        *,
        boot_count: int,
        clock_usable: Callable[[], bool],
        emit: Callable[[Event], None],
        chance: random.Random,
        keep_alive_s: int = KEEP_ALIVE_S,
    ) -> None:
        self._node = node
        self._keep_alive_s = keep_alive_s
        self._card = (Endpoint(host=host, port=port),)
        self._ways: tuple[Endpoint, ...] = self._card
        self._way = 0
        self._moved = asyncio.Event()
        self._credentials = credentials
        self._clock_usable = clock_usable
        self._emit = emit
        self._chance = chance
        self._birth = boot_count * BIRTHS_A_BOOT
        self._client: aiomqtt.Client | None = None
        self._taken: dict[int, tuple[int, int]] = {}
        self._next_ref = 1
        self._outbox: asyncio.Queue[_Report | _Filters] = asyncio.Queue(OUTBOX)

    # --- from the desk ---

    def acknowledge(self, ref: int) -> None:
        """PUBACK a message that came on this connection; one of an older connection comes again by itself."""
        taken = self._taken.pop(ref, None)
        if taken is not None and self._client is not None:
            self._client._client.ack(*taken)  # noqa: SLF001  aiomqtt has no manual acknowledgement of its own (platform fact)

    def go_to(self, brokers: tuple[Endpoint, ...]) -> None:
        """Leave the link, and be linked anew with the first of these that answers (none: the one of the card)."""
        self._ways, self._way = brokers or self._card, 0
        self._moved.set()

    def subscribe(self, filters: tuple[str, ...]) -> None:
        """Read these topics from now on."""
        self._put(_Filters(filters))

    def publish(self, topic: str, payload: bytes) -> None:
        """Say this at QoS 1; dropped when there is no link (the core says it again when there is)."""
        self._put(_Report(topic, payload))

    def _put(self, job: "_Report | _Filters") -> None:
        if self._client is None:
            return
        try:
            self._outbox.put_nowait(job)
        except asyncio.QueueFull:
            log.warning("outbox full: %s dropped, it is said again after the next connect", type(job).__name__)

    # --- the loop ---

    async def run(self) -> None:
        """Connect, serve, wait a jittered while, again; for ever, and to the next address where one does not answer."""
        wait_s = FIRST_WAIT_S
        while True:
            self._moved.clear()
            started = asyncio.get_running_loop().time()
            try:
                await self._connected()
            except (aiomqtt.MqttError, OSError) as error:
                _heed()
                log.info("link down: %s", error)
                self._lost(str(error)[:200])
            finally:
                self._lost("the link's driver ended")
            if self._moved.is_set():
                wait_s = FIRST_WAIT_S
                continue
            if asyncio.get_running_loop().time() - started > LONGEST_WAIT_S:
                wait_s, self._way = FIRST_WAIT_S, 0
            else:
                self._way = (self._way + 1) % len(self._ways)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s * self._chance.uniform(0.5, 1.5)):
                    await self._moved.wait()
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _lost(self, reason: str) -> None:
        if self._client is not None:
            self._client = None
            self._taken.clear()
            self._emit(LinkDown(reason))

    async def _connected(self) -> None:
        self._birth += 1
        client = self._new_client()
        async with client:
            client.timeout = GOODBYE_TIMEOUT_S  # from here on only the wait for a goodbye uses it
            if self._moved.is_set():
                return
            while not self._outbox.empty():
                self._outbox.get_nowait()
            self._client = client
            self._put(_Report(self._alive_topic, self._alive(online=True), retain=True))
            self._emit(LinkUp(self._birth))
            tasks = [asyncio.create_task(work) for work in (self._send(client), self._receive(client), self._until_moved())]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                await self._say_gone(client)
            except asyncio.CancelledError:
                await self._say_gone(client)
                raise
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_moved(self) -> None:
        await self._moved.wait()

    async def _say_gone(self, client: aiomqtt.Client) -> None:
        """A clean DISCONNECT discards the will: say ourselves that we go."""
        gone = self._alive(online=False)
        with contextlib.suppress(aiomqtt.MqttError):
            await client.publish(self._alive_topic, gone, qos=1, retain=True, timeout=GOODBYE_TIMEOUT_S)

    def _new_client(self) -> aiomqtt.Client:
        will_properties = Properties(PacketTypes.WILLMESSAGE)
        will_properties.WillDelayInterval = WILL_DELAY_S
        connect_properties = Properties(PacketTypes.CONNECT)
        connect_properties.SessionExpiryInterval = SESSION_EXPIRY_S
        way = self._ways[self._way]
        client = aiomqtt.Client(
            way.host,
            way.port,
            identifier=self._node,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            keepalive=self._keep_alive_s,
            timeout=CONNECT_TIMEOUT_S,
            properties=connect_properties,
            will=aiomqtt.Will(self._alive_topic, self._alive(online=False), 1, retain=True, properties=will_properties),
            tls_context=tls_context(self._credentials, check_dates=self._clock_usable()),
            max_queued_outgoing_messages=OUTBOX,
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        )
        client._client.manual_ack_set(True)  # noqa: SLF001  the only way (platform fact): else aiomqtt acknowledges on receipt
        # a message that aiomqtt cannot read (a topic that is none) is lost alone: else the link were deaf to all that follow
        client._client.suppress_exceptions = True  # noqa: SLF001  as above
        return client

    @property
    def _alive_topic(self) -> str:
        return topics.topic("alive", node=self._node)

    def _alive(self, *, online: bool) -> bytes:
        return _encode(Alive(node=self._node, birth=self._birth, online=online))

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            ref = self._next_ref
            self._next_ref += 1
            if message.qos:
                self._taken[ref] = (message.mid, message.qos)
            payload = message.payload if isinstance(message.payload, bytes) else b""
            self._emit(Arrived(ref, message.topic.value, payload))

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            _heed()
            job = await self._outbox.get()
            match job:
                case _Report(topic, payload, retain):
                    await client.publish(topic, payload, qos=1, retain=retain, timeout=PUBLISH_TIMEOUT_S)
                case _Filters(names):
                    # retained messages come only for subscriptions that the session did not have: none twice over a metered link
                    options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
                    await client.subscribe([(name, options) for name in names], timeout=PUBLISH_TIMEOUT_S)
