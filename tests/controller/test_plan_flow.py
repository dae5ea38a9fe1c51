"""Plan against plays through the real serve: a programme is published, a node tells its records, `loa` reports."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import secrets
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from controller.actions.plan_views import PlanReport
from controller.actions.views import DocumentContext, DocumentView
from protocol.bulletins import Item, Spoken, Variant
from tests.controller.headquarters import IA_DREH, Headquarters, now_ms, wait

HERE = ZoneInfo("Asia/Ho_Chi_Minh")
SETTLEMENT = f"{IA_DREH}.001"
TITLES = {
    "sang": "Bản tin sáng · Tơlơi pơthâo",
    "trua": "Bản tin trưa · ƀuôn Chư Jŭ",
    "chieu": "Tơ̆drong tơroi kơ pơlei",
    "toi": "=Bản tin tối",
}


def loa(hq: Headquarters, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from controller.cli import main; main()", "report", "plays", *words]
    env = os.environ | {"LOA_STATE": str(hq.state)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def publish(hq: Headquarters) -> tuple[str, datetime]:
    """Four bulletins at one instant soon, in place of whatever stood there; later if the machine was slow to store them."""
    planned = (datetime.now(HERE) + timedelta(seconds=4)).replace(microsecond=0)
    rule = f"FREQ=DAILY;BYHOUR={planned.hour};BYMINUTE={planned.minute};BYSECOND={planned.second}"
    said = (Variant(lang="vi", spoken=Spoken(text="Chào bà con ƀuôn Chư Jŭ.")),)
    items = [Item(id=name, title=title, rrule=rule, variants=said) for name, title in TITLES.items()]
    prev = hq.get("/v1/documents/context", DocumentContext, kind="programme", subject=SETTLEMENT, authority=IA_DREH).prev
    programme = hq.programme(*items, area=SETTLEMENT, prev=prev)
    view = hq.post("/v1/documents", hq.sealed(programme), DocumentView)
    return (view.digest, planned) if view.created_ms < planned.timestamp() * 1000 else publish(hq)


async def test_records_of_a_node_meet_the_plan_on_the_socket_and_on_the_command_line(hq: Headquarters, tmp_path: Path) -> None:
    node = hq.new_node(SETTLEMENT)
    digest, planned = publish(hq)
    at_ms = round(planned.timestamp() * 1000)
    mine = {"digest": digest, "area": SETTLEMENT, "authority": IA_DREH, "planned_ms": at_ms, "rms_cdb": -2_100}
    async with node.connected():
        await node.until(lambda peer: peer.marks)

        def play(number: int, item: str, begin_s: float, end_s: float, **more):
            span = {"started_ms": at_ms + round(begin_s * 1000), "ended_ms": at_ms + round(end_s * 1000)}
            return node.play(number, **(mine | span | {"item": item} | more))

        plays = (
            play(1, "sang", 0, 20, ending="interrupted", reason="an emergency"),
            play(2, "order", 20, 50, purpose="live", incident=secrets.token_hex(8)),
            play(3, "sang", 50, 90),
            play(4, "trua", 90, 100, rms_cdb=-9_000, clock_state="holdover"),
            play(5, "chieu", 0, 0, started_ms=None, ending="skipped", reason="quiet hours"),
            play(6, "la", 100, 130, digest="cd" * 32),
        )
        await node.receipt(plays=plays)
        await node.until(lambda peer: peer.marks[-1] == 6)

        def told() -> PlanReport | None:
            asked = {"area": SETTLEMENT, "first": f"{planned:%d/%m/%Y}", "node": node.node}
            found = hq.get("/v1/report/plays", PlanReport, **asked)
            return found if found.total.outcomes.get("pending") else None

        found = await asyncio.to_thread(wait, told, "the time of the bulletins has come")
        assert found.total.outcomes == {"silent": 1, "skipped": 1, "played": 1, "pending": 1}
        assert (found.total.expected, found.total.played, found.total.heard_ms, found.total.clock_doubted) == (3, 1, 60_000, 1)
        assert [(line.item, line.outcome, line.why) for line in found.lines] == [
            ("trua", "silent", ""),
            ("chieu", "skipped", "quiet hours"),
        ]
        assert [(extra.item, extra.why, extra.heard_ms) for extra in found.extras] == [("la", "unknown-document", 30_000)]
        assert (found.emergencies, found.emergency_ms) == (1, 30_000)
        await asyncio.to_thread(_by_hand, hq, node.node, f"{planned:%d/%m/%Y}", tmp_path)


def _by_hand(hq: Headquarters, node: str, day: str, tmp_path: Path) -> None:
    words = ("--area", SETTLEMENT, "--from", day, "--to", day, "--node", node)
    machine = loa(hq, *words, "--json")
    assert json.loads(machine.stdout)["total"]["played"] == 1, machine.stderr
    table = tmp_path / "đối chiếu.csv"
    shown = loa(hq, *words, "--csv", str(table))
    assert shown.returncode == 0, shown.stderr
    for text in (TITLES["trua"], "Phát mà không ra tiếng", "ngoài giờ hoạt động", "Ngoài kế hoạch", "Khẩn cấp (emergencies): 1"):
        assert text in shown.stdout, shown.stdout
    raw = table.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(raw.decode("utf-8-sig").splitlines()))
    assert {row["Bản tin"]: row["Outcome"] for row in rows} == {
        TITLES["sang"]: "played",
        TITLES["trua"]: "silent",
        TITLES["chieu"]: "skipped",
        f"'{TITLES['toi']}": "pending",
        "la": "extra",
    }
    assert {row["Ngày hẹn"] for row in rows} == {day}
    again = loa(hq, *words, "--csv", str(table))
    assert (again.returncode, "already exists" in again.stderr, table.read_bytes()) == (1, True, raw)
    assert list(tmp_path.iterdir()) == [table]


async def test_the_lines_are_streamed_node_by_node_with_the_report_at_the_end(hq: Headquarters) -> None:
    hq.new_node(SETTLEMENT)
    day = f"{datetime.fromtimestamp(now_ms() / 1000, HERE):%d/%m/%Y}"
    reply = hq.http.get("/v1/report/plays/lines", params={"area": SETTLEMENT, "first": day, "every": 1})
    told = [json.loads(line) for line in reply.text.splitlines()]
    assert [each["done"] for each in told[:-1]] == list(range(1, len(told)))
    assert len(told[-1]["report"]["nodes"]) == len(told) - 1 >= 1
    wrong = hq.http.get("/v1/report/plays/lines", params={"area": "52.99999"})
    assert (wrong.status_code, wrong.json()["code"]) == (404, "unknown-area")
