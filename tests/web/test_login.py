"""Coming in: passwords, sessions, forms that only their own page can send."""

import httpx

from tests.web.browser import Officer, officer
from tests.web.house import PASSWORD, House

GATED = ("/", "/emergency", "/incidents", "/stop", "/plays", "/refusals", "/programmes", "/password")


async def test_nobody_sees_anything_before_login(house: House):
    nobody = house.browser()
    for path in GATED:
        answer = await nobody.get(path, follow_redirects=False)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login")


async def test_after_login_the_page_asked_for_comes(house: House):
    person = Officer(house.browser(), house)
    await person.open("/emergency?q=mlah")
    assert person.path == "/login"
    await person.press("/login", name="h.yer", password=PASSWORD, next="/emergency?q=mlah")
    await person.press("/second-factor", code=await house.code("h.yer"), next="/emergency?q=mlah")
    assert str(person.page.url).endswith("/emergency?q=mlah")


async def test_login_never_leads_to_another_site(house: House):
    for onward in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        person = Officer(house.browser(), house)
        await person.open("/login")
        await person.press("/login", name="h.yer", password=PASSWORD, next=onward)
        await person.press("/second-factor", code=await house.code("h.yer"), next=onward)
        assert str(person.page.url) == "https://loa.test/"


async def test_wrong_name_and_wrong_password_say_the_same(house: House):
    person = Officer(house.browser(), house)
    await person.open("/login")
    await person.press("/login", name="h.yer", password="sai")
    assert person.page.status_code == 401
    first = person.words.replace("h.yer", "")
    await person.press("/login", name="khong-co", password="sai")
    assert person.page.status_code == 401
    assert "không đúng" in person.words
    assert person.words.split("Giờ")[0] == first.split("Giờ")[0]


async def test_guessing_is_held_back_and_the_page_says_for_how_long(house: House):
    person = Officer(house.browser(), house)
    await person.open("/login")
    for _ in range(6):
        await person.press("/login", name="h.yer", password="sai")
    await person.press("/login", name="h.yer", password="sai")
    assert person.page.status_code == 429
    assert "Hãy đợi" in person.words
    assert "giây" in person.words


async def test_the_first_password_must_be_changed_before_anything_else(house: House):
    first = house.master.first_passwords["lan"]
    person = await Officer(house.browser(), house).login("lan", first)
    assert person.path == "/password"
    for path in ("/", "/emergency", "/stop"):
        await person.open(path)
        assert person.path == "/password"
    await person.press("/password", old=first, new="ngan", again="ngan")
    assert "ít nhất 10" in person.words
    await person.press("/password", old=first, new="mot-hai-ba-bon", again="mot-hai-ba-nam")
    assert "không giống nhau" in person.words
    await person.press("/password", old="sai-mat-khau", new="mot-hai-ba-bon", again="mot-hai-ba-bon")
    assert "Mật khẩu hiện nay không đúng" in person.words
    await person.press("/password", old=first, new="mot-hai-ba-bon", again="mot-hai-ba-bon")
    assert person.path == "/second-factor"


async def test_a_changed_password_ends_the_other_sessions(house: House):
    here, there = await officer(house), await officer(house)
    await here.open("/password")
    await here.press("/password", old=PASSWORD, new="mot-hai-ba-bon", again="mot-hai-ba-bon")
    assert here.path == "/"
    await there.open("/")
    assert there.path == "/login"


async def test_logout_ends_the_session_itself_not_only_the_cookie(house: House):
    person = await officer(house)
    cookies = dict(person.browser.cookies)
    await person.open("/")
    await person.press("/logout")
    assert person.path == "/login"
    thief = house.browser()
    thief.cookies.update(cookies)
    assert (await thief.get("/", follow_redirects=False)).status_code == 303


async def test_the_session_cookie_is_out_of_reach(house: House):
    person = Officer(house.browser(), house)
    await person.open("/login")
    await person.press("/login", name="h.yer", password=PASSWORD)
    given = [answer.headers.get_list("set-cookie") for answer in person.page.history]
    cookie = next(line for lines in given for line in lines if line.startswith("__Host-loa="))
    for word in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert word in cookie
    assert "Domain" not in cookie


async def test_every_form_without_its_token_is_refused_and_does_nothing(house: House):
    person = await officer(house)
    draft = await person.draft("52.24076.002")
    forms = {
        "/emergency/write": {"area": "52.24076", "do": "review"},
        f"/emergency/confirm/{draft}": {},
        "/signed/0123456789abcdef/take": {"sealed": "W10="},
        "/waiting/0123456789abcdef/sign": {},
        "/waiting/0123456789abcdef/drop": {},
        "/incident/0123456789abcdef/again": {},
        "/stop": {"area": "52.24076", "do": "stop"},
        "/incident/0123456789abcdef/stop": {},
        "/incident/0123456789abcdef/lift": {},
        "/password": {"old": PASSWORD, "new": "mot-hai-ba-bon", "again": "mot-hai-ba-bon"},
        "/logout": {},
        "/language": {"tongue": "en"},
    }
    for path, fields in forms.items():
        for token in ("", "0" * 64):
            answer = await person.browser.post(path, data=fields | ({"form_token": token} if token else {}))
            assert answer.status_code == 403, path
            assert "Biểu mẫu này đã cũ" in answer.text
    await person.open("/incidents")
    assert "Chưa phát khẩn cấp" in person.words


async def test_the_login_form_of_one_browser_is_no_use_in_another(house: House):
    mine, theirs = Officer(house.browser(), house), Officer(house.browser(), house)
    await mine.open("/login")
    await theirs.open("/login")
    theirs.page = mine.page
    await theirs.press("/login", name="h.yer", password=PASSWORD)
    assert theirs.page.status_code == 403


async def test_a_link_from_a_message_finds_the_officer_still_logged_in(house: House):
    answer = await house.browser().get("/incidents", headers={"sec-fetch-site": "cross-site"}, follow_redirects=False)
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0"' in answer.text


async def test_language_is_switched_and_remembered(house: House):
    person = await officer(house)
    await person.open("/incidents")
    await person.press("/language", tongue="en", back="/incidents")
    assert person.path == "/incidents"
    assert "Emergencies and exercises" in person.words
    await person.open("/")
    assert "Loudspeaker clusters" in person.words


async def test_every_page_keeps_foreign_scripts_and_frames_out(house: House):
    person = await officer(house)
    for path in (*GATED, "/emergency/write?area=52.24076", "/incident/0000000000000000"):
        await person.open(path)
        policy = person.page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert person.page.headers["cache-control"] == "no-store"
        assert "<script>" not in person.text
        assert " style=" not in person.text
        assert " onclick" not in person.text


async def test_a_huge_form_is_turned_away(house: House):
    person = Officer(house.browser(), house)
    await person.open("/login")
    answer = await person.browser.post("/login", data={"name": "x" * 200_000})
    assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
