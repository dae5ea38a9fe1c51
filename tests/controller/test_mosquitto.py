"""The broker with its real certificates and ACL: judged by what is delivered, since a SUBACK grants what is then filtered."""

import asyncio
import grp
import os
import shutil
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from controller.ca import Authority, client_context, create_ca, issue
from controller.init import free_port
from controller.mosquitto import PACKET_BYTES, Broker, BrokerFailed, access_list, user_name, write_config

pytestmark = pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None, reason="needs mosquitto"
)
NODE, OTHER, OPERATOR = "0123456789", "ABCDEFGHJK", "console-1"
AREA = "52.24076"
INCIDENT = "00112233aabbccdd"
GENEROUS_S = 20


class Site:
    """A folder with a CA, a broker and as many identities as a test asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = create_ca(folder / "ca", "Loa")
        self.ca_file = folder / "ca" / "ca.crt"
        cert, key = self.identity("broker", server_names=("127.0.0.1",))
        self.port = free_port("127.0.0.1")
        config = write_config(
            folder / "broker", port=self.port, bind="127.0.0.1", ca=self.ca_file, cert=cert, key=key, operators=[OPERATOR]
        )
        self.broker = Broker(config)

    def identity(self, name: str, ca: Authority | None = None, server_names: tuple[str, ...] = ()) -> tuple[Path, Path]:
        issued = issue(ca or self.ca, name, server_names=server_names)
        files = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        for path, content in zip(files, (issued.cert_pem, issued.key_pem), strict=True):
            path.write_bytes(content)
        return files

    def context(self, name: str) -> ssl.SSLContext:
        return client_context(self.ca_file, *self.identity(name))

    def client(self, name: str, *, context: ssl.SSLContext | None = None, session_s: int = 0, **more) -> aiomqtt.Client:
        connect = Properties(PacketTypes.CONNECT)
        connect.SessionExpiryInterval = session_s
        return aiomqtt.Client(
            "127.0.0.1",
            self.port,
            identifier=more.pop("identifier", name),
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=context or self.context(name),
            clean_start=more.pop("clean_start", session_s == 0),
            properties=connect,
            timeout=more.pop("timeout", GENEROUS_S),
            **more,
        )


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Site]:
    site = Site(folder)
    await site.broker.start()
    try:
        yield site
    finally:
        await site.broker.stop()


class Ear:
    """All that a client receives, until a fence passes by."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.heard: list[tuple[str, bytes]] = []

    async def until(self, done: Callable[[str, bytes], bool]) -> Self:
        async with asyncio.timeout(GENEROUS_S):
            async for message in self.client.messages:
                if done(str(message.topic), bytes(message.payload)):
                    return self
                self.heard.append((str(message.topic), bytes(message.payload)))
        raise AssertionError("the messages ended")

    async def until_fence(self) -> list[tuple[str, bytes]]:
        await self.until(lambda _topic, payload: payload == b"fence")
        return self.heard


WRITES = [
    (NODE, f"loa/1/node/{NODE}/alive", True),
    (NODE, f"loa/1/node/{NODE}/hello", True),
    (NODE, f"loa/1/node/{NODE}/receipt", True),
    (NODE, f"loa/1/node/{NODE}/health", True),
    (NODE, f"loa/1/node/{NODE}/placement", False),
    (NODE, f"loa/1/node/{NODE}/document", False),
    (NODE, f"loa/1/node/{NODE}/order/{INCIDENT}", False),
    (NODE, f"loa/1/node/{NODE}/alive/x", False),
    (NODE, f"loa/1/node/{OTHER}/alive", False),
    (NODE, f"loa/1/node/{OTHER}/receipt", False),
    (NODE, f"loa/1/area/{AREA}/order/{INCIDENT}", False),
    (NODE, f"loa/1/area/{AREA}/programme/g-1", False),
    (NODE, "loa/1/trust/root", False),
    (NODE, "loa/1/x", False),
    (OPERATOR, f"loa/1/area/{AREA}/order/{INCIDENT}", True),
    (OPERATOR, f"loa/1/area/{AREA}/programme/g-1", False),
    (OPERATOR, f"loa/1/node/{NODE}/order/{INCIDENT}", False),
    (OPERATOR, f"loa/1/node/{NODE}/receipt", False),
    (OPERATOR, "loa/1/trust/root", False),
    (AREA, f"loa/1/area/{AREA}/order/{INCIDENT}", False),
    ("all", f"loa/1/area/{AREA}/order/{INCIDENT}", False),
    ("broker", f"loa/1/area/{AREA}/order/{INCIDENT}", False),
]


