"""The broker is a cache and processes die: what was lost is offered again, and nothing is counted or believed twice."""

from __future__ import annotations

import asyncio

import msgspec

from controller.actions.views import DocumentView, PlayView, RefusalView
from tests.controller.headquarters import PHU_TUC, SETTLEMENT, Headquarters, wait


async def eventually(condition, what: str, deadline_s: float = 40.0):
    return await asyncio.to_thread(wait, condition, what, deadline_s)


async def whole(node) -> None:
    """Root, two grants and the placement are held."""
    await node.until(lambda peer: len(peer.held) >= 4)


async def test_a_node_that_missed_everything_gets_it_at_its_hello(hq: Headquarters) -> None:
    node = hq.new_node()
    start = hq.start_order()
    hq.post("/v1/orders", hq.sealed(start))
    async with node.connected():
        await whole(node)
        await eventually(lambda: hq.row(start.incident, node.node).state == "sounding", "a late joiner sounds")
    assert hq.row(start.incident, node.node).offers >= 1


async def test_an_unanswered_order_is_offered_again_until_the_receipt(hq: Headquarters) -> None:
    node = hq.new_node()
    node.answers = False
    async with node.connected():
        await whole(node)
        start = hq.start_order()
        hq.post("/v1/orders", hq.sealed(start))

        def told() -> list[str]:
            return [what for topic, _, what in node.diary if topic.endswith(start.incident)]

        await node.until(lambda _: len(told()) >= 2)
        node.answers = True
        await eventually(lambda: hq.row(start.incident, node.node).state == "received", "the repeated offer is answered")
        assert told()[0] == "fresh"
        assert set(told()[1:]) == {"again"}


async def test_the_broker_is_killed_and_comes_back_empty(own_hq: Headquarters) -> None:
    hq = own_hq
    node = hq.new_node()
    station = hq.post("/v1/documents", hq.sealed(hq.station()), DocumentView)
    hq.post("/v1/orders", hq.sealed(hq.stop_order(PHU_TUC)))
    async with node.connected():
        await whole(node)
    await asyncio.to_thread(hq.restart_broker_empty)
    await eventually(lambda: hq.status().broker_connected, "serve is linked again")
    fresh = hq.enrol()
    fresh.node, fresh.cert, fresh.key, fresh.report_key = node.node, node.cert, node.key, node.report_key
    fresh.answers = False
    async with fresh.connected():
        held = lambda peer: {each.digest for each in peer.held.values()}  # noqa: E731  said once
        await fresh.until(lambda peer: station.digest in held(peer))
        await fresh.until(lambda peer: any(kind == "order" for _, kind, _ in peer.diary))


async def test_an_order_on_its_way_survives_the_death_of_the_broker(own_hq: Headquarters) -> None:
    hq = own_hq
    node = hq.new_node()
    hq.kill("broker")
    await eventually(lambda: not hq.status().broker_connected, "serve sees that the broker is gone")
    start = hq.start_order()
    hq.post("/v1/orders", hq.sealed(start))
    assert hq.row(start.incident, node.node).state == "none"
    await asyncio.to_thread(hq.start_broker)
    async with node.connected():
        await eventually(lambda: hq.row(start.incident, node.node).state == "sounding", "it sounds after all")


async def test_serve_is_killed_and_finds_everything_again(own_hq: Headquarters) -> None:
    hq = own_hq
    node = hq.new_node()
    async with node.connected():
        await whole(node)
        first = hq.start_order()
        hq.post("/v1/orders", hq.sealed(first))
        await eventually(lambda: hq.row(first.incident, node.node).state == "sounding", "it sounds")
        hq.kill("serve")
        raw = await node.receipt(plays=(node.play(1), node.play(2)))
        await node.client.publish(f"loa/1/node/{node.node}/receipt", raw, qos=1)
        await asyncio.to_thread(hq.start_serve)
        plays = await eventually(
            lambda: hq.get("/v1/plays", list[PlayView], node=node.node), "what the broker kept for serve is stored"
        )
        assert sorted(play.record_id for play in plays) == [1, 2]
        await node.until(lambda peer: peer.marks[-1:] == [2])
        assert hq.row(first.incident, node.node).state == "sounding"
        hq.post("/v1/orders", hq.sealed(hq.stop_order(incident=first.incident)))
        await eventually(lambda: hq.row(first.incident, node.node).state == "stopped", "it stops")


async def test_an_order_published_past_serve_is_taken_in(own_hq: Headquarters) -> None:
    hq = own_hq
    node = hq.new_node()
    hq.kill("serve")
    start = hq.start_order()
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4 or True)
        from controller.direct import Door, Letter, publish

        tls = hq.state / "tls"
        door = Door(
            host="127.0.0.1",
            port=hq.port,
            ca=hq.state / "ca" / "ca.crt",
            certificate=tls / "operator-1.crt",
            key=tls / "operator-1.key",
            name="operator-1",
        )
        topic = f"loa/1/area/{SETTLEMENT}/order/{start.incident}"
        await publish(door, [Letter(topic=topic, raw=hq.sealed(start), retain=False, expiry_s=300)])
        await asyncio.to_thread(hq.start_serve)
        await eventually(
            lambda: start.incident in {each["incident"] for each in hq.http.get("/v1/incidents").json()}, "serve knows it"
        )
        await eventually(lambda: hq.row(start.incident, node.node).state == "sounding", "and its receipts")


