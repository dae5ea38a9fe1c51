"""A fleet upgrade through the real serve, broker and database: twelve nodes that update, one bad; kills, aborts, mistakes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from controller.actions.rollout_views import PlanView, RolloutView, RolloutWish
from controller.actions.views import AuditView, DocumentView
from controller.ca import client_context
from controller.core.rollout import Bounds
from controller.media import path_of
from protocol.envelope import payload_of, seal
from protocol.release import Bundle, Release, ReleaseBody
from protocol.reports import UpdateState
from protocol.units import MAX_MS
from tests.controller.headquarters import IA_DREH, NUMBERS, PHU_TUC, SETTLEMENT, Headquarters, sha256_of, wait
from tests.fakes.node_peer import NodePeer

COUNT = 12


def release(hq: Headquarters, bundle: bytes, build: int = 7, *, names: tuple[str, ...] = ("chair", "deputy"), **more) -> bytes:
    seq = hq.seq()
    body = ReleaseBody(
        version=f"2026.11.{build}",
        build=build,
        floor=1,
        bundle=Bundle(sha256=sha256_of(bundle), bytes=len(bundle)),
        manifest="3d" * 32,
    )
    fields = {
        "authority": "root",
        "area": "52",
        "area_no": NUMBERS["52"],
        "seq": seq,
        "purpose": "routine",
        "subject": "loa-node",
        "valid_from_ms": seq - 60_000,
        "valid_until_ms": MAX_MS,
        "body": body,
    }
    return seal(Release(**(fields | more)), hq.sealers(*names))


def take_in(hq: Headquarters, build: int = 7) -> str:
    """A release and its bundle. Returns its digest."""
    bundle = secrets.token_bytes(100_000)
    view = hq.post("/v1/documents", release(hq, bundle, build), DocumentView)
    file = hq.folder / f"{build}.raucb"
    file.write_bytes(bundle)
    assert hq.post("/v1/bundles", {"path": str(file)}) == {"sha256": sha256_of(bundle)}
    return view.digest


def fleet(hq: Headquarters, count: int = COUNT) -> list[NodePeer]:
    """Enrolled and placed in a row, where each is the neighbour of the next."""
    peers = [hq.enrol() for _ in range(count)]
    for peer, following in zip(peers, [*peers[1:], None], strict=True):
        hq.place(peer, neighbours=(following.node,) if following else ())
    return peers


def view_of(hq: Headquarters, number: int) -> RolloutView:
    return hq.get(f"/v1/rollouts/{number}", RolloutView)


async def until(hq: Headquarters, number: int, condition, what: str) -> RolloutView:
    return await asyncio.to_thread(wait, lambda: view if condition(view := view_of(hq, number)) else None, what, 60)


def stands(view: RolloutView, stand: str) -> set[str]:
    return {row.node for row in view.nodes if row.stand == stand}


@contextlib.asynccontextmanager
async def online(hq: Headquarters, peers: list[NodePeer]):
    async with contextlib.AsyncExitStack() as stack:
        for peer in peers:
            await stack.enter_async_context(peer.connected())
        there = {peer.node for peer in peers}
        await asyncio.to_thread(wait, lambda: all(hq.node(node).online == "online" for node in there), "all are there")
        yield


def wish(**more) -> RolloutWish:
    return RolloutWish(**({"release": "2026.11.7"} | more))


async def test_twelve_nodes_one_bad_it_advances_pauses_resumes_and_ends(own_hq: Headquarters) -> None:
    hq = own_hq
    peers = fleet(hq)
    digest = take_in(hq)
    async with online(hq, peers):
        plan = hq.post("/v1/rollouts/plan", wish(), PlanView)
        assert (plan.release, plan.bytes_most, plan.unreachable, plan.bundle_here) == (digest, COUNT * 100_000, 0, True)
        waves = [[node.node for node in wave.nodes] for wave in plan.waves]
        bad = waves[-2][0]
        next(peer for peer in peers if peer.node == bad).update_ends = "rolled-back"
        begun = hq.post("/v1/rollouts", wish(), RolloutView)
        paused = await until(hq, begun.id, lambda view: view.phase != "running", "it pauses")
        assert paused.phase == "paused"
        assert bad in paused.why
        assert stands(paused, "failed") == {bad}
        hq.post(f"/v1/rollouts/{begun.id}/resume", {"reason": "thẻ nhớ hỏng"}, RolloutView)
        ended = await until(hq, begun.id, lambda view: view.ended_ms is not None, "it ends")
        assert (ended.phase, ended.counts) == ("ended", {"good": COUNT - 1, "failed": 1})
        for peer in peers:
            assert peer.update_diary[:6] == ["fetching", "fetching", "installing", "installed", "trial", peer.update_ends]
            assert [kind for _, kind, _ in peer.diary].count("release") == 1
        assert [[row.node for row in ended.nodes if row.wave == number] for number in range(ended.waves)] == waves
        assert {hq.node(peer.node).version for peer in peers if peer.node != bad} == {"2026.11.7+7"}
        said = {view.act for view in hq.get("/v1/audit", list[AuditView], limit=200)}
        assert {"rollout.start", "rollout.pause", "rollout.wave", "rollout.resume", "rollout.end"} <= said
        again = hq.refused("/v1/rollouts", wish())
        assert again["code"] == "nobody"


async def test_two_neighbours_are_never_under_way_at_once(own_hq: Headquarters) -> None:
    hq = own_hq
    peers = fleet(hq, 4)
    take_in(hq)
    for peer in peers:
        peer.update_stays = "trial"
    async with online(hq, peers):
        begun = hq.post("/v1/rollouts", wish(bounds=Bounds(canaries=4, waves_percent=(100,))), RolloutView)
        row = [peer.node for peer in peers]
        done: set[str] = set()
        while len(done) < len(peers):
            view = await until(hq, begun.id, lambda view: stands(view, "begun") - done, "somebody is under way")
            under = stands(view, "begun") | stands(view, "offered")
            assert not [pair for pair in pairwise(row) if set(pair) <= under]
            for peer in peers:
                if peer.node in stands(view, "begun"):
                    peer.update_stays = ""
                    done.add(peer.node)
            await until(hq, begun.id, lambda view: done <= stands(view, "good"), "they are done")
        assert (await until(hq, begun.id, lambda view: view.ended_ms is not None, "it ends")).counts == {"good": 4}


async def test_serve_killed_in_the_middle_goes_on_where_it_was_and_a_forgetful_broker_is_told_again(own_hq: Headquarters) -> None:
    hq = own_hq
    peers = fleet(hq, 5)
    take_in(hq)
    for peer in peers[1:]:
        peer.update_stays = "installing"
    bounds = Bounds(waves_percent=(50, 100))
    async with online(hq, peers):
        begun = hq.post("/v1/rollouts", wish(canaries=(peers[0].node,), bounds=bounds), RolloutView)
        before = await until(hq, begun.id, lambda view: view.wave == 1 and stands(view, "begun"), "the second wave is under way")
        hq.kill("serve")
        for peer in peers:
            peer.update_stays = ""
        await asyncio.to_thread(hq.start_serve)
        ended = await until(hq, begun.id, lambda view: view.ended_ms is not None, "it ends")
        assert ended.counts == {"good": 5}
        assert stands(before, "good") == {peers[0].node}
        for peer in peers:  # whoever was killed between an offer and its acknowledgement offers again; nobody installs twice
            offers = [word for _, kind, word in peer.diary if kind == "release"]
            assert (offers.count("fresh"), set(offers) - {"fresh", "again"}) == (1, set())
            assert peer.update_diary.count("installed") == 1
    await asyncio.to_thread(hq.restart_broker_empty)
    await asyncio.to_thread(wait, lambda: hq.status().broker_connected, "serve is linked again")
    late = peers[0]
    late.diary.clear()
    async with late.connected():
        await late.until(lambda peer: any(kind == "release" for _, kind, _ in peer.diary))
        assert [word for _, kind, word in late.diary if kind == "release"] == ["again"]


async def test_abort_clears_what_did_not_begin_and_who_installs_finishes(own_hq: Headquarters) -> None:
    hq = own_hq
    peers = [hq.new_node() for _ in range(3)]
    take_in(hq)
    peers[0].update_stays, peers[1].update_stays = "installing", "fetching"
    async with online(hq, peers[:2]):
        bounds = Bounds(canaries=2, waves_percent=(100,))
        begun = hq.post("/v1/rollouts", wish(bounds=bounds), RolloutView)
        await until(hq, begun.id, lambda view: peers[0].node in stands(view, "begun"), "one installs")
        await peers[1].until(lambda peer: "fetching" in peer.update_diary)
        aborted = hq.post(f"/v1/rollouts/{begun.id}/abort", {"reason": "mất tiếng"}, RolloutView)
        assert stands(aborted, "withdrawn") == {peers[1].node, peers[2].node}
        await peers[1].until(lambda peer: "withdrawn" in peer.update_diary)
        peers[0].update_stays = ""
        ended = await until(hq, begun.id, lambda view: view.ended_ms is not None, "it is over")
        assert (ended.phase, ended.counts) == ("aborted", {"good": 1, "withdrawn": 2})
        assert hq.refused(f"/v1/rollouts/{begun.id}/resume", {})["code"] == "phase"
    async with online(hq, peers):
        hq.post("/v1/documents", hq.sealed(hq.station()), DocumentView)
        await peers[2].until(lambda peer: any(kind == "station" for _, kind, _ in peer.diary))
        assert not [kind for _, kind, _ in peers[2].diary if kind == "release"]
        assert peers[2].version == "peer"


async def test_a_node_outside_the_wave_is_sent_no_release_however_it_lags(own_hq: Headquarters) -> None:
    hq = own_hq
    peers = fleet(hq, 3)
    take_in(hq)
    peers[0].update_stays = "fetching"
    async with online(hq, peers):
        begun = hq.post("/v1/rollouts", wish(canaries=(peers[0].node,)), RolloutView)
        await peers[0].until(lambda peer: "fetching" in peer.update_diary)
        hq.post("/v1/documents", hq.sealed(hq.station()), DocumentView)
        for peer in peers[1:]:
            await peer.until(lambda peer: any(kind == "station" for _, kind, _ in peer.diary))
            await peer.hello()
            marks = len(peer.marks)
            await peer.until(lambda peer, marks=marks: len(peer.marks) > marks)
            assert not [kind for _, kind, _ in peer.diary if kind == "release"]
            assert hq.node(peer.node).lagging == ()
        assert stands(view_of(hq, begun.id), "offered") == {peers[0].node}


async def test_a_neighbour_that_installs_for_whatever_reason_is_waited_for(own_hq: Headquarters) -> None:
    hq = own_hq
    node, beside = fleet(hq, 2)
    take_in(hq)
    async with online(hq, [node, beside]):
        beside.updating = UpdateState(release="cd" * 32, build=6, state="installing")
        await beside.health()
        await beside.hello()
        await beside.until(lambda peer: peer.hellos <= len(peer.marks))
        begun = hq.post("/v1/rollouts", wish(nodes=(node.node,)), RolloutView)
        assert stands(begun, "open") == {node.node}
        beside.updating = UpdateState(release="cd" * 32, build=6, state="good")
        await beside.health()
        ended = await until(hq, begun.id, lambda view: view.ended_ms is not None, "it ends")
        assert ended.counts == {"good": 1}


async def test_only_who_was_offered_the_release_may_fetch_its_bundle_and_abort_shuts_the_door(own_hq: Headquarters) -> None:
    hq = own_hq
    peers = [hq.new_node() for _ in range(2)]
    digest = take_in(hq)
    bundle = (hq.folder / "7.raucb").read_bytes()
    peers[0].update_stays = "fetching"
    url = f"https://127.0.0.1:{hq.status().https_port}/media/{sha256_of(bundle)}"
    context = client_context(hq.state / "ca" / "ca.crt", None, None)

    def fetch(peer: NodePeer) -> httpx.Response:
        word = base64.b64encode(peer.statement(sha256_of(bundle))).decode()
        return httpx.get(url, headers={"authorization": f"Loa {word}", "range": "bytes=50000-"}, verify=context)

    async with online(hq, peers):
        begun = hq.post("/v1/rollouts", wish(release=digest, canaries=(peers[0].node,)), RolloutView)
        await peers[0].until(lambda peer: "fetching" in peer.update_diary)
        given = await asyncio.to_thread(fetch, peers[0])
        assert (given.status_code, given.content) == (206, bundle[50_000:])
        assert (await asyncio.to_thread(fetch, peers[1])).status_code == 404
        hq.post(f"/v1/rollouts/{begun.id}/abort", {}, RolloutView)
        assert (await asyncio.to_thread(fetch, peers[0])).status_code == 404


# --- mistakes ---


@pytest.fixture(scope="module")
def prepared(hq: Headquarters) -> str:
    hq.enrol(name="Chưa có vị trí")
    hq.new_node()
    return take_in(hq, 7)


def rows(hq: Headquarters) -> int:
    return len(hq.get("/v1/rollouts", list[RolloutView]))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ({"area": "52.99999"}, "unknown-area", "loa area list"),
        ({"release": "2030.1"}, "unknown-release", "loa trust import"),
        ({"area": IA_DREH}, "nobody", "nobody is selected"),
        ({"model": "loa-board"}, "nobody", "nobody is selected"),
        ({"runs": "1999.1"}, "nobody", "nobody is selected"),
        ({"nodes": ("0000000000",)}, "unknown-node", "loa node list"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_stored(hq: Headquarters, prepared: str, words, code: str, said: str) -> None:
    before = rows(hq)
    for path in ("/v1/rollouts/plan", "/v1/rollouts"):
        refused = hq.refused(path, wish(**words))
        assert refused["code"] == code
        assert said in json.dumps(refused, ensure_ascii=False)
    assert rows(hq) == before


def test_a_release_of_one_person_or_of_the_wrong_persons_is_not_taken_in(hq: Headquarters) -> None:
    before = hq.get("/v1/documents", list[DocumentView], kind="release")
    assert hq.refused("/v1/documents", release(hq, b"x", 9, names=("chair",)))["code"] == "too-few-persons"
    assert hq.refused("/v1/documents", release(hq, b"x", 9, names=("officer", "second")))["code"] == "not-empowered"
    assert hq.get("/v1/documents", list[DocumentView], kind="release") == before


def test_the_plan_says_who_is_left_out_and_why_and_stores_nothing(hq: Headquarters, prepared: str) -> None:
    other = hq.new_node()
    hq.post(f"/v1/nodes/{other.node}/model", {"model": "loa-board"})
    before = rows(hq)
    plan = hq.post("/v1/rollouts/plan", wish(), PlanView)
    codes = {each.node: each.code for each in plan.left_out}
    assert codes[other.node] == "model"
    assert "unplaced" in codes.values()
    assert plan.selected == len(plan.left_out) + sum(len(wave.nodes) for wave in plan.waves)
    assert all(not node.reachable for wave in plan.waves for node in wave.nodes)
    assert rows(hq) == before


def test_a_second_rollout_over_the_same_nodes_is_refused(hq: Headquarters, prepared: str) -> None:
    begun = hq.post("/v1/rollouts", wish(area=SETTLEMENT), RolloutView)
    refused = hq.refused("/v1/rollouts", wish(area=PHU_TUC))
    assert (refused["status"], refused["code"]) == (409, "busy")
    assert f"rollout {begun.id}" in json.dumps(refused)
    hq.post(f"/v1/rollouts/{begun.id}/abort", {}, RolloutView)
    assert hq.post("/v1/rollouts/plan", wish(area=PHU_TUC), PlanView).waves


def loa(hq: Headquarters, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from controller.cli import main; main()", *words]
    return subprocess.run(
        command, env=os.environ | {"LOA_STATE": str(hq.state)}, input="", capture_output=True, text=True, timeout=60, check=False
    )


def test_the_commands_plan_ask_start_show_pause_and_abort(hq: Headquarters, prepared: str, tmp_path: Path) -> None:
    shown = loa(hq, "rollout", "plan", "2026.11.7", "--area", SETTLEMENT)
    assert shown.returncode == 0, shown.stderr
    assert "không cập nhật vì" in shown.stdout
    assert "0.1 MB ×" in shown.stdout
    plan = json.loads(loa(hq, "rollout", "plan", prepared[:12], "--area", SETTLEMENT, "--json").stdout)
    assert plan["release"] == prepared
    unasked = loa(hq, "rollout", "start", "2026.11.7", "--area", SETTLEMENT)
    assert unasked.returncode == 1
    assert "Begin this rollout?" in unasked.stderr
    begun = json.loads(loa(hq, "rollout", "start", "2026.11.7", "--area", SETTLEMENT, "--yes", "--json").stdout)
    number = str(begun["id"])
    assert json.loads(loa(hq, "rollout", "status", number, "--json").stdout)["phase"] == "running"
    status = loa(hq, "rollout", "status", number)
    assert "đang chạy/running" in status.stdout
    assert "chờ/open" in status.stdout
    assert json.loads(loa(hq, "rollout", "pause", number, "--reason", "bão", "--json").stdout)["phase"] == "paused"
    assert json.loads(loa(hq, "rollout", "resume", number, "--json").stdout)["phase"] == "running"
    assert json.loads(loa(hq, "rollout", "abort", number, "--yes", "--json").stdout)["phase"] == "aborted"
    assert "đã bỏ/aborted" in loa(hq, "rollout", "list").stdout
    followed = loa(hq, "rollout", "status", number, "--watch")
    assert (followed.returncode, "đã bỏ/aborted" in followed.stdout) == (0, True)
    for words, said in (
        (("plan", "2026.11.7", "--waves", "20,5"), "rising percents"),
        (("plan", "nothing"), "loa trust import"),
        (("status", "9999"), "loa rollout list"),
        (("bundle", str(tmp_path / "none")), "cannot be brought"),
    ):
        refused = loa(hq, "rollout", *words)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_stick_takes_a_release_and_its_firmware_along(hq: Headquarters, prepared: str, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    said = loa(hq, "export", str(stick), "--area", SETTLEMENT, "--release", "2026.11.7")
    assert said.returncode == 0, said.stderr
    (firmware,) = stick.glob("*.raucb")
    (paper,) = stick.glob("release-*.json")
    body = payload_of(paper.read_bytes().strip()).body
    assert (sha256_of(firmware.read_bytes()), firmware.name) == (body.bundle.sha256, "loa-node-2026.11.7.raucb")
    without = loa(hq, "export", str(tmp_path / "other"), "--area", SETTLEMENT)
    assert without.returncode == 0
    assert not [*(tmp_path / "other").glob("*.raucb"), *(tmp_path / "other").glob("release-*")]


def test_a_release_or_its_firmware_that_is_not_here_is_a_sentence(hq: Headquarters, prepared: str, tmp_path: Path) -> None:
    unknown = loa(hq, "export", str(tmp_path / "a"), "--area", SETTLEMENT, "--release", "1999.1")
    assert (unknown.returncode, "no release 1999.1" in unknown.stderr) == (1, True)
    release = payload_of(hq.http.get(f"/v1/documents/{prepared}").content)
    kept = path_of(hq.state / "media", release.body.bundle.sha256)
    hidden = kept.with_suffix(".hidden")
    kept.rename(hidden)
    try:
        said = loa(hq, "export", str(tmp_path / "b"), "--area", SETTLEMENT, "--release", prepared[:12])
    finally:
        hidden.rename(kept)
    assert (said.returncode, "loa rollout bundle" in said.stderr) == (1, True)
    assert not (tmp_path / "a").exists()
