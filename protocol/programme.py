"""What plays when: which bulletin goes first, what it interrupts, what becomes of it; and a whole timetable laid out ahead.

Pure. The node decides by these functions as things happen, the controller's preview lays out days ahead by the same ones.
docs/what-plays-when.md says the rules in words.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from protocol.bulletins import Item, Media, Programme, Variant
from protocol.emergency import speech_ms
from protocol.hours import NO_RULES, Admission, Aired, Rules

CLASS_RANK: Final = {"normal": 0, "priority": 1, "emergency": 2}
LEVEL_RANK: Final = {"settlement": 0, "commune": 1, "district": 2, "province": 3, "central": 4}
VARIANT_GAP_MS: Final = 500
LONGEST_GRACE_MS: Final = 3_600_000
LATE_MS: Final = 1_000
"""A bulletin that begins no later than this is on time."""
LATE: Final = "late: its grace is over"
Order = Mapping[tuple[str, str], int]
"""The commune's written order: (authority, item id) -> place, 0 first."""
Rank = tuple[int, int, int, int, int, int]
LONGEST_NAME: Final = 97
"""Bytes of an authority, a space and an item's id."""


# --- one bulletin ---


def grace_ms(item: Item) -> int:
    """How long after its time, or after an interruption, a bulletin may still begin."""
    return min(item.grace_s * 1_000, LONGEST_GRACE_MS)


def recordings(variant: Variant) -> tuple[Media, ...]:
    """The sound files that one language of a bulletin may need, fallbacks too."""
    ways = (variant.spoken, variant.relay, variant.line)
    found = (variant.media, *(way.fallback for way in ways if way is not None))
    return tuple(media for media in found if media is not None)