async def test_records_are_counted_once_and_gaps_are_asked_for(hq: Headquarters) -> None:
    node = hq.new_node()
    async with node.connected():
        await whole(node)
        first = await node.receipt(plays=(node.play(1), node.play(2)))
        await node.client.publish(f"loa/1/node/{node.node}/receipt", first, qos=1)
        await node.receipt(plays=(node.play(2), node.play(4)))
        await node.until(lambda peer: peer.marks.count(2) >= 3)
        await node.receipt(plays=(node.play(3),))
        await node.until(lambda peer: peer.marks[-1:] == [4])
        plays = hq.get("/v1/plays", list[PlayView], node=node.node)
        assert sorted(play.record_id for play in plays) == [1, 2, 3, 4]


async def test_serve_killed_again_and_again_counts_every_play_once(own_hq: Headquarters) -> None:
    hq = own_hq
    node, whole_count = hq.new_node(), 40
    async with node.connected():
        await whole(node)

        async def tell_all() -> None:
            """As a node does: from the last mark on, a few at a time, until all are marked."""
            while node.marks[-1:] != [whole_count]:
                upto = node.marks[-1] if node.marks else 0
                for first in range(upto + 1, whole_count + 1, 5):
                    await node.receipt(plays=tuple(node.play(n) for n in range(first, min(first + 5, whole_count + 1))))
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.5)

        telling = asyncio.create_task(tell_all())
        for pause_s in (0.05, 0.15, 0.3):
            await asyncio.sleep(pause_s)
            hq.kill("serve")
            await asyncio.to_thread(hq.start_serve)
        async with asyncio.timeout(60):
            await telling
        plays = hq.get("/v1/plays", list[PlayView], node=node.node)
        assert sorted(play.record_id for play in plays) == list(range(1, whole_count + 1))


async def test_a_node_that_lost_its_memory_counts_anew_and_loses_nothing(hq: Headquarters) -> None:
    node = hq.new_node()
    async with node.connected():
        await whole(node)
        await node.receipt(plays=tuple(node.play(number) for number in range(1, 6)))
        await node.until(lambda peer: peer.marks[-1:] == [5])
        node.amnesia, node.last_record_id = True, 1
        await node.hello()
        await node.until(lambda peer: peer.marks[-1:] == [0])
        await node.receipt(plays=(node.play(1, item="after"),))
        await node.until(lambda peer: peer.marks[-1:] == [1])
        assert len(hq.get("/v1/plays", list[PlayView], node=node.node)) == 6


async def test_an_old_death_is_ignored(hq: Headquarters) -> None:
    node = hq.new_node()
    async with node.connected():
        await whole(node)
        await eventually(lambda: hq.node(node.node).online == "online", "it is there")
        await node.alive(online=False, birth=node.birth - 1, retain=False)
        await node.health(troubles=("hot",))
        await eventually(lambda: any(each.code == "trouble" for each in hq.node(node.node).reasons), "its health came after")
        assert hq.node(node.node).online == "online"
    lost = await eventually(lambda: hq.node(node.node) if hq.node(node.node).online == "lost" else None, "its own will counts")
    assert lost.severity == 3
    assert lost.reasons[0].code == "lost"


async def test_a_broker_that_restarted_makes_nodes_unknown(own_hq: Headquarters) -> None:
    hq = own_hq
    node = hq.new_node()
    async with node.connected(may_break=True):
        await whole(node)
        await eventually(lambda: hq.node(node.node).online == "online", "it is there")
        await asyncio.to_thread(hq.restart_broker_empty)
        await eventually(lambda: hq.status().broker_connected, "serve is linked again")
    assert hq.node(node.node).online == "unknown"
    async with node.connected():
        await eventually(lambda: hq.node(node.node).online == "online", "heard again")


async def test_a_serve_that_restarts_believes_the_running_broker(own_hq: Headquarters) -> None:
    hq = own_hq
    node = hq.new_node()
    async with node.connected():
        await whole(node)
        await eventually(lambda: hq.node(node.node).online == "online", "it is there")
        hq.kill("serve")
        await asyncio.to_thread(hq.start_serve)
        await eventually(lambda: hq.node(node.node).online == "online", "though it said nothing")


async def test_a_forged_report_is_refused_counted_and_changes_nothing(hq: Headquarters) -> None:
    node, other = hq.new_node(), hq.new_node()
    async with node.connected():
        await whole(node)
        start = hq.start_order()
        hq.post("/v1/orders", hq.sealed(start))
        await eventually(lambda: hq.row(start.incident, node.node).state == "sounding", "it sounds")
        honest, node.report_key = node.report_key, other.report_key
        await node.receipt(plays=(node.play(1),))
        node.report_key = honest
        await node.client.publish(f"loa/1/node/{node.node}/receipt", b"\x00garbage", qos=1)
        topic = f"loa/1/node/{node.node}/receipt"

        def counted() -> bool:
            found = hq.get("/v1/refusals", list[RefusalView], node="controller")
            return {"bad-signature", "malformed"} <= {each.reason for each in found if each.topic == topic}

        await eventually(counted, "both are counted with their reasons")
        assert hq.get("/v1/plays", list[PlayView], node=node.node) == []


async def test_what_a_node_refused_is_shown(hq: Headquarters) -> None:
    node = hq.new_node()
    async with node.connected():
        await whole(node)
        start = hq.start_order()
        hq.post("/v1/orders", hq.sealed(start))
        stranger = msgspec.structs.replace(start, incident="00" * 8)
        await node.take(f"loa/1/area/{SETTLEMENT}/order/{'00' * 8}", hq.sealed(stranger, "chair"))
        refusals = await eventually(lambda: hq.get("/v1/refusals", list[RefusalView], node=node.node), "the refusal is listed")
        assert refusals[0].reason == "not-empowered"
        assert hq.node(node.node).refused == 1
