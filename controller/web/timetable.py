"""Lịch phát: what will sound in an area on a day of this week, what becomes of it, and what somebody should know of it."""

from datetime import date, timedelta
from typing import Final

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import FromQuery
from msgspec import Struct

from controller.actions import areas, preview
from controller.actions.preview_views import NodeGroup, PlanLine, PreviewView
from controller.actions.views import AreaView
from controller.core import finding_words as words
from controller.errors import Refused
from controller.web import shown
from controller.web.frame import page
from controller.web.texts import Tongue, say
from controller.web.visitor import parts_of, visitor_of

DAYS: Final = 7
NODES_NAMED: Final = 6


class DayTab(Struct, frozen=True, kw_only=True):
    """A day to choose."""

    iso: str
    name: str
    text: str
    chosen: bool


class GroupLines(Struct, frozen=True, kw_only=True):
    """The day of some clusters."""

    names: str
    more: int
    lines: tuple[PlanLine, ...]


@get("/timetable")
async def timetable(request: Request[None, None, State], area: FromQuery[str] = "", day: FromQuery[str] = "") -> Response[str]:
    """One day of one area."""
    parts, tongue = parts_of(request), visitor_of(request).tongue
    who = visitor_of(request).actor
    choices = _choices(await areas.tree(parts, who))
    where = area or next((each.id for each in choices), "")
    today = words.local(parts.now_ms()).date()
    try:
        when = shown.day_bounds(day, parts.now_ms())[0]
    except ValueError as error:
        raise Refused(say("wrong.day", tongue), code="day", status=400) from error
    when = when if today <= when < today + timedelta(days=DAYS) else today
    view = await preview.area(parts, who, where, DAYS) if where else None
    return await page(
        request,
        "timetable.html",
        areas=choices,
        where=where,
        view=view,
        tabs=_tabs(today, when, tongue),
        day_text=words.written(when),
        groups=_groups(view, when) if view is not None else (),
        signs={"error": "✕", "warning": "!", "note": "·"},
    )


def _choices(tree: list[AreaView]) -> list[AreaView]:
    """Communes where clusters stand, most of them first; then the settlements that have any."""
    peopled = [each for each in tree if each.nodes and each.level in {"commune", "settlement"}]
    return sorted(peopled, key=lambda each: (each.level != "commune", -each.nodes, each.name))


def _tabs(today: date, chosen: date, tongue: Tongue) -> list[DayTab]:
    days = [today + timedelta(days=ahead) for ahead in range(DAYS)]
    return [
        DayTab(iso=day.isoformat(), name=say(f"weekday.{day.weekday()}", tongue), text=f"{day:%d/%m}", chosen=day == chosen)
        for day in days
    ]


def _groups(view: PreviewView, when: date) -> tuple[GroupLines, ...]:
    return tuple(_group(group, when) for group in view.groups)


def _group(group: NodeGroup, when: date) -> GroupLines:
    names = [name for _, name in group.nodes]
    return GroupLines(
        names=", ".join(names[:NODES_NAMED]),
        more=max(0, len(names) - NODES_NAMED),
        lines=tuple(line for line in group.lines if words.local(line.begins_ms or line.planned_ms).date() == when),
    )