def variant_ms(variant: Variant) -> int:
    """How long one language sounds on a loudspeaker: recordings exactly, texts as reckoned, relays and inputs at the most."""
    if variant.media is not None:
        return -(-variant.media.samples // 48)
    if variant.spoken is not None:
        return speech_ms(variant.spoken.text)
    open_for = variant.relay or variant.line
    return open_for.max_s * 1_000 if open_for is not None else 0


def once_ms(item: Item) -> int:
    """How long all languages sound, once, with the gaps between them."""
    lengths = [length_ms for variant in item.variants if (length_ms := variant_ms(variant))]
    return sum(lengths) + VARIANT_GAP_MS * max(0, len(lengths) - 1)


def length_ms(item: Item) -> int:
    """How long a bulletin sounds, with its repeats."""
    return once_ms(item) * item.repeats + item.repeat_gap_s * 1_000 * (item.repeats - 1)


# --- one against another ---


def written_order(programmes: Iterable[Programme], commune: str) -> Order:
    """The order that the commune of a station wrote into its own programme."""
    for programme in programmes:
        if programme.subject == commune == programme.authority:
            return {(ref.authority, ref.item): place for place, ref in reversed(list(enumerate(programme.body.order)))}
    return {}


def rank(item: Item, authority: str, planned_ms: int, order: Order) -> Rank:
    """Which of several bulletins that wait goes first: the highest.

    By class; then what the commune's written order names, as it says; then by issuing level; then the earlier planned; and of
    equals by their names, since what waits may be found anew at any moment and every node and the preview must choose alike.
    """
    place = order.get((authority, item.id))
    named, first = (0, 0) if place is None else (1, -place)
    name = int.from_bytes(f"{authority} {item.id}".encode().ljust(LONGEST_NAME, b"\0"), "big")
    return CLASS_RANK[item.class_], named, first, LEVEL_RANK[item.level], -planned_ms, -name


def interrupts(new: Item, sounding: Item) -> bool:
    """Whether a bulletin begins although another sounds: only one of a higher class does. In a class the later waits."""
    return CLASS_RANK[new.class_] > CLASS_RANK[sounding.class_]


# --- a timetable ahead ---


class Planned(Struct, frozen=True, kw_only=True, gc=False):
    """One occurrence on one node."""

    item: Item
    subject: str
    authority: str
    digest: str
    planned_ms: int


Outcome = Literal["plays", "late", "cut", "interrupted", "skipped"]


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """What becomes of an occurrence if nothing unplanned happens. `because` is the bulletin that it waited or gave way for."""

    planned: Planned
    outcome: Outcome
    begins_ms: int | None = None
    ends_ms: int | None = None
    why: str = ""
    because: Planned | None = None


class _Waiting(Struct, gc=False):
    planned: Planned
    until_ms: int
    left_ms: int
    because: Planned | None = None


class _Sounding(Struct, frozen=True, gc=False):
    waiting: _Waiting
    begins_ms: int
    ends_ms: int
    cut: bool


class _Day:
    """The hands of a clock over sorted occurrences: what sounds, what waits, what was said of each."""

    def __init__(self, rules: Rules | None, order: Order, aired: Aired) -> None:
        self._rules = rules
        self._order = order
        self._lengths: dict[int, tuple[int, int]] = {}
        self.aired = aired
        self.sounding: _Sounding | None = None
        self.waiting: list[_Waiting] = []
        self.lines: list[Line] = []

    def comes(self, planned: Planned) -> None:
        """Its time has come."""
        item = planned.item
        known = self._lengths.get(id(item))
        if known is None:
            known = self._lengths[id(item)] = (grace_ms(item), length_ms(item))
        self.waiting.append(_Waiting(planned, planned.planned_ms + known[0], known[1]))

    def falls_silent(self) -> None:
        """What sounds comes to its end."""
        if self.sounding is not None:
            self._end(self.sounding, self.sounding.ends_ms, "cut" if self.sounding.cut else None)

    def settle(self, now_ms: int) -> None:
        """Let what should sound now sound."""
        for waiting in [each for each in self.waiting if each.until_ms < now_ms]:
            self._skip(waiting, LATE)
        while self.waiting:
            first = self.waiting[0] if len(self.waiting) == 1 else max(self.waiting, key=self._rank)
            if self.sounding is not None and not interrupts(first.planned.item, self.sounding.waiting.planned.item):
                self._wait_for(self.sounding.waiting.planned)
                return
            admission = self._admit(now_ms, first)
            if admission.until_ms is None:
                self._skip(first, admission.why)
                continue
            if self.sounding is not None:
                self._interrupt(self.sounding, now_ms, first.planned)
            self.waiting.remove(first)
            whole_ms = now_ms + first.left_ms
            cut = admission.until_ms < whole_ms
            self.sounding = _Sounding(first, now_ms, admission.until_ms if cut else whole_ms, cut)

    def _admit(self, now_ms: int, waiting: _Waiting) -> Admission:
        """What sounds at this moment counts towards its session, as on the node: who interrupts it goes on with that session."""
        if self._rules is None:
            return Admission(None, NO_RULES)
        sounding = self.sounding
        aired = self.aired if sounding is None else self._rules.heard(self.aired, sounding.begins_ms, now_ms)
        return self._rules.admit(now_ms, waiting.left_ms, aired)

    def _rank(self, waiting: _Waiting) -> Rank:
        planned = waiting.planned
        return rank(planned.item, planned.authority, planned.planned_ms, self._order)

    def _wait_for(self, other: Planned) -> None:
        for each in self.waiting:
            if each.because is None:
                each.because = other

    def _skip(self, waiting: _Waiting, why: str) -> None:
        self.waiting.remove(waiting)
        self.lines.append(Line(planned=waiting.planned, outcome="skipped", why=why, because=waiting.because))

    def _end(self, sounding: _Sounding, now_ms: int, outcome: Outcome | None, because: Planned | None = None) -> None:
        self.sounding = None
        if self._rules is not None:
            self.aired = self._rules.heard(self.aired, sounding.begins_ms, now_ms)
        planned = sounding.waiting.planned
        late = sounding.begins_ms > planned.planned_ms + LATE_MS
        self.lines.append(
            Line(
                planned=planned,
                outcome=outcome or ("late" if late else "plays"),
                begins_ms=sounding.begins_ms,
                ends_ms=now_ms,
                because=because or sounding.waiting.because,
            )
        )

    def _interrupt(self, sounding: _Sounding, now_ms: int, by: Planned) -> None:
        self._end(sounding, now_ms, "interrupted", by)
        item, waiting = sounding.waiting.planned.item, sounding.waiting
        if item.on_interrupt == "drop":
            return
        gone_ms = now_ms - sounding.begins_ms if item.on_interrupt == "resume" else 0
        left_ms = max(1, waiting.left_ms - gone_ms)
        self.waiting.append(_Waiting(waiting.planned, now_ms + grace_ms(item), left_ms, by))


def lay_out(planned: Sequence[Planned], rules: Rules | None, order: Order, aired: Aired | None = None) -> list[Line]:
    """What becomes of a node's occurrences if no emergency, STOP, exercise or fault comes between; in order of beginning.

    An interrupted bulletin that goes on later has a line for each time that it sounds.
    """
    day = _Day(rules, order, aired or Aired())
    coming = sorted(planned, key=_time)
    number, last = 0, len(coming)
    while number < last or day.sounding is not None:
        now_ms = coming[number].planned_ms if number < last else None
        if day.sounding is not None and (now_ms is None or day.sounding.ends_ms <= now_ms):
            now_ms = day.sounding.ends_ms
            day.falls_silent()
            if not day.waiting:
                continue
        if now_ms is None:
            break
        while number < last and coming[number].planned_ms <= now_ms:
            day.comes(coming[number])
            number += 1
        day.settle(now_ms)
    return sorted(day.lines, key=_begin)


def _time(planned: Planned) -> int:
    return planned.planned_ms


def _begin(line: Line) -> tuple[int, int]:
    return line.planned.planned_ms if line.begins_ms is None else line.begins_ms, line.planned.planned_ms
