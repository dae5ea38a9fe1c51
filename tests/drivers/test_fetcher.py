"""Media over real HTTPS with ranges: what a bad link, a bad server and a power cut do to a file, and what they do not."""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controller import ca
from edge_agent.commands import Want
from edge_agent.drivers import fetcher as module
from edge_agent.drivers.fetcher import Fetcher
from edge_agent.events import MediaEvicted, MediaFailed, MediaReceived, MediaStored
from tests.media_server import Manner, MediaServer, trusted_server
from tests.waiting import until

SIZE = 300_000
CONTENT = random.Random(3).randbytes(SIZE)


@pytest.fixture
def server(tmp_path):
    with trusted_server(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.05)


class Fetching:
    """A fetcher at work, and all that it emitted."""

    def __init__(self, tmp_path: Path, url: str, **more) -> None:
        self.url = url
        self.folder = tmp_path / "media"
        self.folder.mkdir(exist_ok=True)
        self.events: list[object] = []
        context = ssl.create_default_context(cafile=tmp_path / "ca" / ca.CERTIFICATE)
        more = {"disk_reserve_bytes": 0} | more
        self.driver = Fetcher(
            lambda: self.url,
            self.folder,
            lambda: context,
            lambda sha: f"Loa {sha[:4]}",
            self.events.append,
            random.Random(2),
            **more,
        )

    def want(self, *names: str, size: int = SIZE) -> None:
        self.driver.fetch(tuple(Want(name, size) for name in names))

    def kept(self, name: str) -> Path:
        return self.folder / name[:2] / f"{name}.mka"

    def part(self, name: str) -> Path:
        return self.folder / "part" / f"{name}.part"

    def failures(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, MediaFailed)]

    async def stored(self, name: str, within_s: float = 20) -> None:
        await until(lambda: MediaStored(name) in self.events, within_s, "stored")
        assert hashlib.sha256(self.kept(name).read_bytes()).hexdigest() == name
        assert not self.part(name).exists()

    async def failed(self, times: int = 1) -> str:
        await until(lambda: len(self.failures()) >= times, what="failure")
        return self.failures()[-1]


@asynccontextmanager
async def at_work(tmp_path: Path, server: MediaServer, **more):
    fetching = Fetching(tmp_path, server.url, **more)
    task = asyncio.create_task(fetching.driver.run())
    try:
        yield fetching
    finally:
        began_s = time.monotonic()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()
        assert time.monotonic() - began_s < 5, "a fetch under way must not hold the end of the agent"


async def test_a_file_is_fetched_under_this_nodes_word_and_kept_by_its_digest(tmp_path, server):
    name = server.add(CONTENT)
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name)
        await fetching.stored(name)
    assert [(asked.begin, asked.authorization) for asked in server.asked] == [(0, f"Loa {name[:4]}")]


async def test_the_next_try_goes_to_where_the_files_are_by_then(tmp_path, server):
    name = server.add(CONTENT)
    async with at_work(tmp_path, server) as fetching:
        fetching.url = "https://127.0.0.1:1"
        fetching.want(name)
        await fetching.failed()
        fetching.url = server.url
        await fetching.stored(name)


async def test_a_cut_connection_goes_on_where_it_was(tmp_path, server):
    name = server.add(CONTENT)
    server.manners += [Manner(cut_after=100_000), Manner(cut_after=50_000), Manner(cut_after=0)]
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name)
        await fetching.stored(name)
    assert [asked.begin for asked in server.asked] == [0, 100_000, 150_000, 150_000]
    assert sum(asked.given for asked in server.asked) == SIZE


async def test_a_server_without_ranges_begins_again(tmp_path, server):
    name = server.add(CONTENT)
    server.manners += [Manner(cut_after=100_000), Manner(ranges=False)]
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name)
        await fetching.stored(name)


async def test_wrong_bytes_are_thrown_away_reported_and_never_kept(tmp_path, server):
    name = server.add(CONTENT)
    server.manners += [Manner(lies=True), Manner(cut_after=1_000), Manner(lies=True)]
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name)
        assert "not those that the programme names" in await fetching.failed()
        assert not fetching.kept(name).exists()
        await fetching.stored(name)
    assert len(fetching.failures()) == 3


async def test_a_body_without_end_is_read_no_further_than_its_size(tmp_path, server):
    name = server.add(CONTENT, "5a" * 32)
    server.manners += [Manner(endless=True)] * 2
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name)
        assert "thrown away" in await fetching.failed()
        assert not fetching.kept(name).exists()
    assert server.asked[0].given < SIZE + 4_000_000


