"""Plan against plays (đối chiếu kế hoạch): planned bulletins of each node beside its records, counted, the worst first. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, get_args

from msgspec import Struct

from controller.actions.plan_views import (
    BulletinTally,
    ExtraView,
    LineView,
    NodeTally,
    Outcome,
    PlanReport,
    SettlementTally,
    TallyView,
    WhyExtra,
)
from controller.core.plan_history import Expected, Stay, due_at, stay_at
from controller.core.plan_judging import Evidence, Play, Presence, Verdict, of_records, worst_clock
from protocol.seen import Slot

RANK: Final = {outcome: place for place, outcome in enumerate(get_args(Outcome))}
NOT_WRONG: Final = frozenset({"played", "pending"})
Bulletin = tuple[str, str, str]
"""Area and authority of the programme, id of the item."""


class Asked(Struct, frozen=True, kw_only=True):
    """What the report is about; `to_ms` is not after `now_ms`."""

    area: str
    from_ms: int
    to_ms: int
    now_ms: int


class Library(Struct, frozen=True, kw_only=True):
    """What is known of programmes: plans by slot; by digest when a version was stored and until when it counted; titles."""

    plans: Mapping[Slot, Sequence[Expected]]
    stored_ms: Mapping[str, int]
    until_ms: Mapping[str, int]
    titles: Mapping[tuple[str, str], str]


class NodeFacts(Struct, frozen=True, kw_only=True):
    """A node: its name, where it stood, how far its silence can be read."""

    id: str
    name: str
    stays: Sequence[Stay]
    presence: Presence


class Tally:
    """Counts that grow."""

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.heard_ms = 0
        self.clock_doubted = 0

    def count(self, outcome: str, heard_ms: int, *, doubted: bool) -> None:
        """One more planned bulletin."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.heard_ms += heard_ms
        self.clock_doubted += doubted

    def add(self, other: "Tally") -> None:
        """Everything of another."""
        for outcome, number in other.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + number
        self.heard_ms += other.heard_ms
        self.clock_doubted += other.clock_doubted

    @property
    def view(self) -> TallyView:
        """As people see it, the worst outcome first."""
        expected = sum(number for outcome, number in self.outcomes.items() if outcome != "pending")
        played = self.outcomes.get("played", 0) + self.outcomes.get("late", 0)
        return TallyView(
            expected=expected,
            played=played,
            share=played / expected if expected else None,
            heard_ms=self.heard_ms,
            outcomes=dict(sorted(self.outcomes.items(), key=lambda counted: RANK[counted[0]])),
            clock_doubted=self.clock_doubted,
        )


class NodeResult:
    """Everything that is to be said of one node. `lines` are by time: all of them with `every`, else only what went wrong."""

    def __init__(self, facts: NodeFacts, *, every: bool) -> None:
        self.facts = facts
        self.every = every
        self.tallies: dict[tuple[str, Bulletin], Tally] = {}
        self.titles: dict[Bulletin, str] = {}
        self.lines: list[LineView] = []
        self.extras: list[ExtraView] = []
        self.alarms = {"live": [0, 0], "exercise": [0, 0]}


def judge_node(
    facts: NodeFacts,
    plays: Sequence[Play],
    library: Library,
    asked: Asked,
    names: Mapping[str, str],
    *,
    every: bool = True,
) -> NodeResult:
    """One node's planned bulletins beside its records (by number, one before and one after the span of time included)."""
    result = NodeResult(facts, every=every)
    records: dict[tuple[str, str, str, int], list[Play]] = {}
    for play in plays:
        if not asked.from_ms <= play.planned_ms < asked.to_ms:
            continue
        if play.purpose == "routine":
            records.setdefault((play.area, play.authority, play.item, play.planned_ms), []).append(play)
        elif _stands_in(facts, play, asked.area) is not None:
            counted = result.alarms[play.purpose]
            counted[0] += 1
            counted[1] += play.heard_ms
    evidence = Evidence(plays, facts.presence, library.stored_ms, asked.now_ms)
    for stay, expected in due_at(facts.stays, asked.area, library.plans):
        slot = expected.slot
        found = records.pop((slot.subject, slot.authority, expected.item.id, expected.planned_ms), None)
        verdict = evidence.of_absence(expected) if found is None else of_records(expected, found)
        _count(result, stay, expected, verdict, found or (), names)
    result.lines.sort(key=_planned)
    for left in records.values():
        if (stood := _stands_in(facts, left[0], asked.area)) is not None:
            result.extras.append(_extra(facts, stood, left, library))
    return result