async def test_each_name_writes_only_what_is_its_own(tmp_path):
    async with running(tmp_path) as site, site.client("controller") as controller:
        await controller.subscribe("loa/1/#", qos=1)
        for number, (name, topic, _may) in enumerate(WRITES):
            async with site.client(name) as client:
                await client.publish(topic, str(number), qos=1)
        await controller.publish("loa/1/fence", b"fence", qos=1)
        heard = await Ear(controller).until_fence()
    wanted = [(topic, str(number).encode()) for number, (_name, topic, may) in enumerate(WRITES) if may]
    assert sorted(heard) == sorted(wanted)


TOLD = [
    "loa/1/trust/root",
    f"loa/1/trust/grant/{AREA}",
    f"loa/1/area/{AREA}/programme/g-1",
    f"loa/1/area/52.24100/order/{INCIDENT}",
    f"loa/1/node/{NODE}/placement",
    f"loa/1/node/{NODE}/order/{INCIDENT}",
    f"loa/1/node/{OTHER}/placement",
    f"loa/1/node/{OTHER}/order/{INCIDENT}",
    f"loa/1/node/{OTHER}/receipt",
    "loa/1/secret",
    "loa/2/trust/root",
]


@pytest.mark.parametrize("retained", [False, True])
async def test_a_node_reads_all_areas_and_of_the_nodes_only_itself(tmp_path, retained):
    async with running(tmp_path) as site, site.client("controller") as controller, site.client(NODE) as node:
        if not retained:
            await node.subscribe([("#", 1), ("$SYS/#", 1)])
        for topic in TOLD:
            await controller.publish(topic, topic.encode(), qos=1, retain=retained)
        if retained:
            await node.subscribe([("#", 1), ("$SYS/#", 1)])
        await controller.publish("loa/1/area/52/fence", b"fence", qos=1)
        heard = await Ear(node).until_fence()
    assert sorted(topic for topic, _ in heard) == sorted(TOLD[:6])


async def test_an_operator_reads_receipts_and_no_node_does(tmp_path):
    async with running(tmp_path) as site, site.client(OPERATOR) as operator, site.client(OTHER) as other:
        for client in (operator, other):
            await client.subscribe("loa/1/node/+/+", qos=1)
        async with site.client(NODE) as node:
            await node.publish(f"loa/1/node/{NODE}/receipt", b"mine", qos=1)
        async with site.client("controller") as controller:
            await controller.publish(f"loa/1/node/{OTHER}/time", b"fence", qos=1)
            await controller.publish(f"loa/1/node/{OPERATOR}/time", b"fence", qos=1)
        assert await Ear(operator).until_fence() == [(f"loa/1/node/{NODE}/receipt", b"mine")]
        assert await Ear(other).until_fence() == []


async def tls(site: Site, context: ssl.SSLContext) -> None:
    """Connect and wait for the broker's verdict: in TLS 1.3 it comes after the client's side of the handshake."""
    async with asyncio.timeout(GENEROUS_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, ssl=context)
        try:
            if await reader.read(1) == b"":
                raise ConnectionResetError("closed by the broker")
        finally:
            writer.close()


async def test_no_certificate_and_a_strangers_certificate_are_refused(tmp_path):
    async with running(tmp_path) as site:
        with pytest.raises(OSError, match=r"closed|reset|ALERT|alert|required"):
            await tls(site, client_context(site.ca_file, None, None))
        stranger = create_ca(tmp_path / "other", "Loa")
        with pytest.raises(OSError, match=r"closed|reset|ALERT|alert|CA"):
            await tls(site, client_context(site.ca_file, *site.identity("controller", stranger)))
        async with site.client("controller"):
            pass


async def test_a_broker_of_another_ca_is_refused_by_the_client(tmp_path):
    async with running(tmp_path) as site:
        create_ca(tmp_path / "other", "Loa")
        context = client_context(tmp_path / "other" / "ca.crt", *site.identity("controller"))
        with pytest.raises(ssl.SSLCertVerificationError):
            await tls(site, context)


async def test_tls_1_2_is_refused(tmp_path):
    async with running(tmp_path) as site:
        context = site.context("controller")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(OSError, match=r"VERSION|version|reset"):
            await tls(site, context)