async def test_an_empty_or_short_file_is_never_kept(tmp_path, server):
    short, empty = server.add(CONTENT[:10_000], "aa" * 32), server.add(b"", "bb" * 32)
    async with at_work(tmp_path, server) as fetching:
        fetching.want(short, empty)
        await until(
            lambda: {event.sha256 for event in fetching.events if isinstance(event, MediaFailed)} == {short, empty},
            what="both failures",
        )
        assert not any(isinstance(event, MediaStored) for event in fetching.events)
        assert not fetching.kept(short).exists()


@pytest.mark.parametrize("status", [403, 404, 500, 302])
async def test_a_refusal_is_reported_and_tried_again(tmp_path, server, status):
    name = server.add(CONTENT)
    server.manners += [Manner(status=status)] * 2
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name)
        assert f"answered {status}" in await fetching.failed(2)
        await fetching.stored(name)


async def test_one_file_that_cannot_be_had_does_not_hold_up_the_others(tmp_path, server):
    good = server.add(CONTENT)
    async with at_work(tmp_path, server) as fetching:
        fetching.want("cc" * 32, good)
        await fetching.stored(good)
        assert any("404" in reason for reason in fetching.failures())


async def test_a_stalled_server_is_given_up(tmp_path, server):
    name = server.add(CONTENT)
    server.manners += [Manner(stall_after=40_960)]
    async with at_work(tmp_path, server, timeout_s=0.5) as fetching:
        fetching.want(name)
        assert "timed out" in await fetching.failed()
        await fetching.stored(name)
    assert server.asked[1].begin == 40_960


async def test_nobody_there_is_reported_and_tried_again(tmp_path, server):
    fetching = Fetching(tmp_path, "https://127.0.0.1:9")
    task = asyncio.create_task(fetching.driver.run())
    fetching.want("dd" * 32)
    await fetching.failed(2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_server_of_another_ca_gets_no_word_of_ours(tmp_path, server):
    name = server.add(CONTENT)
    ca.create_ca(tmp_path / "other", "another")
    (tmp_path / "ca" / ca.CERTIFICATE).write_bytes((tmp_path / "other" / ca.CERTIFICATE).read_bytes())
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name)
        assert "CERTIFICATE_VERIFY_FAILED" in await fetching.failed()
    assert server.asked == []


@pytest.mark.parametrize("manner", [Manner(bytes_a_second=200_000), Manner(stall_after=20_480)], ids=["flowing", "stalled"])
async def test_an_order_gets_the_link_at_once_and_the_fetch_goes_on_where_it_was(tmp_path, server, manner):
    name = server.add(CONTENT)
    server.manners.append(manner)
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name)
        await until(lambda: fetching.part(name).exists() and server.asked and server.asked[0].given > 16_000)
        await asyncio.sleep(0.2)
        began_s = time.monotonic()
        fetching.driver.hold(held=True)
        await until(lambda: fetching.driver._current is None, what="letting go")
        assert time.monotonic() - began_s < 0.5
        await asyncio.sleep(0.3)
        assert len(server.asked) == 1
        fetching.driver.hold(held=False)
        await fetching.stored(name)
    assert fetching.failures() == []
    assert server.asked[1].begin > 0
    assert server.asked[1].begin + server.asked[1].given == SIZE


async def test_what_is_no_longer_wanted_is_left_and_what_is_urgent_goes_first(tmp_path, server):
    slow, urgent = server.add(CONTENT), server.add(CONTENT[::-1])
    server.manners.append(Manner(bytes_a_second=100_000))
    async with at_work(tmp_path, server) as fetching:
        fetching.want(slow)
        await until(lambda: server.asked and server.asked[0].given > 8_000)
        fetching.want(urgent, slow)
        await fetching.stored(urgent)
        await fetching.stored(slow)
    assert [asked.sha256 for asked in server.asked] == [slow, urgent, slow]
    assert fetching.failures() == []


async def test_the_cards_reserve_is_not_touched_and_what_nobody_wants_gives_way(tmp_path, server):
    name = server.add(CONTENT)
    async with at_work(tmp_path, server, disk_reserve_bytes=2**60) as fetching:
        old = fetching.part("ee" * 32)
        old.parent.mkdir()
        old.write_bytes(b"old")
        fetching.want(name)
        assert "no room" in await fetching.failed()
        assert not old.exists()
    assert server.asked == []


