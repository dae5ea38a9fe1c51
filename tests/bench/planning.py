"""What planning costs a node: 200 bulletins, rules three years old, two days of virtual time, beside bare dateutil."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from dateutil.rrule import rrule, rrulestr
from msgspec import structs

from edge_agent.events import Event, Woke
from protocol import recurrence
from protocol.bulletins import Item
from tests.bench.measure import NS_A_MS, Figure, Limit, judge
from tests.bench.place import Options, say
from tests.core.harness import Node
from tests.core.people import HOUR_MS, ISSUED, MEDIA, MIDNIGHT, programme, settled
from tests.protocol import vector_world as world

ITEMS = 200
NEXT_MS = 5.0
COLD_MS = 500.0
FIRST_DAY = datetime(2024, 1, 1)  # noqa: DTZ001  local, as rules are
WINDOW_DAYS = 2
RULES = (
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU",
    "FREQ=MONTHLY;BYDAY=2TU,-1FR",
    "FREQ=MONTHLY;BYMONTHDAY=1,15,-1",
    "FREQ=YEARLY;BYMONTH=1,4,9;BYMONTHDAY=2,30",
    "FREQ=DAILY;COUNT=5000",
)


def items() -> tuple[Item, ...]:
    """Mixed rules at mixed times of the day, each from the same day three years ago."""
    made = []
    for number in range(ITEMS):
        hours = ",".join(str((number * 7 + step * 5) % 24) for step in range(1 + number % 3))
        rule = f"{RULES[number % len(RULES)]};BYHOUR={hours};BYMINUTE={number * 11 % 60}"
        one = world.item(f"tin-{number}", rule)
        variants = tuple(
            structs.replace(each, media=structs.replace(each.media, samples=48_000 * 20)) for each in one.variants if each.media
        )
        made.append(structs.replace(one, variants=variants, from_day=f"{FIRST_DAY:%Y%m%d}", grace_s=900))
    return tuple(made)


class Watched(Node):
    """Measures every turn."""

    def __init__(self, *more) -> None:
        self.woke_ms: list[float] = []
        self.worst_ms = 0.0
        super().__init__(*more)

    def happen(self, event: Event) -> None:
        began_ns = time.perf_counter_ns()
        super().happen(event)
        took_ms = (time.perf_counter_ns() - began_ns) / NS_A_MS
        self.worst_ms = max(self.worst_ms, took_ms)
        if isinstance(event, Woke):
            self.woke_ms.append(took_ms)


def _forget() -> None:
    """A new version has rules that this process has not read yet."""
    recurrence._rule.cache_clear()
    recurrence._checked.cache_clear()


def _cold(node: Watched, sealed: list[world.Sent]) -> list[float]:
    """The dearest turn from the arrival of a new version to its being planned."""
    taken_ms = []
    for sent in sealed:
        _forget()
        node.worst_ms = 0.0
        node.give(sent)
        node.run(1)
        taken_ms.append(node.worst_ms)
    return taken_ms


def _bare_cold(made: tuple[Item, ...], times: int) -> list[float]:
    """dateutil alone: the same rules read and expanded over the same window, from the day on which they begin."""
    begin = datetime(2027, 1, 1)  # noqa: DTZ001  local
    taken_ms = []
    for _ in range(times):
        began_ns = time.perf_counter_ns()
        for one in made:
            rrulestr(f"{one.rrule};BYSECOND=0", dtstart=FIRST_DAY).between(begin, begin + timedelta(days=WINDOW_DAYS), inc=True)
        taken_ms.append((time.perf_counter_ns() - began_ns) / NS_A_MS)
    return taken_ms


def _bare_next(made: tuple[Item, ...], times: int) -> list[float]:
    """dateutil alone: the next instant of each rule, when the rules are read already."""
    rules: list[rrule] = [rrulestr(f"{one.rrule};BYSECOND=0", dtstart=FIRST_DAY) for one in made]
    now = datetime(2027, 1, 1)  # noqa: DTZ001  local
    taken_ms = []
    for number in range(times):
        began_ns = time.perf_counter_ns()
        min(found for rule in rules if (found := rule.after(now + timedelta(minutes=number))) is not None)
        taken_ms.append((time.perf_counter_ns() - began_ns) / NS_A_MS)
    return taken_ms


async def run(options: Options) -> list[Figure]:
    """Two days of wakes and the third's first hours, so that a calendar is expanded anew on the way; then new versions."""
    made = items()
    node = Watched(MIDNIGHT, *settled(programme(*made)))
    node.fetched(MEDIA)
    node.online()
    node.woke_ms, node.worst_ms = [], 0.0
    hours = options.count(50, 3)
    say(f"{hours} virtual hours")
    node.run(hours * 3_600)
    woke_ms, worst_ms, plays = node.woke_ms, node.worst_ms, len(node.spoken)
    versions = options.count(50, 10)
    say(f"{versions} new versions")
    sealed = [programme(*made, seq=ISSUED + HOUR_MS + number) for number in range(versions)]
    cold_ms = _cold(node, sealed)
    note = f"{plays} plays in {hours} virtual hours; the dearest of all turns {worst_ms:.1f} ms"
    return [
        judge(
            f"a wake of a node with {ITEMS} bulletins, rules three years old",
            woke_ms,
            goal=NEXT_MS,
            limit=Limit("bare dateutil, the next of each rule", _bare_next(made, 5), 1.0),
            note=note,
        ),
        judge(
            "the dearest turn of a new version: read, checked, expanded",
            cold_ms,
            goal=COLD_MS,
            limit=Limit("bare dateutil, read and expanded", _bare_cold(made, 5), 1.0),
            note="turns of one version that are not the dearest are not in it; nothing of its rules is in any cache",
        ),
    ]
