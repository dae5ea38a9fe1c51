"""The page of plan against plays: one area, one local day, read only."""

from datetime import timedelta
from typing import Final

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import FromQuery
from msgspec import Struct

from controller.actions import areas, plan_reports
from controller.actions.plan_views import LineView, TallyView
from controller.actions.views import AreaView
from controller.core import plan_words
from controller.core.world import World
from controller.errors import Refused
from controller.web import shown
from controller.web.frame import page
from controller.web.texts import TONGUES, Tongue, say
from controller.web.visitor import parts_of, visitor_of

LINES_A_PAGE: Final = 300
SIGNS: Final = {"missing": "✕", "silent": "✕", "failed": "✕", "unknown": "?", "late": "✓"}
TONES: Final = {"missing": "failed", "silent": "failed", "failed": "failed", "late": "played"}
"""Which of the colours of plays an outcome has; the rest are those of what gave way."""


class Place(Struct, frozen=True, kw_only=True):
    """An area to choose."""

    id: str
    name: str
    chosen: bool


class Counted(Struct, frozen=True, kw_only=True):
    """One row of totals, in words."""

    name: str
    beside: str
    share: str
    minutes: str
    wrong: str
    well: bool
    brief: str


class Line(Struct, frozen=True, kw_only=True):
    """What went wrong with one bulletin on one node."""

    view: LineView
    sign: str
    tone: str
    why: str


@get("/plays/plan")
async def plan_of_day(request: Request[None, None, State], area: FromQuery[str] = "", day: FromQuery[str] = "") -> Response[str]:
    """What was planned on one local day in one area, and what became of it."""
    parts, tongue = parts_of(request), visitor_of(request).tongue
    try:
        when, first_ms, end_ms = shown.day_bounds(day, parts.now_ms())
    except ValueError as error:
        raise Refused(say("wrong.day", tongue), code="day", status=400) from error
    who = visitor_of(request).actor
    places = _places(parts.world, await areas.tree(parts, who), area)
    if not places:
        raise Refused(say("wrong.area", tongue), code="no-area", status=404)
    chosen = next((place.id for place in places if place.chosen), places[0].id)
    asked = plan_reports.asked_of(parts, who, chosen, when.isoformat())
    found = await plan_reports.report(parts, asked, limit=LINES_A_PAGE)
    return await page(
        request,
        "plan.html",
        found=found,
        places=places,
        day_text=shown.day(first_ms),
        iso=when.isoformat(),
        before=(when - timedelta(days=1)).isoformat(),
        after=(when + timedelta(days=1)).isoformat() if end_ms <= parts.now_ms() else "",
        total=_counted("", "", found.total, tongue),
        pending=found.total.outcomes.get("pending", 0),
        settlements=[_counted(each.name, "", each.tally, tongue) for each in found.settlements],
        nodes=[_counted(each.name, each.settlement_name, each.tally, tongue) for each in found.nodes],
        bulletins=[_counted(each.title, "", each.tally, tongue) for each in found.bulletins],
        lines=[_line(line, tongue) for line in found.lines],
    )


def _places(world: World, own: list[AreaView], area: str) -> list[Place]:
    """One's own communes with nodes by name, then the province, and whatever else was asked for."""
    communes = sorted((one for one in own if one.level == "commune" and one.nodes), key=_by_name)
    wide = [one for one in own if one.level == "province"] or ([] if communes else [one for one in own if one.nodes])
    known = [(one.id, one.name) for one in (*communes, *wide)]
    if area and area not in dict(known):
        known.insert(0, (area, world.name_of(area)))
    chosen = area or (known[0][0] if known else "")
    return [Place(id=each, name=name, chosen=each == chosen) for each, name in known]


def _by_name(area: object) -> str:
    return shown.plain(str(getattr(area, "name", "")))


def _counted(name: str, beside: str, tally: TallyView, tongue: Tongue) -> Counted:
    bad = {outcome: number for outcome, number in tally.outcomes.items() if outcome not in ("played", "pending")}
    return Counted(
        name=name,
        beside=beside,
        share=say("plan.share", tongue, played=tally.played, expected=tally.expected, share=_percent(tally.share)),
        minutes=say("plan.minutes", tongue, minutes=shown.minutes(tally.heard_ms)),
        wrong=" · ".join(f"{number} {say(f'fate.{outcome}', tongue).lower()}" for outcome, number in bad.items()),
        well=tally.played == tally.expected,
        brief=f"{tally.played}/{tally.expected} ({_percent(tally.share)})",
    )


def _percent(share: float | None) -> str:
    """Never rounded up to 100."""
    if share is None:
        return "-"
    return "100%" if share == 1 else f"{min(share * 100, 99.9):.1f}%".replace(".", ",")


def _line(line: LineView, tongue: Tongue) -> Line:
    return Line(
        view=line,
        sign=SIGNS.get(line.outcome, "!"),
        tone=TONES.get(line.outcome, "skipped"),
        why=plan_words.reason(line.why)[TONGUES.index(tongue)],
    )
