"""The link, with a real mosquitto over TLS and a TCP proxy that does what a mobile network does."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from controller import ca
from edge_agent.drivers import broker
from edge_agent.drivers.broker import Broker, Credentials
from edge_agent.events import Arrived, LinkDown, LinkUp
from protocol import topics
from protocol.documents import Endpoint
from tests.commune import Commune, free_port
from tests.office import Office
from tests.proxy import Proxy
from tests.waiting import until

BOOT = 3
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
"""paho leaves a socket whose handshake failed to the garbage collector, which closes it at once."""


class Linked:
    """A driver at work, with what it emitted."""

    def __init__(
        self, commune: Commune, node: str, *, port: int | None = None, usable: bool = True, ca_file=None, **more
    ) -> None:
        home = commune.nodes[node].parent
        self.events: list[object] = []
        self.order_topic = topics.topic("offer", node=node, incident="00000000000000a1")
        self.driver = Broker(
            node,
            commune.host,
            port or commune.port,
            Credentials(ca_file or home / "ca.pem", home / "node.crt", home / "node.key"),
            boot_count=BOOT,
            clock_usable=lambda: usable,
            emit=self.events.append,
            chance=random.Random(5),
            **more,
        )

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    async def happened(self, kind: type, times: int = 1, within_s: float = 20) -> list:
        await until(lambda: len(self.of(kind)) >= times, within_s, f"{kind.__name__} x {times}")
        return self.of(kind)


@asynccontextmanager
async def at_work(linked: Linked):
    task = asyncio.create_task(linked.driver.run())
    try:
        yield linked
    finally:
        task.cancel()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 20)


@pytest.fixture
def node(commune) -> str:
    return commune.add_node("52.24076.001")


async def _subscribed(linked: Linked, times: int = 1) -> None:
    """Connected, and reading its orders: proved by a message that came."""
    await linked.happened(LinkUp, times)
    linked.driver.subscribe((linked.order_topic,))


async def test_a_message_that_was_not_acknowledged_comes_again_after_a_reset_and_one_that_was_does_not(commune, node):
    async with Office(commune) as office, Proxy(commune.port) as proxy, at_work(Linked(commune, node, port=proxy.port)) as linked:
        await _subscribed(linked)
        await asyncio.sleep(0.3)
        for payload in (b"one", b"two", b"three"):
            await office.publish(linked.order_topic, payload)
        first = await linked.happened(Arrived, 3)
        assert [event.raw for event in first] == [b"one", b"two", b"three"]
        linked.driver.acknowledge(first[0].ref)
        linked.driver.acknowledge(first[1].ref)
        await asyncio.sleep(0.3)
        proxy.reset()
        await linked.happened(LinkDown)
        linked.driver.acknowledge(first[2].ref)  # too late: it was of the connection that is gone
        await linked.happened(LinkUp, 2)
        again = await linked.happened(Arrived, 4)
        assert again[3].raw == b"three"
        assert again[3].ref not in {event.ref for event in first}
        linked.driver.acknowledge(again[3].ref)
        await asyncio.sleep(0.3)
        proxy.reset()
        await linked.happened(LinkUp, 3)
        await asyncio.sleep(1)
        assert len(linked.of(Arrived)) == 4


async def test_what_was_sent_while_it_was_away_waits_in_the_session(commune, node):
    async with Office(commune) as office, Proxy(commune.port) as proxy, at_work(Linked(commune, node, port=proxy.port)) as linked:
        await _subscribed(linked)
        await asyncio.sleep(0.3)
        proxy.refusing = True
        proxy.reset()
        await linked.happened(LinkDown)
        await office.publish(linked.order_topic, b"while away")
        proxy.refusing = False
        assert (await linked.happened(Arrived))[0].raw == b"while away"


async def test_birth_and_will_carry_one_number_and_each_connection_its_own(commune, node):
    async with Office(commune) as office, Proxy(commune.port) as proxy:
        async with at_work(Linked(commune, node, port=proxy.port)) as linked:
            first = (await linked.happened(LinkUp))[0].birth
            await until(lambda: office.alive, what="birth")
            proxy.refusing = True
            proxy.reset()
            await until(lambda: not office.alive[-1].online, what="will")
            proxy.refusing = False
            second = (await linked.happened(LinkUp, 2))[1].birth
            await until(lambda: office.alive[-1].online, what="second birth")
        await until(lambda: not office.alive[-1].online, what="goodbye")
    told = [(alive.birth, alive.online) for alive in office.alive]
    assert told == [(first, True), (first, False), (second, True), (second, False)]
    assert BOOT * 1_000_000 < first < second < (BOOT + 1) * 1_000_000


async def test_a_half_open_connection_is_noticed_and_replaced(commune, node):
    async with Proxy(commune.port) as proxy, at_work(Linked(commune, node, port=proxy.port, keep_alive_s=2)) as linked:
        await linked.happened(LinkUp)
        proxy.freeze()
        await linked.happened(LinkDown, within_s=20)
        proxy.thaw()
        await linked.happened(LinkUp, 2, within_s=30)


async def test_it_ends_at_once_on_a_half_open_connection_too(commune, node):
    async with Proxy(commune.port) as proxy:
        linked = Linked(commune, node, port=proxy.port)
        task = asyncio.create_task(linked.driver.run())
        await linked.happened(LinkUp)
        proxy.freeze()
        began_s = time.monotonic()
        task.cancel()
        await asyncio.wait([task], timeout=15)
        assert task.cancelled()
        assert time.monotonic() - began_s < 10


async def test_it_waits_for_a_broker_that_is_not_there_yet(commune, node):
    await commune.broker.kill()
    async with at_work(Linked(commune, node)) as linked:
        await asyncio.sleep(1)
        assert linked.events == []
        await commune.broker.start()
        await linked.happened(LinkUp)


async def test_a_broker_without_memory_gets_a_new_session_and_subscriptions(commune, node):
    async with Office(commune) as office, at_work(Linked(commune, node)) as linked:
        await _subscribed(linked)
        await commune.broker.restart_empty()
        await _subscribed(linked, 2)
        await asyncio.sleep(0.5)
        await office.publish(linked.order_topic, b"after all")
        assert (await linked.happened(Arrived))[0].raw == b"after all"


async def test_what_is_said_without_a_link_is_dropped_and_a_flood_leaves_the_link_alive(commune, node):
    async with Office(commune) as office:
        linked = Linked(commune, node)
        linked.driver.publish(topics.topic("health", node=node), b"{}")
        async with at_work(linked):
            await linked.happened(LinkUp)
            for _ in range(2_000):
                linked.driver.publish(topics.topic("alive", node=node), b'{"node":"%s","birth":1,"online":true}' % node.encode())
            await until(lambda: len(office.alive) > 100)
            await asyncio.sleep(0.5)
            assert linked.of(LinkDown) == []
        assert office.health == []


async def test_told_to_go_elsewhere_it_says_that_it_goes_and_is_linked_there(commune, node):
    async with (
        Office(commune) as office,
        Proxy(commune.port) as here,
        Proxy(commune.port) as there,
        at_work(Linked(commune, node, port=here.port)) as linked,
    ):
        await linked.happened(LinkUp)
        await until(lambda: office.alive, what="birth")
        linked.driver.go_to((Endpoint(host=commune.host, port=there.port),))
        await linked.happened(LinkDown)
        await until(lambda: len(office.alive) > 1, what="goodbye")
        assert [alive.online for alive in office.alive[:2]] == [True, False]
        await linked.happened(LinkUp, 2)
        assert (here.accepted, there.accepted) == (1, 1)
        linked.driver.go_to(())
        await linked.happened(LinkUp, 3)
        assert (here.accepted, there.accepted) == (2, 1)


async def test_of_several_addresses_it_takes_the_first_that_answers_and_begins_at_the_first_after_each_long_link(
    commune, node, monkeypatch
):
    monkeypatch.setattr(broker, "LONGEST_WAIT_S", 1.0)
    async with Proxy(commune.port) as first, Proxy(commune.port) as second:
        first.refusing = True
        linked = Linked(commune, node)
        linked.driver.go_to(tuple(Endpoint(host=commune.host, port=proxy.port) for proxy in (first, second)))
        async with at_work(linked):
            await linked.happened(LinkUp)
            assert (first.accepted, second.accepted) == (0, 1)
            first.refusing = False
            await asyncio.sleep(1.2)
            second.reset()
            await linked.happened(LinkUp, 2)
            assert (first.accepted, second.accepted) == (1, 1)


async def test_told_to_go_while_nobody_answers_it_goes_at_once(commune, node, monkeypatch):
    monkeypatch.setattr(broker, "FIRST_WAIT_S", 60.0)
    linked = Linked(commune, node, port=free_port())
    async with at_work(linked):
        await asyncio.sleep(0.5)
        linked.driver.go_to((Endpoint(host=commune.host, port=commune.port),))
        await linked.happened(LinkUp, within_s=10)


async def test_a_broker_of_another_ca_is_refused_whatever_the_clock(commune, node, tmp_path):
    ca.create_ca(tmp_path / "other", "another CA")
    for usable in (True, False):
        async with at_work(Linked(commune, node, usable=usable, ca_file=tmp_path / "other" / ca.CERTIFICATE)) as linked:
            await asyncio.sleep(1.5)
            assert linked.events == []


@pytest.mark.parametrize("begins", [-400, 30], ids=["expired", "not yet valid"])
async def test_certificate_dates_count_only_when_the_clock_can_tell(tmp_path, begins):
    commune = Commune(tmp_path / "commune")
    then = datetime.now(UTC) + timedelta(days=begins)
    issued = ca.issue(commune.ca, "broker", server_names=(commune.host,), days=10, now=then)
    for name, pem in (("broker.crt", issued.cert_pem), ("broker.key", issued.key_pem)):
        (commune.broker.config.conf.parent / name).write_bytes(pem)
    node = commune.add_node("52.24076.001")
    child = await asyncio.create_subprocess_exec(
        "/usr/sbin/mosquitto", "-c", str(commune.broker.config.conf), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with at_work(Linked(commune, node, usable=False)) as linked:
            await linked.happened(LinkUp)
        async with at_work(Linked(commune, node, usable=True)) as linked:
            await asyncio.sleep(1.5)
            assert linked.events == []
    finally:
        child.kill()
        await child.wait()
