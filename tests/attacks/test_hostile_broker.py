"""The broker is the enemy: it drops, delays, doubles, reorders, retains, injects and impersonates. Nothing false sounds."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import asdict

from protocol import topics
from protocol.envelope import payload_of
from protocol.orders import Text
from protocol.reports import Receipt
from tests.attacks.hostile_broker import HostileBroker
from tests.attacks.threatened import COMMUNE, Threatened
from tests.commune import AgentProcess, order_topic
from tests.flows.conftest import FIRST, SECOND
from tests.flows.hearing import LONG, SHORT, heard, is_silent, sounds
from tests.waiting import until


class Enemy:
    """The node's real program with nothing but the enemy at the other end."""

    def __init__(self, commune: Threatened, node: str, broker: HostileBroker) -> None:
        self.commune, self.node, self.broker = commune, node, broker
        self.wav = commune.wav(node)

    def results(self, incident: str) -> list[str]:
        return [one.result for one in self.told() if one.incident == incident]

    def told(self):
        for topic, raw in self.broker.said:
            if topic == topics.topic("receipt", node=self.node):
                receipt = payload_of(raw)
                assert isinstance(receipt, Receipt)
                yield from receipt.results

    def refusals(self) -> set[str]:
        return {one.reason.partition(":")[0] for one in self.told() if one.result == "refused"}

    async def came_to(self, incident: str, result: str) -> None:
        await until(lambda: result in self.results(incident), 30, f"{result} of {incident}")


@pytest.fixture
async def enemy(tmp_path):
    commune = Threatened(tmp_path / "commune")
    node = commune.add_node(FIRST)
    home = commune.folder / "tls"
    async with HostileBroker(commune.port, home / "broker.crt", home / "broker.key") as broker:
        with AgentProcess(commune.nodes[node]) as agent:
            await until(lambda: broker.there, 30, "the node reads its areas")
            yield Enemy(commune, node, broker)
            assert agent.child.poll() is None, "the agent lives"


async def test_what_it_doubles_reorders_retains_and_sends_again_after_a_reconnect_sounds_once(enemy):
    first = enemy.commune.start(FIRST, **SHORT)
    update = enemy.commune.start(FIRST, incident=first.incident, **SHORT)
    raws = [enemy.commune.seal_as(order) for order in (first, update)]
    for raw in (raws[1], raws[0], raws[1], raws[0]):
        enemy.broker.send(order_topic(first), raw, retain=True)
    await until(lambda: any(one.order_seq == update.seq and one.result == "ended" for one in enemy.told()), 30, "its end")
    enemy.broker.cut()
    await until(lambda: enemy.broker.connects >= 2 and enemy.broker.there, 60, "the node is back")
    before = len(heard(enemy.wav))
    for raw in raws:
        enemy.broker.send(order_topic(first), raw, retain=True)
        enemy.broker.send(topics.topic("offer", node=enemy.node, incident=first.incident), raw)
    await is_silent(enemy.wav, 2)
    assert len(heard(enemy.wav)) == before > 0
    begun = [one for one in enemy.told() if (one.order_seq, one.result) == (update.seq, "sounding")]
    assert len({one.spoken_at_ms for one in begun if one.spoken_at_ms}) == 1, "its words began once"


async def test_what_it_held_back_too_long_is_refused_and_a_stop_that_it_held_back_harms_nobody(enemy):
    late = enemy.commune.start(FIRST, **SHORT)
    raw = enemy.commune.seal_as(type(late)(**_with(late, accept_until_ms=late.seq + 1_500)))
    held_stop = enemy.commune.stop(FIRST, late.incident)
    held_all = enemy.commune.stop(COMMUNE)
    await asyncio.sleep(2)
    enemy.broker.send(order_topic(late), raw)
    await enemy.came_to(late.incident, "refused")
    assert heard(enemy.wav) == []
    new = enemy.commune.start(FIRST, **LONG)
    enemy.broker.send(order_topic(new), enemy.commune.seal_as(new))
    await enemy.came_to(new.incident, "sounding")
    for stop in (held_stop, held_all):
        enemy.broker.send(order_topic(stop), enemy.commune.seal_as(stop))
    await until(lambda: any(one.incident is None for one in enemy.told()), what="the STOP is answered")
    assert enemy.results(new.incident)[-1] == "sounding", "a STOP from before it does not end it"
    assert enemy.refusals() == {"expired"}


