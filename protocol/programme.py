"""What plays when: which bulletin goes first, what it interrupts, what becomes of it; and a whole timetable laid out ahead.

Pure. The node decides by these functions as things happen, the controller's preview lays out days ahead by the same ones.
docs/what-plays-when.md says the rules in words.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from protocol.bulletins import Item, Media, Programme, Variant
from protocol.emergency import speaks, speech_ms
from protocol.hours import NO_RULES, Admission, Aired, Rules

CLASS_RANK: Final = {"normal": 0, "priority": 1, "emergency": 2}
LEVEL_RANK: Final = {"settlement": 0, "commune": 1, "district": 2, "province": 3, "central": 4}
VARIANT_GAP_MS: Final = 500
LONGEST_GRACE_MS: Final = 3_600_000
LATE_MS: Final = 1_000
"""A bulletin that begins no later than this is on time."""
LATE: Final = "late: its grace is over"
LEAD_MS: Final = 1_500
"""A bulletin is prepared this long before its time: its record is on disk and its decoder runs when the instant comes."""
NEARLY_OVER_MS: Final = 1_000
"""What is interrupted with no more than this left has been heard: one that ends where a higher class begins is not said again."""
MUTE: Final = "nothing in it can be played on this node"
Order = Mapping[tuple[str, str], int]
"""The commune's written order: (authority, item id) -> place, 0 first."""
Rank = tuple[int, int, int, int, int, int]
LONGEST_NAME: Final = 97
"""Bytes of an authority, a space and an item's id."""
NEVER: Final = 2**62


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
        return _media_ms(variant.media)
    if variant.spoken is not None:
        return speech_ms(variant.spoken.text) if speaks(variant.lang) else _media_ms(variant.spoken.fallback)
    open_for = variant.relay or variant.line
    return open_for.max_s * 1_000 if open_for is not None else 0


