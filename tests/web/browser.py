"""A browser without scripts, driven as a person would: open a page, fill in its form, press a button."""

import base64
import html
import json
import re
from urllib.parse import parse_qsl

import httpx
import msgspec
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signer

from protocol import keys
from protocol.envelope import add_signature
from tests.web.house import PASSWORD, SIGNERS, House

TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


def sealed(one: dict, name: str) -> str:
    """One order of what the signing page reads, with one more signature."""
    return sealed_by(one, keys.sealer(SIGNERS[name]))


def sealed_by(one: dict, sealer: Signer) -> str:
    """The same, by any key."""
    if one.get("sealed"):
        return add_signature(one["sealed"].encode(), sealer).decode()
    payload = base64.b64decode(one["payload"])
    envelope = Envelope(payload, one["type"], {})
    signature = sealer.sign(envelope.pae())
    envelope.signatures[signature.keyid] = signature
    return msgspec.json.encode(envelope.to_dict()).decode()


def packed(raws: list[str]) -> str:
    """Sealed orders as they travel in the address back."""
    return base64.b64encode(json.dumps(raws).encode(), altchars=b"-_").decode()


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
        self.page = await self.browser.post(path, data=sent, follow_redirects=False)
        hops = []
        while self.page.is_redirect and self.page.next_request.url.port == self.browser.base_url.port:
            hops.append(self.page)
            self.page = await self.browser.get(self.page.next_request.url, follow_redirects=False)
        self.page.history = hops
        if self.page.is_redirect:
            self.page = httpx.Response(200, request=httpx.Request("GET", self.page.headers["location"]))
        return self.text

    async def start(self, area: str, text: str = "Nước lũ đang lên, bà con đi lên nhà rông ngay.", **fields: str) -> str:
        """Write an emergency, sign it, and arrive at its page; gives the incident."""
        draft = await self.draft(area, text, **fields)
        await self.press(f"/emergency/confirm/{draft}")
        await self.sign()
        return self.path.rsplit("/", 1)[1] if self.path.startswith("/incident/") else ""

    @property
    def wants(self) -> dict[str, str]:
        """What the signing page was asked for, in the fragment of the address that led there; empty elsewhere."""
        return dict(parse_qsl(self.page.url.fragment))

    async def to_sign(self, name: str) -> dict:
        """What the signing page reads for a person's key."""
        keyid = keys.sealer(SIGNERS[name]).public_key.keyid
        answer = await self.browser.get(f"/sign/{self.wants['sign']}", params={"key": keyid})
        return json.loads(answer.content)

    async def sign(self, name: str = "h.yer") -> str:
        """Do what the signing page does with this person's key, and come back."""
        token, told = self.wants["sign"], await self.to_sign(name)
        assert "orders" in told, told
        await self.open(f"/signed/{token}")
        return await self.press(f"/signed/{token}/take", sealed=packed([sealed(one, name) for one in told["orders"]]))

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
