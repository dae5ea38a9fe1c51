"""Some thousand simulated nodes in one process: a lean MQTT 5 client on epoll, and for each node its own trust, place and memory.

Plain TCP, so that memory stays sane. Each node verifies for itself with the product's `unseal`; nothing is shared but the
parsed grants, which are immutable. A command on standard input begins a round, one line of JSON on standard output ends it:
`raw` (nobody verifies), `bare` (each checks the bare signatures and nothing else), `now` (each verifies as its bytes come),
`later` (each verifies once all bytes have come, as if it had a processor of its own), `answer` (as `later`, and each sends its
receipt). `hello 40` makes each say alive and hello within 40 s; `rest 40` lets 40 s pass with keep-alives.
"""

from __future__ import annotations

import argparse
import base64
import gc
import json
import secrets
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from protocol.documents import ChainLink, Grant, Placement
from protocol.envelope import Opened, Sealer, open_pinned_root, payload_of, unseal
from protocol.errors import ProtocolError
from protocol.orders import Start
from protocol.rules import Clock, Me, mark_of
from protocol.seen import Seen
from protocol.trust import Trust
from provisioning import ceremony, enrol
from tests.bench import saying
from tests.bench.saying import Identity
from tests.commune import now_ms

READ_BYTES = 65_536
KEEP_ALIVE_S = 600
PING_S = 50.0
"""The product's broker allows 60 s, as its nodes keep it."""
ROUND_S = 60.0
EVENTS = 4_096
OTHERS_S = 3.0
"""With a processor of one's own nobody's verification delays another's arrival: so it waits until all processes have theirs."""
Mode = Literal["raw", "bare", "now", "later", "answer"]
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90, 0xC0
LONG = 0x80


class Material(Struct, frozen=True):
    """What every simulated node begins with: the root, the grants of its chain, the chain's numbers, a public key."""

    root: str
    root_digest: str
    grants: dict[str, str]
    numbers: dict[str, int]
    settlement: str
    report_key: str
    filters: tuple[str, ...]
    signers: tuple[str, ...] = ()
    identities: tuple[Identity, ...] = ()


class Round(Struct, frozen=True):
    """What one process saw of one round: when bytes came, when they were verified, and what that cost each node."""

    arrived_ns: list[int]
    verified_ns: list[int]
    cost_ns: list[int]
    refused: int


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = divmod(value, LONG)
        out.append(low | (LONG if value else 0))
        if not value:
            return bytes(out)


def _text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT packet."""
    return bytes([kind]) + _varint(len(body)) + body


def connect_packet(name: str) -> bytes:
    """CONNECT of MQTT 5 with a clean start; the name is user name and client id, as the product's broker wants it."""
    flags = 0x82
    head = _text("MQTT") + bytes([5, flags]) + KEEP_ALIVE_S.to_bytes(2, "big") + b"\0"
    return packet(CONNECT, head + _text(name) + _text(name))


def subscribe_packet(filters: tuple[str, ...]) -> bytes:
    """SUBSCRIBE at QoS 1."""
    return packet(SUBSCRIBE, b"\0\1\0" + b"".join(_text(name) + b"\1" for name in filters))


def publish_packet(topic: str, payload: bytes, number: int, *, retain: bool = False) -> bytes:
    """PUBLISH at QoS 1."""
    return packet(PUBLISH | 2 | retain, _text(topic) + number.to_bytes(2, "big") + b"\0" + payload)


def take_packet(data: bytes | bytearray) -> tuple[int, bytes, int] | None:
    """First packet of a buffer: kind, body, bytes used; None while it is not whole."""
    size, shift, at = 0, 0, 1
    while at < len(data):
        size |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & LONG:
            break
    else:
        return None
    if len(data) < at + size:
        return None
    return data[0], bytes(data[at : at + size]), at + size


