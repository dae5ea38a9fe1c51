"""What will sound in an area in the next days, with what somebody should know of it; also as if a draft were published."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from msgspec import Struct, structs

from controller.actions.asking import ask
from controller.actions.preview_views import NodeGroup, PlanLine, PreviewRequest, PreviewView
from controller.core import finding_words as words
from controller.core import node_words, preview
from controller.core.findings import Finding, Surroundings, findings
from controller.core.objections import objections
from controller.core.preview import DRAFT, Draft, Laid, Site
from controller.core.world import Standing, media_named
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import documents, media
from controller.store import world as stored_world
from controller.store.database import Transaction
from protocol.bulletins import Programme
from protocol.programme import LATE, Line, Planned, length_ms

MOST_DAYS: Final = 45
"""No programme is valid for longer."""


class _Asked(Struct, frozen=True, kw_only=True):
    area: str
    from_ms: int
    to_ms: int
    now_ms: int


async def area(
    parts: Parts, who: Actor, where: str, days: int = 7, from_ms: int | None = None, node: str | None = None
) -> PreviewView:
    """The timetable of an area as it stands. Raises Refused for an area or node that nobody knows."""
    ask(parts, who, "see", where)
    asked = _asked(parts, where, days, from_ms, node)
    sites, known = await _collect(parts, asked, None, node)
    return await asyncio.to_thread(_work, sites, _around(parts, asked, known), asked)


async def draft(parts: Parts, who: Actor, request: PreviewRequest) -> PreviewView:
    """The same as if a programme were published now; findings are those that the draft has or makes.

    Raises Refused for an area or node that nobody knows.
    """
    programme = request.programme
    ask(parts, who, "preview.draft", request.area or programme.subject)
    asked = _asked(parts, request.area or programme.subject, request.days, request.from_ms, request.node)
    sites, known = await _collect(parts, asked, Draft(programme), request.node)
    before, _ = await _collect(parts, asked, None, request.node)
    known |= set(request.pending)
    refusals = tuple(objections(parts.world, programme, known))
    around = _around(parts, asked, known)
    shown, stands = await asyncio.to_thread(lambda: (_work(sites, around, asked), _work(before, around, asked)))
    old = {(found.code, found.digest, found.item, found.at_ms) for found in stands.findings}
    made = [each for each in shown.findings if _concerns(each, old)]
    return structs.replace(shown, findings=tuple(made), refusals=refusals)


def _concerns(found: Finding, old: set[tuple[str, str, str, int | None]]) -> bool:
    """Whether a finding is the draft's own, or was not there without it."""
    return found.digest == DRAFT or (found.code, found.digest, found.item, found.at_ms) not in old


def _asked(parts: Parts, where: str, days: int, from_ms: int | None, node: str | None) -> _Asked:
    world, now_ms = parts.world, parts.now_ms()
    if where not in world.areas and where not in world.nodes:
        raise Refused(f"area {where} is not in the controller's tree: see `loa area list`", code="unknown-area", status=404)
    if node is not None and node not in world.nodes_in(where):
        raise Refused(f"node {node} does not stand in {where}: see `loa node list`", code="unknown-node", status=404)
    if not 1 <= days <= MOST_DAYS:
        raise Refused(f"{days} days: look at 1 to {MOST_DAYS} days", code="days", status=400)
    first = words.local(now_ms if from_ms is None else from_ms).replace(hour=0, minute=0, second=0, microsecond=0)
    end = first + timedelta(days=days)
    return _Asked(area=where, from_ms=_ms(first.timestamp()), to_ms=_ms(end.timestamp()), now_ms=now_ms)


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)


async def _collect(parts: Parts, asked: _Asked, draft: Draft | None, node: str | None) -> tuple[list[Site], set[str]]:
    """The sites of an area, and which files of theirs the library has; the database is read in its own thread."""
    coming = [
        held
        for held in parts.world.standing.values()
        if isinstance(held.document, Programme) and held.document.prev and held.document.valid_from_ms > asked.from_ms
    ]
    older = await parts.database.read(lambda tx: _older(tx, coming)) if coming else {}
    sites = preview.gather(parts.world, asked.area, asked.from_ms, draft=draft, older=older, only=node)
    programmes = {spell.digest: spell.programme for site in sites for spell in site.spells}
    named = {sha256 for programme in programmes.values() for sha256 in media_named(programme)}
    named |= media_named(draft.programme) if draft is not None else set()
    return sites, set(await parts.database.read(lambda tx: media.known(tx, named))) if named else set()


