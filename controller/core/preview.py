"""What will sound where: the documents that meet on each node, laid out ahead by the functions that nodes play by. Pure.

`gather` looks at the world and is quick; `lay_out_sites` does the work on values that nobody changes, so it may run in a thread.
Nodes with the same programmes, rules and places that those rules name make one site, which is laid out once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from controller.core.world import Standing, World
from protocol.bulletins import Programme
from protocol.documents import Placement, Station
from protocol.errors import Malformed
from protocol.hours import Rules, StationHeld, station_of
from protocol.programme import Line, Planned, lay_out, length_ms, written_order
from protocol.recurrence import Calendar
from protocol.seen import Slot

LEAD_IN_MS: Final = 6 * 3_600_000
"""Laying out begins this much earlier: a relay of six hours (protocol.shape's longest) may still sound at the first."""

DRAFT: Final = "draft"
"""Stands where a digest would: nothing is signed yet."""


class Spell(Struct, frozen=True):
    """A programme while it is in force, and what ends it: its own validity, its authority's grant, or its successor."""

    digest: str
    programme: Programme
    from_ms: int
    until_ms: int
    ends: Literal["validity", "grant", "successor"]


class Site(Struct, frozen=True):
    """Nodes on which the same happens. `areas` are those of their chains that the station's rules name."""

    nodes: tuple[str, ...]
    spells: tuple[Spell, ...]
    station: Station | None
    areas: frozenset[str]
    placed: str


class Laid(Struct, frozen=True):
    """A site's timetable: what sounds, what is only shown on boards, and the digests of programmes whose rules cannot be read."""

    site: Site
    lines: tuple[Line, ...]
    shown: tuple[Planned, ...]
    rules: Rules | None
    unreadable: tuple[str, ...] = ()


class Draft(Struct, frozen=True):
    """A programme that is not signed yet, seen as if it were published."""

    programme: Programme
    digest: str = DRAFT


def gather(
    world: World,
    area: str,
    from_ms: int,
    *,
    draft: Draft | None = None,
    older: Mapping[str, Standing] | None = None,
    only: str | None = None,
) -> list[Site]:
    """The sites of an area. `older` gives, by digest, what a programme that has not begun yet replaces; `only` is one node."""
    found: dict[object, list[str]] = {}
    made: dict[object, Site] = {}
    here = _Here(world, from_ms, draft, older or {})
    nodes = [node for node in sorted(world.nodes_in(area)) if only in (None, node) and not world.nodes[node].retired]
    for node in nodes:
        held = world.standing.get(Slot("placement", node, "-"))
        if held is None or not isinstance(held.document, Placement):
            continue
        chain = [link.area for link in held.document.body.chain]
        spells = tuple(spell for each in chain for spell in here.spells(each))
        placed = held.document.body.station
        station = station_of((rules for each in {*chain, placed} for rules in here.stations(each)), placed, chain)
        named = _named(station) & set(chain)
        key = (tuple((spell.digest, spell.from_ms) for spell in spells), id(station), frozenset(named), placed)
        made.setdefault(key, Site((), spells, station, frozenset(named), placed))
        found.setdefault(key, []).append(node)
    return [Site(tuple(found[key]), site.spells, site.station, site.areas, site.placed) for key, site in made.items()]


def _named(station: Station | None) -> frozenset[str]:
    if station is None:
        return frozenset()
    body = station.body
    return frozenset([*(special.area for special in body.special), *(work.area for work in body.maintenance)])


class _Here:
    """What stands at each area, found once for all nodes below it."""

    def __init__(self, world: World, from_ms: int, draft: Draft | None, older: Mapping[str, Standing]) -> None:
        self._world = world
        self._from_ms = from_ms
        self._draft = draft
        self._older = older
        self._spells: dict[str, tuple[Spell, ...]] = {}
        self._stations: dict[str, tuple[StationHeld, ...]] = {}

    def stations(self, area: str) -> tuple[StationHeld, ...]:
        if area not in self._stations:
            self._stations[area] = tuple(
                StationHeld(held.digest, held.document)
                for held in self._world.held_at(area)
                if isinstance(held.document, Station) and self._from_ms < held.document.valid_until_ms
            )
        return self._stations[area]

    def spells(self, area: str) -> tuple[Spell, ...]:
        if area not in self._spells:
            self._spells[area] = tuple(self._spells_at(area))
        return self._spells[area]

    def _spells_at(self, area: str) -> Iterable[Spell]:
        draft = self._draft if self._draft is not None and self._draft.programme.subject == area else None
        for held in self._world.held_at(area):
            programme = held.document
            if not isinstance(programme, Programme):
                continue
            gives_way = draft is not None and draft.programme.authority == programme.authority
            yield from self._one(held.digest, programme, draft.programme if draft is not None and gives_way else None)
        if draft is not None:
            yield from self._one(draft.digest, draft.programme, None)

    def _one(self, digest: str, programme: Programme, successor: Programme | None) -> Iterable[Spell]:
        ends: list[tuple[int, Literal["validity", "grant", "successor"]]] = [(programme.valid_until_ms, "validity")]
        grant_ms = self._world.trust.until_ms(programme.authority)
        if grant_ms is not None:
            ends.append((grant_ms + 1, "grant"))
        if successor is not None:
            ends.append((successor.valid_from_ms, "successor"))
        before = self._older.get(digest)
        if before is not None and isinstance(before.document, Programme):
            yield from self._one(before.digest, before.document, programme)
        until_ms, why = min(ends)
        if self._from_ms - LEAD_IN_MS < until_ms and programme.valid_from_ms < until_ms:
            yield Spell(digest, programme, programme.valid_from_ms, until_ms, why)


def lay_out_sites(sites: Sequence[Site], from_ms: int, to_ms: int) -> list[Laid]:
    """The timetable of each site from one instant to another."""
    planned: dict[tuple[str, int], list[Planned] | None] = {}
    return [_lay_out_one(site, from_ms, to_ms, planned) for site in sites]


def _lay_out_one(site: Site, from_ms: int, to_ms: int, planned: dict[tuple[str, int], list[Planned] | None]) -> Laid:
    coming: list[Planned] = []
    unreadable = []
    for spell in site.spells:
        key = (spell.digest, spell.until_ms)
        if key not in planned:
            planned[key] = _expand(spell, from_ms - LEAD_IN_MS, to_ms)
        expanded = planned[key]
        if expanded is None:
            unreadable.append(spell.digest)
        else:
            coming += expanded
    mute = {id(item) for spell in site.spells for item in spell.programme.body.items if not length_ms(item)}
    shown = [each for each in coming if id(each.item) in mute] if mute else []
    sounds = [each for each in coming if id(each.item) not in mute] if mute else coming
    rules = Rules(site.station.body, site.areas) if site.station is not None else None
    order = written_order((spell.programme for spell in reversed(site.spells)), site.placed)
    lines = lay_out(sounds, rules, order)
    kept = tuple(line for line in lines if line.planned.planned_ms >= from_ms or (line.ends_ms or 0) > from_ms)
    return Laid(site, kept, tuple(each for each in shown if each.planned_ms >= from_ms), rules, tuple(unreadable))


def _expand(spell: Spell, from_ms: int, to_ms: int) -> list[Planned] | None:
    """The occurrences of a programme while it is in force; None when a rule of it cannot be read."""
    programme = spell.programme
    items = {item.id: item for item in programme.body.items}
    begin_ms, end_ms = max(from_ms, spell.from_ms), min(to_ms, spell.until_ms)
    if begin_ms >= end_ms:
        return []
    try:
        found = Calendar(programme, spell.digest).between(begin_ms, end_ms)
    except Malformed:
        return None
    return [
        Planned(
            item=items[each.item_id],
            subject=programme.subject,
            authority=programme.authority,
            digest=spell.digest,
            planned_ms=each.planned_ms,
        )
        for each in found
    ]
