"""The bare peer: one TLS publisher, some TLS subscribers with open connections, QoS 1, and nothing else between them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Self

import aiomqtt

from controller import ca
from tests.bench.measure import ms
from tests.bench.office import Office
from tests.bench.place import ROOT, Options

TOPIC = "loa/1/area/{name}/order/bare"
NUMBER_BYTES = 8


def name_of(number: int) -> str:
    """The certificate's name of one subscriber."""
    return f"bare-{number}"


class Bare:
    """The publisher here, the subscribers in a process of their own where the nodes are."""

    def __init__(self, office: Office, subscribers: int, options: Options) -> None:
        self._office = office
        self._count = subscribers
        self._across = options.across
        self._sent_ns: dict[int, int] = {}
        self._came_ns: dict[int, int] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        for number in range(self._count):
            folder = self._office.issue(name_of(number))[0].parent
        name, cert, key = self._office.operator()
        words = [*self._across, sys.executable, "-m", "tests.bench.bare", "--host", self._office.host]
        words += ["--port", str(self._office.port), "--folder", str(folder), "--ca", str(self._office.ca_file)]
        words += ["--subscribers", str(self._count)]
        self._child = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
        assert self._child.stdout is not None
        await asyncio.wait_for(self._child.stdout.readline(), 60)
        self._reader = asyncio.create_task(self._read(self._child.stdout))
        self._client = await self._open.enter_async_context(
            aiomqtt.Client(
                self._office.host,
                self._office.port,
                identifier=name,
                protocol=aiomqtt.ProtocolVersion.V5,
                tls_context=ca.client_context(self._office.ca_file, cert, key),
            )
        )
        return self

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            number, at_ns = line.split()
            self._came_ns.setdefault(int(number), int(at_ns))

    @property
    def sent(self) -> int:
        """How many messages were published."""
        return len(self._sent_ns)

    def send(self, subscriber: int, size_bytes: int) -> None:
        """Publish one message of that size; its acknowledgement is waited for aside."""
        number = len(self._sent_ns)
        payload = b"%08d" % number + b"x" * (size_bytes - NUMBER_BYTES)
        self._sent_ns[number] = time.monotonic_ns()
        task = asyncio.create_task(
            self._client.publish(TOPIC.format(name=name_of(subscriber)), payload, qos=1, timeout=30), name=f"bare {number}"
        )
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def delays_ms(self) -> list[float]:
        """From before the publish to its arrival in the subscriber's process."""
        return [ms(came_ns, self._sent_ns[number]) for number, came_ns in self._came_ns.items()]

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._open.aclose()
        self._reader.cancel()
        if self._child.returncode is None:
            self._child.kill()
            await self._child.wait()


async def subscribe(args: argparse.Namespace) -> None:
    """Hold the connections and say when what came."""

    async def one(number: int, ready: asyncio.Event) -> None:
        cert, key = args.folder / f"{name_of(number)}.crt", args.folder / f"{name_of(number)}.key"
        context = ca.client_context(args.ca, cert, key)
        async with aiomqtt.Client(
            args.host, args.port, identifier=name_of(number), protocol=aiomqtt.ProtocolVersion.V5, tls_context=context
        ) as client:
            await client.subscribe(TOPIC.format(name=name_of(number)), qos=1, timeout=30)
            ready.set()
            async for message in client.messages:
                now_ns = time.monotonic_ns()
                payload = message.payload if isinstance(message.payload, bytes) else b"0"
                sys.stdout.write(f"{int(payload[:NUMBER_BYTES])} {now_ns}\n")
                sys.stdout.flush()

    async with asyncio.TaskGroup() as group:
        for number in range(args.subscribers):
            ready = asyncio.Event()
            group.create_task(one(number, ready))
            await ready.wait()
        sys.stdout.write("ready\n")
        sys.stdout.flush()


def main() -> None:
    """Subscribe until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--subscribers", type=int, required=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(subscribe(parser.parse_args()))


if __name__ == "__main__":
    main()
