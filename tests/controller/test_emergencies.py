"""Emergencies as the page starts them: a draft, a deliberate second act, the signer's own process, one row a node."""

from __future__ import annotations

import asyncio
import secrets

import msgspec

from controller.__main__ import build
from controller.actions import people, second_factor
from controller.actions.sessions import Caller
from controller.actions.views import Draft, IncidentView, NewPerson
from controller.config import load
from controller.core import totp
from protocol.orders import ExerciseStart, Start
from tests.controller.headquarters import IA_DREH, OTHER, PHU_TUC, SETTLEMENT, Headquarters, wait

GROUP = "krong-pa"
PASSWORD = "mua-lu-thang-muoi"


def request(areas: list[str], **more) -> dict:
    return {
        "areas": areas,
        "texts": [{"lang": "vi", "text": "Nước sông Ba dâng cao, đề nghị bà con sơ tán."}],
        "issuing_body": "UBND xã Phú Túc",
        "risk": 3,
    } | more


async def eventually(condition, what: str):
    return await asyncio.to_thread(wait, condition, what)


async def test_draft_and_confirm_reach_the_settlement_with_the_service_key(hq: Headquarters) -> None:
    near, far = hq.new_node(SETTLEMENT), hq.new_node(OTHER)
    async with near.connected(), far.connected():
        await near.until(lambda peer: len(peer.held) >= 4)
        await far.until(lambda peer: len(peer.held) >= 4)
        draft = hq.post("/v1/emergencies/draft", request([SETTLEMENT]), Draft)
        assert any(near.node in name for name in draft.node_names)
        assert not any(far.node in name for name in draft.node_names)
        assert not draft.needs_second_person
        assert hq.http.get("/v1/incidents").json() == [] or draft.id not in str(hq.http.get("/v1/incidents").json())
        view = hq.post("/v1/emergencies/confirm", {"draft": draft.id}, IncidentView)
        await eventually(lambda: hq.row(view.incident, near.node).state == "sounding", "it sounds")
        order = near.opened[-1]
        assert isinstance(order.payload, Start)
        assert order.persons == (f"service-{PHU_TUC}",)
        assert all(each.payload.incident != view.incident for each in far.opened)
        assert hq.refused("/v1/emergencies/confirm", {"draft": draft.id})["code"] == "no-draft"
        stopped = hq.post("/v1/emergencies/stop", {"incident": view.incident, "reason": "thử"}, IncidentView)
        assert stopped.incident == view.incident
        await eventually(lambda: hq.row(view.incident, near.node).state == "stopped", "it stops")


async def test_an_exercise_is_never_a_live_alert(hq: Headquarters) -> None:
    node = hq.new_node(OTHER)
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4)
        draft = hq.post("/v1/emergencies/draft", request([OTHER], exercise=True), Draft)
        view = hq.post("/v1/emergencies/confirm", {"draft": draft.id}, IncidentView)
        await eventually(lambda: hq.row(view.incident, node.node).state == "sounding", "it sounds")
        mine = [each for each in node.opened if each.payload.incident == view.incident]
        assert [type(each.payload) for each in mine] == [ExerciseStart]
        hq.post("/v1/emergencies/stop", {"incident": view.incident})
        await eventually(lambda: hq.row(view.incident, node.node).state == "stopped", "the exercise stops")
        assert node.opened[-1].kind == "exercise"


async def with_a_telephone(hq: Headquarters, officer: NewPerson) -> str:
    """The second officer has a password of their own and a telephone; returns the next code of it."""
    parts = build(load(hq.state))
    try:
        session = await people.change_password(parts, officer.person.name, officer.first_password, PASSWORD)
        secret = second_factor.begin(parts, session)
        step = totp.step_of(parts.now_ms())
        assert await second_factor.finish(parts, session, totp.code_at(secret, step), Caller())
        return totp.code_at(secret, step + 1)
    finally:
        parts.database.close()


async def test_a_group_needs_a_second_officer_and_is_sealed_for_each_commune(hq: Headquarters) -> None:
    here, there = hq.new_node(SETTLEMENT), hq.new_node(f"{IA_DREH}.001")
    officer = hq.post(
        "/v1/people",
        {"name": f"o{secrets.token_hex(3)}", "full_name": "Người Thứ Hai", "duties": [{"role": "emergency", "area": "52"}]},
        NewPerson,
    )
    async with here.connected(), there.connected():
        await here.until(lambda peer: len(peer.held) >= 4)
        await there.until(lambda peer: len(peer.held) >= 4)
        draft = hq.post("/v1/emergencies/draft", request([PHU_TUC, IA_DREH]), Draft)
        assert draft.needs_second_person
        assert hq.refused("/v1/emergencies/confirm", {"draft": draft.id})["code"] == "second"
        body = {"draft": draft.id, "second": officer.person.name, "second_password": officer.first_password}
        assert hq.refused("/v1/emergencies/confirm", body)["code"] == "second", "a first password and no code vouch for nothing"
        body |= {"second_password": PASSWORD, "second_code": await with_a_telephone(hq, officer)}
        view = hq.post("/v1/emergencies/confirm", body, IncidentView)
        assert len(view.digests) == 2
        await eventually(lambda: hq.row(view.incident, here.node).state == "sounding", "it sounds here")
        await eventually(lambda: hq.row(view.incident, there.node).state == "sounding", "and there")
        hq.post("/v1/emergencies/stop", {"incident": view.incident})
        await eventually(lambda: hq.incident(view.incident).state == "stopped", "both stop")