def _stands_in(facts: NodeFacts, play: Play, area: str) -> Stay | None:
    stay = stay_at(facts.stays, play.planned_ms)
    return stay if stay is not None and area in stay.areas else None


def _count(
    result: NodeResult, stay: Stay, expected: Expected, verdict: Verdict, plays: Sequence[Play], names: Mapping[str, str]
) -> None:
    heard_ms = sum(play.heard_ms for play in plays)
    clock = worst_clock(plays) if plays else ""
    slot, item = expected.slot, expected.item
    bulletin = (slot.subject, slot.authority, item.id)
    tally = result.tallies.setdefault((stay.settlement, bulletin), Tally())
    tally.count(verdict.outcome, heard_ms, doubted=clock not in ("", "good"))
    result.titles[bulletin] = item.title
    if result.every or verdict.outcome not in NOT_WRONG:
        result.lines.append(_line(result.facts, stay, expected, verdict, plays, names))


def _line(
    facts: NodeFacts, stay: Stay, expected: Expected, verdict: Verdict, plays: Sequence[Play], names: Mapping[str, str]
) -> LineView:
    slot, item, settlement = expected.slot, expected.item, stay.settlement
    begun = [play for play in plays if play.started_ms is not None]
    levels = [play.rms_cdb for play in begun if play.rms_cdb is not None]
    return LineView(
        node=facts.id,
        node_name=facts.name,
        settlement=settlement,
        settlement_name=names.get(settlement, settlement),
        area=slot.subject,
        authority=slot.authority,
        item=item.id,
        title=item.title,
        planned_ms=expected.planned_ms,
        outcome=verdict.outcome,
        started_ms=begun[0].started_ms if begun else None,
        ended_ms=begun[-1].ended_ms if begun else None,
        heard_ms=sum(play.heard_ms for play in plays),
        tries=len(plays),
        why=verdict.why,
        rms_cdb=max(levels, default=None),
        clock_state=worst_clock(plays) if plays else "",
        version_differs=any(play.digest != expected.digest for play in plays),
    )


def _extra(facts: NodeFacts, stood: Stay, plays: Sequence[Play], library: Library) -> ExtraView:
    first, last = plays[0], plays[-1]
    return ExtraView(
        node=facts.id,
        node_name=facts.name,
        area=first.area,
        authority=first.authority,
        item=first.item,
        title=library.titles.get((first.digest, first.item), first.item),
        planned_ms=first.planned_ms,
        started_ms=first.started_ms,
        ended_ms=last.ended_ms,
        ending=last.ending,
        heard_ms=sum(play.heard_ms for play in plays),
        why=_why_extra(first, stood, library),
        clock_state=worst_clock(plays),
    )


def _why_extra(play: Play, stood: Stay, library: Library) -> WhyExtra:
    """A version that came minutes later plays what its grace still allows; an older one plays until the newer arrives."""
    stored_ms = library.stored_ms.get(play.digest)
    if stored_ms is None:
        return "unknown-document"
    if play.area not in stood.areas:
        return "other-place"
    if stored_ms > play.planned_ms:
        return "version-came-later"
    return "older-version" if library.until_ms.get(play.digest, stored_ms) <= play.planned_ms else "not-planned"


