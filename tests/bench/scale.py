"""One province-wide order, verified by ten thousand simulated nodes, beside the bare broker's fan-out to the same connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

from controller import mosquitto
from tests.bench.crowd import Crowd, allow_files
from tests.bench.measure import NS_A_MS, Figure, Limit, judge, ms
from tests.bench.place import Options, say
from tests.bench.swarm import CONNACK, PUBACK, Material, Mode, Round, connect_packet, publish_packet, until
from tests.commune import NUMBERS, Commune, free_port, order_topic

TIMES = 1.5
NODES = 10_000
RAW_TOPIC = "bench/raw"
SETTLEMENT = "52.24076.001"
SIGNERS = ("officer", "second")
PAUSE_S = 1.0
CONFIGURATION = """listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
persistence false
sys_interval 0
max_inflight_messages 20
user {user}
log_type error
"""


class Plain:
    """The plain broker and the publisher."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._broker: asyncio.subprocess.Process | None = None
        self._publisher: socket.socket | None = None
        self._number = 0

    async def start(self) -> None:
        """The broker."""
        configuration = self._folder / "plain.conf"
        text = CONFIGURATION.format(port=self.port, user=mosquitto.user_name())
        await asyncio.to_thread(configuration.write_text, text)
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise OSError("mosquitto is not installed")
        nothing = asyncio.subprocess.DEVNULL
        self._broker = await asyncio.create_subprocess_exec(program, "-c", str(configuration), stderr=nothing)
        await asyncio.sleep(1)

    def open(self) -> None:
        """The publisher's connection."""
        self._publisher = socket.create_connection(("127.0.0.1", self.port))
        self._publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._publisher.sendall(connect_packet("publisher"))
        until(self._publisher, CONNACK)

    async def round(self, there: Crowd, mode: Mode, topic: str, payload: bytes) -> tuple[int, list[Round]]:
        """Publish once to everybody; the instant before, and what each process saw."""
        await there.listen(mode)
        await asyncio.sleep(PAUSE_S)
        assert self._publisher is not None
        self._number += 1
        at_ns = time.monotonic_ns()
        self._publisher.sendall(publish_packet(topic, payload, self._number))
        seen = await there.rounds()
        until(self._publisher, PUBACK)
        return at_ns, seen

    def resident_mb(self) -> float:
        """Of the broker."""
        assert self._broker is not None
        return psutil.Process(self._broker.pid).memory_info().rss / 1e6

    async def close(self) -> None:
        """Hang up and end the broker."""
        if self._publisher is not None:
            self._publisher.close()
        if self._broker is not None:
            self._broker.kill()
            await self._broker.wait()


def _material(commune: Commune) -> Material:
    return Material(
        root=commune.root.decode(),
        root_digest=commune.root_digest,
        grants={area: commune.grants[area].decode() for area in ("52", "52.24076")},
        numbers=NUMBERS,
        settlement=SETTLEMENT,
        report_key=commune.key_of("chair").public,
        filters=("loa/1/area/52/order/+", RAW_TOPIC),
        signers=tuple(commune.key_of(name).public for name in SIGNERS),
    )


@contextlib.asynccontextmanager
async def _connected(options: Options, nodes: int) -> AsyncIterator[tuple[Commune, Plain, Crowd]]:
    allow_files(nodes)
    folder = options.folder / "scale"
    folder.mkdir()
    commune = Commune(folder)
    plain, there = Plain(folder), Crowd()
    try:
        say(f"connecting {nodes} simulated nodes")
        await plain.start()
        await there.start(plain.port, nodes, _material(commune), folder)
        plain.open()
        yield commune, plain, there
    finally:
        await there.close()
        await plain.close()


async def run(options: Options) -> list[Figure]:
    """Rounds in turn: raw, bare signatures, verified as it comes, verified by each as if it had its own processor."""
    nodes, rounds = options.count(NODES, 2_000), options.count(10, 3)
    samples: dict[Mode, list[float]] = {"raw": [], "bare": [], "now": [], "later": []}
    cost_ms: list[float] = []
    refused = 0
    async with _connected(options, nodes) as (commune, plain, there):
        modes: tuple[Mode, ...] = ("raw", "bare", "now", "later")
        for number in range(rounds):
            for mode in modes:
                order = commune.start("52", authority="52")
                raw = commune.seal_as(order, *SIGNERS)
                topic, payload = (RAW_TOPIC, b"r" * len(raw)) if mode == "raw" else (order_topic(order), raw)
                at_ns, seen = await plain.round(there, mode, topic, payload)
                ends = [end_ns for part in seen for end_ns in (part.arrived_ns if mode == "raw" else part.verified_ns)]
                samples[mode] += [ms(end_ns, at_ns) for end_ns in ends]
                cost_ms += [cost_ns / NS_A_MS for part in seen for cost_ns in part.cost_ns]
                refused += sum(part.refused for part in seen)
            say(f"{number + 1} of {rounds} rounds")
        memory = f"broker {plain.resident_mb():.0f} MB, simulated nodes {there.resident_mb():.0f} MB"
    return _figures(samples, cost_ms, nodes * rounds, refused, memory)


def _figures(samples: dict[Mode, list[float]], cost_ms: list[float], expected: int, refused: int, memory: str) -> list[Figure]:
    fan_out = Limit("bare fan-out to the same connections", samples["raw"], TIMES)
    signatures = Limit("fan-out and bare Ed25519 by OpenSSL on the same cores", samples["bare"], TIMES)
    cost = judge("", cost_ms)
    by_fan_out = judge("", samples["now"], limit=fan_out).ratio
    shared = (
        f"two signatures each, all on these {os.cpu_count()} cores beside the broker: {by_fan_out} x the bare fan-out, "
        f"but no program can save the signatures; plain TCP; {memory}"
    )
    own = "arrival, and then each node's own processor time for its own verification: as if each had its processor"
    wrong = f"; {refused} REFUSED" if refused else ""

    def lost(mode: Mode) -> int:
        return expected - len(samples[mode]) + refused

    return [
        judge("order verified, nodes share these cores", samples["now"], limit=signatures, lost=lost("now"), note=shared + wrong),
        judge("order verified, each node its own core", samples["later"], limit=fan_out, lost=lost("later"), note=own + wrong),
        judge("processor time of one verification", cost_ms, note=f"{cost.n} verifications, none shared"),
    ]