def test_killed_at_any_instant_it_goes_on_with_what_is_there(tmp_path, server):
    name = server.add(CONTENT)
    chance = random.Random(8)
    server.manners += [Manner(bytes_a_second=250_000)] * 3
    fetching = Fetching(tmp_path, server.url)
    words = [server.url, str(fetching.folder), str(tmp_path / "ca" / ca.CERTIFICATE), name, str(SIZE)]
    for round_ in range(3):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.drivers.fetch_process", *words], cwd=Path(__file__).parents[2]
        ) as child:
            deadline_s = time.monotonic() + 20
            while len(server.asked) <= round_ or server.asked[round_].given < 20_000:
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.1))
            child.kill()

    async def go_on() -> None:
        async with at_work(tmp_path, server) as again:
            again.want(name)
            await again.stored(name)

    asyncio.run(go_on())
    begins = [asked.begin for asked in server.asked]
    assert begins == sorted(begins)
    assert begins[-1] > 20_000


async def test_a_part_that_was_damaged_on_the_card_is_thrown_away_and_fetched_anew(tmp_path, server):
    name = server.add(CONTENT)
    async with at_work(tmp_path, server) as fetching:
        fetching.part(name).parent.mkdir()
        fetching.part(name).write_bytes(b"\0" * 120_000)
        fetching.want(name)
        await fetching.stored(name)
    assert [asked.begin for asked in server.asked] == [120_000, 0]


# --- what it costs, and what makes room ---


def counted(fetching: Fetching) -> int:
    return sum(event.bytes for event in fetching.events if isinstance(event, MediaReceived))


async def test_what_the_link_carried_is_told_of_whole_files_of_parts_and_of_tries_that_came_to_nothing(tmp_path, server):
    name = server.add(CONTENT)
    server.manners += [Manner(cut_after=100_000), Manner(status=500)]
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name)
        await fetching.stored(name)
        await until(lambda: counted(fetching) > SIZE, what="the last count")
        before = counted(fetching)
        missing = "cc" * 32
        fetching.want(missing)
        await fetching.failed(3)
        await until(lambda: counted(fetching) > before, what="the count of a refusal")
    assert SIZE + 3 * 1_000 < before < SIZE + 3 * 20_000, "handshakes, headers and TLS of three tries beside the file"


async def test_a_long_file_is_told_in_pieces(tmp_path, server, monkeypatch):
    monkeypatch.setattr(module, "TELL_EVERY_BYTES", 50_000)
    name = server.add(CONTENT)
    server.manners.append(Manner(stall_after=200_000))
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name)
        await until(lambda: counted(fetching) >= 150_000, what="the pieces so far")
        assert MediaStored(name) not in fetching.events


async def test_a_budget_ends_a_fetch_in_the_middle_and_more_of_it_lets_it_go_on_where_it_was(tmp_path, server):
    name = server.add(CONTENT)
    async with at_work(tmp_path, server) as fetching:
        fetching.driver.fetch((Want(name, SIZE),), 100_000)
        await until(lambda: counted(fetching) >= 100_000, what="the budget's end")
        await asyncio.sleep(0.3)
        assert len(server.asked) == 1
        assert 100_000 <= counted(fetching) < 180_000, "what was under way in the socket's buffers comes on top"
        assert fetching.failures() == []
        fetching.driver.fetch((Want(name, SIZE),), SIZE)
        await fetching.stored(name)
    assert 100_000 <= server.asked[1].begin < 120_000


async def test_an_evicted_file_is_gone_and_comes_anew_when_it_is_wanted_again(tmp_path, server):
    name, other = server.add(CONTENT), server.add(CONTENT[::-1])
    async with at_work(tmp_path, server) as fetching:
        fetching.want(name, other)
        await fetching.stored(name)
        await fetching.stored(other)
        fetching.driver.hold(held=True)
        fetching.driver.evict((name, "ee" * 32))
        await until(lambda: MediaEvicted("ee" * 32) in fetching.events, what="eviction while the link is held")
        assert not fetching.kept(name).exists()
        assert fetching.kept(other).exists()
        fetching.driver.hold(held=False)
        fetching.events.clear()
        fetching.driver.evict((other,))
        fetching.want(name, other)
        await fetching.stored(name)
        await fetching.stored(other)
    assert fetching.events.index(MediaEvicted(other)) < fetching.events.index(MediaStored(other))


async def test_a_file_that_cannot_be_removed_is_told_as_a_failure_not_as_gone(tmp_path, server):
    name = "ab" * 32
    async with at_work(tmp_path, server) as fetching:
        fetching.kept(name).mkdir(parents=True)
        fetching.driver.evict((name,))
        assert "cannot be taken off the card" in await fetching.failed()
        assert MediaEvicted(name) not in fetching.events
