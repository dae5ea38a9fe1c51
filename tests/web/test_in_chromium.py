"""The page in a real browser, at a phone's size and at a desk's: it works with and without scripts, and nothing overflows."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.web.house import NODES, PASSWORD, House, now_ms, served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENS = Path(__file__).parents[2] / "build" / "screens"
SIZES = {"phone": (360, 740), "desk": (1280, 800)}
LONGEST_MS = 20_000
BUON_MLAH = "Cụm loa nhà rông Buôn Mlah"
WIDER = """[...document.body.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"""
SMALL = """[...document.querySelectorAll('a, button, summary, input:not([type=hidden])')].filter(e => {
    const r = e.getBoundingClientRect(); return r.width && !e.matches('.skip, .card a') && r.height < 43 })
    .map(e => e.outerHTML.slice(0, 80))"""
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


class Sight:
    """One browser window. It keeps what the browser complained about, and takes pictures."""

    def __init__(self, page: Page, url: str, tag: str, house: House) -> None:
        self.page, self.url, self.tag, self.house, self.complaints = page, url, tag, house, []
        page.set_default_timeout(LONGEST_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self.complaints.append(line.text) if "Content Security Policy" in line.text else None)

    async def open(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def picture(self, name: str, *, full: bool = True) -> None:
        SCREENS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENS / f"{self.tag}-{name}.png", full_page=full)
        assert await self.page.evaluate(WIDER) == [], f"{name} is wider than the screen"

    async def login(self, name: str = "h.yer", password: str = PASSWORD) -> None:
        await self.open("/login")
        await self.page.fill("#name", name)
        await self.page.fill("#password", password)
        await self.page.click("main button.big")
        await self.page.wait_for_url(self.url + "/second-factor")
        await self.page.fill("#code", await self.house.code(name))
        await self.page.click("main button.big")
        await self.page.wait_for_url(self.url + "/")

    async def write(self, area: str, kind: str, text: str) -> None:
        await self.open(f"/emergency/write?area={area}")
        await self.page.check(f"input[name=kind][value={kind}]")
        await self.page.check("input[name=risk][value='4']")
        await self.page.fill("#text-vi", text)
        if await self.page.input_value("#body") == "":
            await self.page.fill("#body", "Ủy ban nhân dân các xã vùng Krông Pa")
        await self.page.click("button[value=review]")
        await self.page.wait_for_url("**/emergency/review/*")


@asynccontextmanager
async def sight(
    house: House, browser: Browser, size: str = "phone", scheme: str = "dark", *, scripts: bool = True
) -> AsyncIterator[Sight]:
    width, height = SIZES[size]
    async with served(house.parts) as url:
        context = await browser.new_context(
            ignore_https_errors=True,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=size == "phone",
            java_script_enabled=scripts,
        )
        seen = Sight(await context.new_page(), url, f"{size}-{scheme}" if scripts else f"{size}-no-scripts", house)
        try:
            yield seen
        finally:
            await context.close()
        assert seen.complaints == []


async def hold(seen: Sight, seconds: float) -> None:
    await seen.page.locator("#hold").scroll_into_view_if_needed()
    box = await seen.page.locator("#hold").bounding_box()
    await seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    await seen.page.mouse.down()
    await asyncio.sleep(seconds)


async def populated(house: House) -> None:
    """One node of each sort: well, with a clock that is off, lost; the fourth never came."""
    well, off, lost = (house.nodes[name] for _, name in NODES[:3])
    await house.wakes(well)
    await house.wakes(off, at_ms=now_ms() + 6_100, clock_state="holdover")
    await house.wakes(lost, troubles=("disk-full",), missing_media=3)
    await house.dies(lost)


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("phone", "light"), ("desk", "dark")])
async def test_an_officer_warns_a_hamlet_watches_it_and_stops_it(house: House, size: str, scheme: str):
    await populated(house)
    node = house.nodes[BUON_MLAH]
    async with chromium() as browser, sight(house, browser, size, scheme) as seen:
        page = seen.page
        await seen.open("/login")
        await seen.picture("01-login")
        await seen.login()
        await expect(page.locator(".card")).to_have_count(4)
        await seen.picture("02-home")
        await page.click(".menu summary")
        await seen.picture("03-menu", full=False)
        await page.click("a.big.start")
        await seen.picture("04-where")
        await page.fill("#q", "buon mlah")
        await page.keyboard.press("Enter")
        await page.click(".places a")
        await page.check("input[name=kind][value=live]")
        await page.check("input[name=risk][value='4']")
        await page.select_option("#hazard", "flood")
        await page.click("button[value=template]")
        await expect(page.locator("#text-vi")).to_have_value(re.compile("cấp 4"))
        await seen.picture("05-write")
        text = (await page.input_value("#text-vi")).replace("[nơi tránh lũ]", "nhà rông").replace("[số điện thoại]", "114")
        await page.fill("#text-vi", text)
        await page.click("summary:has-text('Jrai')")
        await page.fill("#text-jra", "Ƀuôn sang anai: ia krông đĭ. Ơ̆i ñu, čar ia dlai ô̆ ư̆ ŏ ŭ.")
        await page.click("button[value=review]")
        await page.wait_for_url("**/emergency/review/*")
        await seen.picture("06-review")
        await hold(seen, 1.0)
        await seen.picture("07-holding", full=False)
        await page.mouse.up()
        await asyncio.sleep(1.5)
        assert "/emergency/review/" in page.url
        await hold(seen, 2.2)
        await page.wait_for_url("**/incident/*")
        await page.mouse.up()
        incident = page.url.rsplit("/", 1)[1]
        row = page.locator(f"#row-{node}")
        for result, words in (("received", "Đã nhận"), ("sounding", "Đang phát")):
            await house.result(node, result, incident, **({"spoken_at_ms": now_ms()} if result == "sounding" else {}))
            await expect(row).to_contain_text(words)
        await seen.picture("08-incident", full=False)
        await seen.open("/plays")
        await page.click(".stopbar summary")
        await seen.picture("09-stop", full=False)
        await page.click(".stopbar form button")
        await page.wait_for_url("**/incident/*")
        await house.stops(node, incident)
        await expect(row).to_contain_text("Đã dừng")
        await expect(page.locator(".stopbar")).to_have_count(0)
        await seen.picture("10-stopped")
        for name, path in (("11-incidents", "/incidents"), ("12-stop-area", "/stop"), ("13-stop-commune", "/stop?area=52.24076")):
            await seen.open(path)
            await seen.picture(name)


async def test_a_group_exercise_is_striped_and_typed_by_keyboard_with_two_officers(house: House):
    await populated(house)
    await house.officer("lan", "mot-hai-ba-bon")
    async with chromium() as browser, sight(house, browser) as seen:
        page = seen.page
        await seen.login()
        await seen.open("/emergency?q=krong+pa")
        await page.click(".places a:has-text('Huyện Krông Pa')")
        await seen.write(page.url.split("area=")[1], "exercise", "Diễn tập sơ tán. Bà con nghe loa và làm theo hướng dẫn.")
        await expect(page.locator(".stripes")).to_contain_text("DIỄN TẬP")
        await seen.picture("20-exercise-review")
        await page.click("#hold")
        assert "/emergency/review/" in page.url
        await page.fill("#second-name", "lan")
        await page.fill("#second-password", "mot-hai-ba-bon")
        await page.fill("#second-code", await house.code("lan"))
        await page.focus("#typed summary")
        await page.keyboard.press("Enter")
        await page.fill("#typed-name", "huyen krong pa")
        await seen.picture("21-exercise-typed", full=False)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/incident/*")
        incident = page.url.rsplit("/", 1)[1]
        for name, result in ((NODES[0][1], "sounding"), (BUON_MLAH, "refused")):
            await house.result(
                house.nodes[name],
                result,
                incident,
                reason="expired" if result == "refused" else "",
            )
        await expect(page.locator(".row.st-sounding")).to_have_count(1)
        await seen.picture("22-exercise-incident")
        await expect(page.locator("summary.stop")).to_contain_text("DỪNG DIỄN TẬP")


async def test_the_button_is_held_by_the_keyboard_too(house: House):
    async with chromium() as browser, sight(house, browser, "desk") as seen:
        await seen.login()
        await seen.write("52.24076.002", "live", "Nước lên nhanh.")
        await seen.page.focus("#hold")
        await seen.page.keyboard.down("Space")
        await seen.page.wait_for_url("**/incident/*")


async def test_stop_is_as_large_as_start_and_both_are_big_targets(house: House):
    await house.wakes(house.nodes[BUON_MLAH])
    async with chromium() as browser, sight(house, browser) as seen:
        await seen.login()
        await seen.write("52.24076.002", "live", "Nước lên nhanh.")
        await hold(seen, 2.2)
        await seen.page.wait_for_url("**/incident/*")
        await seen.open("/")
        start = await seen.page.locator("a.big.start").bounding_box()
        stop = await seen.page.locator("summary.big.stop").bounding_box()
        assert stop["width"] >= start["width"]
        assert stop["height"] >= start["height"] >= 60
        assert await seen.page.evaluate(SMALL) == []


async def test_without_scripts_an_emergency_is_started_and_stopped(house: House):
    await populated(house)
    async with chromium() as browser, sight(house, browser, scripts=False) as seen:
        page = seen.page
        await seen.login()
        await seen.write("52.24076.002", "live", "Nước lên nhanh.")
        await expect(page.locator("#hold")).to_be_hidden()
        await page.fill("#typed-name", "Buon Mlah")
        await seen.picture("30-review")
        await page.click("#typed button")
        await page.wait_for_url("**/incident/*")
        incident = page.url.rsplit("/", 1)[1]
        await house.result(house.nodes[BUON_MLAH], "sounding", incident)
        await page.reload()
        await expect(page.locator(".row")).to_contain_text("Đang phát")
        await seen.open("/plays")
        await page.click(".stopbar summary")
        await page.click(".stopbar form button")
        await expect(page.locator(".phase").first).to_contain_text("dừng")


async def test_a_page_that_lost_its_controller_says_so_and_heals_by_itself(house: House):
    await house.wakes(house.nodes[BUON_MLAH])
    port = 0
    async with chromium() as browser:
        context = await browser.new_context(ignore_https_errors=True, viewport={"width": 360, "height": 740}, color_scheme="dark")
        page = await context.new_page()
        async with served(house.parts) as url:
            seen = Sight(page, url, "phone-dark", house)
            port = int(url.rsplit(":", 1)[1])
            await seen.login()
            await expect(page.locator("#stale")).to_be_hidden()
        await expect(page.locator("#stale")).to_contain_text("Mất kết nối với máy chủ", timeout=40_000)
        await seen.picture("40-stale", full=False)
        await house.dies(house.nodes[BUON_MLAH])
        async with served(house.parts, port):
            await expect(page.locator("#stale")).to_be_hidden(timeout=40_000)
            await expect(page.locator(f"#node-{house.nodes[BUON_MLAH]}")).to_contain_text("Mất kết nối")
            await context.close()


async def test_english_is_whole_and_fits(house: House):
    await populated(house)
    async with chromium() as browser, sight(house, browser) as seen:
        await seen.login()
        await seen.page.click(".tongue button")
        await expect(seen.page.locator("h1")).to_have_text("Loudspeaker clusters")
        await seen.picture("50-english-home")
        await seen.write("52.24076", "live", "Water is rising.")
        await seen.picture("51-english-review")