async def test_what_it_makes_up_or_sends_astray_is_refused_and_the_next_true_order_sounds(enemy):
    commune, node = enemy.commune, enemy.node
    start = commune.start(FIRST, **SHORT)
    raw = commune.seal_as(start)
    sibling = commune.start(SECOND, **SHORT)
    enemy.broker.send(order_topic(start), commune.seal_as(start, "chair"))  # a hand without that power
    enemy.broker.send(order_topic(start), raw.replace(b'"sig":"', b'"sig":"A', 1))
    enemy.broker.send(topics.topic("order", area=COMMUNE, incident=start.incident), raw)
    enemy.broker.send(topics.topic("programme", area=COMMUNE, authority=COMMUNE), raw)
    enemy.broker.send(topics.topic("offer", node=node, incident=sibling.incident), commune.seal_as(sibling))
    enemy.broker.send(order_topic(sibling), commune.seal_as(sibling))
    enemy.broker.send(topics.topic("document", node=node), raw)
    enemy.broker.send(order_topic(start), b"x" * 140_000)
    enemy.broker.send("loa/2/anything", raw)
    enemy.broker.send("$SYS/broker/uptime", raw)
    enemy.broker.send(topics.topic("records", node=node), b'{"upto":4294967295}')
    enemy.broker.send(order_topic(start), b"")
    await until(
        lambda: {"not-empowered", "malformed", "wrong-type", "not-mine"} <= enemy.refusals() | _once(enemy), 20, "refusals"
    )
    assert heard(enemy.wav) == []
    true = commune.start(FIRST, **SHORT)
    enemy.broker.send(order_topic(true), commune.seal_as(true))
    await enemy.came_to(true.incident, "sounding")
    await sounds(enemy.wav, 0)


def _once(enemy) -> set[str]:
    return {one.reason.partition(":")[0] for one in enemy.told()}


async def test_a_topic_alias_leads_nothing_astray(enemy):
    commune = enemy.commune
    start = commune.start(FIRST, **SHORT)
    enemy.broker.send("loa/2/elsewhere", b"x", alias=1)
    enemy.broker.send("", commune.seal_as(start), alias=1)
    true = commune.start(FIRST, **SHORT)
    enemy.broker.send(order_topic(true), commune.seal_as(true))
    await enemy.came_to(true.incident, "sounding")
    assert enemy.results(start.incident) == []


async def test_bytes_that_are_no_mqtt_cost_the_connection_and_nothing_else(enemy):
    commune = enemy.commune
    for data in (b"\xf0\xff\xff\xff\x7f" + b"\0" * 100, b"\x30\x02\xff\xff", b"\x00" * 50):
        connects = enemy.broker.connects
        enemy.broker.raw(data)
        await asyncio.sleep(0.2)
        enemy.broker.cut()
        await until(lambda connects=connects: enemy.broker.connects > connects and enemy.broker.there, 60, "the node is back")
    start = commune.start(FIRST, text=(Text(lang="vi", text="Lũ."),), repeats=1)
    enemy.broker.send(order_topic(start), commune.seal_as(start))
    await enemy.came_to(start.incident, "sounding")


async def test_a_broker_that_acknowledges_nothing_does_not_keep_an_order_from_sounding(enemy):
    enemy.broker.deaf = True
    start = enemy.commune.start(FIRST, **SHORT)
    enemy.broker.send(order_topic(start), enemy.commune.seal_as(start))
    await sounds(enemy.wav, 0)


def _with(struct, **fields) -> dict:
    return asdict(struct) | fields
