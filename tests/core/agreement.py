"""Random programmes and station rules, and the same day twice: as `lay_out` says it ahead, and as a node lives it."""

from hypothesis import strategies as st
from msgspec import structs

from protocol.bulletins import Item, ItemRef, Media, Programme, ProgrammeBody, Variant
from protocol.documents import Hours, Maintenance, StationBody
from protocol.hours import Rules
from protocol.programme import Line, Order, Planned, lay_out, written_order
from protocol.recurrence import WEEKDAYS, occurrences
from tests.core.harness import Node
from tests.core.people import COMMUNE, HAMLET, HOUR_MS, ISSUED, MEDIA, NODE, NOON, PROVINCE, settled
from tests.protocol import vector_world as world

MINUTE_MS = 60_000
END_MS = NOON + 6 * HOUR_MS
AREAS = (PROVINCE, COMMUNE, HAMLET, NODE)
VALID = {"valid_from_ms": ISSUED, "valid_until_ms": ISSUED + 40 * 86_400_000}
SAID = {"played": "plays", "max": "cut", "interrupted": "interrupted", "skipped": "skipped"}

seconds = st.sampled_from([20, 45, 60, 90, 120, 180, 300, 600]) | st.integers(1, 900)


@st.composite
def variants(draw: st.DrawFn) -> tuple[Variant, ...]:
    lengths = draw(st.lists(seconds, min_size=1, max_size=2))
    return tuple(recording(lang, length_s) for lang, length_s in zip(("vi", "bdq"), lengths, strict=False))


def recording(lang: str, length_s: float) -> Variant:
    """One language, recorded, so many seconds long."""
    return Variant(lang=lang, media=Media(sha256=MEDIA, bytes=5_000, samples=round(48_000 * length_s)))


@st.composite
def items(draw: st.DrawFn, name: str) -> Item:
    hours = draw(st.sampled_from(["12", "13", "12,13"]))
    minutes = ",".join(
        map(str, draw(st.lists(st.integers(0, 11).map(lambda five: five * 5) | st.integers(0, 59), min_size=1, max_size=3)))
    )
    second = draw(st.sampled_from(["0", "0", "1", "2", "30", "0,1"]))
    return Item(
        id=name,
        title=name,
        class_=draw(st.sampled_from(["normal", "priority"])),
        level=draw(st.sampled_from(["settlement", "commune", "province"])),
        rrule=f"FREQ=DAILY;BYHOUR={hours};BYMINUTE={minutes};BYSECOND={second}",
        variants=draw(variants()),
        repeats=draw(st.integers(1, 2)),
        repeat_gap_s=draw(st.integers(0, 20)),
        grace_s=draw(st.sampled_from([3_600, 3_600, 900, 300, 60, 1, 0])),
        on_interrupt=draw(st.sampled_from(["restart", "resume", "drop"])),
    )


@st.composite
def bodies(draw: st.DrawFn) -> StationBody:
    closed = st.tuples(st.integers(0, 110), st.integers(1, 40)).map(lambda gap: ((0, 720 + gap[0]), (720 + sum(gap), 1440)))
    hours = draw(st.sampled_from([((0, 1440),), ((0, 1440),), ((0, 840),)]) | closed)
    until = draw(st.sampled_from([None, None, None, NOON + 3 * MINUTE_MS, NOON + 61_500, NOON + 40 * MINUTE_MS]))
    return StationBody(
        hours=tuple(Hours(days=WEEKDAYS, from_min=low, to_min=high) for low, high in hours),
        sessions_a_day=draw(st.sampled_from([None, None, None, 0, 1, 2, 3, 4])),
        session_max_min=draw(st.none() | st.none() | st.integers(1, 45)),
        half_inside=draw(st.sampled_from(["cut", "cut", "refuse"])),
        maintenance=() if until is None else (Maintenance(area=HAMLET, until_ms=until),),
    )


