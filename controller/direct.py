"""The way round a serve that does not answer: an order published straight to the broker, under the operator's own certificate."""

import asyncio
from pathlib import Path
from typing import Final

import aiomqtt
from msgspec import Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from controller.ca import client_context

DEADLINE_S: Final = 10.0
KEEPALIVE_S: Final = 60


class BrokerUnreached(Exception):
    """The broker did not take the order; the sentence says why."""


class Door(Struct, frozen=True, kw_only=True):
    """Where the broker listens and who knocks."""

    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path
    name: str


class Letter(Struct, frozen=True, kw_only=True):
    """One sealed order on its way. `expiry_s` None: kept until replaced (a STOP)."""

    topic: str
    raw: bytes
    retain: bool
    expiry_s: int | None


async def publish(door: Door, letters: list[Letter], *, deadline_s: float = DEADLINE_S) -> None:
    """Publish all with QoS 1 and wait for each PUBACK. Raises BrokerUnreached."""
    try:
        async with asyncio.timeout(deadline_s), _client(door) as client:
            for letter in letters:
                await client.publish(
                    letter.topic, letter.raw, qos=1, retain=letter.retain, properties=_properties(letter), timeout=deadline_s
                )
    except TimeoutError as error:
        raise BrokerUnreached(f"the broker at {door.host}:{door.port} did not answer within {deadline_s:.0f} s") from error
    except (aiomqtt.MqttError, OSError) as error:
        raise BrokerUnreached(f"the broker at {door.host}:{door.port} cannot be reached as {door.name}: {error}") from error


def _client(door: Door) -> aiomqtt.Client:
    return aiomqtt.Client(
        door.host,
        door.port,
        identifier=door.name,
        protocol=aiomqtt.ProtocolVersion.V5,
        keepalive=KEEPALIVE_S,
        tls_context=client_context(door.ca, door.certificate, door.key),
    )


def _properties(letter: Letter) -> Properties | None:
    if letter.expiry_s is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = letter.expiry_s
    return properties
