"""An emergency by page: chosen, written, read back, confirmed by a deliberate act; then seen on each node."""

import base64
import json
import re

import msgspec
import pytest

from controller.actions import emergencies, signatures
from controller.parts import SYSTEM
from controller.store import orders, waiting
from protocol import keys
from protocol.envelope import add_signature, seal
from protocol.orders import Start
from tests.web.browser import Officer, officer, packed, sealed
from tests.web.house import House, now_ms

SPITEFUL = "<script>alert('lũ')</script> & \"nước\" 'lên'"
JRAI = "Ƀuôn sang anai: ia krông đĭ. Ơ̆i ñu, čar ia dlai ô̆ ư̆ ŏ ŭ."
BAHNAR = "Đak krong tơh kơxơ̆, lôch tơ̆ hnam rông."


async def incidents_of(house: House):
    return await emergencies.incidents(house.parts, SYSTEM)


async def test_a_place_is_found_without_accents_and_by_its_former_name(house: House):
    person = await officer(house)
    assert "Buôn Mlah" in await person.open("/emergency?q=buon+mlah")
    assert "Xã Phú Túc" in await person.open("/emergency?q=PHU TUC")
    found = await person.open("/emergency?q=krong pa")
    for name in ("Huyện Krông Pa", "Xã Phú Túc", "Xã Ia Dreh", "Xã Uar", "Xã Ia Rsai"):
        assert name in found
    assert "Không có nơi nào tên «zzz»" in await person.open("/emergency?q=zzz")


async def test_a_template_fills_in_place_and_risk_and_is_refused_until_its_gaps_are_filled(house: House):
    person = await officer(house)
    await person.open("/emergency/write?area=52.24076.002")
    form = {"area": "52.24076.002", "kind": "live", "risk": "4", "hazard": "flood", "body": "UBND xã Phú Túc", "repeats": "3"}
    await person.press("/emergency/write", do="template", **form)
    text = re.search(r"<textarea id=\"text-vi\"[^>]*>(.*?)</textarea>", person.text, re.DOTALL).group(1)
    assert "buôn Mlah, xã Phú Túc" in text
    assert "cấp 4" in text
    await person.press("/emergency/write", do="review", text_vi=text, **form)
    assert person.page.status_code == 422
    assert "[nơi tránh lũ]" in person.words
    await person.press("/emergency/write", do="review", text_vi=re.sub(r"\[[^]]*\]", "nhà rông", text), **form)
    assert person.path.startswith("/emergency/review/")


async def test_nothing_is_chosen_for_the_officer_between_live_and_exercise(house: House):
    person = await officer(house)
    page = await person.open("/emergency/write?area=52.24076.002")
    assert 'name="kind" value="live" required>' in page
    assert await person.draft("52.24076.002", kind="") == ""
    assert "thật hay diễn tập" in person.words
    assert await incidents_of(house) == []


async def test_the_review_reads_back_where_how_many_and_who_is_out_of_reach(house: House):
    heard, lost = house.nodes["Cụm loa nhà rông Buôn Mlah"], house.nodes["Cụm loa chợ Phú Túc"]
    await house.wakes(heard)
    await house.wakes(lost)
    await house.dies(lost)
    person = await officer(house)
    await person.draft("52.24076", "Nước lên nhanh.", doc="Công điện 12/CĐ-UBND", text_jra=JRAI)
    words = person.words
    assert "KHẨN CẤP THẬT sẽ phát ở: Xã Phú Túc" in words
    assert "2 cụm loa sẽ nhận lệnh" in words
    assert "1 cụm loa đang mất liên lạc Cụm loa chợ Phú Túc" in words
    assert "Nước lên nhanh." in words
    assert JRAI in words
    assert "máy không đọc đúng được tiếng này" in words
    assert "Cấp 3 - lớn" in words
    assert "Ủy ban nhân dân xã Phú Túc" in words
    assert await incidents_of(house) == []


async def test_nothing_goes_out_before_a_persons_key_has_signed(house: House):
    person = await officer(house)
    draft = await person.draft("52.24076.002")
    await person.press(f"/emergency/confirm/{draft}")
    assert person.wants["at"] == "https://loa.test"
    assert await incidents_of(house) == []
    told = await person.to_sign("h.yer")
    payload = json.loads(base64.b64decode(told["orders"][0]["payload"]))
    assert (payload["area"], payload["authority"], payload["purpose"]) == ("52.24076.002", "52.24076", "live")
    assert abs(payload["seq"] - now_ms()) < 60_000
    await person.sign()
    assert person.path.startswith("/incident/")
    (incident,) = await incidents_of(house)
    order = await house.parts.database.run(lambda tx: orders.of_key(tx, incident.incident))
    assert order[0].mark.persons == ("h.yer",)
    assert order[0].sealed_with == "browser"


