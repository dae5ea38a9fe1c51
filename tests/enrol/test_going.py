"""What a node may before its placement is signed, and that a revoked one is gone: judged by what is delivered."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import time

import aiomqtt
import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from controller.ca import client_context
from protocol import keys
from protocol.envelope import seal
from protocol.reports import FetchStatement
from tests.controller.headquarters import SETTLEMENT
from tests.enrol.field import Field, Machine, Stranger, certified, code, wait
from tests.waiting import until


def put_files(field: Field, who: Stranger, node: str, pem: str):
    home = field.folder / f"stranger-{node}"
    home.mkdir()
    (home / "crt").write_text(pem)
    (home / "key").write_bytes(who.tls_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return client_context(field.roots, home / "crt", home / "key")


def client(field: Field, name: str, context: ssl.SSLContext) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1", field.hq.port, identifier=name, protocol=aiomqtt.ProtocolVersion.V5, timeout=5, tls_context=context
    )


def controllers_eye(field: Field) -> aiomqtt.Client:
    """Reads everything, in the controller's place."""
    return client(
        field,
        "controller",
        client_context(field.roots, *(field.hq.state / "tls" / f"controller.{end}" for end in ("crt", "key"))),
    )


async def heard_from(client: aiomqtt.Client, into: list[str]) -> None:
    with contextlib.suppress(aiomqtt.MqttError):
        async for message in client.messages:
            into += [message.topic.value]


async def test_a_pending_node_says_hello_and_health_reads_no_area_and_sends_no_receipt(own_field: Field):
    field, who = own_field, Stranger()
    card = field.card()
    context = put_files(field, who, card.node, certified(field.ask("/enrol", who.enrols(card.node, card.claim))).certificate_pem)
    field.hq.kill("serve")  # its name is taken over below, to see all that is delivered
    async with client(field, card.node, context) as node, controllers_eye(field) as eye:
        got: list[str] = []
        told: list[str] = []
        await eye.subscribe("loa/1/#", qos=1)
        await node.subscribe([("loa/1/area/#", 1), ("loa/1/trust/#", 1), (f"loa/1/node/{card.node}/#", 1)])
        tasks = [asyncio.create_task(heard_from(eye, got)), asyncio.create_task(heard_from(node, told))]
        for leaf in ("receipt", "hello", "health", "alive"):
            await node.publish(f"loa/1/node/{card.node}/{leaf}", b"x", qos=1)
        await node.publish("loa/1/node/0000000000/hello", b"x", qos=1)
        await node.publish(f"loa/1/area/{SETTLEMENT}/order/all", b"x", qos=1)
        await eye.publish(f"loa/1/area/{SETTLEMENT}/station", b"x", qos=1)
        await eye.publish(f"loa/1/node/{card.node}/placement", b"x", qos=1)
        await until(
            lambda: f"loa/1/node/{card.node}/alive" in got and f"loa/1/node/{card.node}/placement" in told, what="the last ones"
        )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    mine = [each for each in got if card.node in each or "0000000000" in each or "order" in each]
    assert sorted(set(mine) - {f"loa/1/node/{card.node}/placement"}) == [
        f"loa/1/node/{card.node}/{leaf}" for leaf in ("alive", "health", "hello")
    ]
    assert all(each.startswith(f"loa/1/node/{card.node}/") for each in told)


async def test_a_revoked_node_is_off_the_broker_within_ten_seconds_with_certificate_and_connection_in_hand(field: Field):
    who, card = Stranger(), field.card()
    context = put_files(field, who, card.node, certified(field.ask("/enrol", who.enrols(card.node, card.claim))).certificate_pem)
    field.approve(card.node)
    node = client(field, card.node, context)
    await node.__aenter__()
    await node.publish(f"loa/1/node/{card.node}/health", b"{}", qos=1)
    began_s = time.monotonic()
    await asyncio.to_thread(field.revoke, card.node)
    with pytest.raises(aiomqtt.MqttError):
        await anext(aiter(node.messages))
    assert time.monotonic() - began_s < 10
    with contextlib.suppress(aiomqtt.MqttError):
        await node.__aexit__(None, None, None)
    with pytest.raises(aiomqtt.MqttError):
        await client(field, card.node, context).__aenter__()
    assert field.enrolment(card.node).state == "revoked"
    assert f"user {card.node}\ntopic deny loa/#\n" in (field.hq.state / "broker" / "acl").read_text()
    assert code(field.ask("/renew", who.renews(card.node))) == (410, "revoked")
    assert code(field.ask("/enrol", who.enrols(card.node, card.claim))) == (410, "revoked")


def test_a_revoked_agent_stays_off_and_comes_back_with_a_new_label_only(field: Field, agents):
    card = field.card()
    agent = agents(field.agent(card))
    field.until(card.node, "pending")
    field.approve(card.node)
    wait(lambda: field.is_online(card.node), "it is online")
    field.revoke(card.node)
    wait(lambda: "link down" in agent.log.read_text(), "it lost the link")
    again = field.card(node=card.node, replace=True)
    agent.stop()
    agents(field.agent(again))
    came = field.until(card.node, "pending")
    assert came.revoked_ms is None
    wait(lambda: field.certificate(again).exists(), "the new machine has its certificate")
    given = field.certificate(again).read_bytes()
    proof = Machine(again).enrols(again.node, again.claim)
    assert certified(field.ask("/enrol", proof)).certificate_pem.encode() == given


