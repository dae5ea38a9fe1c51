"""Plan against plays: read node by node, judged in a thread, so that neither the page nor an order waits for a long report."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from controller.actions.asking import ask
from controller.actions.plan_views import LinesView, PlanReport
from controller.core import peek
from controller.core.plan_history import Expected, Span, Version, expected_of, spans, stays
from controller.core.plan_judging import Play, Presence
from controller.core.plan_report import Asked, Library, NodeFacts, NodeResult, Summary, judge_node
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import plan
from controller.store.database import Transaction
from protocol.bulletins import Programme
from protocol.documents import Placement
from protocol.errors import Malformed
from protocol.seen import Slot

ZONE: Final = ZoneInfo("Asia/Ho_Chi_Minh")
MOST_DAYS: Final = 366
PLANS_KEPT: Final = 48
"""Nodes come commune by commune, so that a plan is made once and the plans of communes that are done need not be kept."""


class _Raw:
    """What is read at the beginning, in one look at the database."""

    def __init__(self, tx: Transaction) -> None:
        self.versions = plan.versions(tx)
        self.powers = plan.powers_changed(tx)
        self.placements = plan.placements(tx)
        self.nodes = plan.node_rows(tx)


class _Past:
    """The history of programmes and places, with plans made as they are asked for."""

    def __init__(self, raw: _Raw, asked: Asked) -> None:
        self._asked = asked
        self.spans = {slot: spans(group, _changes(raw.powers, slot)) for slot, group in _by_slot(raw.versions)}
        self.stored_ms = {version.digest: version.stored_ms for version in raw.versions}
        self.until_ms = {span.digest: span.until_ms for each in self.spans.values() for span in each}
        self.titles: dict[tuple[str, str], str] = {}
        self._titled: set[str] = set()
        self._plans: dict[Slot, list[Expected]] = {}
        self.nodes = sorted(_facts(raw, asked), key=lambda facts: (facts.stays[-1].areas, facts.name))

    def slots_of(self, facts: NodeFacts) -> list[Slot]:
        """The slots that could plan something for a node."""
        areas = {area for stay in facts.stays for area in stay.areas}
        return [slot for slot in self.spans if slot.subject in areas]

    def lacking(self, slots: Iterable[Slot], plays: Iterable[Play]) -> set[str]:
        """The digests of programmes that must be read before a node can be judged."""
        wanted = {span.digest for slot in slots if slot not in self._plans for span in self._counted(slot)}
        return wanted | {play.digest for play in plays if play.purpose == "routine"} & self.stored_ms.keys() - self._titled

    def _counted(self, slot: Slot) -> list[Span]:
        asked = self._asked
        return [span for span in self.spans[slot] if span.from_ms < asked.to_ms and span.until_ms > asked.from_ms]

    def judge(
        self, facts: NodeFacts, plays: list[Play], raws: dict[str, bytes], names: dict[str, str], *, every: bool
    ) -> NodeResult:
        """One node. Raises Malformed for a stored programme that cannot be read."""
        slots, programmes = self.slots_of(facts), {digest: _programme(raw) for digest, raw in raws.items()}
        for digest, programme in programmes.items():
            self._titled.add(digest)
            self.titles.update(((digest, item.id), item.title) for item in programme.body.items)
        for slot in slots:
            if slot not in self._plans:
                self._plans[slot] = expected_of(slot, self._counted(slot), programmes, self._asked.from_ms, self._asked.to_ms)
        library = Library(
            plans={slot: self._plans[slot] for slot in slots},
            stored_ms=self.stored_ms,
            until_ms=self.until_ms,
            titles=self.titles,
        )
        result = judge_node(facts, plays, library, self._asked, names, every=every)
        for oldest in [slot for slot in self._plans if slot not in slots][: max(0, len(self._plans) - PLANS_KEPT)]:
            del self._plans[oldest]
        return result


def _by_slot(versions: list[Version]) -> Iterable[tuple[Slot, Iterable[Version]]]:
    def place(version: Version) -> tuple[str, str]:
        return version.slot.subject, version.slot.authority

    for _, group in groupby(sorted(versions, key=place), key=place):
        found = list(group)
        yield found[0].slot, found


def _changes(powers: list[tuple[int, str]], slot: Slot) -> list[int]:
    """When the powers of a slot's signers may have changed: their own grant or the root; else any grant."""
    own = [stored_ms for stored_ms, subject in powers if subject in ("root", slot.authority)]
    return own or [stored_ms for stored_ms, _ in powers]


def _facts(raw: _Raw, asked: Asked) -> list[NodeFacts]:
    """Every node that stood in the area at some time of the report."""
    placed: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    for stored_ms, sealed in raw.placements:
        placement = peek.stored(sealed)
        if isinstance(placement, Placement):
            areas = tuple(link.area for link in placement.body.chain)
            placed.setdefault(placement.body.node, []).append((stored_ms, areas))
    found = []
    for row in raw.nodes:
        stood = [
            stay
            for stay in stays(placed.get(row.id, ()), row.retired_ms)
            if stay.from_ms < asked.to_ms and stay.until_ms > asked.from_ms
        ]
        if any(asked.area in stay.areas for stay in stood):
            heard_ms = asked.now_ms if row.online == "online" else row.last_heard_ms or 0
            presence = Presence(heard_until_ms=heard_ms, back_since_ms=row.birth, epoch=row.record_epoch, upto=row.records_upto)
            found.append(NodeFacts(id=row.id, name=row.name, stays=stood, presence=presence))
    return found


