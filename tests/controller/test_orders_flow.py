"""A sealed order posted to the controller reaches nodes over a real broker, and their sealed receipts come back."""

from __future__ import annotations

import asyncio

from controller.actions.views import IncidentView
from tests.controller.headquarters import OTHER, PHU_TUC, SETTLEMENT, Headquarters


async def until(hq: Headquarters, incident: str, node: str, state: str):
    return await asyncio.to_thread(hq.until_row, incident, node, state)


async def test_a_sealed_start_sounds_in_its_settlement_only(hq: Headquarters) -> None:
    near, far = hq.new_node(SETTLEMENT), hq.new_node(OTHER)
    async with near.connected(), far.connected():
        await near.until(lambda peer: len(peer.held) >= 4)
        await far.until(lambda peer: len(peer.held) >= 4)
        start = hq.start_order(SETTLEMENT)
        view = hq.post("/v1/orders", hq.sealed(start), IncidentView)
        row = await until(hq, start.incident, near.node, "sounding")
        assert view.incident == start.incident
        assert row.received_ms
        assert row.sounding_ms
        assert row.spoken_ms
        assert [each.node for each in hq.incident(start.incident).rows if each.node == far.node] == []
        assert all(each.payload.incident != start.incident for each in far.opened)
        assert hq.incident(start.incident).state == "sounding"


async def test_a_stop_turns_the_row_to_stopped(hq: Headquarters) -> None:
    node = hq.new_node()
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4)
        start = hq.start_order()
        hq.post("/v1/orders", hq.sealed(start))
        await until(hq, start.incident, node.node, "sounding")
        hq.post("/v1/orders", hq.sealed(hq.stop_order(incident=start.incident)))
        row = await until(hq, start.incident, node.node, "stopped")
        assert row.stop_state == "received"


async def test_the_same_bytes_twice_are_one_order(hq: Headquarters) -> None:
    raw = hq.sealed(hq.start_order(PHU_TUC))
    first = hq.post("/v1/orders", raw, IncidentView)
    again = hq.post("/v1/orders", raw, IncidentView)
    assert first.incident == again.incident
    assert len(again.digests) == 1


async def test_an_order_by_a_stranger_is_refused_and_counted(hq: Headquarters) -> None:
    before = [each for each in hq.http.get("/v1/refusals").json() if each["node"] == "controller"]
    raw = hq.sealed(hq.start_order(), "chair")
    answer = hq.refused("/v1/orders", raw)
    assert answer["code"] == "not-empowered"
    assert "not-empowered" in answer["error"]
    after = [each for each in hq.http.get("/v1/refusals").json() if each["node"] == "controller"]
    assert sum(each["count"] for each in after) == sum(each["count"] for each in before) + 1