def test_a_node_taken_down_is_denied_the_broker_and_new_dates(field: Field):
    who, card = Stranger(), field.card()
    certified(field.ask("/enrol", who.enrols(card.node, card.claim)))
    field.approve(card.node)
    assert field.hq.http.delete(f"/v1/nodes/{card.node}").status_code == 200
    assert field.enrolment(card.node).state == "revoked"
    assert f"user {card.node}\ntopic deny loa/#\n" in (field.hq.state / "broker" / "acl").read_text()
    assert code(field.ask("/renew", who.renews(card.node))) == (410, "revoked")


async def test_the_media_door_refuses_a_revoked_node(field: Field, agents):
    card = field.card()
    agents(field.agent(card))
    field.until(card.node, "pending")
    view = field.approve(card.node)
    key = keys.from_pem((card.folder / "state" / "report.key").read_bytes(), None)

    def fetch(nonce: str) -> tuple[int, str]:
        said = FetchStatement(
            authority="placement",
            area=card.node,
            area_no=view.area_no,
            seq=field.hq.seq(),
            purpose="routine",
            node=card.node,
            boot_count=1,
            clock_state="good",
            at_ms=field.hq.last_seq,
            sha256="ab" * 32,
            nonce=nonce,
        )
        header = "Loa " + base64.b64encode(seal(said, [keys.sealer(key)])).decode()
        context = ssl.create_default_context(cafile=str(field.roots))
        url = f"https://127.0.0.1:{field.hq.made.https_port}/media/{'ab' * 32}"
        answer = httpx.get(url, headers={"authorization": header}, verify=context)
        return answer.status_code, answer.json()["code"]

    assert fetch("1" * 16) == (404, "not-named")
    field.revoke(card.node)
    assert fetch("2" * 16) == (403, "retired")


def test_a_replaced_label_ends_the_old_machine_when_the_new_one_comes_and_not_before(field: Field):
    old, new = Stranger(), Stranger()
    first = field.card()
    certified(field.ask("/enrol", old.enrols(first.node, first.claim)))
    refused = field.hq.refused("/v1/enrolments", {"node": first.node, "verifier": "ab" * 32})
    assert refused["code"] == "known-node"
    second = field.card(node=first.node, replace=True)
    assert certified(field.ask("/renew", old.renews(first.node))).node == first.node
    came = certified(field.ask("/enrol", new.enrols(first.node, second.claim)))
    assert field.enrolment(first.node).digits == came.digits
    assert code(field.ask("/renew", old.renews(first.node))) == (403, "another-key")


def test_a_storm_of_guesses_is_slowed_and_burns_nothing(field: Field):
    card, guessed = field.card(), Stranger()
    answers = [field.ask("/enrol", guessed.enrols(card.node, bytes([n]) * 16), source="127.0.9.9")[0] for n in range(14)]
    assert answers[:10] == [403] * 10
    assert 429 in answers[10:]
    began_s = time.monotonic()
    assert field.ask("/enrol", guessed.enrols(card.node, b"x" * 16), source="127.0.9.9")[0] == 429
    assert time.monotonic() - began_s >= 2
    assert field.ask("/enrol", guessed.enrols(card.node, b"x" * 16), source="127.0.9.10")[0] == 403
    # the true claim gets through, from the storm's own address too: a whole SIM network shares one
    assert certified(field.ask("/enrol", Stranger().enrols(card.node, card.claim), source="127.0.9.9")).node == card.node


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"node":"0000000000"}',
        msgspec.json.encode({"node": "../../etc/x", "request_pem": "", "report_key": "ab" * 32, "proof": "ab" * 32}),
        msgspec.json.encode({"node": "0000000000", "request_pem": "-----BEGIN", "report_key": "ab" * 32, "proof": "ab" * 32}),
        b"x" * 9_000,
    ],
)
def test_rubbish_is_refused_in_words(field: Field, question: bytes):
    status, body = field.ask("/enrol", question, source="127.0.8.8")
    assert status in (400, 413, 429)
    assert msgspec.json.decode(body)["error"]


def test_idle_connections_of_one_source_neither_pile_up_nor_keep_others_out(field: Field):
    context = ssl.create_default_context(cafile=str(field.roots))
    held: list[ssl.SSLSocket] = []
    for _ in range(40):
        with contextlib.suppress(OSError):
            plain = socket.create_connection(("127.0.0.1", field.enrol_port), 10, source_address=("127.0.9.20", 0))
            held.append(context.wrap_socket(plain, server_hostname="127.0.0.1"))
    card = field.card()
    assert certified(field.ask("/enrol", Stranger().enrols(card.node, card.claim), source="127.0.9.21")).node == card.node
    same = field.card()
    assert certified(field.ask("/enrol", Stranger().enrols(same.node, same.claim), source="127.0.9.20")).node == same.node, (
        "a node behind the same address gets in while they are held"
    )
    held[0].settimeout(60)
    with contextlib.suppress(OSError):
        assert held[0].recv(1) == b""  # it was ended, with or without a word
    for each in held:
        each.close()
    again = field.card()
    assert certified(field.ask("/enrol", Stranger().enrols(again.node, again.claim), source="127.0.9.20")).node == again.node