@st.composite
def days(draw: st.DrawFn) -> tuple[list[Programme], StationBody]:
    """The commune's programme with its written order, and perhaps one of the province for the whole of it."""
    own = tuple(draw(items(f"xa-{number}")) for number in range(draw(st.integers(1, 4))))
    theirs = tuple(draw(items(f"tinh-{number}")) for number in range(draw(st.integers(0, 2))))
    refs = [ItemRef(authority=COMMUNE, item=each.id) for each in own] + [
        ItemRef(authority=PROVINCE, item=each.id) for each in theirs
    ]
    order = tuple(draw(st.permutations(refs))[: draw(st.integers(0, len(refs)))])
    made = [of_commune(*own, order=order), *([of_province(*theirs)] if theirs else [])]
    return made, draw(bodies())


def of_commune(*items: Item, order: tuple[ItemRef, ...] = ()) -> Programme:
    return world.programme(ISSUED, body=ProgrammeBody(items=items, order=order), **VALID)


def of_province(*items: Item) -> Programme:
    where = {"subject": PROVINCE, "authority": PROVINCE, "area": PROVINCE, "area_no": world.NUMBERS[PROVINCE]}
    return world.programme(ISSUED, body=ProgrammeBody(items=items), **where, **VALID)


def sealed(programmes: list[Programme]) -> list[world.Sent]:
    """Signed by those who may."""
    return [world.signed(made, "c1" if made.authority == COMMUNE else "p1") for made in programmes]


def ahead(programmes: list[Programme], body: StationBody) -> list[Line]:
    """What the preview says."""
    return lay_out(planned_of(programmes), Rules(body, AREAS), order_of(programmes))


def planned_of(programmes: list[Programme]) -> list[Planned]:
    found = []
    for made in programmes:
        of = {each.id: each for each in made.body.items}
        for each in occurrences(made, "00" * 32, NOON - HOUR_MS, END_MS):
            who = {"subject": made.subject, "authority": made.authority, "digest": each.digest}
            found.append(Planned(item=of[each.item_id], planned_ms=each.planned_ms, **who))
    return found


def order_of(programmes: list[Programme]) -> Order:
    return written_order(programmes, COMMUNE)


def lived(sent: list[world.Sent], body: StationBody, *, latency_ns: int = 0, save_ms: int = 0) -> Node:
    """The same day on a node, whose card and player answer at once unless told."""
    rules = {name: getattr(body, name) for name in ("hours", "sessions_a_day", "session_max_min", "half_inside", "maintenance")}
    node = Node(NOON - 30 * MINUTE_MS, *settled(*sent, rules=rules))
    node.player.latency_ns, node.save_ms = latency_ns, save_ms
    node.fetched(MEDIA)
    node.online()
    node.run_to(END_MS)
    return node


Told = tuple[int, str, str, int | None, int | None]


def lengthened(programmes: list[Programme], ms: int) -> list[Programme]:
    """The same with every recording so much longer: a day that then turns out otherwise hangs on an instant."""

    def longer(variant: Variant) -> Variant:
        assert variant.media is not None
        return structs.replace(variant, media=structs.replace(variant.media, samples=variant.media.samples + 48 * ms))

    def changed(made: Programme) -> Programme:
        items = (structs.replace(each, variants=tuple(map(longer, each.variants))) for each in made.body.items)
        return structs.replace(made, body=structs.replace(made.body, items=tuple(items)))

    return [changed(made) for made in programmes]


def told_by_node(node: Node) -> list[Told]:
    """Every record: planned when, which, what became of it, from when to when."""
    records = [record for record, is_open in node.card.records.values() if not is_open]
    return sorted(
        (
            (each.planned_ms, each.item, SAID[each.ending], each.started_ms, each.ended_ms if each.started_ms else None)
            for each in records
        ),
        key=_in_order,
    )


def told_ahead(lines: list[Line]) -> list[Told]:
    return sorted(
        (
            (
                line.planned.planned_ms,
                line.planned.item.id,
                "plays" if line.outcome == "late" else line.outcome,
                line.begins_ms,
                line.ends_ms,
            )
            for line in lines
        ),
        key=_in_order,
    )


def _in_order(told: Told) -> tuple[int, str, int]:
    return told[0], told[1], told[3] or 2**53
