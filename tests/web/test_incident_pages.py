"""An incident as it happens, STOP from every page, LIFT; and the lists to look things up."""

import time

from controller.actions import areas, emergencies
from controller.parts import SYSTEM
from protocol.bulletins import Item, Relay, Variant
from tests.web.browser import Officer, officer
from tests.web.house import House, now_ms

PAGES = (
    "/",
    "/emergency",
    "/emergency/write?area=52.24076",
    "/incidents",
    "/stop",
    "/plays",
    "/refusals",
    "/programmes",
    "/password",
)


async def started(house: House, person: Officer, area: str = "52.24076.002", **fields: str) -> str:
    incident = await person.start(area, **fields)
    assert incident, person.words
    return incident


async def test_a_row_turns_from_sent_to_received_to_sounding_to_ended_in_words(house: House):
    node = house.nodes["Cụm loa nhà rông Buôn Mlah"]
    await house.wakes(node)
    person = await officer(house)
    incident = await started(house, person)
    assert "Chưa gửi" in person.words or "Đã gửi" in person.words
    for result, words in (("received", "✓ Đã nhận"), ("sounding", "♪ Đang phát"), ("ended", "Đã phát xong")):
        await house.result(node, result, incident)
        await person.open(f"/incident/{incident}")
        row = person.words.split("Từng cụm loa")[1]
        assert words in row
        assert time.strftime("%H:%M", time.gmtime(now_ms() / 1000 + 7 * 3600)) in row


async def test_a_refusal_is_said_with_its_reason(house: House):
    node = house.nodes["Cụm loa nhà rông Buôn Mlah"]
    await house.wakes(node)
    person = await officer(house)
    incident = await started(house, person)
    await house.result(node, "refused", incident, reason="bad-signature")
    await person.open(f"/incident/{incident}")
    assert "Từ chối" in person.words
    assert "chữ ký không hợp lệ" in person.words
    await person.open("/refusals")
    assert "Cụm loa nhà rông Buôn Mlah" in person.words
    assert "chữ ký không hợp lệ" in person.words


async def test_stop_is_on_every_page_while_anything_sounds(house: House):
    node = house.nodes["Cụm loa nhà rông Buôn Mlah"]
    await house.wakes(node)
    person = await officer(house)
    for path in PAGES:
        assert "DỪNG PHÁT" not in await person.open(path)
    incident = await started(house, person)
    await house.result(node, "sounding", incident)
    for path in (*PAGES, f"/incident/{incident}"):
        page = await person.open(path)
        assert "DỪNG PHÁT" in page, path
        assert f'action="/incident/{incident}/stop"' in page, path


async def test_one_press_stops_and_one_lifts(house: House):
    node = house.nodes["Cụm loa nhà rông Buôn Mlah"]
    await house.wakes(node)
    person = await officer(house)
    incident = await started(house, person)
    await house.result(node, "sounding", incident)
    await person.open("/plays")
    await person.press(f"/incident/{incident}/stop")
    await person.sign()
    assert person.path == f"/incident/{incident}"
    assert "Đang dừng" in person.words or "Đã dừng" in person.words
    assert "Cho phát lại" in person.words
    await house.stops(node, incident)
    await person.open(f"/incident/{incident}")
    assert "Đã dừng" in person.words
    assert "DỪNG PHÁT" not in person.words
    await person.press(f"/incident/{incident}/lift")
    await person.sign()
    view = await emergencies.progress(house.parts, SYSTEM, incident)
    assert view.op == "LIFT"


async def test_a_whole_area_or_a_group_is_stopped_and_lifted(house: House):
    person = await officer(house)
    await person.open("/stop?area=52.24076")
    assert "Dừng tất cả ở Xã Phú Túc" in person.words
    await person.press("/stop", area="52.24076", do="stop", reason="loa hú")
    await person.sign()
    assert person.path.startswith("/incident/stop-")
    assert "DỪNG CẢ KHU VỰC" in person.words
    await person.press(f"{person.path}/lift")
    await person.sign()
    assert "Cho phát lại" in person.words
    assert person.page.status_code == 200
    (group,) = await areas.groups(house.parts, SYSTEM)
    await person.open(f"/stop?area={group.id}")
    await person.press("/stop", area=group.id, do="stop")
    await person.sign()
    await person.open("/incidents")
    for name in ("Xã Phú Túc", "Xã Ia Dreh", "Xã Uar", "Xã Ia Rsai"):
        assert name in person.words


