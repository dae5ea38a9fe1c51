"""The page in a real browser, at a phone's size and at a desk's: it works with and without scripts, and nothing overflows."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from controller.actions import emergencies, media
from controller.media import path_of
from controller.parts import SYSTEM
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

    async def write(self, area: str, kind: str, text: str, clip: str = "") -> None:
        await self.open(f"/emergency/write?area={area}")
        await self.page.check(f"input[name=kind][value={kind}]")
        await self.page.check("input[name=risk][value='4']")
        await self.page.fill("#text-vi", text)
        if clip:
            await self.page.select_option("#clip-vi", clip)
        if await self.page.input_value("#body") == "":
            await self.page.fill("#body", "Ủy ban nhân dân các xã vùng Krông Pa")
        await self.page.click("button[value=review]")
        await self.page.wait_for_url("**/emergency/review/*")

    async def make_key(self, person: str = "h.yer") -> str:
        """Make a key on the signing page, as on the first day; gives its public half."""
        await self.page.goto(f"{self.signing}/")
        await self.ready()
        await self.page.fill("#person", person)
        await self.page.fill("#name", "Rơ Ô H'Yer, cán bộ")
        await self.page.click("#make button")
        await expect(self.page.locator("#my-key")).to_be_visible()
        return json.loads(await self.page.inner_text("#public"))["public"]

    async def ready(self) -> None:
        """The signing page has drawn itself."""
        await self.page.wait_for_url(f"{self.signing}/*")
        await expect(self.page.locator("html[data-ready]")).to_have_count(1)

    async def to_signing(self) -> None:
        """From the review on to the signing page."""
        await self.page.click("#to-sign")
        await self.ready()
        await expect(self.page.locator("#act")).to_be_visible()

    @property
    def signing(self) -> str:
        return f"https://127.0.0.1:{self.house.parts.ports.signing}"


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
    await seen.page.locator("#sign").scroll_into_view_if_needed()
    box = await seen.page.locator("#sign").bounding_box()
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
        await house.grant(h_yer=await seen.make_key())
        await seen.picture("00-key")
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
        await seen.to_signing()
        await expect(page.locator("#order")).to_contain_text("52.24076.002")
        await expect(page.locator("#order")).to_contain_text(text.split(".")[0])
        await seen.picture("06-sign")
        await hold(seen, 1.0)
        await seen.picture("07-holding", full=False)
        await page.mouse.up()
        await asyncio.sleep(1.5)
        assert page.url.startswith(seen.signing)
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
        await seen.ready()
        await seen.picture("09-stop-sign", full=False)
        await page.click("#sign")
        await page.wait_for_url("**/incident/*")
        await house.stops(node, incident)
        await expect(row).to_contain_text("Đã dừng")
        await expect(page.locator(".stopbar")).to_have_count(0)
        await seen.picture("10-stopped")
        for name, path in (("11-incidents", "/incidents"), ("12-stop-area", "/stop"), ("13-stop-commune", "/stop?area=52.24076")):
            await seen.open(path)
            await seen.picture(name)


async def test_a_group_exercise_is_signed_by_two_officers_on_two_devices(house: House):
    await populated(house)
    await house.officer("lan", "mot-hai-ba-bon")
    async with chromium() as browser, sight(house, browser) as seen:
        page = seen.page
        other = Sight(await (await browser.new_context(ignore_https_errors=True)).new_page(), seen.url, "second", house)
        await house.grant(h_yer=await seen.make_key(), lan=await other.make_key("lan"))
        await other.login("lan", "mot-hai-ba-bon")
        await seen.login()
        await seen.open("/emergency?q=krong+pa")
        await page.click(".places a:has-text('Huyện Krông Pa')")
        await seen.write(page.url.split("area=")[1], "exercise", "Diễn tập sơ tán. Bà con nghe loa và làm theo hướng dẫn.")
        await expect(page.locator(".stripes")).to_contain_text("DIỄN TẬP")
        await seen.picture("20-exercise-review")
        await seen.to_signing()
        await expect(page.locator("#second")).to_contain_text("một người khác")
        await seen.picture("21-exercise-sign")
        await hold(seen, 2.2)
        await page.wait_for_url("**/waiting")
        await seen.picture("21-waiting")
        await other.page.click(".waitbar")
        await other.page.click("button:has-text('Xem và ký')")
        await other.ready()
        await expect(other.page.locator("#second")).to_contain_text("Rơ Ô H'Yer")
        await other.page.focus("#sign")
        await other.page.keyboard.down("Space")
        await other.page.wait_for_url("**/incident/*")
        incident = other.page.url.rsplit("/", 1)[1]
        for name, result in ((NODES[0][1], "sounding"), (BUON_MLAH, "refused")):
            await house.result(house.nodes[name], result, incident, reason="expired" if result == "refused" else "")
        await expect(other.page.locator(".row.st-sounding")).to_have_count(1)
        await expect(other.page.locator("summary.stop")).to_contain_text("DỪNG DIỄN TẬP")
        assert other.complaints == []


async def test_the_key_stays_in_the_browser_and_says_which_grant_it_lacks(house: House):
    async with chromium() as browser, sight(house, browser) as seen:
        public = await seen.make_key()
        leaves = """async () => {
            const { mine } = await import("/keys.js");
            const { key } = await mine();
            if (key.extractable) return "extractable";
            try { await crypto.subtle.exportKey("pkcs8", key); return "exported"; } catch (error) { return error.name; }
        }"""
        assert await seen.page.evaluate(leaves) == "InvalidAccessError"
        await seen.page.reload()
        await seen.ready()
        assert json.loads(await seen.page.inner_text("#public"))["public"] == public
        await seen.login()
        await seen.write("52.24076.002", "live", "Nước lên nhanh.")
        await seen.page.click("#to-sign")
        await seen.ready()
        await expect(seen.page.locator("#trouble")).to_contain_text("chưa được phân quyền")
        await expect(seen.page.locator("#act")).to_be_hidden()


@pytest.mark.parametrize(("ahead_ms", "words"), [(61_500, "lệch giờ máy chủ"), (-61_500, "lệch giờ máy chủ")])
async def test_a_device_whose_clock_is_off_signs_nothing(house: House, ahead_ms: int, words: str):
    async with chromium() as browser, sight(house, browser) as seen:
        await house.grant(h_yer=await seen.make_key())
        await seen.login()
        await seen.write("52.24076.002", "live", "Nước lên nhanh.")
        await seen.page.add_init_script(f"const real = Date.now; Date.now = () => real() + {ahead_ms};")
        await seen.to_signing()
        await expect(seen.page.locator("#trouble")).to_contain_text(words)
        await hold(seen, 2.3)
        await seen.page.mouse.up()
        await expect(seen.page.locator("#trouble")).to_contain_text(words)
        assert await emergencies.incidents(house.parts, SYSTEM) == []


@pytest.mark.parametrize("changed", [False, True])
async def test_a_recording_is_checked_and_heard_before_it_can_be_signed(house: House, tmp_path: Path, changed: bool):
    sound = tmp_path / "loi-keu-goi.wav"
    words = "Nước đang lên, bà con rời khỏi bờ suối, đi lên nhà rông ngay."
    espeak = await asyncio.create_subprocess_exec("espeak-ng", "-v", "vi", "-w", sound, words)
    assert await espeak.wait() == 0
    clip = await media.add(house.parts, SYSTEM, sound, "Lời kêu gọi")
    if changed:
        path = path_of(house.parts.config.library, clip.sha256)
        path.chmod(0o600)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    async with chromium() as browser, sight(house, browser) as seen:
        page = seen.page
        await house.grant(h_yer=await seen.make_key())
        await seen.login()
        await seen.write("52.24076.002", "live", "Nước lên nhanh.", clip=clip.sha256)
        await seen.to_signing()
        await expect(page.locator("#sign")).to_be_disabled()
        if changed:
            await expect(page.locator(".clip")).to_contain_text("KHÔNG phải bản ghi")
            await expect(page.locator("#sign")).to_be_disabled()
            return
        await expect(page.locator(".clip")).to_contain_text("hãy nghe")
        await page.evaluate("document.querySelector('audio').play()")
        await expect(page.locator(".clip")).to_contain_text("đã nghe", timeout=LONGEST_MS)
        await seen.picture("60-heard")
        await expect(page.locator("#sign")).to_be_enabled()
        await hold(seen, 2.2)
        await page.wait_for_url("**/incident/*")


async def test_stop_is_as_large_as_start_and_both_are_big_targets(house: House):
    await house.wakes(house.nodes[BUON_MLAH])
    async with chromium() as browser, sight(house, browser) as seen:
        await house.grant(h_yer=await seen.make_key())
        assert await seen.page.evaluate(SMALL) == []
        await seen.login()
        await seen.write("52.24076.002", "live", "Nước lên nhanh.")
        await seen.to_signing()
        assert await seen.page.evaluate(SMALL) == []
        await hold(seen, 2.2)
        await seen.page.wait_for_url("**/incident/*")
        await seen.open("/")
        start = await seen.page.locator("a.big.start").bounding_box()
        stop = await seen.page.locator("summary.big.stop").bounding_box()
        assert stop["width"] >= start["width"]
        assert stop["height"] >= start["height"] >= 60
        assert await seen.page.evaluate(SMALL) == []


async def test_without_scripts_everything_is_read_and_signing_says_what_it_needs(house: House):
    await populated(house)
    async with chromium() as browser, sight(house, browser, scripts=False) as seen:
        page = seen.page
        await seen.login()
        await seen.write("52.24076.002", "live", "Nước lên nhanh.")
        assert "Ký trên trang cần JavaScript" in await page.content()
        await seen.picture("30-review")
        await page.click("#to-sign")
        await page.wait_for_url(f"{seen.signing}/*")
        assert "Trang ký cần JavaScript" in await page.content()
        assert await emergencies.incidents(house.parts, SYSTEM) == []


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
