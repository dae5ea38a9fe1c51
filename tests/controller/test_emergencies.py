"""Emergencies by an officer's key and by a relay's service key: what each may say, one row a node, nodes without a clock."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from controller.actions.views import IncidentView
from protocol.orders import ExerciseStart, Start
from tests.controller.headquarters import IA_DREH, OTHER, PER_DAY, PHU_TUC, RELAY, SETTLEMENT, Headquarters, wait


def request(areas: list[str], clips: list[str], **more) -> dict:
    return {"areas": areas, "texts": [], "clips": clips, "issuing_body": RELAY, "risk": 3} | more


async def eventually(condition, what: str):
    return await asyncio.to_thread(wait, condition, what)


@pytest.fixture(scope="session")
def clips(hq: Headquarters, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two recordings in the library; the grants list the first."""
    listed, other = (prepared(hq, tmp_path_factory.mktemp("sounds"), text) for text in ("Nước đang lên nhanh.", "Xin chào."))
    held = {one["subject"]: one["digest"] for one in hq.http.get("/v1/documents", params={"kind": "grant"}).json()}
    hq.relay(listed, prev=held)
    return listed, other


def prepared(hq: Headquarters, folder: Path, text: str) -> str:
    sound = folder / "sound.wav"
    subprocess.run(["espeak-ng", "-v", "vi", "-w", sound, text], check=True)
    lines = hq.http.post("/v1/media", json={"path": str(sound), "title": text}, timeout=60).text.splitlines()
    return json.loads(lines[-1])["media"]["sha256"]


async def test_a_listed_recording_sounds_by_the_service_key_and_an_officer_stops_it(hq: Headquarters, clips) -> None:
    near, far = hq.new_node(SETTLEMENT), hq.new_node(OTHER)
    async with near.connected(), far.connected():
        await near.until(lambda peer: len(peer.held) >= 4)
        await far.until(lambda peer: len(peer.held) >= 4)
        view = hq.post("/v1/emergencies/service", request([SETTLEMENT], [clips[0]]), IncidentView)
        await eventually(lambda: hq.row(view.incident, near.node).state == "sounding", "it sounds")
        order = near.opened[-1]
        assert isinstance(order.payload, Start)
        assert order.persons == (f"service-{PHU_TUC}",)
        assert all(each.payload.incident != view.incident for each in far.opened)
        stopped = hq.post("/v1/orders", hq.sealed(hq.stop_order(SETTLEMENT, view.incident)), IncidentView)
        assert stopped.incident == view.incident
        await eventually(lambda: hq.row(view.incident, near.node).state == "stopped", "it stops")


def test_the_service_key_says_nothing_else(hq: Headquarters, clips) -> None:
    listed, other = clips
    for wrong, code in (
        (request([SETTLEMENT], [listed], texts=[{"lang": "vi", "text": "Lời khác."}]), "service-words"),
        (request([SETTLEMENT], [other]), "not-listed"),
        (request([SETTLEMENT], [listed], issuing_body="UBND tỉnh Gia Lai"), "not-empowered"),
        (request([SETTLEMENT], [listed], sound_max_s=601), "too-long"),
        (request(["52"], [listed]), "too-wide"),
        (request([SETTLEMENT], []), "no-text"),
        (request(["52.99999"], [listed]), "unknown-area"),
        (request([], [listed]), "no-area"),
        (request([SETTLEMENT], ["ab" * 32]), "unknown-media"),
    ):
        assert hq.refused("/v1/emergencies/service", wrong)["code"] == code
    for path in ("draft", "confirm", "stop", "lift"):
        assert hq.http.post(f"/v1/emergencies/{path}", content=b"{}").status_code == 404


async def test_an_exercise_is_never_a_live_alert(hq: Headquarters) -> None:
    node = hq.new_node(OTHER)
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4)
        view = hq.post("/v1/orders", hq.sealed(hq.start_order(OTHER, exercise=True)), IncidentView)
        await eventually(lambda: hq.row(view.incident, node.node).state == "sounding", "it sounds")
        mine = [each for each in node.opened if each.payload.incident == view.incident]
        assert [type(each.payload) for each in mine] == [ExerciseStart]


async def test_stop_of_everything_silences_what_an_officers_key_started(hq: Headquarters) -> None:
    node = hq.new_node(f"{IA_DREH}.001")
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4)
        start = hq.start_order(f"{IA_DREH}.001")
        hq.post("/v1/orders", hq.sealed(start))
        await eventually(lambda: hq.row(start.incident, node.node).state == "sounding", "it sounds")
        view = hq.post("/v1/orders", hq.sealed(hq.stop_order(IA_DREH)), IncidentView)
        assert view.op == "STOP"
        await eventually(lambda: hq.row(start.incident, node.node).state == "stopped", "it stops")
        lifted = hq.post("/v1/orders", hq.sealed(hq.lift_order(IA_DREH)), IncidentView)
        assert lifted.op == "LIFT"


async def test_a_node_without_a_clock_gets_its_nonce_answered_at_once(hq: Headquarters, clips) -> None:
    node = hq.new_node()
    node.clock_state = "unknown"
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4)
        await eventually(lambda: hq.node(node.node).clock_state == "unknown", "the controller knows of its clock")
        view = hq.post("/v1/emergencies/service", request([SETTLEMENT], [clips[0]]), IncidentView)
        await eventually(lambda: hq.row(view.incident, node.node).state == "sounding", "it sounds")


async def test_a_late_node_without_a_clock_is_resealed_for(hq: Headquarters, clips) -> None:
    node, well = hq.new_node(), hq.new_node()
    async with well.connected():
        await well.until(lambda peer: len(peer.held) >= 4)
        view = hq.post("/v1/emergencies/service", request([SETTLEMENT], [clips[0]]), IncidentView)
        await eventually(lambda: hq.row(view.incident, well.node).state == "sounding", "the others sound")
        heard = len(well.opened)
        node.clock_state = "unknown"
        async with node.connected():
            await eventually(lambda: hq.row(view.incident, node.node).state == "sounding", "a re-sealed order reaches it")
        mine = next(each.payload for each in node.opened if each.payload.incident == view.incident)
        assert node.nonce in mine.answers
        assert len(well.opened) == heard


async def test_the_starts_of_a_day_are_used_up_also_for_a_signer_that_forgot_them(own_hq: Headquarters, tmp_path: Path) -> None:
    hq = own_hq
    sha256 = prepared(hq, tmp_path, "Nước đang lên nhanh.")
    hq.relay(
        sha256, prev={one["subject"]: one["digest"] for one in hq.http.get("/v1/documents", params={"kind": "grant"}).json()}
    )
    asked = request([SETTLEMENT], [sha256])
    for _ in range(PER_DAY):
        hq.post("/v1/emergencies/service", asked)
    assert hq.refused("/v1/emergencies/service", asked)["code"] == "day-used-up"
    hq.kill("signer")
    (hq.state / "signer" / "last.json").unlink()
    hq.start_signer()
    refused = hq.refused("/v1/emergencies/service", asked)
    assert refused["code"] == "not-empowered", "the controller counts by itself what it stored"
    assert "a day" in refused["error"]
    assert len(hq.http.get("/v1/incidents").json()) == PER_DAY


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