async def test_home_shows_how_far_a_clock_can_be_off_until_it_is_another_clock(house: House):
    well, alone, *_ = house.nodes.values()
    for node in (well, alone):
        await house.wakes(node)
    await house.health(well, clock_error_ms=20)
    await house.health(alone, clock_state="holdover", clock_error_ms=12_345)
    person = await officer(house)
    await person.open("/")
    assert "đồng hồ đúng (sai không quá 0,1 giây)" in person.words
    assert "đồng hồ tự chạy, chưa đối chiếu lại (sai không quá 13 giây)" in person.words
    await house.wakes(well, clock_state="unknown")
    await house.wakes(alone, clock_state="holdover")
    await person.open("/")
    assert "0,1 giây" not in person.words, "that was said of another clock"
    assert "13 giây" in person.words


async def test_home_shows_the_worst_first_with_reasons_and_both_times(house: House):
    well, wrong, lost, _ = house.nodes.values()
    await house.wakes(well)
    await house.wakes(wrong, clock_state="unknown", at_ms=0)
    await house.wakes(lost)
    await house.dies(lost)
    person = await officer(house)
    await person.open("/")
    words = person.words
    order = [words.index(text) for text in ("Chưa bao giờ kết nối", "Đồng hồ chưa tin được", "Cụm loa chợ Phú Túc")]
    assert order == sorted(order)
    assert "Mất kết nối" in words
    assert "01/01/1970" in words
    assert "lệch" in words
    assert "chương trình hẹn giờ không phát" in words
    assert "4 cụm loa" in words
    await person.open("/?q=mlah")
    assert "Cụm loa chợ Phú Túc" not in person.words
    await person.open("/?q=zzz")
    assert "Không có cụm loa nào khớp" in person.words


async def test_plays_of_a_day_are_listed_with_how_they_ended(house: House):
    node = house.nodes["Cụm loa chợ Phú Túc"]
    await house.wakes(node)
    at_ms = now_ms()
    await house.play(node, item="tin-sang", planned_ms=at_ms, started_ms=at_ms, ended_ms=at_ms + 60_000, rms_cdb=-1850)
    await house.play(node, item="tin-chieu", planned_ms=at_ms, ending="cut", silent_ms=2500)
    person = await officer(house)
    await person.open("/plays")
    for words in ("tin-sang", "Phát đủ", "-18,5 dBFS", "tin-chieu", "Đứt quãng", "2,5 giây không ra tiếng"):
        assert words in person.words
    await person.open("/plays?day=2020-01-01")
    assert "Không có lượt phát nào trong ngày 01/01/2020" in person.words
    await person.open("/plays?day=hom-qua")
    assert person.page.status_code == 400


async def test_an_unknown_incident_is_said_plainly(house: House):
    person = await officer(house)
    for path in ("/incident/0123456789abcdef", "/incident/x"):
        await person.open(path)
        assert person.page.status_code == 404
        assert "Không có lần phát này" in person.words


async def test_a_controller_without_its_broker_says_so_on_every_page(house: House):
    house.parts.broker.connected = False
    person = await officer(house)
    for path in ("/", "/emergency", "/stop"):
        await person.open(path)
        assert "lệnh chưa tới được cụm loa nào" in person.words


async def test_a_programme_in_force_is_read_with_todays_times(house: House):
    relay = Relay(url="https://radio.example.vn/vov1", max_s=900)
    item = Item(
        id="tin-sang",
        title="Bản tin sáng <b>xã</b>",
        class_="priority",
        rrule="FREQ=DAILY;BYHOUR=5,17;BYMINUTE=30",
        variants=(Variant(lang="vi", relay=relay), Variant(lang="jra", relay=relay)),
    )
    await house.programme("52.24076", item)
    person = await officer(house)
    await person.open("/programmes")
    for words in ("Xã Phú Túc", "Bản tin sáng <b>xã</b>", "05:30, 17:30", "ưu tiên", "Việt, Jrai", "chu-tich"):
        assert words in person.words
    assert "<b>xã</b>" not in person.text
