"""Nobody is told that a hamlet was warned unless its own node sealed it: forged, borrowed, replayed words count for nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3

import aiomqtt
import msgspec
import pytest

from controller import ca
from controller.actions.views import RefusalView
from protocol import keys, topics
from protocol.envelope import digest_of, seal
from protocol.reports import OrderResult, Receipt
from tests.controller.headquarters import SETTLEMENT, Headquarters, begun, now_ms, wait


@pytest.fixture(scope="module")
def hq(tmp_path_factory):
    with begun(tmp_path_factory.mktemp("hq")) as made:
        yield made


@contextlib.asynccontextmanager
async def broker_itself(hq: Headquarters):
    """Whoever owns the broker may publish on every topic, in every node's name."""
    acl = hq.state / "broker" / "acl"
    if "user enemy" not in acl.read_text():
        acl.write_text(acl.read_text() + "\nuser enemy\ntopic readwrite loa/1/#\n")
        hq.running["broker"].send_signal(signal.SIGHUP)
    issued = ca.issue(ca.load_ca(hq.state / "ca"), "enemy")
    files = hq.folder / "enemy.crt", hq.folder / "enemy.key"
    for path, content in zip(files, (issued.cert_pem, issued.key_pem), strict=True):
        path.write_bytes(content)
    context = ca.client_context(hq.state / "ca" / ca.CERTIFICATE, *files)
    async with aiomqtt.Client(
        "127.0.0.1", hq.port, identifier="enemy", protocol=aiomqtt.ProtocolVersion.V5, tls_context=context
    ) as client:
        yield client


async def eventually(condition, what: str):
    return await asyncio.to_thread(wait, condition, what)


def lie(hq: Headquarters, node, start, by, result: str = "ended") -> bytes:
    """That the START was heard at this node, sealed by this key."""
    told = OrderResult(
        incident=start.incident,
        order_seq=start.seq,
        result=result,
        digest=digest_of("order", msgspec.json.encode(start)),
        at_ms=now_ms(),
        spoken_at_ms=now_ms(),
    )
    return seal(Receipt(**node.common(), results=(told,)), [keys.sealer(by)])


def boot_count(hq: Headquarters, node: str) -> int:
    with contextlib.closing(sqlite3.connect(hq.state / "loa.db")) as db:
        return db.execute("SELECT boot_count FROM nodes WHERE id = ?", (node,)).fetchone()[0]


async def settled(hq: Headquarters, enemy: aiomqtt.Client, node) -> None:
    """All that was sent before is taken in: a refusal of rubbish behind it is counted."""

    def count() -> int:
        views = hq.get("/v1/refusals", tuple[RefusalView, ...], node="controller")
        return sum(view.count for view in views if view.topic.endswith(f"{node.node}/receipt") and view.reason == "malformed")

    before = count()
    await enemy.publish(topics.topic("receipt", node=node.node), b"the end", qos=1)
    await eventually(lambda: count() > before, "the end is taken in")


async def test_a_receipt_by_any_other_key_or_for_any_other_node_warns_nobody(hq):
    silent, other = hq.new_node(), hq.new_node()
    silent.answers = other.answers = False
    start = hq.start_order(SETTLEMENT)
    hq.post("/v1/orders", hq.sealed(start))
    async with silent.connected(), other.connected(), broker_itself(hq) as enemy:
        await silent.until(lambda peer: peer.opened)
        where = topics.topic("receipt", node=silent.node)
        for key in (other.report_key, hq.people["chair"], hq.people["officer"], keys.new_key()):
            await enemy.publish(where, lie(hq, silent, start, key), qos=1)
        await enemy.publish(where, lie(hq, other, start, other.report_key), qos=1)
        told = msgspec.json.encode(Receipt(**silent.common(), results=()))
        await enemy.publish(where, told, qos=1)
        await settled(hq, enemy, silent)
        assert hq.row(start.incident, silent.node).state == "sent"
        await enemy.publish(topics.topic("receipt", node=other.node), lie(hq, other, start, other.report_key), qos=1)
        await settled(hq, enemy, other)
        assert hq.row(start.incident, silent.node).state == "sent", "what one node tells is of itself alone"
        reasons = {view.reason for view in hq.get("/v1/refusals", tuple[RefusalView, ...], node="controller")}
        assert {"bad-signature", "malformed"} <= reasons


async def test_an_old_receipt_said_again_tells_nothing_of_another_order_nor_of_the_node_today(hq):
    node = hq.new_node()
    first = hq.start_order(SETTLEMENT)
    async with node.connected(), broker_itself(hq) as enemy:
        await node.until(lambda peer: len(peer.held) >= 4)
        hq.post("/v1/orders", hq.sealed(first))
        await eventually(lambda: hq.row(first.incident, node.node).state == "sounding", "the first sounds")
        old = lie(hq, node, first, node.report_key, "sounding")
        node.boot_count += 1
        node.answers = False
        await node.hello()
        second = hq.start_order(SETTLEMENT)
        hq.post("/v1/orders", hq.sealed(second))
        await node.until(lambda peer: len(peer.opened) >= 2)
        await eventually(lambda: boot_count(hq, node.node) == node.boot_count, "its new start is known")
        await enemy.publish(topics.topic("receipt", node=node.node), old, qos=1)
        await settled(hq, enemy, node)
        assert hq.row(second.incident, node.node).state == "sent"
        assert hq.row(first.incident, node.node).state == "sounding"
        assert boot_count(hq, node.node) == node.boot_count


async def test_a_true_receipt_goes_only_forward_whatever_is_said_again(hq):
    node = hq.new_node()
    start = hq.start_order(SETTLEMENT)
    async with node.connected(), broker_itself(hq) as enemy:
        await node.until(lambda peer: len(peer.held) >= 4)
        hq.post("/v1/orders", hq.sealed(start))
        await eventually(lambda: hq.row(start.incident, node.node).state == "sounding", "it sounds")
        ended = lie(hq, node, start, node.report_key, "ended")
        received = lie(hq, node, start, node.report_key, "received")
        for raw in (ended, received, ended):
            await enemy.publish(topics.topic("receipt", node=node.node), raw, qos=1)
        await settled(hq, enemy, node)
        assert hq.row(start.incident, node.node).state == "ended"
