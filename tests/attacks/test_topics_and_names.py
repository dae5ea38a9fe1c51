"""Topics and names, judged by what the real broker delivers: a stolen card reads and writes under its own name and no other."""

from __future__ import annotations

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from controller.ca import CaError, issue
from tests.controller.test_mosquitto import AREA, INCIDENT, NODE, OTHER, Ear, Site, be_until_cut, running

SECRET = [
    f"loa/1/node/{OTHER}/document",
    f"loa/1/node/{OTHER}/order/{INCIDENT}",
    f"loa/1/node/{OTHER}/receipt",
    f"loa/1/node/{OTHER}/hello",
    "loa/1/other",
]
FILTERS = ["#", "+/#", "loa/#", "loa/1/+/+/#", "loa/1/node/+/+", "loa/1/node/#", f"loa/1/node/{OTHER}/#", "$SYS/#", "$share/g/#"]
FILTERS += [f"$share/g/loa/1/node/{OTHER}/#", "$share/g/loa/1/node/+/+", "/#", "loa/1/node//document", "$SYS/broker/clients/+"]


async def test_no_filter_shows_a_node_what_is_said_to_or_by_another(tmp_path):
    async with running(tmp_path) as site, site.client("controller") as controller, site.client(NODE) as node:
        for name in FILTERS:
            try:
                await node.subscribe(name, qos=1)
            except aiomqtt.MqttError:
                continue  # refused outright is as good
        for topic in SECRET:
            await controller.publish(topic, b"secret", qos=1)
            await controller.publish(topic, b"secret kept", qos=1, retain=True)
        await controller.publish(f"loa/1/node/{NODE}/document", b"fence", qos=1)
        assert [
            topic for topic, payload in await Ear(node).until_fence() if b"secret" in payload or topic.startswith("$SYS")
        ] == []


def will(topic: str) -> aiomqtt.Will:
    return aiomqtt.Will(topic, b"last lie", qos=1, retain=True)


@pytest.mark.parametrize("topic", [f"loa/1/area/{AREA}/order/{INCIDENT}", f"loa/1/node/{OTHER}/alive", "loa/1/trust/root"])
async def test_a_will_on_anothers_topic_is_never_delivered(tmp_path, topic):
    async with running(tmp_path) as site, site.client("controller") as controller:
        await controller.subscribe("loa/1/#", qos=1)
        ear = Ear(controller)

        async def go_without_a_word(node: aiomqtt.Client) -> None:
            await node.publish(f"loa/1/node/{NODE}/alive", b"born", qos=1)
            await ear.until(lambda _topic, payload: payload == b"born")
            node._client.socket().shutdown(2)

        with pytest.raises(aiomqtt.MqttError):
            await be_until_cut(site.client(NODE, will=will(topic)), go_without_a_word)
        async with site.client(NODE) as again:  # its session ends, and with it the will's delay
            await again.publish(f"loa/1/node/{NODE}/alive", b"fence", qos=1)
            assert [heard for heard, payload in await ear.until_fence() if payload == b"last lie"] == []


async def test_an_alias_of_an_allowed_topic_cannot_be_bent_to_another(tmp_path):
    async with running(tmp_path) as site, site.client("controller") as controller:
        await controller.subscribe("loa/1/#", qos=1)
        async with site.client(NODE) as node:
            alias = Properties(PacketTypes.PUBLISH)
            alias.TopicAlias = 1
            await node.publish(f"loa/1/node/{NODE}/receipt", b"own", qos=1, properties=alias)
            await node.publish(f"loa/1/node/{OTHER}/receipt", b"lie", qos=1, properties=alias)
            await node.publish(f"loa/1/area/{AREA}/order/{INCIDENT}", b"lie", qos=1, properties=alias)
        await controller.publish("loa/1/fence", b"fence", qos=1)
        assert [heard for heard in await Ear(controller).until_fence() if heard[1] == b"lie"] == []


async def test_what_a_node_retains_lies_under_its_own_name_alone(tmp_path):
    async with running(tmp_path) as site:
        async with site.client(NODE) as node:
            for topic in (
                f"loa/1/node/{NODE}/alive",
                f"loa/1/node/{OTHER}/alive",
                f"loa/1/area/{AREA}/station",
                "$SYS/broker/uptime",
            ):
                await node.publish(topic, b"kept", qos=1, retain=True)
        async with site.client("controller") as controller:
            await controller.subscribe([("loa/1/#", 1), ("$SYS/broker/uptime", 1)])
            await controller.publish("loa/1/fence", b"fence", qos=1)
            heard = await Ear(controller).until_fence()
    assert [topic for topic, payload in heard if payload == b"kept"] == [f"loa/1/node/{NODE}/alive"]


@pytest.mark.parametrize("name", ["#", "+", "+/document", f"{OTHER}/../{NODE}", "$SYS", "", "a b", "a\nuser controller"])
def test_no_certificate_names_what_a_pattern_could_spread_out(tmp_path, name):
    with pytest.raises(CaError, match="cannot be a name"):
        issue(Site(tmp_path).ca, name)
