"""The plan of the past: which programme counted when, where a node stood when, and what was due then. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from protocol.bulletins import Item, Programme
from protocol.programme import grace_ms, length_ms
from protocol.recurrence import occurrences
from protocol.seen import Slot
from protocol.units import MAX_MS

NO_END: Final = MAX_MS


class Version(Struct, frozen=True, kw_only=True):
    """A programme that was once stored: when, and whether it is in force today."""

    digest: str
    slot: Slot
    stored_ms: int
    valid_from_ms: int
    valid_until_ms: int
    in_force: bool


class Span(Struct, frozen=True):
    """A version counted from one instant until (not including) another."""

    from_ms: int
    until_ms: int
    digest: str


class Stay(Struct, frozen=True):
    """A node stood in these areas, widest first, itself last."""

    from_ms: int
    until_ms: int
    areas: tuple[str, ...]

    @property
    def settlement(self) -> str:
        """The area right above the node."""
        return self.areas[-2]


class Expected(Struct, frozen=True, gc=False):
    """One planned bulletin: `last_ms` is the latest instant at which it may begin."""

    planned_ms: int
    slot: Slot
    item: Item
    digest: str
    last_ms: int
    long_ms: int


def spans(versions: Iterable[Version], powers_changed_ms: Sequence[int] = ()) -> list[Span]:
    """When each version of one slot counted, as a node takes them: from its first valid day on, else from when it was stored.

    A version that was replaced before its first valid day never counted. The newest may have lost its force, when its signers
    lost their powers: then it ended at the first change of powers after it, and the one in force today counts again from there.
    """
    stored = sorted(versions, key=lambda version: version.stored_ms)
    following = [version.stored_ms for version in stored[1:]] + [NO_END]
    begins = [max(version.stored_ms, version.valid_from_ms) for version in stored]
    counted = [number for number, begin_ms in enumerate(begins) if begin_ms < following[number]]
    ends = [begins[number] for number in counted[1:]] + [NO_END]
    found = [
        Span(begins[number], min(until_ms, stored[number].valid_until_ms), stored[number].digest)
        for number, until_ms in zip(counted, ends, strict=True)
    ]
    if stored and not stored[-1].in_force:
        gone_ms = min((at_ms for at_ms in powers_changed_ms if at_ms >= stored[-1].stored_ms), default=stored[-1].stored_ms)
        found = [Span(span.from_ms, min(span.until_ms, gone_ms), span.digest) for span in found if span.from_ms < gone_ms]
        found += [Span(gone_ms, version.valid_until_ms, version.digest) for version in stored if version.in_force]
    return [span for span in found if span.from_ms < span.until_ms]


def stays(placements: Iterable[tuple[int, tuple[str, ...]]], retired_ms: int | None = None) -> list[Stay]:
    """Where a node stood, out of (stored, areas of the chain) of all its placements; unplaced or retired it stands nowhere."""
    placed = sorted(placements)
    gone_ms = NO_END if retired_ms is None else retired_ms
    ends = [*(stored_ms for stored_ms, _ in placed), NO_END][1:]
    found = [Stay(begin_ms, min(end_ms, gone_ms), areas) for (begin_ms, areas), end_ms in zip(placed, ends, strict=True)]
    return [stay for stay in found if stay.from_ms < stay.until_ms]


def expected_of(
    slot: Slot, counted: Iterable[Span], programmes: Mapping[str, Programme], from_ms: int, to_ms: int
) -> list[Expected]:
    """Everything that a slot planned in a span of time, by time. Raises Malformed for a rule that cannot be read."""
    found: list[Expected] = []
    for span in counted:
        begin_ms, end_ms = max(span.from_ms, from_ms), min(span.until_ms, to_ms)
        if begin_ms >= end_ms:
            continue
        programme = programmes[span.digest]
        items = {item.id: (item, grace_ms(item), length_ms(item)) for item in programme.body.items}
        for one in occurrences(programme, span.digest, begin_ms, end_ms):
            item, late_ms, long_ms = items[one.item_id]
            found.append(Expected(one.planned_ms, slot, item, span.digest, one.planned_ms + late_ms, long_ms))
    return sorted(found, key=_time)


def due_at(stood: Iterable[Stay], area: str, plans: Mapping[Slot, Sequence[Expected]]) -> list[tuple[Stay, Expected]]:
    """What was planned for a node while it stood in `area`, out of the plans of the slots of its areas."""
    found: list[tuple[Stay, Expected]] = []
    for stay in stood:
        if area not in stay.areas:
            continue
        for slot, plan in plans.items():
            if slot.subject in stay.areas:
                low = bisect_left(plan, stay.from_ms, key=_time)
                found.extend((stay, each) for each in plan[low : bisect_left(plan, stay.until_ms, low, key=_time)])
    return found


def stay_at(stood: Iterable[Stay], at_ms: int) -> Stay | None:
    """Where a node stood at an instant."""
    return next((stay for stay in stood if stay.from_ms <= at_ms < stay.until_ms), None)


def _time(expected: Expected) -> int:
    return expected.planned_ms
