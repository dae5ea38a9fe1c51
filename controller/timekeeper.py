"""The timekeeper: tells nodes without a clock what time it is, each for the nonce of its hello; not on the controller's host.

It reads hellos, writes times, and can do nothing else with its certificate or its key. Whoever has the controller cannot tell
nodes a time, and whoever has the timekeeper cannot give an order.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import aiomqtt
import msgspec
from msgspec import Meta, Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from controller.ca import client_context
from controller.errors import ConfigWrong
from controller.mosquitto import TIMEKEEPER
from protocol import topics
from protocol.chrony import CHRONYC, Tracking, TrackingUnread, parse
from protocol.envelope import Sealer, payload_of, seal
from protocol.errors import ProtocolError
from protocol.passing import TimeToken
from protocol.reports import Hello

ASKING: Final = frozenset({"unknown", "attested"})
EXPIRY_S: Final = 10
"""A node takes no later answer."""
GOOD_MS: Final = 1_000
"""As a node calls its own clock good."""
LOOK_EVERY_S: Final = 16.0
LOOK_DEADLINE_S: Final = 5.0
KEPT: Final = 20_000
KEEPALIVE_S: Final = 20
BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
log = logging.getLogger("loa.timekeeper")


class TimekeeperConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """timekeeper.toml. Paths are relative to its folder."""

    broker_host: str
    broker_port: Annotated[int, Meta(ge=1, le=65_535)]
    ca: str = "ca.crt"
    certificate: str = "timekeeper.crt"
    tls_key: str = "timekeeper.key"
    key: str = "time.key"
    passphrase_file: str | None = None
    chronyc: tuple[str, ...] = CHRONYC


def load(path: Path) -> TimekeeperConfig:
    """Read timekeeper.toml. Raises ConfigWrong."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=TimekeeperConfig)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigWrong(f"{path}: {error}; `loa timekeeper enrol` on the controller makes one") from error


class ClockWatch:
    """Whether this computer's clock is good enough to be told to others: in step by chrony, and within a second."""

    def __init__(self, chronyc: tuple[str, ...]) -> None:
        self._words = (*chronyc, "tracking")
        self.why_not = "not looked at yet"

    async def run(self) -> None:
        """Look every 16 s until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Look once; what is wrong stands in `why_not`, which is empty while nothing is."""
        before = self.why_not
        try:
            self.why_not = _objection(parse(await self._ask(), time.time()))
        except (TrackingUnread, OSError, TimeoutError) as error:
            self.why_not = f"chronyc gives no answer ({error or 'too late'}): is chronyd running?"
        if self.why_not != before:
            log.warning("no time is told: %s", self.why_not) if self.why_not else log.info("the clock is good: time is told")

    async def _ask(self) -> str:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*self._words, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
        try:
            async with asyncio.timeout(LOOK_DEADLINE_S):
                said, _ = await child.communicate()
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        return said.decode("utf-8", "replace").strip()


def _objection(tracking: Tracking) -> str:
    if not tracking.is_fresh:
        return "this computer's clock is not in step"
    return "" if tracking.error_ms <= GOOD_MS else f"this computer's clock may be off by {tracking.error_ms:.0f} ms"


class Answers:
    """What is answered: each nonce once, to a node that says it has no clock, while ours is good."""

    def __init__(self, sealer: Sealer, why_not: Callable[[], str], now_ms: Callable[[], int]) -> None:
        self._sealer = sealer
        self._why_not = why_not
        self._now_ms = now_ms
        self._answered: dict[str, str] = {}

    def to(self, topic: str, raw: bytes) -> tuple[str, bytes] | None:
        """The topic and bytes of the answer to a hello, or None.

        The hello's signature is not looked at: a time for a nonce is the truth, whoever asks for it.
        """
        try:
            node = topics.parse(topic).node
            hello = payload_of(raw)
        except ProtocolError:
            return None
        if not isinstance(hello, Hello) or hello.node != node or hello.clock_state not in ASKING:
            return None
        if self._answered.get(node) == hello.nonce or self._why_not():
            return None
        self._answered.pop(node, None)
        self._answered[node] = hello.nonce
        while len(self._answered) > KEPT:
            del self._answered[next(iter(self._answered))]
        at_ms = self._now_ms()
        token = TimeToken(
            authority="root",
            area=node,
            area_no=0,
            seq=at_ms,
            purpose="routine",
            node=node,
            nonce=hello.nonce,
            at_ms=at_ms,
        )
        return topics.topic("time", node=node), seal(token, [self._sealer])


async def serve(folder: Path, config: TimekeeperConfig, sealer: Sealer) -> None:
    """Answer until cancelled, over however many connections it takes."""
    watch = ClockWatch(config.chronyc)
    await watch.look()
    answers = Answers(sealer, lambda: watch.why_not, lambda: time.time_ns() // 1_000_000)
    async with asyncio.TaskGroup() as group:
        group.create_task(watch.run())
        failures = 0
        while True:
            begun_s = time.monotonic()
            try:
                await _connected(folder, config, answers)
            except (aiomqtt.MqttError, OSError) as error:
                log.warning("the broker is gone: %s", error)
            failures = 0 if time.monotonic() - begun_s > BACKOFF_S[-1] else failures + 1
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])


async def _connected(folder: Path, config: TimekeeperConfig, answers: Answers) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = EXPIRY_S
    async with _client(folder, config) as client:
        await client.subscribe(topics.topic("hello", node="+"), qos=1)
        log.info("linked to the broker at %s:%d", config.broker_host, config.broker_port)
        async for message in client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else b""
            answer = answers.to(message.topic.value, payload)
            if answer is not None:
                await client.publish(answer[0], answer[1], qos=1, properties=properties)


def _client(folder: Path, config: TimekeeperConfig) -> aiomqtt.Client:
    """Without a session: a hello of earlier asks for nothing any more."""
    return aiomqtt.Client(
        config.broker_host,
        config.broker_port,
        identifier=TIMEKEEPER,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        keepalive=KEEPALIVE_S,
        tls_context=client_context(folder / config.ca, folder / config.certificate, folder / config.tls_key),
    )
