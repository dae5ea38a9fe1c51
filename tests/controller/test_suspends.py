"""A key is suspended through the real serve: out at once, resent to whoever lags, read back, and over when it is lifted."""

from __future__ import annotations

import asyncio

from controller.actions.trust_views import SuspendView
from controller.actions.views import DocumentView
from protocol import keys
from protocol.passing import Suspend
from tests.controller.headquarters import PHU_TUC, SETTLEMENT, Headquarters, number, wait


def suspend(hq: Headquarters, person: str = "officer", *, hours: int = 24, **more) -> Suspend:
    common = hq.common(PHU_TUC, "root", "routine") | {"area_no": number(PHU_TUC)}
    fields = {"key_id": keys.sealer(hq.people[person]).public_key.keyid, "until_ms": common["seq"] + hours * 3_600_000}
    return Suspend(**(common | fields | more))


def listed(hq: Headquarters) -> list[SuspendView]:
    return hq.get("/v1/suspends", list[SuspendView])


async def eventually(condition, what: str):
    return await asyncio.to_thread(wait, condition, what)


async def test_it_is_out_at_once_named_by_the_node_and_its_orders_are_refused_here_too(own_hq: Headquarters) -> None:
    hq = own_hq
    node = hq.new_node()
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4)
        hq.post("/v1/suspends", hq.sealed(suspend(hq), "chair"), SuspendView)
        await eventually(lambda: listed(hq)[0].held == 1, "the node names it")
        view = listed(hq)[0]
        assert (view.person, view.area, view.in_force, view.nodes) == ("officer", PHU_TUC, True, 1)
        assert "officer (52.24076)" in hq.node(node.node).suspended
        assert [reason.vi for reason in hq.node(node.node).reasons] == ["Khóa đang bị tạm ngưng: officer (52.24076)"]
        refused = hq.refused("/v1/orders", hq.sealed(hq.start_order()))
        assert (refused["status"], refused["code"]) == (422, "suspended")
        start = hq.start_order()
        hq.post("/v1/orders", hq.sealed(start, "second"))
        await eventually(lambda: hq.row(start.incident, node.node).state == "sounding", "a colleague's order sounds")
        hq.post("/v1/suspends", hq.sealed(suspend(hq, hours=0), "deputy"), SuspendView)
        hq.post("/v1/orders", hq.sealed(hq.start_order()))
        assert not listed(hq)[0].in_force


async def test_a_node_that_was_away_gets_it_and_a_broker_that_forgot_it_is_told_again(own_hq: Headquarters) -> None:
    hq = own_hq
    hq.post("/v1/suspends", hq.sealed(suspend(hq), "chair"), SuspendView)
    node = hq.new_node()
    async with node.connected():
        await eventually(lambda: listed(hq)[0].held == 1, "the late node names it")
    await asyncio.to_thread(hq.restart_broker_empty)
    await eventually(lambda: hq.status().broker_connected, "serve is linked again")
    hq.kill("serve")
    await asyncio.to_thread(hq.start_serve)
    assert listed(hq)[0].in_force
    fresh = hq.new_node()
    fresh.answers = False
    async with fresh.connected():
        await fresh.until(lambda peer: any(kind == "suspend" for _, kind, _ in peer.diary))
        await eventually(lambda: any(view.nodes == 2 and view.held >= 1 for view in listed(hq)), "it is named")


async def test_what_the_key_said_is_offered_no_more(own_hq: Headquarters) -> None:
    hq = own_hq
    start = hq.start_order()
    hq.post("/v1/orders", hq.sealed(start))
    hq.post("/v1/suspends", hq.sealed(suspend(hq), "chair"), SuspendView)
    node = hq.new_node()
    async with node.connected():
        await node.until(lambda peer: any(held.kind == "suspend" for held in peer.held.values()))
        hq.post("/v1/documents", hq.sealed(hq.station(), "second"), DocumentView)
        await node.until(lambda peer: any(held.kind == "station" for held in peer.held.values()))
    assert not [topic for topic, _, _ in node.diary if topic.endswith(start.incident)]
    assert hq.row(start.incident, node.node).offers == 0 if hq.incident(start.incident).rows else True


def test_what_no_node_would_take_is_refused_with_its_reason(hq: Headquarters) -> None:
    own = suspend(hq, authority=PHU_TUC)
    assert hq.refused("/v1/suspends", hq.sealed(own, "second"))["code"] == "not-empowered"
    assert hq.refused("/v1/suspends", hq.sealed(suspend(hq, hours=73), "chair"))["code"] == "malformed"
    assert (
        hq.refused("/v1/suspends", hq.sealed(suspend(hq, area=SETTLEMENT, area_no=number(SETTLEMENT)), "chair"))["code"]
        == "not-mine"
    )
    assert hq.refused("/v1/suspends", hq.sealed(suspend(hq, area_no=7), "chair"))["code"] == "malformed"
    assert hq.refused("/v1/suspends", hq.sealed(hq.start_order()))["code"] == "wrong-type"
    assert hq.refused("/v1/documents", hq.sealed(suspend(hq), "chair"))["code"] == "wrong-type"