async def test_a_password_and_a_claimed_name_count_for_nothing(tmp_path):
    async with running(tmp_path) as site, site.client("controller") as controller:
        await controller.subscribe("loa/1/#", qos=1)
        liar = site.client(NODE, identifier=OTHER, username="controller", password="x")
        async with liar:
            await liar.publish(f"loa/1/node/{OTHER}/receipt", b"lie", qos=1)
            await liar.publish("loa/1/trust/root", b"lie", qos=1)
            await liar.publish(f"loa/1/node/{NODE}/receipt", b"own", qos=1)
        await controller.publish("loa/1/fence", b"fence", qos=1)
        assert await Ear(controller).until_fence() == [(f"loa/1/node/{NODE}/receipt", b"own")]


async def be_until_cut(client: aiomqtt.Client, act: Callable[[aiomqtt.Client], Awaitable[object]]) -> None:
    """Act as that client, then listen until the connection ends (MqttError) or a generous time is over (TimeoutError)."""
    async with asyncio.timeout(GENEROUS_S), client:
        with suppress(aiomqtt.MqttError):  # a publish that gets no answer
            await act(client)
        async for _message in client.messages:
            pass


async def test_of_two_holders_of_one_identity_the_first_is_put_out(tmp_path):
    async with running(tmp_path) as site, AsyncExitStack() as later:

        async def the_second_comes(_first: aiomqtt.Client) -> None:
            second = await later.enter_async_context(site.client(NODE, identifier="second"))
            await second.publish(f"loa/1/node/{NODE}/alive", b"second", qos=1)

        with pytest.raises(aiomqtt.MqttError):
            await be_until_cut(site.client(NODE, identifier="first"), the_second_comes)
        assert NODE in site.broker.last_words(30)


async def test_a_node_that_vanishes_is_declared_dead_after_its_will_delay(tmp_path):
    topic = f"loa/1/node/{NODE}/alive"
    delay = Properties(PacketTypes.WILLMESSAGE)
    delay.WillDelayInterval = 1
    will = aiomqtt.Will(topic, b"dead", qos=1, retain=True, properties=delay)
    async with running(tmp_path) as site, site.client("controller") as controller:
        await controller.subscribe("loa/1/node/+/alive", qos=1)
        ear = Ear(controller)

        async def be_born_and_vanish(node: aiomqtt.Client) -> None:
            await node.publish(topic, b"born", qos=1, retain=True)
            await ear.until(lambda _topic, payload: payload == b"born")
            node._client.socket().shutdown(socket.SHUT_RDWR)

        with pytest.raises(aiomqtt.MqttError):
            await be_until_cut(site.client(NODE, will=will, session_s=60), be_born_and_vanish)
        await ear.until(lambda heard, payload: (heard, payload) == (topic, b"dead"))
        assert ear.heard == []


async def test_alive_stays_for_a_controller_that_comes_later(tmp_path):
    async with running(tmp_path) as site:
        async with site.client(NODE) as node:
            await node.publish(f"loa/1/node/{NODE}/alive", b"born", qos=1, retain=True)
        async with site.client("controller") as controller:
            await controller.subscribe("loa/1/node/+/alive", qos=1)
            await Ear(controller).until(lambda _topic, payload: payload == b"born")


async def test_a_packet_above_the_cap_reaches_nobody_and_one_below_does(tmp_path):
    topic = f"loa/1/area/{AREA}/programme/g-1"
    below = PACKET_BYTES - len(topic) - 16
    async with running(tmp_path) as site, site.client(NODE) as node:
        await node.subscribe("loa/1/area/#", qos=1)
        async with site.client("controller") as controller:
            await controller.publish(topic, b"x" * below, qos=1)
        with pytest.raises(aiomqtt.MqttError):
            await be_until_cut(
                site.client("controller"), lambda client: client.publish(topic, b"z" * PACKET_BYTES, qos=1, timeout=2)
            )
        async with site.client("controller") as controller:
            await controller.publish(topic, b"fence", qos=1)
        assert [(len(payload), payload[:1]) for _, payload in await Ear(node).until_fence()] == [(below, b"x")]
        assert "packet" in site.broker.last_words(30).lower()


async def test_orders_wait_for_a_node_that_is_away(tmp_path):
    async with running(tmp_path) as site:
        async with site.client(NODE, session_s=3600) as node:
            await node.subscribe("loa/1/area/#", qos=1)
        async with site.client("controller") as controller:
            for number in range(50):
                await controller.publish(f"loa/1/area/{AREA}/order/{number:016x}", b"START", qos=1)
            await controller.publish("loa/1/area/52/x", b"fence", qos=1)
        async with site.client(NODE, session_s=3600) as node:
            heard = await Ear(node).until_fence()
    assert [topic for topic, _ in heard] == [f"loa/1/area/{AREA}/order/{number:016x}" for number in range(50)]


