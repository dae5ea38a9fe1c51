"""A broker that is the enemy: it has the real one's name, key and address, and does with messages whatever a test says.

Just enough of MQTT 5 for one node: it takes what the node publishes (or swallows it), hears what it subscribes to, and sends
what it likes, where it likes, retained or not, twice or never, known topics by alias, and bytes that are no MQTT at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


@dataclass
class HostileBroker:
    """Listens where the node's configuration says. `deaf`: nothing that a node says is acknowledged."""

    port: int
    cert: Path
    key: Path
    deaf: bool = False
    said: list[tuple[str, bytes]] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)
    connects: int = 0
    _writer: asyncio.StreamWriter | None = None
    _mid: int = 0

    async def __aenter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.cert, self.key)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._server.close()
        self.cut()

    @property
    def there(self) -> bool:
        """Whether a node is connected and reads its areas."""
        return self._writer is not None and any("/order/" in name and "/area/" in name for name in self.filters)

    # --- what the enemy does ---

    def send(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, alias: int | None = None) -> int:
        """One message; with an alias and an empty topic it is known by the alias alone. Returns its number."""
        self._mid = self._mid % 60_000 + 1
        name = topic.encode()
        properties = b"" if alias is None else b"\x23" + alias.to_bytes(2, "big")
        head = len(name).to_bytes(2, "big") + name + (self._mid.to_bytes(2, "big") if qos else b"")
        self.raw(_packet(PUBLISH, qos << 1 | retain, head + bytes([len(properties)]) + properties + payload))
        return self._mid

    def raw(self, data: bytes) -> None:
        assert self._writer is not None, "no node is connected"
        self._writer.write(data)

    def cut(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    # --- MQTT ---

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                first = (await reader.readexactly(1))[0]
                body = await reader.readexactly(await _length(reader))
                self._took(first >> 4, first & 15, body, writer)
                await writer.drain()
        if self._writer is writer:
            self._writer = None
        writer.close()

    def _took(self, kind: int, flags: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == CONNECT:
            self._writer, self.connects = writer, self.connects + 1
            self.filters.clear()
            writer.write(_packet(CONNACK, 0, b"\0\0\0"))
        elif kind == SUBSCRIBE:
            names = list(_filters(body))
            self.filters += names
            writer.write(_packet(SUBACK, 0, body[:2] + b"\0" + b"\1" * len(names)))
        elif kind == PUBLISH:
            self._said(flags, body, writer)
        elif kind == PUBACK:
            self.acknowledged.add(int.from_bytes(body[:2], "big"))
        elif kind == PINGREQ:
            writer.write(_packet(PINGRESP, 0, b""))

    def _said(self, flags: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(body[:2], "big")
        topic, at = body[2 : 2 + size].decode(), 2 + size
        mid = body[at : at + 2]
        at += 2 if flags & 6 else 0
        length, used = _varint(body[at:])
        self.said.append((topic, body[at + used + length :]))
        if flags & 6 and not self.deaf:
            writer.write(_packet(PUBACK, 0, mid))


def _packet(kind: int, flags: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([kind << 4 | flags])
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (128 if length else 0))
        if not length:
            return bytes(head) + body


def _varint(data: bytes) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[:4]):
        value |= (byte & 127) << 7 * index
        if not byte & 128:
            return value, index + 1
    raise ValueError("no length")


async def _length(reader: asyncio.StreamReader) -> int:
    data = b""
    while not data or data[-1] & 128:
        data += await reader.readexactly(1)
    return _varint(data)[0]


def _filters(body: bytes):
    length, used = _varint(body[2:])
    at = 2 + used + length
    while at < len(body):
        size = int.from_bytes(body[at : at + 2], "big")
        yield body[at + 2 : at + 2 + size].decode()
        at += 3 + size
