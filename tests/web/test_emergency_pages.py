"""An emergency by page: chosen, written, read back, confirmed by a deliberate act; then seen on each node."""

import re

from controller.actions import emergencies
from controller.parts import SYSTEM
from tests.web.browser import Officer, officer
from tests.web.house import PASSWORD, House

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


async def test_confirm_needs_the_hold_or_the_areas_name(house: House):
    await house.wakes(house.nodes["Cụm loa nhà rông Buôn Mlah"])
    person = await officer(house)
    draft = await person.draft("52.24076.002")
    for fields in ({}, {"held-ms": "400"}, {"held-ms": "-2000"}, {"held-ms": "x"}, {"typed": "Buôn Thim"}):
        await person.press(f"/emergency/confirm/{draft}", **fields)
        assert person.page.status_code == 422
        assert "Chưa phát gì cả" in person.words
    assert await incidents_of(house) == []
    await person.press(f"/emergency/confirm/{draft}", typed="buon mlah")
    assert person.path.startswith("/incident/")
    assert len(await incidents_of(house)) == 1


async def test_a_draft_starts_once_however_often_the_form_is_sent(house: House):
    person = await officer(house)
    draft = await person.draft("52.24076.002")
    review = person.page
    await person.press(f"/emergency/confirm/{draft}", held_ms="2000")
    assert person.path.startswith("/incident/")
    person.page = review
    await person.press(f"/emergency/confirm/{draft}", held_ms="2000")
    assert person.page.status_code == 404
    assert "đã phát" in person.words
    assert len(await incidents_of(house)) == 1


async def test_nobody_confirms_the_draft_of_another(house: House):
    await house.officer("lan", "mot-hai-ba-bon")
    mine, theirs = await officer(house), await Officer(house.browser(), house).login("lan", "mot-hai-ba-bon")
    draft = await mine.draft("52.24076.002")
    await theirs.open("/emergency")
    await theirs.press(f"/emergency/confirm/{draft}", held_ms="2000")
    assert theirs.page.status_code == 404
    assert await incidents_of(house) == []


async def test_a_group_needs_a_second_officer_with_their_own_password(house: House):
    await house.officer("lan", "mot-hai-ba-bon")
    group = (await _group(house)).id
    person = await officer(house)
    draft = await person.draft(group)
    assert "Cán bộ thứ hai xác nhận" in person.words
    confirm = f"/emergency/confirm/{draft}"
    for name, password, words in (
        ("", "", "cán bộ thứ hai không đúng"),
        ("h.yer", PASSWORD, "phải là người khác"),
        ("lan", "sai-roi", "cán bộ thứ hai không đúng"),
        ("tuan", PASSWORD, "một cán bộ khác cùng xác nhận"),
    ):
        code = await house.code(name) if name else ""
        await person.press(confirm, held_ms="2000", second_name=name, second_password=password, second_code=code)
        assert words in person.words
        assert await incidents_of(house) == []
    lan = {"second_name": "lan", "second_password": "mot-hai-ba-bon"}
    await person.press(confirm, held_ms="2000", **lan, second_code="000000")
    assert "cán bộ thứ hai không đúng" in person.words
    await person.press(confirm, held_ms="2000", **lan, second_code=await house.code("lan"))
    assert person.path.startswith("/incident/")
    (started,) = await incidents_of(house)
    assert set(started.areas) == {"52.24076", "52.24100", "52.24109", "52.24112"}


async def _group(house: House):
    from controller.actions import areas

    (group,) = await areas.groups(house.parts, SYSTEM)
    return group


async def test_an_operator_may_stop_and_not_start(house: House):
    person = await officer(house)
    draft = await person.draft("52.24076.002")
    await person.press(f"/emergency/confirm/{draft}", held_ms="2000")
    incident = person.path.rsplit("/", 1)[1]
    operator = await officer(house, "tuan")
    assert "PHÁT KHẨN CẤP" not in await operator.open("/")
    assert "không được phát" in await operator.open("/emergency")
    assert await operator.draft("52.24076.002") == ""
    await operator.open(f"/incident/{incident}")
    await operator.press(f"/incident/{incident}/stop")
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
    await person.press(f"/emergency/confirm/{draft}", held_ms="2000")
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
        await person.press(f"/emergency/confirm/{draft}", held_ms="2000") if draft else None
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


async def test_an_area_that_is_not_there_or_too_wide_is_refused(house: House):
    person = await officer(house)
    for area in ("52", "99.12345", "", "52.24076.999", "../x"):
        await person.open(f"/emergency/write?area={area}")
        assert person.page.status_code == 404
        await person.open("/emergency")
        await person.press("/emergency/write", area=area, do="review", kind="live", text_vi="x", body="x")
        assert person.page.status_code == 404


async def test_without_a_signer_the_page_says_that_nothing_was_sent(house: House):
    person = await officer(house)
    draft = await person.draft("52.24076.002")
    await house.parts.signer.close()
    house.parts.config.signer_socket.unlink()
    await person.press(f"/emergency/confirm/{draft}", held_ms="2000")
    assert "CHƯA GỬI gì cả" in person.words
    assert "Bộ ký lệnh không trả lời" in await person.open("/")
    assert await incidents_of(house) == []


async def test_who_did_what_is_written_down(house: House):
    from controller.actions import audit

    person = await officer(house)
    draft = await person.draft("52.24076.002")
    await person.press(f"/emergency/confirm/{draft}", held_ms="2000")
    lines = await audit.list_all(house.parts, SYSTEM)
    assert any(line.actor == "h.yer" and line.via == "page" for line in lines)
    assert SYSTEM.name in {line.actor for line in lines}
