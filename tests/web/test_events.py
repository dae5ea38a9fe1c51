"""The stream: only what changed, at once; it ends with the session and says so."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.web.browser import Officer
from tests.web.house import House, served
from tests.web.test_incident_pages import started


class Stream:
    """The messages of one open stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def next(self, seconds: float = 20) -> tuple[str, dict]:
        event, data = "", ""
        async with asyncio.timeout(seconds):
            async for line in self._lines:
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    data += line[5:].strip()
                elif not line and event:
                    return event, json.loads(data) if data.startswith("{") else {}
        raise AssertionError("the stream ended")

    async def until(self, region: str) -> dict:
        """The next news of a region."""
        while True:
            event, news = await self.next()
            assert event == "regions"
            if region in news["regions"]:
                return news["regions"][region]


def trusting(house: House) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(house.parts.config.ca))


@asynccontextmanager
async def at_the_page(house: House) -> AsyncIterator[Officer]:
    async with (
        served(house.parts) as url,
        httpx.AsyncClient(base_url=url, verify=trusting(house), follow_redirects=True, timeout=30) as browser,
    ):
        yield await Officer(browser, house).login()


async def test_the_first_message_has_everything_and_the_next_only_what_changed(house: House):
    one, other = house.nodes["Cụm loa chợ Phú Túc"], house.nodes["Cụm loa trường học Buôn Jứ"]
    await house.wakes(one)
    async with at_the_page(house) as person, person.browser.stream("GET", "/events?nodes=1") as answer:
        stream = Stream(answer)
        first = await stream.until("nodes")
        assert len(first["order"]) == len(first["html"]) == 4
        await house.wakes(other)
        news = await stream.until("nodes")
        assert len(news["order"]) == 4
        assert list(news["html"]) == [f"node-{other}"]
        assert news["order"] != first["order"]


async def test_a_row_changes_on_the_open_page_within_a_second_or_so(house: House):
    node = house.nodes["Cụm loa nhà rông Buôn Mlah"]
    await house.wakes(node)
    async with at_the_page(house) as person:
        incident = await started(house, person)
        async with person.browser.stream("GET", f"/events?incident={incident}") as answer:
            stream = Stream(answer)
            first = await stream.until("rows")
            assert list(first["html"]) == [f"row-{node}"]
            loop = asyncio.get_running_loop()
            said = loop.time()
            await house.result(node, "sounding", incident)
            news = await stream.until("rows")
            assert "Đang phát" in news["html"][f"row-{node}"]
            assert loop.time() - said < 4


async def test_every_open_page_gets_the_stop_bar_when_something_starts(house: House):
    await house.wakes(house.nodes["Cụm loa nhà rông Buôn Mlah"])
    async with at_the_page(house) as person, person.browser.stream("GET", "/events") as answer:
        stream = Stream(answer)
        assert (await stream.until("active"))["order"] == []
        incident = await started(house, person)
        news = await stream.until("active")
        assert news["order"] == [f"active-{incident}"]
        assert f'action="/incident/{incident}/stop"' in news["html"][f"active-{incident}"]


async def test_nothing_happening_is_said_every_few_seconds(house: House):
    async with at_the_page(house) as person, person.browser.stream("GET", "/events") as answer:
        stream = Stream(answer)
        await stream.next()
        event, news = await stream.next()
        assert event == "regions"
        assert news["regions"] == {}
        assert news["now"] > 0


async def test_the_stream_ends_with_the_session(house: House):
    async with at_the_page(house) as person, person.browser.stream("GET", "/events") as answer:
        stream = Stream(answer)
        await stream.next()
        await person.open("/")
        await person.press("/logout")
        assert (await stream.next())[0] == "ended"


async def test_a_stranger_is_told_to_log_in_and_nothing_else(house: House):
    async with served(house.parts) as url, httpx.AsyncClient(base_url=url, verify=trusting(house)) as browser:
        answer = await browser.get("/events?nodes=1")
        assert "event: ended" in answer.text
        assert "Phú Túc" not in answer.text