async def test_a_saved_broker_remembers_and_an_emptied_one_does_not(tmp_path):
    async with running(tmp_path) as site:

        async def retained() -> list[tuple[str, bytes]]:
            async with site.client("controller") as controller:
                await controller.subscribe("loa/1/trust/#", qos=1)
                await controller.subscribe("loa/1/fence", qos=1)
                await controller.publish("loa/1/fence", b"fence", qos=1)
                return await Ear(controller).until_fence()

        async with site.client("controller") as controller:
            await controller.publish("loa/1/trust/root", b"root", qos=1, retain=True)
        await site.broker.stop()
        assert site.broker.pid is None
        await site.broker.start()
        assert await retained() == [("loa/1/trust/root", b"root")]
        await site.broker.restart_empty()
        assert await retained() == []


async def test_a_new_access_list_takes_effect_on_reload(tmp_path):
    async with running(tmp_path) as site, site.client("controller") as controller, site.client("console-2") as late:
        await controller.subscribe("loa/1/area/#", qos=1)
        (tmp_path / "broker" / "acl").write_text(access_list([OPERATOR, "console-2"]))
        site.broker.reload()
        async with asyncio.timeout(GENEROUS_S):
            while True:
                await late.publish(f"loa/1/area/{AREA}/order/{INCIDENT}", b"fence", qos=1)
                try:
                    async with asyncio.timeout(0.3):
                        await Ear(controller).until_fence()
                    break
                except TimeoutError:
                    continue


async def test_a_taken_port_is_said_and_a_wrong_configuration_too(tmp_path):
    async with running(tmp_path) as site:
        second = Broker(site.broker.config)
        with pytest.raises(BrokerFailed, match="is taken by another program"):
            await second.start()
        await site.broker.stop()
        site.broker.config.conf.write_text(f"listener {site.port} 127.0.0.1\nno_such_option true\n")
        with pytest.raises(BrokerFailed, match="no_such_option"):
            await site.broker.start()
        assert site.broker.pid is None


async def test_a_missing_mosquitto_says_what_to_install(tmp_path):
    site = Site(tmp_path)
    with pytest.raises(BrokerFailed, match="apt install mosquitto"):
        await Broker(site.broker.config, program="mosquitto-that-is-not-there").start()


async def test_a_killed_broker_is_gone_and_can_be_killed_again(tmp_path):
    async with running(tmp_path) as site:
        with pytest.raises(BrokerFailed, match="still runs"):
            site.broker.forget()
        await site.broker.kill(signal.SIGKILL)
        await site.broker.kill(signal.SIGKILL)
        assert site.broker.pid is None


@pytest.mark.parametrize("name", ["controller", "", "52.24076", NODE, "+", "a\ntopic #", "a b", "Console"])
def test_an_operators_name_cannot_pass_for_another(name):
    with pytest.raises(ValueError, match="cannot be an operator's name"):
        access_list([name])


def test_files_are_for_the_owner_and_say_who_runs_it(tmp_path):
    site = Site(tmp_path)
    folder = tmp_path / "broker"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "state").stat().st_mode & 0o777 == 0o700
    files = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()}
    assert files == dict.fromkeys(("mosquitto.conf", "acl", "ca.crt", "broker.crt", "broker.key"), 0o600)
    assert f"user {user_name()}\n" in site.broker.config.conf.read_text()


def test_a_service_group_may_read_the_folder_and_write_nothing(tmp_path):
    site = Site(tmp_path)
    cert, key = site.identity("broker", server_names=("127.0.0.1",))
    group = grp.getgrgid(os.getgid()).gr_name
    for _twice in range(2):
        config = write_config(
            tmp_path / "for-service", port=8883, bind="127.0.0.1", ca=site.ca_file, cert=cert, key=key, group=group,
            state=tmp_path / "kept",
        )  # fmt: skip
    folder = config.conf.parent
    assert folder.stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}
    assert f"persistence_location {tmp_path / 'kept'}/\n" in config.conf.read_text()


def test_a_folder_that_the_format_cannot_hold_is_refused(tmp_path):
    site = Site(tmp_path)
    cert, key = site.identity("broker", server_names=("127.0.0.1",))
    with pytest.raises(ValueError, match="mosquitto cannot read the path"):
        write_config(tmp_path / "a\nuser root", port=1, bind="127.0.0.1", ca=site.ca_file, cert=cert, key=key)