class Summary:
    """Node results put together, keeping only the worst `limit` lines."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._nodes: list[NodeTally] = []
        self._settlements: dict[str, Tally] = {}
        self._bulletins: dict[Bulletin, Tally] = {}
        self._titles: dict[Bulletin, str] = {}
        self._lines: list[LineView] = []
        self._extras: list[ExtraView] = []
        self._wrong = 0

    def take(self, result: NodeResult, names: Mapping[str, str]) -> None:
        """One more node."""
        whole = Tally()
        for (settlement, bulletin), tally in result.tallies.items():
            whole.add(tally)
            self._settlements.setdefault(settlement, Tally()).add(tally)
            self._bulletins.setdefault(bulletin, Tally()).add(tally)
        self._titles.update(result.titles)
        facts, alarms = result.facts, result.alarms
        settlement = facts.stays[-1].settlement if facts.stays else ""
        self._nodes.append(
            NodeTally(
                node=facts.id,
                name=facts.name,
                settlement=settlement,
                settlement_name=names.get(settlement, settlement),
                tally=whole.view,
                emergencies=alarms["live"][0],
                emergency_ms=alarms["live"][1],
                exercises=alarms["exercise"][0],
                exercise_ms=alarms["exercise"][1],
                extra=len(result.extras),
                extra_ms=sum(extra.heard_ms for extra in result.extras),
            )
        )
        wrong = [line for line in result.lines if line.outcome not in NOT_WRONG]
        self._wrong += len(wrong)
        self._lines = sorted([*self._lines, *wrong], key=_badness)[: self._limit]
        self._extras = sorted([*self._extras, *result.extras], key=_newest)[: self._limit]

    def report(self, asked: Asked, names: Mapping[str, str]) -> PlanReport:
        """Everything, the worst first."""
        total = Tally()
        for tally in self._settlements.values():
            total.add(tally)
        settlements = [
            SettlementTally(area=area, name=names.get(area, area), tally=tally.view) for area, tally in self._settlements.items()
        ]
        bulletins = [
            BulletinTally(area=area, authority=authority, item=item, title=self._titles[area, authority, item], tally=tally.view)
            for (area, authority, item), tally in self._bulletins.items()
        ]
        nodes = self._nodes
        return PlanReport(
            area=asked.area,
            area_name=names.get(asked.area, asked.area),
            from_ms=asked.from_ms,
            to_ms=asked.to_ms,
            now_ms=asked.now_ms,
            total=total.view,
            emergencies=sum(node.emergencies for node in nodes),
            emergency_ms=sum(node.emergency_ms for node in nodes),
            exercises=sum(node.exercises for node in nodes),
            exercise_ms=sum(node.exercise_ms for node in nodes),
            wrong=self._wrong,
            extra=sum(node.extra for node in nodes),
            nodes=tuple(sorted(nodes, key=lambda node: (_share(node.tally), node.settlement_name, node.name, node.node))),
            settlements=tuple(sorted(settlements, key=lambda each: (_share(each.tally), each.name, each.area))),
            bulletins=tuple(sorted(bulletins, key=lambda each: (_share(each.tally), each.title, each.item))),
            lines=tuple(self._lines),
            extras=tuple(self._extras),
        )


def _share(tally: TallyView) -> float:
    return 2.0 if tally.share is None else tally.share


def _planned(line: LineView) -> int:
    return line.planned_ms


def _badness(line: LineView) -> tuple[int, int, str]:
    return RANK[line.outcome], -line.planned_ms, line.node


def _newest(extra: ExtraView) -> tuple[int, str]:
    return -extra.planned_ms, extra.node


def merged(results: Iterable[NodeResult], asked: Asked, names: Mapping[str, str], limit: int) -> PlanReport:
    """The report over some nodes."""
    summary = Summary(limit)
    for result in results:
        summary.take(result, names)
    return summary.report(asked, names)
