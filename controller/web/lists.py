"""Pages to look things up: the board of nodes, plays of a day, refusals, programmes in force."""

import base64
from datetime import timedelta
from typing import Final

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import FromQuery
from msgspec import Struct

from controller.actions import documents, enrolments, nodes, plays, refusals
from controller.actions.views import DocumentView, PlayView, RefusalView
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.web import board, shown
from controller.web.frame import page
from controller.web.render import joined
from controller.web.texts import TEXTS, Tongue, say
from controller.web.visitor import parts_of, visitor_of
from protocol import languages
from protocol.bulletins import Item, Programme
from protocol.recurrence import occurrences

PLAYS_A_PAGE: Final = 2_000
_PAYLOAD: Final = msgspec.json.Decoder(dict[str, object])
_PROGRAMME: Final = msgspec.json.Decoder(Programme)


class PlayLine(Struct, frozen=True, kw_only=True):
    """A play with the names that people know."""

    view: PlayView
    node_name: str
    what: str


class RefusalLine(Struct, frozen=True, kw_only=True):
    """A refusal, and who refused."""

    view: RefusalView
    by: str


class ItemLine(Struct, frozen=True, kw_only=True):
    """A bulletin of a programme: when it plays today, and its rule."""

    title: str
    class_: str
    langs: tuple[str, ...]
    times: tuple[str, ...]
    rule: str


class ProgrammeLines(Struct, frozen=True, kw_only=True):
    """A programme in force, as it stands for today."""

    view: DocumentView
    where: str
    lines: tuple[ItemLine, ...]


@get("/")
async def home(request: Request[None, None, State], q: FromQuery[str] = "") -> Response[str]:
    """Every node, worst first."""
    query = " ".join(q.split())[:80]
    summary, cards, total = await board.node_parts(
        parts_of(request), visitor_of(request).actor, query, visitor_of(request).tongue
    )
    return await page(
        request,
        "home.html",
        events="/events?nodes=1",
        q=query,
        summary=joined(summary),
        cards=cards,
        many=total > 6,  # noqa: PLR2004  one screen
        waiting=[
            each
            for each in await enrolments.overview(parts_of(request), visitor_of(request).actor)
            if each.twice or each.state == "pending"
        ],
    )


@get("/plays")
async def plays_of_day(request: Request[None, None, State], day: FromQuery[str] = "") -> Response[str]:
    """What was played on one local day."""
    parts, visitor = parts_of(request), visitor_of(request)
    try:
        when, first_ms, end_ms = shown.day_bounds(day, parts.now_ms())
    except ValueError as error:
        raise Refused(say("wrong.day", visitor.tongue), code="day", status=400) from error
    titles = await _titles(parts, visitor.actor)
    names = {one.id: one.name for one in await nodes.overview(parts, visitor.actor)}
    found = await plays.list_all(parts, visitor.actor, since_ms=first_ms, until_ms=end_ms, limit=PLAYS_A_PAGE)
    return await page(
        request,
        "plays.html",
        plays=[
            PlayLine(view=one, node_name=names.get(one.node, one.node), what=titles.get((one.digest, one.item), one.item))
            for one in found
        ],
        day_text=shown.day(first_ms),
        iso=when.isoformat(),
        before=(when - timedelta(days=1)).isoformat(),
        after=(when + timedelta(days=1)).isoformat() if end_ms <= parts.now_ms() else "",
    )


@get("/refusals")
async def refused(request: Request[None, None, State]) -> Response[str]:
    """Orders and documents that somebody sent and a node or the controller did not obey."""
    parts, tongue, who = parts_of(request), visitor_of(request).tongue, visitor_of(request).actor
    names = {one.id: one.name for one in await nodes.overview(parts, who)}
    names["controller"] = say("refusals.controller", tongue)
    lines = [RefusalLine(view=one, by=names.get(one.node, one.node)) for one in await refusals.list_all(parts, who)]
    return await page(request, "refusals.html", refusals=sorted(lines, key=lambda line: -line.view.last_ms))


@get("/programmes")
async def programmes(request: Request[None, None, State]) -> Response[str]:
    """Programmes in force, read only."""
    parts, tongue = parts_of(request), visitor_of(request).tongue
    names = {area.id: area.name for area in parts.world.areas.values()}
    found = [
        ProgrammeLines(
            view=view, where=names.get(view.subject, view.subject), lines=_lines(programme, view.digest, parts, tongue)
        )
        for view, programme in await _programmes(parts, visitor_of(request).actor)
    ]
    return await page(request, "programmes.html", programmes=found)


async def _programmes(parts: Parts, who: Actor) -> list[tuple[DocumentView, Programme]]:
    views = [view for view in await documents.list_all(parts, who, in_force=True) if view.kind == "programme"]
    return [(view, _opened(await documents.raw(parts, who, view.digest))) for view in views]


def _opened(raw: bytes) -> Programme:
    """The payload of a sealed programme that the controller checked when it took it in."""
    return _PROGRAMME.decode(base64.b64decode(str(_PAYLOAD.decode(raw)["payload"])))


async def _titles(parts: Parts, who: Actor) -> dict[tuple[str, str], str]:
    return {
        (view.digest, item.id): item.title for view, programme in await _programmes(parts, who) for item in programme.body.items
    }


def _lines(programme: Programme, digest: str, parts: Parts, tongue: Tongue) -> tuple[ItemLine, ...]:
    _, first_ms, end_ms = shown.day_bounds(None, parts.now_ms())
    due: dict[str, list[int]] = {}
    for one in occurrences(programme, digest, first_ms, end_ms):
        due.setdefault(one.item_id, []).append(one.planned_ms)
    return tuple(
        ItemLine(
            title=item.title,
            class_=item.class_,
            langs=_langs(item, tongue),
            times=tuple(shown.clock(at_ms)[:5] for at_ms in sorted(due.get(item.id, []))),
            rule=item.rrule,
        )
        for item in programme.body.items
    )


def _langs(item: Item, tongue: Tongue) -> tuple[str, ...]:
    said = (one.lang for one in item.variants)
    return tuple(
        say(f"lang.{lang}", tongue) if f"lang.{lang}" in TEXTS else languages.name_of(lang, english=tongue == "en")
        for lang in said
    )
