"""What RAUC streams from, over real HTTPS with cut, stalled, slow and lying links: it sees a server that is merely slow."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import shutil
import ssl
from pathlib import Path
from typing import Self

import pytest

from controller import ca
from edge_agent.commands import Install
from edge_agent.drivers.slots import proxy as module
from edge_agent.drivers.slots import rauc
from edge_agent.drivers.slots.blocks import BLOCK_BYTES, Blocks
from edge_agent.drivers.slots.image import Running
from edge_agent.drivers.slots.proxied import ProxiedSlots
from edge_agent.drivers.slots.proxy import RangeProxy
from edge_agent.events import BundleBrought, InstallEnded, MediaReceived, SlotsChecked
from tests.fakes.ab_machine import Image, Machine
from tests.fakes.rauc import Service, private_bus
from tests.media_server import Manner, MediaServer, trusted_server
from tests.waiting import until

SIZE = 300_001
CONTENT = random.Random(5).randbytes(SIZE)


@pytest.fixture
def server(tmp_path):
    with trusted_server(tmp_path) as running:
        running.bundle = running.add(CONTENT)
        yield running


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.1)
    monkeypatch.setattr(module, "DISK_RESERVE_BYTES", 0)


class Streaming:
    """A proxy at work, and a client in RAUC's place."""

    def __init__(self, folder: Path, server: MediaServer, **more) -> None:
        self.server = server
        self.folder = folder / "bundle"
        self.events: list[MediaReceived] = []
        self.permits = 0
        context = ssl.create_default_context(cafile=folder / "ca" / ca.CERTIFICATE)
        self.proxy = RangeProxy(
            lambda: server.url,
            self.folder,
            lambda: context,
            self._permit,
            self.events.append,
            random.Random(2),
            **({"timeout_s": 1.0} | more),
        )

    def _permit(self, sha256: str) -> str:
        self.permits += 1
        return f"Loa {self.permits} {sha256[:4]}"

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.proxy.run())
        await until(lambda: self.proxy._port)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    def open(self, budget: int | None = None) -> None:
        self.proxy.open(Install(sha256=self.server.bundle, bytes=SIZE, manifest="3d" * 32, budget_bytes=budget))

    async def ask(self, words: str = "", method: str = "GET", path: str | None = None) -> tuple[int, bytes]:
        """One request on a connection of its own; status and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy._port)
        try:
            writer.write(f"{method} /{path or self.server.bundle} HTTP/1.1\r\nHost: x\r\n{words}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(next(line for line in head.split("\r\n") if line.startswith("Content-Length")).split(":")[1])
            body = await reader.readexactly(0 if method == "HEAD" else length)
            return int(head.split()[1]), body
        finally:
            writer.close()

    async def range(self, begin: int, end: int) -> bytes:
        status, body = await self.ask(f"Range: bytes={begin}-{end - 1}\r\n")
        assert status == 206
        return body

    @property
    def carried(self) -> int:
        return sum(event.bytes for event in self.events if isinstance(event, MediaReceived))

    def given(self) -> int:
        return sum(asked.given for asked in self.server.asked)


@pytest.fixture
async def streaming(tmp_path, server):
    async with Streaming(tmp_path, server) as made:
        yield made


async def test_ranges_come_as_asked_and_cost_the_link_their_blocks_alone(streaming: Streaming):
    streaming.open()
    for begin, end in ((0, 4), (100_000, 100_001), (SIZE - 5, SIZE), (8_191, 8_193)):
        assert await streaming.range(begin, end) == CONTENT[begin:end]
    assert streaming.given() <= 6 * BLOCK_BYTES
    assert await streaming.range(0, SIZE) == CONTENT


async def test_what_came_once_never_comes_again(streaming: Streaming):
    streaming.open()
    assert await streaming.range(5_000, 90_000) == CONTENT[5_000:90_000]
    asked = len(streaming.server.asked)
    assert await streaming.range(6_000, 80_000) == CONTENT[6_000:80_000]
    assert len(streaming.server.asked) == asked


async def test_a_link_that_breaks_is_taken_up_at_the_last_whole_block(streaming: Streaming):
    streaming.server.manners = [Manner(cut_after=size) for size in (10_000, 20_000, 0, 33_333)] + [Manner(status=503)]
    streaming.open()
    assert await streaming.range(0, SIZE) == CONTENT
    assert streaming.given() < SIZE + 6 * BLOCK_BYTES
    assert all(asked.begin % BLOCK_BYTES == 0 for asked in streaming.server.asked)


async def test_a_link_that_stalls_is_given_up_and_asked_anew(streaming: Streaming):
    streaming.server.manners = [Manner(stall_after=12_288)]
    streaming.open()
    assert await streaming.range(0, 50_000) == CONTENT[:50_000]
    assert len(streaming.server.asked) == 2


async def test_each_request_carries_a_permission_of_its_own(streaming: Streaming):
    streaming.open()
    await streaming.range(0, SIZE)
    permits = [asked.authorization for asked in streaming.server.asked]
    assert len(set(permits)) == len(permits) > 1


async def test_what_came_outlives_a_program_that_was_stopped(tmp_path, server):
    async with Streaming(tmp_path, server) as first:
        first.open()
        await first.range(0, 200_000)
        assert first.proxy.close(keep=True) == ""
    given = sum(asked.given for asked in server.asked)
    async with Streaming(tmp_path, server) as second:
        second.open()
        assert await second.range(0, SIZE) == CONTENT
    assert sum(asked.given for asked in server.asked) - given <= SIZE - 200_000 + BLOCK_BYTES


async def test_a_map_that_a_power_cut_left_behind_claims_no_block_that_is_not_there(tmp_path):
    blocks = Blocks(tmp_path / "b", "7c" * 32, SIZE)
    blocks.write(0, CONTENT[: 3 * BLOCK_BYTES])
    blocks.keep()
    blocks.write(3 * BLOCK_BYTES, CONTENT[3 * BLOCK_BYTES : 9 * BLOCK_BYTES])
    again = Blocks(tmp_path / "b", "7c" * 32, SIZE)
    assert again.missing(0, SIZE) == (3 * BLOCK_BYTES, SIZE)
    assert again.read(0, 3 * BLOCK_BYTES) == CONTENT[: 3 * BLOCK_BYTES]


def lay_whole(folder: Path, content: bytes = CONTENT) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{hashlib.sha256(CONTENT).hexdigest()}.whole").write_bytes(content)


async def test_a_bundle_that_was_brought_is_told_of_and_asks_nothing_of_the_link(tmp_path, server):
    lay_whole(tmp_path / "bundle")
    async with Streaming(tmp_path, server) as streaming:
        await until(lambda: BundleBrought(server.bundle) in streaming.events)
        streaming.open(budget=0)
        assert await streaming.range(0, SIZE) == CONTENT
        assert streaming.server.asked == []
        assert streaming.proxy.close(keep=True) == ""
        assert [path.suffix for path in streaming.folder.iterdir()] == [".whole"]
        streaming.open(budget=0)
        assert await streaming.range(5, SIZE) == CONTENT[5:], "it outlives an installation that was cut short"
        streaming.proxy.close(keep=False)
        assert list(streaming.folder.iterdir()) == []


async def test_a_bundle_that_is_brought_while_the_link_is_gone_goes_on_at_once(streaming: Streaming):
    streaming.server.manners = [Manner(cut_after=10_000), *(Manner(status=503) for _ in range(200))]
    streaming.open()
    asked = asyncio.create_task(streaming.range(0, SIZE))
    await until(lambda: len(streaming.server.asked) > 3)
    lay_whole(streaming.folder)
    assert await asyncio.wait_for(asked, 10) == CONTENT
    assert [path.suffix for path in streaming.folder.iterdir()] == [".whole"]


async def test_a_file_of_another_size_is_no_bundle_and_goes(tmp_path, server):
    lay_whole(tmp_path / "bundle", CONTENT[:-1])
    async with Streaming(tmp_path, server) as streaming:
        streaming.open()
        assert await streaming.range(0, 9_000) == CONTENT[:9_000]
        assert not list(streaming.folder.glob("*.whole"))


async def test_the_budget_of_the_sim_ends_it_and_what_came_is_kept(streaming: Streaming):
    streaming.open(budget=100_000)
    status, _ = await streaming.ask(f"Range: bytes=0-{BLOCK_BYTES - 1}\r\n")
    assert status == 206
    with pytest.raises(asyncio.IncompleteReadError):
        await streaming.range(0, SIZE)
    assert streaming.proxy.close(keep=False).startswith("budget")
    assert 100_000 <= streaming.carried < 150_000
    assert list(streaming.folder.glob("*.part"))


async def test_the_whole_bundle_at_once_is_refused_from_either_side(streaming: Streaming):
    streaming.open()
    status, _ = await streaming.ask()
    assert status == 416
    assert streaming.server.asked == []
    assert streaming.proxy.close(keep=False).startswith("whole")
    streaming.server.manners = [Manner(ranges=False)]
    streaming.open()
    status, _ = await streaming.ask("Range: bytes=0-3\r\n")
    assert status == 503
    assert streaming.proxy.close(keep=False).startswith("whole")
    assert streaming.carried < SIZE // 2


async def test_a_controller_that_refuses_is_asked_once_and_named(streaming: Streaming):
    streaming.server.manners = [Manner(status=403)]
    streaming.open()
    status, _ = await streaming.ask("Range: bytes=0-3\r\n")
    assert (status, len(streaming.server.asked)) == (503, 1)
    assert streaming.proxy.close(keep=False).startswith("refused: the controller answered 403")


async def test_an_order_has_the_link_to_itself_and_then_it_goes_on(streaming: Streaming):
    streaming.open()
    streaming.proxy.hold(held=True)
    task = asyncio.create_task(streaming.range(0, 50_000))
    await asyncio.sleep(0.1)
    assert (streaming.server.asked, task.done()) == ([], False)
    streaming.proxy.hold(held=False)
    assert await task == CONTENT[:50_000]


async def test_the_rate_is_kept_so_that_an_order_finds_room(tmp_path, server):
    async with Streaming(tmp_path, server, most_bytes_s=200_000) as streaming:
        streaming.open()
        begun_s = asyncio.get_running_loop().time()
        await streaming.range(0, 100_000)
        assert asyncio.get_running_loop().time() - begun_s >= 0.4


async def test_rauc_giving_up_on_a_dead_link_keeps_what_came_and_blames_the_link(streaming: Streaming):
    streaming.open()
    await streaming.range(0, 40_000)
    streaming.server.manners = [Manner(status=503)] * 10_000
    task = asyncio.create_task(streaming.range(100_000, 200_000))
    await until(lambda: len(streaming.server.asked) > 3)
    assert streaming.proxy.close(keep=False).startswith("link")
    assert list(streaming.folder.glob("*.map"))
    task.cancel()


async def test_what_rauc_refused_is_thrown_away_for_it_may_be_damaged(streaming: Streaming):
    streaming.open()
    await streaming.range(0, 40_000)
    assert streaming.proxy.close(keep=False) == ""
    assert list(streaming.folder.iterdir()) == []


async def test_only_one_bundle_lies_on_the_card(streaming: Streaming):
    streaming.open()
    await streaming.range(0, 40_000)
    streaming.proxy.close(keep=True)
    streaming.proxy.open(Install(sha256="ee" * 32, bytes=SIZE, manifest="3d" * 32))
    assert {path.name[:4] for path in streaming.folder.iterdir()} == {"eeee"}


async def test_nobody_gets_anything_but_the_bundle_under_way(streaming: Streaming):
    assert (await streaming.ask("Range: bytes=0-3\r\n"))[0] == 404
    streaming.open()
    assert (await streaming.ask("Range: bytes=0-3\r\n", path="ee" * 32))[0] == 404
    assert await streaming.ask(method="HEAD") == (200, b"")
    assert (await streaming.ask(f"Range: bytes={SIZE}-\r\n"))[0] == 416


class AnyBundle(dict):
    """At every address lies the same."""

    def __contains__(self, _address: object) -> bool:
        return True

    def __missing__(self, _address: str) -> tuple[Image, str]:
        return Image(build=7), "3d" * 32


@pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon carries what RAUC says (apt: dbus)")
async def test_rauc_streams_from_the_proxy_that_stands_between_it_and_the_controller(tmp_path, server, monkeypatch):
    machine = Machine(slots={"A": Image(build=6), "B": None})
    machine.boot()
    streaming = Streaming(tmp_path, server)
    monkeypatch.setattr(rauc, "running", lambda _path: Running("2026.11.6", 6))
    async with private_bus() as address:
        service = Service(machine)
        service.installer.bundles = AnyBundle()
        await service.open(address)
        slots = ProxiedSlots(streaming.events.append, streaming.proxy, bus_address=address)
        task = asyncio.create_task(slots.run())
        await until(lambda: any(isinstance(event, SlotsChecked) for event in streaming.events))
        slots.install(Install(sha256=server.bundle, bytes=SIZE, manifest="3d" * 32))
        await until(lambda: service.installer.asked)
        assert service.installer.asked == [f"http://127.0.0.1:{streaming.proxy._port}/{server.bundle}"]
        assert await streaming.range(0, 50_000) == CONTENT[:50_000]
        service.installer.go_on()
        ended = await until(lambda: [event for event in streaming.events if isinstance(event, InstallEnded)])
        assert (ended, machine.slots["B"]) == ([InstallEnded()], Image(build=7))
        assert list(streaming.folder.iterdir()) == [], "what is installed is not needed twice"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        service.die()
