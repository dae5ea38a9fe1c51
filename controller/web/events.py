"""The page's event stream: at each change only the pieces that look different to this browser; a beat every 5 s."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from litestar import Request, get
from litestar.datastructures import State
from litestar.params import FromQuery
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage
from msgspec import Struct, structs

from controller.actions import emergencies, sessions
from controller.live import Change
from controller.parts import Parts
from controller.web import board
from controller.web.render import Part
from controller.web.visitor import Visitor, parts_of, visitor_of

BEAT_S: Final = 5.0
SETTLE_S: Final = 0.1
"""Several changes come together (one order, many nodes): draw once for all of them."""


class Watched(Struct, frozen=True, kw_only=True):
    """What one browser looks at."""

    visitor: Visitor
    incident: str = ""
    nodes: bool = False
    q: str = ""


class Sent(Struct):
    """Digests of the pieces that a browser has, by region."""

    held: dict[str, dict[str, bytes]] = {}

    def news(self, regions: dict[str, list[Part]]) -> dict[str, dict[str, object]]:
        """Which regions differ: the order of their pieces, and the text of the new and changed ones."""
        found: dict[str, dict[str, object]] = {}
        for region, pieces in regions.items():
            before = self.held.get(region)
            now = {piece.id: hashlib.sha256(piece.html.encode()).digest() for piece in pieces}
            if before is None or list(before.items()) != list(now.items()):
                changed = {piece.id: str(piece.html) for piece in pieces if (before or {}).get(piece.id) != now[piece.id]}
                found[region] = {"order": list(now), "html": changed}
            self.held[region] = now
        return found


async def regions_of(parts: Parts, watched: Watched) -> dict[str, list[Part]]:
    """Every live region of the page that a browser shows, drawn now."""
    visitor = watched.visitor
    found = {"active": await board.bottom(parts, visitor)}
    if watched.incident:
        found |= board.incident_parts(await emergencies.progress(parts, visitor.actor, watched.incident), visitor)
    if watched.nodes:
        found["summary"], found["nodes"], _ = await board.node_parts(parts, visitor.actor, watched.q, visitor.tongue)
    return found


async def stream(parts: Parts, watched: Watched) -> AsyncIterator[ServerSentEventMessage]:
    """Messages until the browser leaves or its session ends."""
    sent = Sent()
    session = watched.visitor.session
    async with parts.live.listen() as changes:
        while True:
            session = None if session is None else await sessions.session(parts, session.token)
            if session is None or session.stage != "open":
                yield ServerSentEventMessage(event="ended", data="login")
                return
            watched = structs.replace(watched, visitor=structs.replace(watched.visitor, session=session))
            news = sent.news(await regions_of(parts, watched))
            yield ServerSentEventMessage(
                event="regions", data=msgspec.json.encode({"now": parts.now_ms(), "regions": news}), retry=2_000
            )
            await _something(changes)


async def _something(changes: asyncio.Queue[Change]) -> None:
    """Wait for a change (and what comes with it), or for the next beat."""
    try:
        async with asyncio.timeout(BEAT_S):
            await changes.get()
    except TimeoutError:
        return
    await asyncio.sleep(SETTLE_S)
    while not changes.empty():
        changes.get_nowait()


@get("/events")
async def events(
    request: Request[None, None, State], incident: FromQuery[str] = "", nodes: FromQuery[bool] = False, q: FromQuery[str] = ""
) -> ServerSentEvent:
    """The stream of one open page."""
    watched = Watched(visitor=visitor_of(request), incident=incident, nodes=nodes, q=q)
    return ServerSentEvent(stream(parts_of(request), watched), headers={"cache-control": "no-store"})
