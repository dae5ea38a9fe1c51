"""Documents: what comes into force, what is refused and why, and what gives way when a key turns out stolen."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import structs

from controller.actions.views import DocumentContext, DocumentView
from protocol.bulletins import Item, Media, Variant
from protocol.documents import Network, NetworkBody
from protocol.envelope import seal
from protocol.units import MAX_MS
from tests.controller.headquarters import IA_DREH, OTHER, PHU_TUC, SETTLEMENT, Headquarters, wait


def context(hq: Headquarters, kind: str, subject: str, authority: str) -> DocumentContext:
    return hq.get("/v1/documents/context", DocumentContext, kind=kind, subject=subject, authority=authority)


def item(sha256: str = "ab" * 32, **more) -> Item:
    fields = {"id": "sang", "title": "Bản tin sáng", "rrule": "FREQ=DAILY;BYHOUR=5;BYMINUTE=30"} | more
    return Item(variants=(Variant(lang="vi", media=Media(sha256=sha256, bytes=1000, samples=48_000)),), **fields)


async def test_a_station_reaches_the_nodes_of_its_commune_and_the_next_replaces_it(hq: Headquarters) -> None:
    node = hq.new_node(f"{IA_DREH}.001")
    async with node.connected():
        await node.until(lambda peer: len(peer.held) >= 4)
        first = hq.post("/v1/documents", hq.sealed(hq.station(IA_DREH)), DocumentView)
        await node.until(lambda peer: first.digest in {held.digest for held in peer.held.values()})
        prev = context(hq, "station", IA_DREH, IA_DREH).prev
        assert prev == first.digest
        second = hq.post("/v1/documents", hq.sealed(hq.station(IA_DREH, prev=prev, volume_cdb=-300)), DocumentView)
        await node.until(lambda peer: second.digest in {held.digest for held in peer.held.values()})
        await asyncio.to_thread(wait, lambda: hq.node(node.node).holds_current, "the node's hello tells that it holds all")
        found = hq.http.get("/v1/documents", params={"kind": "station", "subject": IA_DREH}).json()
        assert {each["digest"]: each["in_force"] for each in found} == {first.digest: False, second.digest: True}
        assert hq.http.get(f"/v1/documents/{second.digest}").content == hq.sealed_bytes[-1]


def test_a_stale_prev_is_refused_in_a_sentence_that_tells_what_to_do(hq: Headquarters) -> None:
    before = context(hq, "programme", SETTLEMENT, PHU_TUC).prev
    raw = hq.sealed(hq.programme(area=SETTLEMENT, prev=before))
    hq.post("/v1/documents", raw, DocumentView)
    answer = hq.refused("/v1/documents", hq.sealed(hq.programme(area=SETTLEMENT, prev=before)))
    assert answer["code"] == "superseded"
    assert "fetch the newest" in answer["error"]
    again = hq.post("/v1/documents", raw, DocumentView)
    assert again.in_force
    assert not again.fresh


def test_unknown_media_and_impossible_rules_store_nothing(hq: Headquarters) -> None:
    before = context(hq, "programme", OTHER, PHU_TUC)
    answer = hq.refused("/v1/documents", hq.sealed(hq.programme(item(), area=OTHER)))
    assert answer["code"] == "malformed"
    assert "loa media add" in answer["error"]
    answer = hq.refused("/v1/documents", hq.sealed(hq.programme(item(rrule="FREQ=SECONDLY"), area=OTHER)))
    assert "sang" in answer["error"]
    assert context(hq, "programme", OTHER, PHU_TUC).prev == before.prev


def test_a_placement_must_agree_with_the_tree_and_the_enrolment(hq: Headquarters) -> None:
    node = hq.enrol(SETTLEMENT)
    answer = hq.refused("/v1/documents", seal(hq.placement(node, OTHER), hq.sealers("chair")))
    assert answer["code"] == "malformed"
    assert SETTLEMENT in answer["error"]
    stranger = hq.enrol(SETTLEMENT)
    stranger.node = "0000000000"
    assert "not enrolled" in hq.refused("/v1/documents", seal(hq.placement(stranger), hq.sealers("chair")))["error"]
    hq.place(node)
    assert hq.node(node.node).placed


def test_bytes_that_are_nothing_are_refused(hq: Headquarters) -> None:
    for raw in (b"", b"{}", b"\xff" * 100, b"[" * 10_000, hq.sealed(hq.start_order())):
        assert hq.refused("/v1/documents", raw)["status"] == 422
    for raw in (b"", b"{}", b"\xff" * 100, hq.sealed(hq.station())):
        assert hq.refused("/v1/orders", raw)["status"] == 422


def test_a_second_root_cannot_be_pinned(hq: Headquarters) -> None:
    reply = hq.http.post(f"/v1/root?digest={hq.root_digest}", content=hq.root_raw)
    assert reply.status_code == 409


def test_what_a_stolen_key_signed_gives_way_to_the_newest_by_others(own_hq: Headquarters) -> None:
    hq = own_hq
    honest = hq.post("/v1/documents", hq.sealed(hq.station(), "second"), DocumentView)
    forged = hq.post("/v1/documents", hq.sealed(hq.station(prev=honest.digest, volume_cdb=-12_000), "officer"), DocumentView)
    prev = context(hq, "grant", PHU_TUC, "root").prev
    grant = hq.grant(PHU_TUC, prev=prev, states={"officer": "stolen"})
    hq.post("/v1/documents", seal(grant, hq.sealers("chair", "deputy")), DocumentView)
    found = {view.digest: view.in_force for view in hq.get("/v1/documents", list[DocumentView], kind="station")}
    assert found == {honest.digest: True, forged.digest: False}
    assert hq.refused("/v1/orders", hq.sealed(hq.start_order(), "officer"))["code"] == "not-empowered"


def test_the_next_root_reaches_a_node_that_missed_one(own_hq: Headquarters) -> None:
    hq = own_hq
    root, raws = hq.root, []
    for version in (2, 3):
        body = msgspec.structs.replace(root.body, version=version)
        prev = context(hq, "root", "52", "root").prev
        root = msgspec.structs.replace(root, body=body, seq=hq.seq(), prev=prev)
        raws.append(seal(root, hq.sealers("chair", "deputy")))
        hq.post("/v1/documents", raws[-1], DocumentView)
    node = hq.new_node()

    async def scene() -> None:
        async with node.connected():
            await node.until(lambda peer: peer.trust.root.body.version == 3)

    asyncio.run(scene())


def test_settlements_come_from_a_table_and_wrong_lines_are_named(hq: Headquarters) -> None:
    wrong = hq.http.post("/v1/areas/settlements", json={"csv": "id,name,level,parent\n52.24076.900,,settlement,52.24076\n"})
    assert wrong.status_code == 400
    csv = "id,name,level,parent\n52.24076.900,Buôn Thử,settlement,52.24076\n"
    assert hq.http.post("/v1/areas/settlements", json={"csv": csv, "dry_run": True}).json() == {"added": 1, "changed": 0}
    assert hq.http.post("/v1/areas/settlements", json={"csv": csv}).json() == {"added": 1, "changed": 0}
    assert hq.http.post("/v1/areas/settlements", json={"csv": csv.replace("Thử", "Mới")}).json() == {"added": 0, "changed": 1}
    found = hq.http.get("/v1/areas/search", params={"q": "buon thu"}).json()
    assert "52.24076.900" in [each["id"] for each in found]
    assert "52.24076.900" in (hq.state / "areas.json").read_text("utf-8")


async def test_a_nodes_budgets_are_signed_by_two_and_reach_that_node_alone(hq: Headquarters) -> None:
    node, other = hq.new_node(SETTLEMENT), hq.new_node(SETTLEMENT)
    context_of = context(hq, "network", node.node, PHU_TUC)
    made = Network(
        authority=PHU_TUC,
        area=node.node,
        area_no=context_of.area_no,
        seq=hq.seq(),
        purpose="routine",
        subject=node.node,
        valid_from_ms=context_of.now_ms,
        valid_until_ms=MAX_MS,
        body=NetworkBody(month_bytes=500_000_000),
    )
    assert hq.refused("/v1/documents", hq.sealed(made, "officer"))["code"] == "too-few-persons"
    elsewhere = structs.replace(made, subject=PHU_TUC, area=PHU_TUC)
    assert hq.refused("/v1/documents", hq.sealed(elsewhere, "officer", "second"))["code"] == "malformed"
    async with node.connected(), other.connected():
        await other.until(lambda peer: len(peer.held) >= 4)
        taken = hq.post("/v1/documents", hq.sealed(made, "officer", "second"), DocumentView)
        await node.until(lambda peer: taken.digest in {held.digest for held in peer.held.values()})
        await asyncio.to_thread(wait, lambda: hq.node(node.node).holds_current, "the node's hello tells that it holds all")
    assert taken.digest not in {held.digest for held in other.held.values()}
    assert context(hq, "network", node.node, "root").prev == taken.digest, "one place, whoever signed"
