"""The page of plan against plays, on a day that is over: an office that publishes in the morning and asks in the evening."""

import secrets
import shutil
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from controller.actions import documents, plan_reports
from controller.area_tree import area_no
from controller.errors import Refused
from controller.parts import SYSTEM
from protocol import keys
from protocol.bulletins import Item, Programme, ProgrammeBody, Spoken, Variant
from protocol.envelope import seal
from tests.web.browser import officer
from tests.web.house import CHAIR, NODES, House, served
from tests.web.test_in_chromium import SIZES, Sight, chromium

COMMUNE, OTHER = "52.24076", "52.24100"
MARKET, RONG = NODES[0][1], NODES[1][1]
TITLE = "Bản tin sáng · Tơlơi pơthâo hŏng ƀuôn sang · Tơ̆drong tơroi kơ pơlei"
HERE = ZoneInfo("Asia/Ho_Chi_Minh")
MIDNIGHT = datetime.now(HERE).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def at(hour: int, minute: int = 0) -> int:
    """Tomorrow, so that the trust of today is in force before the day begins."""
    return round((MIDNIGHT + timedelta(hours=hour, minutes=minute)).timestamp() * 1000)


def item(name: str, hour: int, title: str = TITLE) -> Item:
    spoken = Variant(lang="vi", spoken=Spoken(text="Chào bà con buôn Mlah."))
    return Item(id=name, title=title, rrule=f"FREQ=DAILY;BYHOUR={hour};BYMINUTE=0", variants=(spoken,))


