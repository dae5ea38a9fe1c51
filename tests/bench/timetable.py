"""Seven days of a thousand nodes laid out: two hundred programmes of twenty bulletins, two plays a day each."""

from __future__ import annotations

import datetime as dt
import random
import time

from dateutil.rrule import rrulestr

from controller.core.findings import Surroundings, findings
from controller.core.preview import gather, lay_out_sites
from controller.core.world import AreaKnown, NodeKnown, Standing, World
from protocol import recurrence
from protocol.bulletins import Item, Media, Programme, ProgrammeBody, Variant
from protocol.documents import ChainLink, Hours, Placement, PlacementBody, Station, StationBody
from protocol.recurrence import DAY_MS, WEEKDAYS
from tests.bench.measure import NS_A_MS, Figure, Limit, judge
from tests.bench.place import Options, say

COMMUNES = 200
NODES_EACH = 5
ITEMS = 20
DAYS = 7
GOAL_MS = 1_000
MONDAY_MS = 1_772_384_400_000
"""02/03/2026 00:00 in Viet Nam."""
MONDAY = dt.datetime(2026, 3, 2)  # noqa: DTZ001  local, as rules are


def _fields(area: str, number: int) -> dict[str, object]:
    common = {"authority": area, "area": area, "area_no": number, "seq": 1, "purpose": "routine"}
    return common | {"subject": area, "valid_from_ms": MONDAY_MS - 10 * DAY_MS, "valid_until_ms": MONDAY_MS + 30 * DAY_MS}


def _item(number: int, chance: random.Random) -> Item:
    hours = f"{chance.randrange(5, 11)},{chance.randrange(13, 21)}"
    days = "FREQ=DAILY" if number % 2 else "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU"
    media = Media(sha256="ab" * 32, bytes=1, samples=48_000 * chance.randrange(60, 240))
    rule = f"{days};BYHOUR={hours};BYMINUTE={chance.randrange(60)}"
    return Item(id=f"i{number}", title=f"Bản tin {number}", rrule=rule, variants=(Variant(lang="vi", media=media),))


def province(seed: int) -> tuple[World, list[Programme]]:
    """A province with a programme and rules in each commune, and five nodes there."""
    chance = random.Random(seed)
    areas = [AreaKnown(id="52", no=52, level="province", name="Gia Lai")]
    nodes, standing, programmes = [], [], []
    hours = (Hours(days=WEEKDAYS, from_min=300, to_min=1_260),)
    for number in range(COMMUNES):
        commune = f"52.{number}"
        areas.append(AreaKnown(id=commune, no=number, level="commune", name=commune, parent="52"))
        items = tuple(_item(each, chance) for each in range(ITEMS))
        programme = Programme(**_fields(commune, number), body=ProgrammeBody(items=items))  # type: ignore[arg-type]
        station = Station(**_fields(commune, number), body=StationBody(hours=hours))  # type: ignore[arg-type]
        programmes.append(programme)
        standing += [
            Standing(digest=f"p{number}", document=programme, raw=b""),
            Standing(digest=f"s{number}", document=station, raw=b""),
        ]
        for each in range(NODES_EACH):
            node = f"{number:09d}{each}"
            nodes.append(NodeKnown(id=node, area_no=each, name=node, settlement=commune, report_key="00" * 32))
            chain = (
                ChainLink(area="52", area_no=52, level="province"),
                ChainLink(area=commune, area_no=number, level="commune"),
                ChainLink(area=node, area_no=each, level="node"),
            )
            body = PlacementBody(node=node, chain=chain, station=commune, report_key="00" * 32)
            standing.append(Standing(digest=f"n{node}", document=Placement(**_fields(node, each), body=body), raw=b""))  # type: ignore[arg-type]
    return World(areas, nodes, standing), programmes


def forget() -> None:
    """As in a process that never saw these rules."""
    for cached in (recurrence._rule, recurrence._checked, recurrence._split, recurrence._days, recurrence._begin_of):
        cached.cache_clear()


def previewed(world: World) -> tuple[float, int, int]:
    """Milliseconds, occurrences and nodes of one preview of the whole province, findings included."""
    end_ms = MONDAY_MS + DAYS * DAY_MS
    began_ns = time.perf_counter_ns()
    sites = gather(world, "52", MONDAY_MS)
    laid = lay_out_sites(sites, MONDAY_MS, end_ms)
    around = Surroundings(names={}, known_media=frozenset({"ab" * 32}), now_ms=MONDAY_MS, from_ms=MONDAY_MS, to_ms=end_ms)
    findings(laid, around)
    took_ms = (time.perf_counter_ns() - began_ns) / NS_A_MS
    return took_ms, sum(len(each.lines) for each in laid), sum(len(each.site.nodes) for each in laid)


def bare(programmes: list[Programme]) -> tuple[float, int]:
    """The same occurrences by dateutil and nothing else."""
    began_ns = time.perf_counter_ns()
    number = 0
    end = MONDAY + dt.timedelta(days=DAYS, seconds=-1)
    for programme in programmes:
        for item in programme.body.items:
            number += len(rrulestr(f"{item.rrule};BYSECOND=0", dtstart=MONDAY).between(MONDAY, end, inc=True))
    return (time.perf_counter_ns() - began_ns) / NS_A_MS, number


async def run(options: Options) -> list[Figure]:
    """Each time with rules that were never seen before, and what bare dateutil needs for the same number."""
    took, limit, again = [], [], []
    plays = nodes = 0
    for seed in range(options.count(10, 5)):
        world, programmes = province(seed)
        forget()
        took_ms, plays, nodes = previewed(world)
        took.append(took_ms)
        again.append(previewed(world)[0])
        bare_ms, number = bare(programmes)
        limit.append(bare_ms)
        say(f"{took_ms:.0f} ms for {plays} plays on {nodes} nodes; bare dateutil {bare_ms:.0f} ms for {number}")
    note = f"{plays} plays, {nodes} nodes, findings included; rules seen before: {sorted(again)[len(again) // 2]:.0f} ms"
    name = f"{DAYS} days of {nodes} nodes, {COMMUNES} programmes of {ITEMS} bulletins"
    return [judge(name, took, goal=GOAL_MS, limit=Limit("bare dateutil, the same occurrences", limit), note=note)]
