"""The timetable's page: a day of an area, what becomes of each bulletin, what somebody should know; and the draft's endpoint."""

import shutil
from datetime import timedelta

import httpx
import msgspec
import pytest
from msgspec import structs

from controller.actions import documents
from controller.actions.preview_views import PreviewRequest, PreviewView
from controller.area_tree import area_no
from controller.core import finding_words as words
from controller.parts import SYSTEM
from controller.web.app import create_api
from protocol.bulletins import Item, Programme, ProgrammeBody, Spoken, Variant
from protocol.documents import Hours, Station, StationBody
from protocol.recurrence import WEEKDAYS
from tests.web.house import PASSWORD, House, now_ms

PHU_TUC = "52.24076"
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated inferred style")


def bulletin(name: str, title: str, hour: int, minute: int = 0, **more) -> Item:
    text = "Kính mời bà con nghe bản tin của xã. " * 40
    fields = {"id": name, "title": title, "rrule": f"FREQ=DAILY;BYHOUR={hour};BYMINUTE={minute}"}
    return Item(**fields, variants=(Variant(lang="vi", spoken=Spoken(text=text)),), **more)


async def stationed(house: House, from_min: int = 180, to_min: int = 1_260) -> None:
    """The world is told of a station as if it had been published: the grants of this house name nobody for that power."""
    from controller.core.world import Standing

    common = {"authority": PHU_TUC, "area": PHU_TUC, "area_no": area_no(PHU_TUC), "seq": now_ms(), "purpose": "routine"}
    hours = (Hours(days=WEEKDAYS, from_min=from_min, to_min=to_min),)
    span = {"subject": PHU_TUC, "valid_from_ms": now_ms() - 1, "valid_until_ms": now_ms() + 10**11}
    made = Station(**common, **span, body=StationBody(hours=hours))
    house.parts.world.take_document(Standing(digest="ee" * 32, document=made, raw=b""))


async def logged_in(client: httpx.AsyncClient, house: House) -> None:
    token = (await client.get("/login")).text.partition('name="form_token" value="')[2].partition('"')[0]
    asked = await client.post("/login", data={"name": "h.yer", "password": PASSWORD, "form_token": token})
    token = asked.text.partition('name="form_token" value="')[2].partition('"')[0]
    await client.post("/second-factor", data={"code": await house.code("h.yer"), "form_token": token})


async def test_a_day_shows_outcomes_and_asks_about_an_early_first_sound(house: House):
    await stationed(house)
    await house.programme(
        PHU_TUC,
        bulletin("dem", "Tiếp sóng sau sửa bão", 3, 15),
        bulletin("sang", "Bản tin sáng", 17),
        bulletin("hai", "Tin thứ hai", 17, 0, level="settlement"),
        bulletin("khuya", "Tin khuya", 22),
    )
    async with house.browser() as client:
        await logged_in(client, house)
        tomorrow = (words.local(now_ms()).date() + timedelta(days=1)).isoformat()
        text = (await client.get("/timetable", params={"area": PHU_TUC, "day": tomorrow})).text
    assert "Âm thanh đầu tiên ngày mai lúc 03:15" in text
    assert "có đúng ý không" in text
    assert text.index("có đúng ý không") < text.index("Phát đúng giờ")
    assert "chờ «Bản tin sáng»" in text
    assert "ngoài giờ hoạt động của đài" in text


async def test_without_clusters_or_bulletins_the_page_says_so(house: House):
    await stationed(house)
    async with house.browser() as client:
        await logged_in(client, house)
        text = (await client.get("/timetable")).text
        other = await client.get("/timetable", params={"area": "52.24112"})
        wrong = await client.get("/timetable", params={"area": "99.1"})
        strange = await client.get("/timetable", params={"day": "mai"})
    assert "Không có bản tin nào trong ngày" in text
    assert "Chưa có cụm loa nào được đặt ở đây" in other.text
    assert wrong.status_code == 404
    assert strange.status_code == 400