async def test_a_draft_starts_once_however_often_the_form_is_sent(house: House):
    person = await officer(house)
    draft = await person.draft("52.24076.002")
    await person.press(f"/emergency/confirm/{draft}")
    token, told = person.wants["sign"], await person.to_sign("h.yer")
    raws = packed([sealed(one, "h.yer") for one in told["orders"]])
    await person.open(f"/signed/{token}")
    form = person.page
    await person.press(f"/signed/{token}/take", sealed=raws)
    assert person.path.startswith("/incident/")
    person.page = form
    await person.press(f"/signed/{token}/take", sealed=raws)
    assert person.page.status_code == 404
    assert "không còn chờ ký" in person.words
    assert len(await incidents_of(house)) == 1


async def test_what_the_browser_sends_back_is_judged_like_anything_else(house: House):
    person = await officer(house)
    for forge in ("stranger", "other-area", "other-incident", "rubbish", "twice", "nothing"):
        draft = await person.draft("52.24076.002")
        await person.press(f"/emergency/confirm/{draft}")
        token, told = person.wants["sign"], await person.to_sign("h.yer")
        (one,) = told["orders"]
        payload = json.loads(base64.b64decode(one["payload"]))
        wrong = {"other-area": {"area": "52.24076.001"}, "other-incident": {"incident": "ab" * 8}}.get(forge, {})
        other = {**one, "payload": base64.b64encode(json.dumps(payload | wrong, separators=(",", ":")).encode()).decode()}
        raws = {
            "stranger": [sealed_by_stranger(one)],
            "rubbish": ["{}"],
            "twice": [sealed(one, "h.yer")] * 2,
            "nothing": [],
        }.get(forge, [sealed(other, "h.yer")])
        await person.open(f"/signed/{token}")
        await person.press(f"/signed/{token}/take", sealed=packed(raws))
        assert person.page.status_code == 422, forge
        assert await incidents_of(house) == [], forge


async def test_a_key_that_no_grant_names_is_told_so_before_it_signs(house: House):
    person = await officer(house)
    draft = await person.draft("52.24076.002")
    await person.press(f"/emergency/confirm/{draft}")
    answer = await person.browser.get(f"/sign/{person.wants['sign']}", params={"key": "ab" * 32})
    assert answer.status_code == 403
    assert answer.json()["code"] == "key-not-empowered"


async def test_only_the_signing_page_may_read_what_is_to_be_signed_and_without_cookies(house: House):
    person = await officer(house)
    draft = await person.draft("52.24076.002")
    await person.press(f"/emergency/confirm/{draft}")
    for path in (f"/sign/{person.wants['sign']}?key={'ab' * 32}", "/sign/unknown?key=x", f"/sign/{person.wants['sign']}/media/x"):
        answer = await house.browser().get(path, headers={"origin": "https://evil.example"})
        assert answer.headers["access-control-allow-origin"] == "https://loa.test:8445"
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.status_code in (403, 404)


async def test_nobody_brings_back_the_signature_that_another_was_asked_for(house: House):
    theirs = await lan(house)
    mine = await officer(house)
    draft = await mine.draft("52.24076.002")
    await mine.press(f"/emergency/confirm/{draft}")
    token, told = mine.wants["sign"], await mine.to_sign("h.yer")
    await theirs.open(f"/signed/{token}")
    await theirs.press(f"/signed/{token}/take", sealed=packed([sealed(one, "h.yer") for one in told["orders"]]))
    assert theirs.page.status_code == 404
    assert await incidents_of(house) == []


async def lan(house: House) -> Officer:
    """A second officer, at a second device."""
    await house.officer("lan", "mot-hai-ba-bon")
    return await Officer(house.browser(), house).login("lan", "mot-hai-ba-bon")


def sealed_by_stranger(one: dict) -> str:
    stranger = keys.new_key()
    payload = msgspec.json.decode(base64.b64decode(one["payload"]), type=Start)
    return seal(payload, [keys.sealer(stranger)]).decode()


async def test_nobody_confirms_the_draft_of_another(house: House):
    mine, theirs = await officer(house), await lan(house)
    draft = await mine.draft("52.24076.002")
    await theirs.open("/emergency")
    await theirs.press(f"/emergency/confirm/{draft}")
    assert theirs.page.status_code == 404
    assert await incidents_of(house) == []


