"""What the controller lays out ahead is what a node plays."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from protocol.documents import Hours, StationBody
from protocol.hours import Rules
from protocol.programme import Planned, lay_out
from protocol.recurrence import WEEKDAYS, occurrences
from tests.core.harness import Node
from tests.core.people import ISSUED, MEDIA, NOON, item, programme, settled
from tests.protocol import vector_world as world
from tests.protocol.vector_world import COMMUNE, DAY_MS, HAMLET, NODE, PROVINCE

CLASSES = st.sampled_from(["normal", "normal", "priority"])
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "sessions_a_day": st.integers(1, 3),
        "session_max_min": st.integers(3, 15),
        "half_inside": st.sampled_from(["cut", "refuse"]),
    },
)


@st.composite
def bulletins(draw: st.DrawFn):
    """Bulletins of some minutes within three quarters of an hour, so that they meet."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        bulletin = item(f"b{number}", f"12:{draw(st.integers(0, 45)):02}", class_=draw(CLASSES))
        (variant,) = bulletin.variants
        # odd seconds, whose sums are no whole minute: none ends at the very instant at which another is due or its grace is over
        media = structs.replace(variant.media, samples=48_000 * (60 * draw(st.integers(1, 9)) + 2 + number))
        more = {"grace_s": 60 * draw(st.integers(0, 15)), "on_interrupt": draw(st.sampled_from(["restart", "resume", "drop"]))}
        level = draw(st.sampled_from(["settlement", "commune", "province"]))
        made.append(structs.replace(bulletin, variants=(structs.replace(variant, media=media),), level=level, **more))
    return made


def laid(items, rules) -> list[str]:
    made = world.programme(ISSUED, *items, valid_from_ms=NOON - DAY_MS, valid_until_ms=NOON + DAY_MS)
    by_id = {each.id: each for each in items}
    coming = [
        Planned(item=by_id[each.item_id], subject=COMMUNE, authority=COMMUNE, digest="", planned_ms=each.planned_ms)
        for each in occurrences(made, "", NOON - 60_000, NOON + 4_500_000)
    ]
    return sorted(
        f"{line.planned.item.id} {'never' if line.begins_ms is None else clock(line.begins_ms)}"
        for line in lay_out(coming, rules, {})
    )


def clock(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(hours=7):%H:%M:%S}"


@settings(max_examples=40, deadline=None)
@given(items=bulletins(), limits=LIMITS, closes=st.sampled_from([1_440, 750, 735]))
def test_a_node_begins_and_skips_what_was_laid_out_for_it(items, limits, closes):
    node = Node(NOON - 60_000, *settled(programme(*items), hours=((0, closes),), rules=limits))
    node.fetched(MEDIA)
    node.online()
    node.run_to(NOON + 4_500_000)
    played = sorted(" ".join(line.split()[:2]) for line in node.story())
    body = StationBody(hours=(Hours(days=WEEKDAYS, from_min=0, to_min=closes),), **limits)
    assert played == laid(items, Rules(body, (PROVINCE, COMMUNE, HAMLET, NODE)))
