"""When serve does not answer, an emergency goes straight to the broker, loudly; everything else waits."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt
import pytest

from controller.ca import client_context
from protocol.documents import ChainLink, Grant
from protocol.envelope import Opened, unseal
from protocol.rules import Clock, Me
from protocol.seen import Seen
from protocol.trust import Trust
from provisioning.papers import unwrapped
from tests.cli.loa_office import COMMUNE, SETTLEMENT

TEXT = "Nước sông Ba lên nhanh, bà con lên nhà văn hóa ngay."
START = ("emergency", "start", "--area", SETTLEMENT, "--text-vi", TEXT, "--risk", "4", "--body", "UBND xã Phú Túc", "--yes")


def key(office, *names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--key", str(office.papers.key(name))))


@asynccontextmanager
async def listening(office) -> AsyncIterator[asyncio.Queue[aiomqtt.Message]]:
    """A reader with the controller's certificate that hears all orders."""
    tls = office.state / "tls"
    context = client_context(office.state / "ca" / "ca.crt", tls / "controller.crt", tls / "controller.key")
    heard: asyncio.Queue[aiomqtt.Message] = asyncio.Queue()
    client = aiomqtt.Client(
        "127.0.0.1", office.port, identifier="controller", protocol=aiomqtt.ProtocolVersion.V5, tls_context=context
    )
    async with client:
        await client.subscribe("loa/1/area/+/order/+", qos=1)

        async def collect() -> None:
            async for message in client.messages:
                heard.put_nowait(message)

        task = asyncio.create_task(collect())
        yield heard
        task.cancel()


def opened(office, message: aiomqtt.Message) -> Opened:
    grants = {
        path.stem.removeprefix("grant-"): unwrapped(path.read_bytes(), Grant)
        for path in (office.papers.grant, office.papers.wide)
    }
    levels = (("52", "province"), (COMMUNE, "commune"), (SETTLEMENT, "settlement"))
    chain = tuple(ChainLink(area=area, area_no=0, level=level) for area, level in levels)
    trust = Trust(office.papers.root_document(), grants, chain=chain)
    now = Clock(time.time_ns() // 1_000_000, "good")
    return unseal(message.payload, topic=str(message.topic), trust=trust, me=Me(), now=now, seen=Seen())


async def loa(office, *words: str):
    return await asyncio.to_thread(office.loa, *words)


async def test_a_start_reaches_the_broker_sealed_and_not_retained(office):
    office.trusted()
    office.broker()
    async with listening(office) as heard:
        said = await loa(office, *START, *key(office, "chu-tich"), "--json")
        sent = said.json()
        message = await asyncio.wait_for(heard.get(), 20)
    order = opened(office, message).payload
    assert sent["via"] == "broker"
    assert sent["left_out"] == []
    assert "SENT WITHOUT SERVE" in said.err
    assert "which nodes are online" in said.err
    assert (order.text[0].text, order.area, order.authority, order.incident) == (TEXT, SETTLEMENT, COMMUNE, sent["incident"])
    assert message.retain is False
    assert 0 < message.properties.MessageExpiryInterval <= 600


async def test_a_serve_that_takes_the_connection_and_says_nothing_is_passed_by(office):
    office.trusted()
    office.broker()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(office.state / "run" / "loa.sock"))
        silent.listen()
        async with listening(office) as heard:
            said = await loa(office, *START, *key(office, "chu-tich"), "--json")
            await asyncio.wait_for(heard.get(), 20)
    assert said.json()["via"] == "broker"
    assert "did not answer within 1 s" in said.err


async def test_a_serve_that_fails_by_its_own_fault_is_passed_by(office):
    office.trusted()
    office.broker()

    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(fail, office.state / "run" / "loa.sock"), listening(office) as heard:
        said = await loa(office, *START, *key(office, "chu-tich"), "--json")
        await asyncio.wait_for(heard.get(), 20)
    assert said.json()["via"] == "broker"
    assert "serve failed" in said.err


async def test_a_recording_that_cannot_be_looked_up_is_left_out_loudly(office):
    office.trusted()
    office.broker()
    clips = ("--clip", "còi báo lũ", "--clip", "jra=Lũ bằng tiếng Jrai")
    async with listening(office) as heard:
        sent = await loa(office, *START, *clips, *key(office, "chu-tich"), "--json")
        first = await asyncio.wait_for(heard.get(), 20)
        read = await loa(office, *START, *clips, *key(office, "chu-tich"))
    order = opened(office, first).payload
    assert (order.clips, order.text[0].text) == ((), TEXT)
    assert sent.json()["left_out"] == ["còi báo lũ", "jra=Lũ bằng tiếng Jrai"]
    for said in (sent, read):
        assert "RECORDING LEFT OUT: 'còi báo lũ', 'jra=Lũ bằng tiếng Jrai'" in said.err
    assert read.out.count("(LEFT OUT)") == 2
    assert read.err.index("RECORDING LEFT OUT") < read.err.index("SENT WITHOUT SERVE")


async def test_a_stop_is_retained_for_those_who_come_later(office):
    office.trusted()
    office.broker()
    said = await loa(office, "emergency", "stop", "--area", COMMUNE, "--reason", "hết lũ", *key(office, "chu-tich"), "--json")
    assert said.json()["via"] == "broker"
    async with listening(office) as heard:
        message = await asyncio.wait_for(heard.get(), 20)
    assert message.retain is True
    assert str(message.topic) == f"loa/1/area/{COMMUNE}/order/all"
    assert opened(office, message).payload.reason == "hết lũ"