def test_the_old_district_is_resolved_to_its_communes(hq: Headquarters) -> None:
    groups = hq.http.get("/v1/groups").json()
    group = next(each for each in groups if PHU_TUC in each["communes"])
    draft = hq.post("/v1/emergencies/draft", request([group["id"]]), Draft)
    assert {area.id for area in draft.areas} == set(group["communes"])


def test_a_province_is_not_for_the_page(hq: Headquarters) -> None:
    answer = hq.refused("/v1/emergencies/draft", request(["52"]))
    assert answer["code"] == "too-wide"
    assert "loa" in answer["error"]


def test_nothing_to_say_and_unknown_areas_are_refused(hq: Headquarters) -> None:
    assert hq.refused("/v1/emergencies/draft", request([SETTLEMENT], texts=[]))["code"] == "no-text"
    assert hq.refused("/v1/emergencies/draft", request(["52.99999"]))["code"] == "unknown-area"
    assert hq.refused("/v1/emergencies/draft", request([]))["code"] == "no-area"
    assert hq.refused("/v1/emergencies/draft", request([SETTLEMENT], clips=["ab" * 32]))["code"] == "unknown-media"


async def test_stop_of_everything_silences_what_an_officers_key_started(hq: Headquarters) -> None:
    node = hq.new_node(f"{IA_DREH}.001")
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4)
        start = hq.start_order(f"{IA_DREH}.001")
        hq.post("/v1/orders", hq.sealed(start))
        await eventually(lambda: hq.row(start.incident, node.node).state == "sounding", "it sounds")
        view = hq.post("/v1/emergencies/stop", {"areas": [IA_DREH]}, IncidentView)
        assert view.op == "STOP"
        await eventually(lambda: hq.row(start.incident, node.node).state == "stopped", "it stops")
        lifted = hq.post("/v1/emergencies/lift", {"areas": [IA_DREH]}, IncidentView)
        assert lifted.op == "LIFT"


async def test_a_node_without_a_clock_gets_its_nonce_answered_at_once(hq: Headquarters) -> None:
    node = hq.new_node()
    node.clock_state = "unknown"
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4)
        await eventually(lambda: hq.node(node.node).clock_state == "unknown", "the controller knows of its clock")
        draft = hq.post("/v1/emergencies/draft", request([SETTLEMENT]), Draft)
        assert any(node.node in name for name in draft.without_clock)
        view = hq.post("/v1/emergencies/confirm", {"draft": draft.id}, IncidentView)
        await eventually(lambda: hq.row(view.incident, node.node).state == "sounding", "it sounds")


async def test_a_late_node_without_a_clock_is_resealed_for(hq: Headquarters) -> None:
    node, well = hq.new_node(), hq.new_node()
    async with well.connected():
        await well.until(lambda peer: len(peer.held) >= 4)
        draft = hq.post("/v1/emergencies/draft", request([SETTLEMENT]), Draft)
        view = hq.post("/v1/emergencies/confirm", {"draft": draft.id}, IncidentView)
        await eventually(lambda: hq.row(view.incident, well.node).state == "sounding", "the others sound")
        heard = len(well.opened)
        node.clock_state = "unknown"
        async with node.connected():
            await eventually(lambda: hq.row(view.incident, node.node).state == "sounding", "a re-sealed order reaches it")
        mine = next(each.payload for each in node.opened if each.payload.incident == view.incident)
        assert node.nonce in mine.answers
        assert len(well.opened) == heard


async def test_what_an_officers_key_sealed_waits_for_that_officer(hq: Headquarters) -> None:
    node = hq.new_node()
    node.clock_state = "unknown"
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4)
        start = hq.start_order()
        hq.post("/v1/orders", hq.sealed(start))
        row = await eventually(
            lambda: row if (row := hq.row(start.incident, node.node)).nonce else None, "the row carries the nonce"
        )
        assert row.nonce == node.nonce
        context = hq.http.get("/v1/orders/context", params={"area": SETTLEMENT}).json()
        assert node.nonce in context["nonces"]
        again = msgspec.structs.replace(start, seq=hq.seq(), answers=(node.nonce,))
        hq.post("/v1/orders", hq.sealed(again))
        await eventually(lambda: hq.row(start.incident, node.node).state == "sounding", "the officer's re-seal sounds")