@pytest.mark.parametrize("wide", ["group", "province"])
async def test_wider_than_a_commune_two_officers_sign_the_same_bytes_on_two_devices(house: House, wide: str):
    second = await lan(house)
    area = (await _group(house)).id if wide == "group" else "52"
    first = await officer(house)
    draft = await first.draft(area)
    assert "một cán bộ khác ký" in first.words
    await first.press(f"/emergency/confirm/{draft}")
    assert (await first.to_sign("h.yer"))["needs_more"]
    await first.sign("h.yer")
    assert first.path == "/waiting"
    assert "Bạn đã ký" in first.words
    assert await incidents_of(house) == []
    await second.open("/plays")
    assert "Chờ chữ ký thứ hai" in second.words
    await second.open("/waiting")
    assert "Rơ Ô H'Yer đã ký" in second.words
    (waits,) = await signatures.list_waiting(house.parts, SYSTEM)
    await second.press(f"/waiting/{waits.id}/sign")
    told = await second.to_sign("lan")
    assert told["second"]
    assert all(json.loads(one["sealed"])["payload"] == one["payload"] for one in told["orders"])
    await second.sign("lan")
    assert second.path.startswith("/incident/")
    (started,) = await incidents_of(house)
    assert set(started.areas) == ({"52.24076", "52.24100", "52.24109", "52.24112"} if wide == "group" else {"52"})
    assert started.created_by == "h.yer+lan"
    found = await house.parts.database.run(lambda tx: orders.of_key(tx, started.incident))
    assert {one.mark.persons for one in found} == {("h.yer", "lan")}
    assert await signatures.list_waiting(house.parts, SYSTEM) == []


async def test_one_officer_is_never_two(house: House):
    person, second = await officer(house), await lan(house)
    draft = await person.draft((await _group(house)).id)
    await person.press(f"/emergency/confirm/{draft}")
    await person.sign("h.yer")
    (waits,) = await signatures.list_waiting(house.parts, SYSTEM)
    await person.open("/waiting")
    await person.press(f"/waiting/{waits.id}/sign")
    assert person.page.status_code == 403
    await second.open("/waiting")
    await second.press(f"/waiting/{waits.id}/sign")
    await second.sign("h.yer")
    assert second.page.status_code == 403
    assert "Cần chữ ký của một người khác" in second.words
    assert await incidents_of(house) == []


async def test_a_key_without_the_power_adds_nothing_to_what_waits(house: House):
    first, second = await officer(house), await lan(house)
    draft = await first.draft("52")
    await first.press(f"/emergency/confirm/{draft}")
    await first.sign("h.yer")
    (waits,) = await signatures.list_waiting(house.parts, SYSTEM)
    before = await house.parts.database.run(lambda tx: waiting.find(tx, waits.id, now_ms()))
    await second.open("/waiting")
    await second.press(f"/waiting/{waits.id}/sign")
    token, told = second.wants["sign"], await second.to_sign("lan")
    raws = [add_signature(one["sealed"].encode(), keys.sealer(keys.new_key())).decode() for one in told["orders"]]
    await second.open(f"/signed/{token}")
    await second.press(f"/signed/{token}/take", sealed=packed(raws))
    assert second.page.status_code == 403
    assert await house.parts.database.run(lambda tx: waiting.find(tx, waits.id, now_ms())) == before
    assert await incidents_of(house) == []


async def test_what_waits_ends_by_itself_is_bounded_and_can_be_dropped(house: House):
    person = await officer(house)
    for number in range(4):
        draft = await person.draft("52", f"Nước lên nhanh lần {number}.")
        await person.press(f"/emergency/confirm/{draft}")
        await person.sign("h.yer")
    assert person.page.status_code == 429
    waits = await signatures.list_waiting(house.parts, SYSTEM)
    assert len(waits) == 3
    await person.open("/waiting")
    await person.press(f"/waiting/{waits[0].id}/drop")
    assert len(await signatures.list_waiting(house.parts, SYSTEM)) == 2
    house.parts.now_ms = lambda: now_ms() + 601_000
    assert await signatures.list_waiting(house.parts, SYSTEM) == []
    assert await incidents_of(house) == []


async def test_a_province_wide_stop_needs_two_persons_and_a_hamlets_one(house: House):
    first, second = await officer(house), await lan(house)
    await first.open("/stop?area=52")
    await first.press("/stop", area="52", do="stop")
    await first.sign("h.yer")
    assert first.path == "/waiting"
    (waits,) = await signatures.list_waiting(house.parts, SYSTEM)
    await second.open("/waiting")
    await second.press(f"/waiting/{waits.id}/sign")
    await second.sign("lan")
    assert second.path.startswith("/incident/stop-")


