"""A browser without scripts, driven as a person would: open a page, fill in its form, press a button."""

import html
import re

import httpx

from tests.web.house import PASSWORD, House

TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


class Officer:
    """One person at one browser."""

    def __init__(self, browser: httpx.AsyncClient, house: House) -> None:
        self.browser = browser
        self.house = house
        self.page = httpx.Response(200)

    async def open(self, path: str) -> str:
        self.page = await self.browser.get(path)
        return self.text

    async def press(self, path: str, **fields: str) -> str:
        """Post a form of the page that is open, with its own token."""
        found = TOKEN.search(self.page.text)
        assert found, self.page.text
        sent = {"form_token": found.group(1)} | {name.replace("_", "-"): value for name, value in fields.items()}
        sent["form_token"] = sent.pop("form-token", sent["form_token"])
        if "held-ms" in sent:
            sent["held_ms"] = sent.pop("held-ms")
        self.page = await self.browser.post(path, data=sent)
        return self.text

    @property
    def text(self) -> str:
        return self.page.text

    @property
    def words(self) -> str:
        """What a person reads: no tags, entities resolved."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.text)).split())

    @property
    def path(self) -> str:
        return self.page.url.path

    async def login(self, name: str = "h.yer", password: str = PASSWORD) -> "Officer":
        await self.open("/login")
        await self.press("/login", name=name, password=password)
        if self.path == "/second-factor" and name in self.house.master.phones:
            await self.press("/second-factor", code=await self.house.code(name), next="/")
        return self

    async def draft(self, area: str, text: str = "Nước lũ đang lên, bà con đi lên nhà rông ngay.", **fields: str) -> str:
        """Write an emergency and arrive at its review page; gives the draft's id."""
        await self.open(f"/emergency/write?area={area}")
        form = {"area": area, "kind": "live", "risk": "3", "repeats": "3", "body": "Ủy ban nhân dân xã Phú Túc", "text_vi": text}
        await self.press("/emergency/write", do="review", **(form | fields))
        return self.path.rsplit("/", 1)[1] if self.path.startswith("/emergency/review/") else ""


async def officer(house: House, name: str = "h.yer") -> Officer:
    """An officer who is logged in."""
    return await Officer(house.browser(), house).login(name)