async def test_several_areas_are_several_orders_of_one_incident(office):
    office.trusted()
    office.broker()
    async with listening(office) as heard:
        said = await loa(office, *START, "--area", "52.24076.002", *key(office, "chu-tich"), "--json")
        first, second = [await asyncio.wait_for(heard.get(), 20) for _ in range(2)]
    incident = said.json()["incident"]
    assert {str(first.topic), str(second.topic)} == {
        f"loa/1/area/{area}/order/{incident}" for area in (SETTLEMENT, "52.24076.002")
    }


async def test_an_exercise_is_another_kind_all_the_way(office):
    office.trusted()
    office.broker()
    async with listening(office) as heard:
        assert (await loa(office, *START, "--exercise", *key(office, "chu-tich"))).code == 0
        message = await asyncio.wait_for(heard.get(), 20)
    assert opened(office, message).kind == "exercise"


async def test_the_province_speaks_with_two_persons(office):
    office.trusted()
    office.broker()
    wide = ("emergency", "start", "--area", "52", "--text-vi", TEXT, "--yes")
    alone = await loa(office, *wide, *key(office, "tinh-1"))
    assert alone.code == 1
    assert "1 of 2 persons" in alone.err
    assert (await loa(office, *wide, *key(office, "tinh-1", "tinh-2"), "--json")).json()["via"] == "broker"


async def test_without_the_broker_too_it_says_that_nothing_was_sent(office):
    office.trusted()
    said = await loa(office, *START, *key(office, "chu-tich"))
    assert said.code == 1
    assert "NOT SENT" in said.err
    assert "the switch on the pole" in said.err


@pytest.mark.parametrize(
    ("words", "names", "sentence"),
    [
        (("start", "--area", "52.24100", "--text-vi", TEXT), ("chu-tich",), "no grant known here"),
        (("start", "--area", "52.99999", "--text-vi", TEXT), ("chu-tich",), "has no such area"),
        (("start", "--area", SETTLEMENT, "--text-vi", "  "), ("chu-tich",), "text is empty"),
        (("start", "--area", SETTLEMENT), ("chu-tich",), "nothing would be said"),
        (("start", "--area", SETTLEMENT, "--text", "vi:Chào"), ("chu-tich",), "LANGUAGE=words"),
        (("start", "--area", SETTLEMENT, "--text", "VI=Chào"), ("chu-tich",), "cannot be sealed"),
        (("start", "--area", SETTLEMENT, "--text-vi", "a" * 2001), ("chu-tich",), "cannot be sealed"),
        (("start", "--area", SETTLEMENT, "--area", SETTLEMENT, "--text-vi", TEXT), ("chu-tich",), "named twice"),
        (("start", "--area", SETTLEMENT, "--text-vi", TEXT), ("an",), "no grant known here"),
        (("start", "--area", SETTLEMENT, "--text-vi", TEXT), ("chu-tich", "chu-tich"), "one key was named twice"),
        (("start", "--area", SETTLEMENT, "--text-vi", TEXT), ("nobody",), "nobody.key does not exist"),
        (("start", "--area", SETTLEMENT, "--clip", "coi"), ("chu-tich",), "cannot be named without it"),
        (("start", "--area", SETTLEMENT, "--text-vi", TEXT, "--authority", "52"), ("chu-tich",), "every node"),
        (("stop",), ("chu-tich",), "say what ends"),
        (("stop", "--incident", "xyz"), ("chu-tich",), "is no incident"),
        (("stop", "--incident", "00c1d2e3f4a5b6c7"), ("chu-tich",), "say where: --area"),
    ],
)
def test_a_wrong_order_is_a_sentence_and_nothing_leaves(still, words, names, sentence):
    said = still.loa("emergency", *words, "--yes", *key(still, *names))
    assert said.code == 1
    assert sentence in said.err
    assert "NOT SENT" not in said.err
    assert "Traceback" not in said.err


def test_without_a_yes_or_a_terminal_nothing_starts(still):
    said = still.loa(*[word for word in START if word != "--yes"], *key(still, "chu-tich"))
    assert said.code == 1
    assert "say --yes" in said.err


def test_a_wrong_passphrase_starts_nothing(still, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("not that one\n")
    wrong.chmod(0o600)
    said = still.loa(*START, *key(still, "chu-tich"), "--passphrase-file", str(wrong))
    assert said.code == 1
    assert "wrong passphrase" in said.err


def test_a_damaged_area_list_says_which_file(office):
    office.trusted()
    (office.state / "areas.json").write_text("[{")
    said = office.loa(*START, *key(office, "chu-tich"))
    assert said.code == 1
    assert "areas.json is broken" in said.err


def test_ordinary_things_do_not_go_round_serve(still, tmp_path):
    plan = tmp_path / "p.toml"
    plan.write_text('area = "52.24076"\n[[items]]\ntitle = "A"\nrule = "FREQ=DAILY;BYHOUR=5;BYMINUTE=0"\nmedia = "A"\n')
    said = still.loa("programme", "publish", str(plan), "--yes", *key(still, "chu-tich"))
    assert said.code == 1
    assert "serve is not running" in said.err
    assert json.loads((still.state / "areas.json").read_text())