def _older(tx: Transaction, coming: Sequence[Standing]) -> dict[str, Standing]:
    """By digest, what a programme that has not begun yet will replace: until then nodes play that."""
    found = {}
    for held in coming:
        stored = documents.by_digest(tx, held.document.prev or "")
        if stored is not None:
            found[held.digest] = stored_world.standing_of(stored.digest, stored.raw)
    return found


def _around(parts: Parts, asked: _Asked, known: set[str]) -> Surroundings:
    names = {**{each.id: each.name for each in parts.world.areas.values()}, "root": "root"}
    names |= {node: parts.world.nodes[node].name for node in parts.world.nodes_in(asked.area)}
    return Surroundings(names=names, known_media=frozenset(known), now_ms=asked.now_ms, from_ms=asked.from_ms, to_ms=asked.to_ms)


def _work(sites: Sequence[Site], around: Surroundings, asked: _Asked) -> PreviewView:
    """All that takes time, on values alone: it runs in a thread."""
    laid = preview.lay_out_sites(sites, asked.from_ms, asked.to_ms)
    found = findings(laid, around)
    if not sites:
        vi, en = words.sentences("no-nodes", subject=around.name(asked.area))
        found = [Finding(severity="note", code="no-nodes", vi=vi, en=en)]
    groups = tuple(_group(each, around) for each in laid)
    tomorrow = words.local(asked.now_ms).date() + timedelta(days=1)
    lines = (line for group in groups for line in group.lines if line.begins_ms is not None and line.outcome != "shown")
    first = min(
        (line for line in lines if words.local(line.begins_ms or 0).date() == tomorrow),
        key=lambda line: line.begins_ms or 0,
        default=None,
    )
    return PreviewView(
        area=asked.area,
        name=around.name(asked.area),
        from_ms=asked.from_ms,
        to_ms=asked.to_ms,
        now_ms=asked.now_ms,
        groups=groups,
        findings=tuple(found),
        first_tomorrow_ms=first.begins_ms if first is not None else None,
        first_tomorrow=first.title if first is not None else "",
    )


def _group(laid: Laid, around: Surroundings) -> NodeGroup:
    lines = [_line(line.planned, around, line) for line in laid.lines]
    lines += [_line(planned, around) for planned in laid.shown]
    station = laid.site.station
    return NodeGroup(
        nodes=tuple((node, around.name(node)) for node in laid.site.nodes),
        station=station.subject if station is not None else None,
        lines=tuple(sorted(lines, key=lambda line: (line.begins_ms or line.planned_ms, line.planned_ms))),
    )


def _line(planned: Planned, around: Surroundings, line: Line | None = None) -> PlanLine:
    """One line for people; without a fate it is something that only boards show."""
    item = planned.item
    why_vi, why_en = _why(line) if line is not None else ("", "")
    return PlanLine(
        planned_ms=planned.planned_ms,
        begins_ms=line.begins_ms if line is not None else planned.planned_ms,
        ends_ms=line.ends_ms if line is not None else None,
        item=item.id,
        title=item.title,
        class_=item.class_,
        level=item.level,
        area=planned.subject,
        area_name=around.name(planned.subject),
        authority=planned.authority,
        authority_name=around.name(planned.authority),
        digest=planned.digest,
        length_ms=length_ms(item),
        langs=tuple(dict.fromkeys(variant.lang for variant in item.variants)),
        outcome=line.outcome if line is not None else "shown",
        why_vi=why_vi,
        why_en=why_en,
        because=line.because.item.title if line is not None and line.because is not None else "",
    )


def _why(line: Line) -> words.Said:
    """Why something is not as planned, in a few words."""
    other = line.because.item.title if line.because is not None else ""
    match line.outcome:
        case "skipped":
            waited = bool(other) and line.why == LATE
            if waited:
                return f"đã chờ «{other}» quá lâu", f"waited too long for “{other}”"
            return node_words.why(line.why)[1], line.why
        case "late":
            return f"chờ «{other}»", f"waits for “{other}”"
        case "interrupted":
            return f"nhường «{other}»", f"gives way to “{other}”"
        case "cut":
            return "hết giờ hoặc hết buổi phát", "its hours or its session end"
        case "plays":
            return "", ""