class Day:
    """The house with hands on its clock."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.numbers: dict[str, int] = {}

    def clock(self, hour: int, minute: int = 0) -> None:
        self.house.parts.now_ms = lambda: at(hour, minute)

    async def publish(self, *items: Item, prev: str | None = None) -> str:
        now_ms = self.house.parts.now_ms()
        common = {"authority": COMMUNE, "area": COMMUNE, "area_no": area_no(COMMUNE), "seq": now_ms, "purpose": "routine"}
        span = {"subject": COMMUNE, "prev": prev, "valid_from_ms": at(0), "valid_until_ms": at(0) + 30 * 86_400_000}
        sealed = seal(Programme(**common, **span, body=ProgrammeBody(items=items)), [keys.sealer(CHAIR)])
        return (await documents.submit(self.house.parts, SYSTEM, sealed)).digest

    async def play(self, name: str, digest: str, item_id: str, planned_ms: int, **fields: object) -> None:
        node = self.house.nodes[name]
        self.house.records = self.numbers.get(node, 0)
        now_ms = self.house.parts.now_ms()
        common = {"digest": digest, "item": item_id, "planned_ms": planned_ms, "rms_cdb": -1_900}
        common |= {"started_ms": planned_ms, "ended_ms": planned_ms + 90_000}
        real = self.house.say

        async def say(node: str, kind: str, **more: object) -> None:
            await real(node, kind, **({"at_ms": now_ms, "seq": now_ms} | more))

        self.house.say = say  # its clock is the day's
        await self.house.play(node, **(common | fields))
        self.house.say = real
        self.numbers[node] = self.house.records


@pytest.fixture
async def day(house: House) -> AsyncIterator[Day]:
    """A morning, a programme changed at noon, and an evening at which one asks."""
    made = Day(house)
    made.clock(0, 1)
    first = await made.publish(item("sang", 6), item("trua", 11, "Bản tin trưa"), item("chieu", 18, "Bản tin chiều"))
    made.clock(12)
    second = await made.publish(item("sang", 6), item("toi", 19, "Bản tin tối"), prev=first)
    made.clock(20)
    await made.play(MARKET, first, "sang", at(6))
    await made.play(MARKET, first, "trua", at(11), rms_cdb=-7_000)
    await made.play(MARKET, second, "toi", at(19), ending="interrupted", ended_ms=at(19) + 20_000)
    await made.play(MARKET, second, "order", at(19), purpose="live", incident=secrets.token_hex(8))
    await made.play(MARKET, second, "toi", at(19), started_ms=at(19, 2), ended_ms=at(19, 3), clock_state="holdover")
    await made.play(RONG, first, "sang", at(6), started_ms=at(6, 1), ended_ms=at(6, 2))
    await made.play(RONG, first, "chieu", at(18))
    return made


async def test_the_report_of_the_day_tells_each_bulletin_from_records_and_their_absence(day: Day):
    parts = day.house.parts
    found = await plan_reports.report(parts, plan_reports.asked_of(parts, SYSTEM, COMMUNE))
    told = {(line.node_name, line.item): (line.outcome, line.why) for line in found.lines}
    assert told == {
        (RONG, "trua"): ("missing", ""),
        (MARKET, "trua"): ("silent", ""),
        (RONG, "toi"): ("missing", ""),
        (RONG, "sang"): ("late", ""),
    }
    assert (found.total.expected, found.total.played, found.emergencies, found.total.clock_doubted) == (6, 3, 1, 1)
    assert [(extra.item, extra.why) for extra in found.extras] == [("chieu", "older-version")]
    assert [node.tally.share for node in found.nodes] == [1 / 3, 2 / 3]
    one = await plan_reports.report(parts, plan_reports.asked_of(parts, SYSTEM, "52"), node=day.house.nodes[MARKET])
    assert (len(one.nodes), one.total.expected) == (1, 3)


async def test_wrong_questions_get_one_sentence_each(day: Day):
    parts = day.house.parts
    asked = [
        ("52.99999", "", "", None, "không có địa bàn 52.99999"),
        (COMMUNE, "31/02/2026", "", None, "không phải là ngày"),
        (COMMUNE, "02/01/2026", "01/01/2026", None, "đứng trước ngày đầu"),
        (COMMUNE, "01/01/2025", "02/01/2026", None, "nhiều nhất 366 ngày"),
        (COMMUNE, "01/01/2099", "", None, "chưa tới"),
        (COMMUNE, "", "", "0000000001", "không có cụm loa 0000000001"),
    ]
    for area, first, last, node, words in asked:
        with pytest.raises(Refused, match=words):
            plan_reports.asked_of(parts, SYSTEM, area, first, last, node)


async def test_the_page_shows_the_day_in_both_languages_and_the_plays_page_leads_to_it(day: Day):
    visitor = await officer(day.house)
    assert f'href="/plays/plan?day={MIDNIGHT.date().isoformat()}"' in await visitor.open("/plays")
    text = await visitor.open(f"/plays/plan?area={COMMUNE}&day={MIDNIGHT:%d/%m/%Y}")
    assert (visitor.page.status_code, TITLE in visitor.words) == (200, True)
    for words in ("3/6 bản tin đã phát (50,0%)", "Không phát, không rõ lý do", "Phát mà không ra tiếng", "Ngoài kế hoạch",
                  "cụm loa còn giữ chương trình cũ", "1 lượt khẩn cấp", "đồng hồ chưa tin chắc"):  # fmt: skip
        assert words in visitor.words, words
    assert text.index("Không phát, không rõ lý do") < text.index("Phát mà không ra tiếng") < text.index("Phát trễ")
    await visitor.press("/language", tongue="en", back="/")
    await visitor.open(f"/plays/plan?area={COMMUNE}")
    assert "3 of 6 bulletins played" in visitor.words
    assert "Not played, nobody knows why" in visitor.words


async def test_a_day_and_an_area_without_a_plan_say_so_in_one_sentence(day: Day):
    visitor = await officer(day.house)
    await visitor.open(f"/plays/plan?area={OTHER}")
    assert "không có bản tin nào được hẹn phát" in visitor.words
    await visitor.open(f"/plays/plan?area={COMMUNE}&day=01/01/2020")
    assert "chưa có cụm loa nào đứng" in visitor.words
    await visitor.open("/plays/plan?day=hôm-qua")
    assert visitor.page.status_code == 400
    await visitor.open("/plays/plan?area=99")
    assert visitor.page.status_code == 404


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
async def test_the_page_fits_a_phone_and_a_desk(day: Day):
    async with served(day.house.parts) as url, chromium() as browser:
        for tag, (width, height) in SIZES.items():
            context = await browser.new_context(viewport={"width": width, "height": height}, ignore_https_errors=True)
            sight = Sight(await context.new_page(), url, tag, day.house)
            await sight.login()
            await sight.open(f"/plays/plan?area={COMMUNE}")
            assert await sight.page.locator("text=Không phát, không rõ lý do").count() >= 1
            await sight.picture("plan")
            assert sight.complaints == []
            await context.close()
