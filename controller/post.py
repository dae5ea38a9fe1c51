"""Publishing one message: QoS 1, its life bounded in the broker, done when the broker acknowledged it."""

import asyncio
import logging
import socket
from typing import Final, Protocol

from aiomqtt import Client, ProtocolVersion
from msgspec import Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from controller import credentials
from controller.ca import client_context
from controller.parts import Parts

SESSION_S: Final = 7 * 86_400
"""Reports wait in the broker while the controller is away: a week, then nodes' own memories must do."""
RECEIVE: Final = 100
KEEPALIVE_S: Final = 20
CONNECT_S: Final = 10.0
log = logging.getLogger("loa.mqtt")
log.setLevel(logging.ERROR)


class Post(Struct, frozen=True, kw_only=True):
    """Something to be published that needs no memory: it is made again from the database when it is lost."""

    topic: str
    payload: bytes
    retain: bool = False
    expires_ms: int | None = None


class Sends(Protocol):
    """Whatever publishes; the link, or a list in a test."""

    async def send(self, post: Post) -> None:
        """Come back at the broker's acknowledgement."""


class Publisher:
    """Publishes over one connection."""

    def __init__(self, client: Client, parts: Parts) -> None:
        self._client = client
        self._parts = parts

    async def send(self, post: Post) -> None:
        """Come back at the broker's acknowledgement. Raises MqttError. What expired already is not sent."""
        properties = None
        if post.expires_ms is not None:
            left_ms = post.expires_ms - self._parts.now_ms()
            if left_ms <= 0:
                return
            properties = Properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = -(-left_ms // 1000)
        await self._client.publish(post.topic, post.payload, qos=1, retain=post.retain, properties=properties)

    async def send_all(self, posts: list[Post]) -> None:
        """Many at once; the library keeps twenty on the way."""
        async with asyncio.TaskGroup() as group:
            for post in posts:
                group.create_task(self.send(post))


def open_client(parts: Parts) -> Client:
    """A client with the controller's certificate and a session that outlives it; it acknowledges only when told to.

    Without TCP_NODELAY an order waited up to 30 ms for the acknowledgement of an earlier packet (measured on loopback).
    """
    config = parts.config
    key = credentials.find("loa-controller-key", config.tls / "controller.key")
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = SESSION_S
    properties.ReceiveMaximum = RECEIVE
    client = Client(
        config.settings.broker.host,
        parts.ports.broker,
        identifier="controller",
        protocol=ProtocolVersion.V5,
        clean_start=False,
        keepalive=KEEPALIVE_S,
        timeout=CONNECT_S,
        properties=properties,
        tls_context=client_context(config.ca, config.tls / "controller.crt", key),
        logger=log,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
    client._client.manual_ack_set(True)  # noqa: SLF001  aiomqtt gives no other way to acknowledge after the commit
    return client