@dataclass(slots=True)
class Node:
    """One simulated node."""

    name: str
    sock: socket.socket
    trust: Trust
    seen: Seen = field(default_factory=Seen)
    buffer: bytes = b""
    who: Identity | None = None
    sealer: Sealer | None = None
    number: int = 0

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1."""
        self.number = self.number % 0xFFFF + 1
        self.sock.send(publish_packet(topic, payload, self.number, retain=retain))

    def verify(self, topic: str, raw: bytes) -> Opened:
        """What a node does with an order before it acts: unseal, and remember. Raises ProtocolError."""
        clock = Clock(now_ms(), "good")
        opened = unseal(raw, topic=topic, trust=self.trust, me=Me(self.name), now=clock, seen=self.seen)
        if isinstance(opened.payload, Start):
            self.seen = self.seen.with_order(mark_of(opened.payload, opened.digest, opened.signers))
        return opened


def check_bare(raw: bytes, known: Sequence[Ed25519PublicKey]) -> None:
    """The least that a signed order costs any node on earth: each signature, by OpenSSL. Raises InvalidSignature."""
    envelope = json.loads(raw)
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    for public, signature in zip(known, envelope["signatures"], strict=True):
        public.verify(base64.b64decode(signature["sig"]), signed)


class Swarm:
    """The nodes of this process."""

    def __init__(self, host: str, port: int, material: Material) -> None:
        self._address = (host, port)
        self._material = material
        self._poll = select.epoll()
        self._nodes: dict[int, Node] = {}
        self._root = open_pinned_root(material.root.encode(), material.root_digest)
        self._grants: dict[str, Grant] = {}
        self._signers = [Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)) for public in material.signers]
        for area, raw in material.grants.items():
            grant = payload_of(raw.encode())
            assert isinstance(grant, Grant)
            self._grants[area] = grant

    def add(self, who: Identity | None = None) -> None:
        """Connect and subscribe one more node: one that the controller knows, or one drawn here."""
        name = who.node if who else enrol.draw_node_id(secrets.token_bytes)
        sock = socket.create_connection(self._address, timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(connect_packet(name))
        until(sock, CONNACK)
        sock.sendall(subscribe_packet(self._material.filters))
        until(sock, SUBACK)
        sock.setblocking(False)
        trust = Trust(self._root, dict(self._grants), self._placement(name, who))
        self._nodes[sock.fileno()] = Node(name, sock, trust, who=who, sealer=who.sealer() if who else None)
        self._poll.register(sock.fileno(), select.EPOLLIN)

    def _placement(self, name: str, who: Identity | None) -> Placement:
        if who is not None:
            placement = payload_of(who.placement.encode())
            assert isinstance(placement, Placement)
            return placement
        links = ceremony.links(self._material.settlement, self._material.numbers)
        own = ChainLink(area=name, area_no=len(self._nodes), level="node")
        return ceremony.build_placement(chain=(*links, own), report_key=self._material.report_key, now_ms=now_ms())

    def hello(self, seconds: float) -> None:
        """Every node says that it is there and what it holds, spread over some seconds as jittered back-offs spread them."""
        began_s = time.monotonic()
        for number, node in enumerate(self._nodes.values()):
            while time.monotonic() - began_s < seconds * number / len(self._nodes):
                self._drain(0.02)
            if node.who is not None and node.sealer is not None:
                node.say(*saying.alive(node.who), retain=True)
                node.say(*saying.hello(node.who, node.sealer))

    def rest(self, seconds: float) -> None:
        """Let time pass: every node pings once in a while, and takes in what comes without answering."""
        began_s = time.monotonic()
        waiting: list[Node] = []
        while (gone_s := time.monotonic() - began_s) < seconds:
            if not waiting:
                waiting, round_s = list(reversed(self._nodes.values())), gone_s
            while waiting and gone_s - round_s >= PING_S * (1 - len(waiting) / len(self._nodes)):
                waiting.pop().sock.send(packet(PINGREQ, b""))
            self._drain(0.05)

    def _drain(self, wait_s: float) -> None:
        for handle, _event in self._poll.poll(wait_s, EVENTS):
            self._read(self._nodes[handle])

    def round(self, mode: Mode, deadline_s: float) -> Round:
        """Take one publication in on every node."""
        arrived: list[int] = []
        verified: list[int] = []
        costs: list[int] = []
        waiting: list[tuple[Node, str, bytes, int]] = []
        refused = 0
        end_s = time.monotonic() + deadline_s

        def judge(node: Node, topic: str, payload: bytes) -> None:
            nonlocal refused
            before_ns = time.thread_time_ns()
            opened = None
            try:
                opened = node.verify(topic, payload)
            except ProtocolError:
                refused += 1
            costs.append(time.thread_time_ns() - before_ns)
            if mode == "answer" and opened is not None and node.who is not None and node.sealer is not None:
                node.say(*saying.receipt(node.who, node.sealer, opened))

        while len(arrived) < len(self._nodes) and time.monotonic() < end_s:
            for handle, _event in self._poll.poll(0.5, EVENTS):
                node = self._nodes[handle]
                for topic, payload in self._read(node):
                    now_ns = time.monotonic_ns()
                    arrived.append(now_ns)
                    if mode == "now":
                        judge(node, topic, payload)
                        verified.append(time.monotonic_ns())
                    elif mode == "bare":
                        check_bare(payload, self._signers)
                        verified.append(time.monotonic_ns())
                    elif mode in ("later", "answer"):
                        waiting.append((node, topic, payload, now_ns))
        if waiting:
            time.sleep(OTHERS_S)
        for node, topic, payload, came_ns in waiting:
            judge(node, topic, payload)
            verified.append(came_ns + costs[-1])
        return Round(arrived, verified, costs, refused)

    def _read(self, node: Node) -> list[tuple[str, bytes]]:
        """What was published to a node, each acknowledged at once."""
        node.buffer += node.sock.recv(READ_BYTES)
        found = []
        while node.buffer and (taken := take_packet(node.buffer)) is not None:
            kind, body, used = taken
            node.buffer = node.buffer[used:]
            if kind & 0xF0 != PUBLISH:
                continue
            length = int.from_bytes(body[:2], "big")
            topic, number, at = body[2 : 2 + length].decode(), body[2 + length : 4 + length], 4 + length
            node.sock.send(packet(PUBACK, number))
            found.append((topic, body[at + 1 + body[at] :]))
        return found


def until(sock: socket.socket, kind: int) -> None:
    """Read packets until one of a kind. Raises OSError when the broker refuses or hangs up."""
    data = b""
    while True:
        more = sock.recv(READ_BYTES)
        if not more:
            raise OSError("the broker hung up: its limit of open files may be too low")
        data += more
        while data and (taken := take_packet(data)) is not None:
            if taken[0] & 0xF0 == kind & 0xF0:
                return
            data = data[taken[2] :]


def main() -> None:
    """Connect, then one round for each line on standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--material", type=Path, required=True)
    args = parser.parse_args()
    material = msgspec.json.decode(args.material.read_bytes(), type=Material)
    swarm = Swarm(args.host, args.port, material)
    known = material.identities[args.first : args.first + args.count]
    for number in range(args.count):
        swarm.add(known[number] if known else None)
    gc.freeze()
    gc.disable()
    print("connected", flush=True)
    for line in sys.stdin:
        obey(swarm, line.strip())


def obey(swarm: Swarm, word: str) -> None:
    """Carry one command out and say so."""
    if word in get_args(Mode):
        print("listening", flush=True)
        seen = swarm.round(msgspec.convert(word, Mode), ROUND_S)
        sys.stdout.buffer.write(msgspec.json.encode(seen) + b"\n")
        sys.stdout.buffer.flush()
        return
    name, _space, seconds = word.partition(" ")
    (swarm.hello if name == "hello" else swarm.rest)(float(seconds))
    print("done", flush=True)


if __name__ == "__main__":
    main()