def _media_ms(media: Media | None) -> int:
    return 0 if media is None else -(-media.samples // 48)


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


def goes_on(item: Item, left_ms: int) -> bool:
    """Whether a bulletin that was interrupted with so much left of it goes on (or begins again) within its grace."""
    return item.on_interrupt != "drop" and left_ms > NEARLY_OVER_MS


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
    since_ms: int
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
        self.lines: list[tuple[int, Line]] = []

    def comes(self, planned: Planned) -> None:
        """Its time has come, or is near."""
        item, since_ms = planned.item, planned.planned_ms
        known = self._lengths.get(id(item))
        if known is None:
            known = self._lengths[id(item)] = (grace_ms(item), length_ms(item))
        self.waiting.append(_Waiting(planned, since_ms, since_ms + known[0], known[1]))

    def next_ms(self, now_ms: int) -> int:
        """When something ends, or the time comes of what could only be prepared; NEVER when nothing is left."""
        soonest_ms = NEVER if self.sounding is None else self.sounding.ends_ms
        for each in self.waiting:
            if now_ms < each.planned.planned_ms < soonest_ms:
                soonest_ms = each.planned.planned_ms
        return soonest_ms

    def settle(self, now_ms: int) -> None:
        """Let what should sound now sound; what will be due within the lead is prepared when there is silence."""
        if self.sounding is not None and self.sounding.ends_ms <= now_ms:
            self._end(self.sounding, self.sounding.ends_ms, "cut" if self.sounding.cut else None)
        if not self.waiting:
            return
        for waiting in [each for each in self.waiting if each.until_ms < now_ms]:
            self._skip(waiting, LATE)
        while self.waiting:
            first = self.waiting[0] if len(self.waiting) == 1 else max(self.waiting, key=self._rank)
            if self.sounding is not None and not self._may_interrupt(first, self.sounding, now_ms):
                self._wait_for(self.sounding.waiting.planned, now_ms)
                return
            at_ms = max(now_ms, first.planned.planned_ms)
            admission = self._admit(first, at_ms)
            if admission.until_ms is None:
                self._skip(first, admission.why)
                continue
            if self.sounding is not None:
                self._interrupt(self.sounding, now_ms, first.planned)
            self.waiting.remove(first)
            ends_ms = min(at_ms + first.left_ms, admission.until_ms)
            self.sounding = _Sounding(first, at_ms, ends_ms, cut=ends_ms < at_ms + first.left_ms)

    @staticmethod
    def _may_interrupt(waiting: _Waiting, sounding: _Sounding, now_ms: int) -> bool:
        return interrupts(waiting.planned.item, sounding.waiting.planned.item) and waiting.planned.planned_ms <= now_ms

    def _admit(self, waiting: _Waiting, at_ms: int) -> Admission:
        if self._rules is None:
            return Admission(None, NO_RULES)
        if not waiting.left_ms:
            return Admission(None, MUTE)
        aired, sounding = self.aired, self.sounding
        if sounding is not None:
            aired = self._rules.heard(aired, sounding.begins_ms, at_ms)
        return self._rules.admit(at_ms, waiting.left_ms, aired)

    def _rank(self, waiting: _Waiting) -> Rank:
        planned = waiting.planned
        return rank(planned.item, planned.authority, planned.planned_ms, self._order)

    def _wait_for(self, other: Planned, now_ms: int) -> None:
        for each in self.waiting:
            if each.because is None and each.planned.planned_ms <= now_ms:
                each.because = other

    def _skip(self, waiting: _Waiting, why: str) -> None:
        self.waiting.remove(waiting)
        line = Line(planned=waiting.planned, outcome="skipped", why=why, because=waiting.because)
        self.lines.append((waiting.since_ms, line))

    def _end(self, sounding: _Sounding, now_ms: int, outcome: Outcome | None, because: Planned | None = None) -> None:
        self.sounding = None
        if self._rules is not None:
            self.aired = self._rules.heard(self.aired, sounding.begins_ms, now_ms)
        planned = sounding.waiting.planned
        late = sounding.begins_ms > planned.planned_ms + LATE_MS
        line = Line(
            planned=planned,
            outcome=outcome or ("late" if late else "plays"),
            begins_ms=sounding.begins_ms,
            ends_ms=now_ms,
            because=because or sounding.waiting.because,
        )
        self.lines.append((sounding.begins_ms, line))

    def _interrupt(self, sounding: _Sounding, now_ms: int, by: Planned) -> None:
        self._end(sounding, now_ms, "interrupted", by)
        item, waiting = sounding.waiting.planned.item, sounding.waiting
        gone_ms = now_ms - sounding.begins_ms
        if goes_on(item, waiting.left_ms - gone_ms):
            left_ms = waiting.left_ms - gone_ms if item.on_interrupt == "resume" else waiting.left_ms
            self.waiting.append(_Waiting(waiting.planned, now_ms, now_ms + grace_ms(item), left_ms, by))


def lay_out(planned: Sequence[Planned], rules: Rules | None, order: Order, aired: Aired | None = None) -> list[Line]:
    """What becomes of a node's occurrences if no emergency, STOP, exercise or fault comes between.

    In order of beginning (of what never begins: of beginning to wait). An interrupted bulletin that goes on later has a line
    for each time that it sounds, or a last one that says why it does not.
    """
    day = _Day(rules, order, aired or Aired())
    coming = sorted(planned, key=_time)
    leads = [each.planned_ms - LEAD_MS for each in coming] + [NEVER]
    number, now_ms = 0, 0
    while (now_ms := min(leads[number], day.next_ms(now_ms))) < NEVER:
        while leads[number] <= now_ms:
            day.comes(coming[number])
            number += 1
        day.settle(now_ms)
    return [line for _at_ms, line in sorted(day.lines, key=_at)]


def _time(planned: Planned) -> tuple[int, str, str, str]:
    return planned.planned_ms, planned.subject, planned.authority, planned.item.id


def _at(told: tuple[int, Line]) -> tuple[int, int]:
    return told[0], told[1].planned.planned_ms
