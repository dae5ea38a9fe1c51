"""One province-wide order, verified by ten thousand simulated nodes, beside the bare broker's fan-out to the same connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psutil

from controller import mosquitto
from tests.bench.measure import NS_A_MS, Figure, Limit, judge, ms
from tests.bench.place import ROOT, Options, say
from tests.bench.swarm import CONNACK, PUBACK, Material, Mode, Round, connect_packet, publish_packet, until
from tests.commune import NUMBERS, Commune, free_port, order_topic

TIMES = 1.5
PROCESSES = 4
NODES = 10_000
SPARE_FILES = 100
RAW_TOPIC = "bench/raw"
SETTLEMENT = "52.24076.001"
LINE_LIMIT = 64 * 1024 * 1024
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


class Crowd:
    """The broker, the publisher and the processes of simulated nodes."""

    def __init__(self, folder: Path, commune: Commune, nodes: int) -> None:
        self.port = free_port()
        self._folder, self._commune, self._nodes = folder, commune, nodes
        self._running: list[asyncio.subprocess.Process] = []
        self._swarms: list[asyncio.subprocess.Process] = []
        self._publisher: socket.socket | None = None
        self._number = 0

    async def start(self) -> None:
        """Broker, then the nodes, then the publisher."""
        configuration = self._folder / "plain.conf"
        user = mosquitto.user_name()
        await asyncio.to_thread(configuration.write_text, CONFIGURATION.format(port=self.port, user=user))
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise OSError("mosquitto is not installed")
        self._running.append(await asyncio.create_subprocess_exec(program, "-c", str(configuration)))
        await asyncio.sleep(1)
        material = self._folder / "material.json"
        await asyncio.to_thread(material.write_bytes, msgspec.json.encode(self._material()))
        for _process in range(PROCESSES):
            words = [sys.executable, "-m", "tests.bench.swarm", "--host", "127.0.0.1", "--port", str(self.port)]
            words += ["--count", str(self._nodes // PROCESSES), "--material", str(material)]
            pipe = asyncio.subprocess.PIPE
            swarm = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, cwd=ROOT, limit=LINE_LIMIT)
            self._swarms.append(swarm)
            self._running.append(swarm)
        await asyncio.gather(*(self._line(swarm) for swarm in self._swarms))
        self._publisher = socket.create_connection(("127.0.0.1", self.port))
        self._publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._publisher.sendall(connect_packet("publisher"))
        until(self._publisher, CONNACK)

    def _material(self) -> Material:
        commune = self._commune
        return Material(
            root=commune.root,
            root_digest=commune.root_digest,
            grants={area: commune.grants[area] for area in ("52", "52.24076")},
            numbers=NUMBERS,
            settlement=SETTLEMENT,
            report_key=commune.key_of("chair").public,
            filters=("loa/1/area/52/order/+", RAW_TOPIC),
        )

    async def _line(self, swarm: asyncio.subprocess.Process) -> bytes:
        assert swarm.stdout is not None
        line = await swarm.stdout.readline()
        if not line:
            raise OSError("a process of simulated nodes ended")
        return line

    async def round(self, mode: Mode, topic: str, payload: bytes) -> tuple[int, list[Round]]:
        """Publish once to everybody; the instant before, and what each process saw."""
        for swarm in self._swarms:
            assert swarm.stdin is not None
            swarm.stdin.write(f"{mode}\n".encode())
            await swarm.stdin.drain()
            await self._line(swarm)
        await asyncio.sleep(PAUSE_S)
        assert self._publisher is not None
        self._number += 1
        at_ns = time.monotonic_ns()
        self._publisher.sendall(publish_packet(topic, payload, self._number))
        lines = await asyncio.gather(*(self._line(swarm) for swarm in self._swarms))
        until(self._publisher, PUBACK)
        return at_ns, [msgspec.json.decode(line, type=Round) for line in lines]

    def resident_mb(self) -> tuple[float, float]:
        """Of the broker, and of all simulated nodes."""
        sizes = [psutil.Process(child.pid).memory_info().rss / 1e6 for child in self._running]
        return sizes[0], sum(sizes[1:])

    async def close(self) -> None:
        """End every process."""
        if self._publisher is not None:
            self._publisher.close()
        for child in reversed(self._running):
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()


@contextlib.asynccontextmanager
async def crowd(options: Options, nodes: int) -> AsyncIterator[tuple[Commune, Crowd]]:
    """Everything connected; more open files are allowed first."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < nodes + SPARE_FILES:
        raise OSError(f"the broker needs {nodes + SPARE_FILES} open files, {hard} are allowed here: raise it with `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = options.folder / "scale"
    folder.mkdir()
    commune = Commune(folder)
    there = Crowd(folder, commune, nodes)
    try:
        say(f"connecting {nodes} simulated nodes")
        await there.start()
        yield commune, there
    finally:
        await there.close()


async def run(options: Options) -> list[Figure]:
    """Rounds in turn: raw, verified as it comes, verified by each as if it had its own processor."""
    nodes, rounds = options.count(NODES, 2_000), options.count(10, 3)
    samples: dict[Mode, list[float]] = {"raw": [], "now": [], "later": []}
    cost_ms: list[float] = []
    refused = 0
    async with crowd(options, nodes) as (commune, there):
        modes: tuple[Mode, ...] = ("raw", "now", "later")
        for number in range(rounds):
            for mode in modes:
                order = commune.start("52", authority="52")
                raw = commune.seal_as(order, "officer", "second")
                topic, payload = (RAW_TOPIC, b"r" * len(raw)) if mode == "raw" else (order_topic(order), raw)
                at_ns, seen = await there.round(mode, topic, payload)
                ends = [end_ns for part in seen for end_ns in (part.arrived_ns if mode == "raw" else part.verified_ns)]
                samples[mode] += [ms(end_ns, at_ns) for end_ns in ends]
                cost_ms += [cost_ns / NS_A_MS for part in seen for cost_ns in part.cost_ns]
                refused += sum(part.refused for part in seen)
            say(f"{number + 1} of {rounds} rounds")
        broker_mb, nodes_mb = there.resident_mb()
    return _figures(samples, cost_ms, nodes * rounds, refused, f"broker {broker_mb:.0f} MB, simulated nodes {nodes_mb:.0f} MB")


def _figures(samples: dict[Mode, list[float]], cost_ms: list[float], expected: int, refused: int, memory: str) -> list[Figure]:
    limit = Limit("bare fan-out to the same connections", samples["raw"], TIMES)
    cost = judge("", cost_ms)
    shared = f"two signatures each, all on these {os.cpu_count()} cores beside the broker; plain TCP; {memory}"
    own = "arrival, and then each node's own processor time for its own verification: as if each had its processor"
    wrong = f"; {refused} REFUSED" if refused else ""

    def lost(mode: Mode) -> int:
        return expected - len(samples[mode]) + refused

    return [
        judge("order verified, nodes share these cores", samples["now"], limit=limit, lost=lost("now"), note=shared + wrong),
        judge("order verified, each node its own core", samples["later"], limit=limit, lost=lost("later"), note=own + wrong),
        judge("processor time of one verification", cost_ms, note=f"{cost.n} verifications, none shared"),
    ]
