"""One's own account on the page: setting the telephone up, the sessions, and that the page offers only what one may do."""

import base64
import re

import pytest

from controller.actions import areas, people, signatures
from controller.core import totp
from controller.core.access import Duty
from controller.parts import SYSTEM
from controller.store import orders
from tests.web.browser import Officer, officer
from tests.web.house import PASSWORD, House, now_ms

SECRET = re.compile(r'<code class="secret">([A-Z2-7 ]+)</code>')


async def made(house: House, name: str, *duties: Duty) -> Officer:
    """Somebody with their own password and, where their duties ask for it, a telephone."""
    house.master.first_passwords[name] = (await people.create(house.parts, SYSTEM, name, f"Bà {name}", duties)).first_password
    if any(duty.role in ("emergency", "operator") for duty in duties):
        await house.officer(name, PASSWORD)
    else:
        await people.change_password(house.parts, name, house.master.first_passwords[name], PASSWORD)
    return await Officer(house.browser(), house).login(name)


async def test_the_telephone_is_set_up_at_the_first_sign_in_by_picture_or_by_typing(house: House):
    first = house.master.first_passwords["lan"]
    person = await Officer(house.browser(), house).login("lan", first)
    await person.press("/password", old=first, new=PASSWORD, again=PASSWORD)
    assert person.path == "/second-factor"
    assert "<svg" in person.text
    letters = SECRET.search(person.text).group(1).replace(" ", "")
    for path in ("/", "/emergency", "/stop", "/sessions"):
        await person.open(path)
        assert person.path == "/second-factor"
    assert letters in person.text.replace(" ", ""), "the same picture until it is proven"
    await person.press("/second-factor", code="123", next="/")
    assert person.page.status_code == 401
    assert "Mã không đúng" in person.words
    secret = base64.b32decode(letters + "=" * (-len(letters) % 8))
    code = totp.code_at(secret, totp.step_of(now_ms()))
    await person.press("/second-factor", code=f"{code[:3]} {code[3:]}", next="/emergency")
    assert person.path == "/emergency"
    await person.open("/second-factor")
    assert letters not in person.text.replace(" ", ""), "it was shown once"
    again = Officer(house.browser(), house)
    await again.open("/login")
    await again.press("/login", name="lan", password=PASSWORD)
    assert again.path == "/second-factor"
    assert "<svg" not in again.text


async def test_starting_an_emergency_asks_for_no_code_again(house: House):
    await house.wakes(house.nodes["Cụm loa nhà rông Buôn Mlah"])
    person = await officer(house)
    draft = await person.draft("52.24076.002")
    assert 'name="code"' not in person.text
    assert "second-code" not in person.text
    await person.press(f"/emergency/confirm/{draft}")
    await person.sign()
    assert person.path.startswith("/incident/")


async def test_sessions_are_shown_and_ended_by_their_owner(house: House):
    here, there, third = await officer(house), await officer(house), await officer(house)
    await here.open("/sessions")
    assert here.words.count("Đăng nhập lúc") >= 3
    assert here.words.count("Máy này") == 1
    await here.press("/sessions", session=re.findall(r'name="session" value="([0-9a-f]+)"', here.text)[0])
    alive = [one for one in (there, third) if (await one.open("/")) and one.path == "/"]
    assert len(alive) == 1
    await here.open("/sessions")
    await here.press("/sessions")
    await alive[0].open("/")
    assert alive[0].path == "/login"
    assert "Máy này" in await here.open("/sessions")


@pytest.mark.parametrize("role", ["author", "auditor", "technician"])
async def test_who_may_neither_start_nor_stop_is_offered_neither_and_can_do_neither(house: House, role: str):
    sounding = await officer(house)
    await house.wakes(house.nodes["Cụm loa nhà rông Buôn Mlah"])
    incident = f"/incident/{await sounding.start('52.24076.002')}"
    person = await made(house, f"{role}-1", Duty(role, "52.24076"))
    for path in ("/", incident, "/incidents"):
        await person.open(path)
        assert "PHÁT KHẨN CẤP" not in person.words
        assert "DỪNG PHÁT" not in person.words
        assert 'href="/stop"' not in person.text
        assert 'href="/waiting"' not in person.text
    await person.press(f"{incident}/stop")
    assert person.page.status_code == 403
    await person.open("/")
    await person.press("/stop", area="52.24076", do="stop")
    assert person.page.status_code == 403


async def test_a_communes_officer_sees_and_reaches_the_commune_alone(house: House):
    for node in house.nodes.values():
        await house.wakes(node)
    person = await made(house, "xa-phu-tuc", Duty("emergency", "52.24076"))
    await person.open("/")
    assert "Cụm loa chợ Phú Túc" in person.words
    assert "Buôn Jứ" not in person.words
    await person.open("/emergency")
    assert "Xã Phú Túc" in person.words
    (group,) = await areas.groups(house.parts, SYSTEM)
    assert "Xã Ia Dreh" not in person.words
    assert f"area={group.id}" not in person.text
    await person.open("/emergency?q=dreh")
    assert "Xã Ia Dreh" not in person.words
    for path in ("/emergency/write?area=52.24100", "/timetable?area=52.24100", "/plays/plan?area=52.24100"):
        await person.open(path)
        assert person.page.status_code in (403, 404), path
    other = await officer(house)
    await person.open(f"/incident/{await other.start('52.24100.001')}")
    assert person.page.status_code == 404
    await person.open("/incidents")
    assert "Chưa phát khẩn cấp" in person.words
    assert "DỪNG PHÁT" not in person.words


async def test_what_waits_for_a_second_signature_is_for_those_who_may_sign_it(house: House):
    first = await officer(house)
    draft = await first.draft("52")
    await first.press(f"/emergency/confirm/{draft}")
    await first.sign()
    (waits,) = await signatures.list_waiting(house.parts, SYSTEM)
    commune = await made(house, "xa-phu-tuc", Duty("emergency", "52.24076"))
    await commune.open("/waiting")
    assert "Không có lệnh nào đang chờ" in commune.words
    for act in ("sign", "drop"):
        await commune.open("/waiting")
        await commune.press(f"/waiting/{waits.id}/{act}")
        assert commune.page.status_code == 403, act
    assert await signatures.list_waiting(house.parts, SYSTEM) == [waits]


async def test_of_an_incident_in_several_communes_an_officer_stops_ones_own(house: House):
    first, second = await officer(house), await made(house, "hai", Duty("emergency", "52"))
    (group,) = await areas.groups(house.parts, SYSTEM)
    draft = await first.draft(group.id)
    await first.press(f"/emergency/confirm/{draft}")
    await first.sign("h.yer")
    (waits,) = await signatures.list_waiting(house.parts, SYSTEM)
    await second.open("/waiting")
    await second.press(f"/waiting/{waits.id}/sign")
    await second.sign("lan")
    commune = await made(house, "xa-phu-tuc", Duty("emergency", "52.24076"))
    await commune.open(second.path)
    await commune.press(f"{second.path}/stop")
    await commune.sign("lan")
    found = await house.parts.database.run(lambda tx: orders.of_key(tx, second.path.rsplit("/", 1)[1]))
    assert [one.mark.area for one in found if one.mark.op == "STOP"] == ["52.24076"]