def _programme(raw: bytes) -> Programme:
    document = peek.stored(raw)
    if not isinstance(document, Programme):
        raise Malformed(f"a {document.kind} is stored as a programme")
    return document


def day_of(text: str, now_ms: int) -> date:
    """A day written dd/mm/yyyy (or yyyy-mm-dd); empty is today. Raises Refused."""
    if not text:
        return datetime.fromtimestamp(now_ms / 1000, ZONE).date()
    for form in ("%d/%m/%Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=ZONE).date()
        except ValueError:
            continue
    sentence = f"«{text}» không phải là ngày: hãy viết ngày/tháng/năm, ví dụ 23/11/2025 (no such day: write dd/mm/yyyy)"
    raise Refused(sentence, code="day")


def asked_of(parts: Parts, who: Actor, area: str, first: str = "", last: str = "", node: str | None = None) -> Asked:
    """The question, checked. Raises Refused with one sentence."""
    ask(parts, who, "see", area, *([node] if node is not None else []))
    world, now_ms = parts.world, parts.now_ms()
    if node is not None and node not in world.nodes:
        sentence = f"không có cụm loa {node}: xem `loa node list` (no such node is enrolled here)"
        raise Refused(sentence, code="unknown-node", status=404)
    if area not in world.areas and area not in world.nodes:
        sentence = f"không có địa bàn {area}: xem `loa area list` (no such area is known here)"
        raise Refused(sentence, code="unknown-area", status=404)
    begin = day_of(first, now_ms)
    end = day_of(last or first, now_ms)
    if end < begin:
        sentence = f"ngày cuối {end:%d/%m/%Y} đứng trước ngày đầu {begin:%d/%m/%Y} (the last day is before the first)"
        raise Refused(sentence, code="day")
    if (end - begin).days >= MOST_DAYS:
        raise Refused(f"nhiều nhất {MOST_DAYS} ngày một lần, hãy chia nhỏ (at most {MOST_DAYS} days at once)", code="day")
    from_ms, to_ms = _midnight_ms(begin), _midnight_ms(end + timedelta(days=1))
    if from_ms > now_ms:
        raise Refused(f"ngày {begin:%d/%m/%Y} chưa tới, chưa có gì để đối chiếu (that day has not come yet)", code="day")
    return Asked(area=area, from_ms=from_ms, to_ms=min(to_ms, now_ms), now_ms=now_ms)


def _midnight_ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp() * 1000)


def names_of(parts: Parts) -> dict[str, str]:
    """Areas by the names that people know."""
    return {area.id: area.name for area in parts.world.areas.values()} | {
        node.id: node.name for node in parts.world.nodes.values()
    }


async def results(
    parts: Parts, asked: Asked, node: str | None, names: dict[str, str], *, every: bool = False
) -> AsyncIterator[tuple[int, int, NodeResult]]:
    """Node by node: how many are through, of how many, and what is to be said. Raises Refused for damaged documents."""
    try:
        raw = await parts.database.read(_Raw)
        past = await asyncio.to_thread(_Past, raw, asked)
        del raw
        wanted = [facts for facts in past.nodes if node in (None, facts.id)]
        for done, facts in enumerate(wanted, 1):
            slots = past.slots_of(facts)

            def look(tx: Transaction, node: str = facts.id, slots: list[Slot] = slots) -> tuple[list[Play], dict[str, bytes]]:
                plays = plan.records(tx, node, asked.from_ms, asked.to_ms)
                return plays, plan.raws(tx, past.lacking(slots, plays))

            plays, raws = await parts.database.read(look)
            yield done, len(wanted), await asyncio.to_thread(past.judge, facts, plays, raws, names, every=every)
    except Malformed as error:
        raise Refused(f"một tài liệu đã lưu không đọc được (a stored document cannot be read): {error}", status=500) from error


async def lines(
    parts: Parts, asked: Asked, *, node: str | None = None, limit: int = 200, every: bool = False
) -> AsyncIterator[LinesView]:
    """How far it is, node by node (with `every`, all their lines), then the report. Raises Refused."""
    names = names_of(parts)
    summary, through = Summary(limit), 0
    async for done, of, result in results(parts, asked, node, names, every=every):
        summary.take(result, names)
        through = done
        found = (tuple(result.lines), tuple(result.extras)) if every else ((), ())
        yield LinesView(done=done, of=of, lines=found[0], extras=found[1])
    yield LinesView(done=through, of=through, report=summary.report(asked, names))


async def report(parts: Parts, asked: Asked, *, node: str | None = None, limit: int = 200) -> PlanReport:
    """Totals, what went wrong (the worst `limit`), what no plan explains. Raises Refused."""
    names = names_of(parts)
    summary = Summary(limit)
    async for _, _, result in results(parts, asked, node, names):
        summary.take(result, names)
    return summary.report(asked, names)