async def test_a_start_is_signed_again_for_the_nodes_without_a_clock(house: House):
    node, well = house.nodes["Cụm loa nhà rông Buôn Mlah"], house.nodes["Cụm loa chợ Phú Túc"]
    await house.wakes(well)
    person = await officer(house)
    incident = await person.start("52.24076")
    await house.wakes(node, clock_state="unknown", nonce="0123456789abcdef")
    await person.open(f"/incident/{incident}")
    assert "Ký lại cho 1 cụm loa chưa có giờ" in person.words
    await person.press(f"/incident/{incident}/again")
    await person.sign()
    assert person.path == f"/incident/{incident}"
    found = await house.parts.database.run(lambda tx: orders.of_key(tx, incident))
    assert [one.reseal for one in found] == [False, True]
    assert found[1].answers == ("0123456789abcdef",)


async def _group(house: House):
    from controller.actions import areas

    (group,) = await areas.groups(house.parts, SYSTEM)
    return group


async def test_an_operator_may_stop_and_not_start(house: House):
    person = await officer(house)
    incident = await person.start("52.24076.002")
    operator = await officer(house, "tuan")
    assert "PHÁT KHẨN CẤP" not in await operator.open("/")
    assert "không được phát" in await operator.open("/emergency")
    assert await operator.draft("52.24076.002") == ""
    await operator.open(f"/incident/{incident}")
    await operator.press(f"/incident/{incident}/stop")
    await operator.sign("tuan")
    assert "Đã ra lệnh dừng" in operator.words


async def test_an_exercise_says_so_on_every_page_about_it(house: House):
    node = house.nodes["Cụm loa nhà rông Buôn Mlah"]
    await house.wakes(node)
    person = await officer(house)
    draft = await person.draft("52.24076.002", kind="exercise")
    long = "DIỄN TẬP - không phải khẩn cấp thật"
    assert long in person.words
    assert "KHẨN CẤP THẬT" not in person.words
    assert '<html lang="vi" class="exercise">' in person.text
    await person.press(f"/emergency/confirm/{draft}")
    await person.sign()
    assert long in person.words
    assert "DỪNG DIỄN TẬP" in person.words
    await person.open("/")
    assert "DỪNG DIỄN TẬP" in person.words
    await person.open("/incidents")
    assert "DIỄN TẬP Buôn Mlah" in person.words


async def test_words_of_others_are_shown_and_never_run(house: House):
    await house.wakes(house.nodes["Cụm loa nhà rông Buôn Mlah"])
    person = await officer(house)
    draft = await person.draft("52.24076.002", SPITEFUL, text_jra=JRAI, text_bdq=BAHNAR, body="UBND <b>xã</b>")
    for _ in range(2):
        assert "<script>alert" not in person.text
        assert "<b>xã</b>" not in person.text
        for text in (SPITEFUL, JRAI, BAHNAR, "UBND <b>xã</b>"):
            assert " ".join(text.split()) in person.words
        if draft:
            await person.press(f"/emergency/confirm/{draft}")
            await person.sign()
        draft = ""
    assert "<script>alert" not in await person.open("/")
    assert "<script>alert" not in await person.open("/incidents")
    found = await person.open("/emergency?q=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in found


async def test_a_draft_can_be_edited_with_what_was_written(house: House):
    person = await officer(house)
    draft = await person.draft("52.24076.002", "Nước lên nhanh.", text_jra=JRAI, doc="CĐ 12")
    page = await person.open(f"/emergency/write?draft={draft}")
    for text in ("Nước lên nhanh.", JRAI, "CĐ 12", 'value="live" required checked'):
        assert text in page


async def test_an_area_that_is_not_there_is_refused(house: House):
    person = await officer(house)
    for area in ("99.12345", "", "52.24076.999", "../x"):
        await person.open(f"/emergency/write?area={area}")
        assert person.page.status_code == 404
        await person.open("/emergency")
        await person.press("/emergency/write", area=area, do="review", kind="live", text_vi="x", body="x")
        assert person.page.status_code == 404


async def test_who_did_what_is_written_down(house: House):
    from controller.actions import audit

    person = await officer(house)
    await person.start("52.24076.002")
    lines = await audit.list_all(house.parts, SYSTEM)
    assert any(line.actor == "h.yer" and line.via == "page" for line in lines)
    assert SYSTEM.name in {line.actor for line in lines}