def api(house: House) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=create_api(house.parts)), base_url="http://loa")


async def looked(client: httpx.AsyncClient) -> PreviewView:
    answer = await client.get("/v1/preview", params={"area": PHU_TUC, "days": 2})
    return msgspec.json.decode(answer.content, type=PreviewView)


def draft(*items: Item, **more) -> PreviewRequest:
    common = {"authority": PHU_TUC, "area": PHU_TUC, "area_no": area_no(PHU_TUC), "seq": now_ms(), "purpose": "routine"}
    span = {"subject": PHU_TUC, "valid_from_ms": now_ms(), "valid_until_ms": now_ms() + 30 * 86_400_000}
    return PreviewRequest(programme=Programme(**common, **span, body=ProgrammeBody(items=items)), **more)


async def test_a_draft_is_looked_at_beside_what_stands_and_publishes_nothing(house: House):
    await stationed(house)
    await house.programme(PHU_TUC, bulletin("cu", "Bản tin cũ", 22))
    async with api(house) as client:
        stands = msgspec.json.decode(
            (await client.get("/v1/preview", params={"area": PHU_TUC, "days": 2})).content, type=PreviewView
        )
        assert {found.code for found in stands.findings} == {"quiet", "silent-days"}
        asked = msgspec.json.encode(draft(bulletin("moi", "Bản tin mới", 20, 59), days=2))
        seen = msgspec.json.decode((await client.post("/v1/preview", content=asked)).content, type=PreviewView)
        again = msgspec.json.decode(
            (await client.get("/v1/preview", params={"area": PHU_TUC, "days": 2})).content, type=PreviewView
        )
    assert {found.code for found in seen.findings} == {"cut"}
    assert seen.refusals == ()
    assert {line.title for group in again.groups for line in group.lines} == {"Bản tin cũ"}


async def test_a_draft_that_cannot_be_meant_is_refused_by_preview_and_by_publishing_alike(house: House):
    never = structs.replace(bulletin("x", "Không bao giờ", 6), rrule="FREQ=DAILY;UNTIL=20200101T000000;BYHOUR=6;BYMINUTE=0")
    async with api(house) as client:
        asked = msgspec.json.encode(draft(never))
        seen = msgspec.json.decode((await client.post("/v1/preview", content=asked)).content, type=PreviewView)
    assert [found.code for found in seen.refusals] == ["until-before"]
    with pytest.raises(Exception, match="correct UNTIL") as told:
        await house.programme(PHU_TUC, never)
    assert getattr(told.value, "code", "") == "malformed"
    assert not [view for view in await documents.list_all(house.parts, SYSTEM) if view.kind == "programme"]


async def test_wrong_questions_are_sentences(house: House):
    async with api(house) as client:
        for more, word in (({"area": "99.1"}, "99.1"), ({"days": 400}, "days"), ({"node": "X"}, "node")):
            params = {"area": PHU_TUC} | more
            answer = await client.get("/v1/preview", params=params)
            assert answer.status_code in (400, 404)
            assert word in answer.json()["error"]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_the_timetable_fits_a_phone_and_a_desk(house: House):
    from tests.web.test_in_chromium import SMALL, chromium, sight

    await stationed(house)
    await house.programme(
        PHU_TUC,
        bulletin("dem", "Tiếp sóng sau sửa bão", 3, 15),
        bulletin("sang", "Bản tin sáng của Ủy ban nhân dân xã", 17),
        bulletin("hai", "Chương trình tiếng Jrai", 17, 0, level="settlement"),
        bulletin("khuya", "Tin khuya", 22),
    )
    async with chromium() as browser:
        for size in ("phone", "desk"):
            async with sight(house, browser, size) as seen:
                await seen.login()
                await seen.open(f"/timetable?area={PHU_TUC}")
                await seen.page.click(".tabs a:nth-child(2)")
                await seen.picture("50-timetable")
                assert await seen.page.locator(".row").count() == 4
                assert await seen.page.evaluate(SMALL) == []
