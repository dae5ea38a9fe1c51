"""What became of one planned bulletin on one node, told by the node's own numbered records, and by their absence. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Final

from msgspec import Struct

from controller.actions.plan_views import Outcome
from controller.core.plan_history import Expected
from protocol.programme import LATE_MS
from protocol.seen import Slot

SILENT_CDB: Final = -6_000
"""-60 dBFS: what the node itself calls silent."""
NEARLY_WHOLE: Final = 0.9
LEAD_MS: Final = 2_000
"""A record is opened up to 1.5 s before its time."""
SLACK_MS: Final = 5_000
SETTLE_MS: Final = 120_000
"""A node that is back has told its records by then: they go out within seconds, twenty at a time."""
CLOCK_RANK: Final = {"good": 0, "holdover": 1, "attested": 2, "unknown": 3}
_OF_ENDING: Final[dict[str, Outcome]] = {
    "cut": "cut",
    "max": "cut",
    "stopped": "stopped",
    "failed": "failed",
    "skipped": "skipped",
    "interrupted": "interrupted",
}
DARK: Final = "dark"
AWAITED: Final = "records-awaited"
MEMORY_LOST: Final = "memory-lost"
RESTARTED: Final = "restarted"


class Play(Struct, frozen=True, gc=False):
    """One record as it is stored; `epoch` counts the memories that the node has had."""

    epoch: int
    record_id: int
    boot_count: int
    digest: str
    item: str
    area: str
    authority: str
    purpose: str
    planned_ms: int
    started_ms: int | None
    ended_ms: int | None
    ending: str
    reason: str
    rms_cdb: int | None
    silent_ms: int
    clock_state: str

    @property
    def opened_ms(self) -> int:
        """About when its number was drawn."""
        if self.started_ms is not None:
            return self.started_ms
        return self.ended_ms if self.ended_ms is not None else self.planned_ms

    @property
    def is_lost(self) -> bool:
        """A number whose record a failing card never took: the node tells it without a time, and it may have been anything."""
        return self.planned_ms == 0

    @property
    def sound_ms(self) -> int:
        """How long it sounded, heard or not."""
        return max(0, self.ended_ms - self.started_ms) if self.started_ms is not None and self.ended_ms is not None else 0

    @property
    def silent(self) -> bool:
        """It sounded, and its level says that nothing came out."""
        if not self.sound_ms:
            return False
        level = self.rms_cdb is not None and self.rms_cdb <= SILENT_CDB
        return level or self.silent_ms >= NEARLY_WHOLE * self.sound_ms

    @property
    def heard_ms(self) -> int:
        """How long it could be heard."""
        return 0 if self.silent else self.sound_ms


class Presence(Struct, frozen=True, kw_only=True):
    """How far a node's silence can be read: until when it was there, since when, and up to which record all are stored."""

    heard_until_ms: int
    back_since_ms: int
    epoch: int
    upto: int


class Verdict(Struct, frozen=True, gc=False):
    """What became of a planned bulletin, and why."""

    outcome: Outcome
    why: str = ""


class Evidence:
    """The records of one node by number, the one before and the one after included, and what their gaps prove."""

    def __init__(self, plays: Sequence[Play], presence: Presence, stored_ms: Mapping[str, int], now_ms: int) -> None:
        self.plays = plays
        self._presence = presence
        self._stored_ms = stored_ms
        self._now_ms = now_ms

    @cached_property
    def _opened(self) -> list[int]:
        return list(accumulate((play.opened_ms for play in self.plays), max))

    @cached_property
    def _of_slot(self) -> dict[Slot, list[Play]]:
        found: dict[Slot, list[Play]] = {}
        for play in self.plays:
            if play.purpose == "routine":
                found.setdefault(Slot("programme", play.area, play.authority), []).append(play)
        return found

    def of_absence(self, expected: Expected) -> Verdict:
        """There is no record of it."""
        over_ms = expected.last_ms + expected.long_ms
        if self._now_ms < over_ms + SETTLE_MS:
            return Verdict("pending")
        before = bisect_left(self._opened, expected.planned_ms - LEAD_MS) - 1
        after = bisect_right(self._opened, expected.last_ms + SLACK_MS)
        why = self._why_open(over_ms) if after == len(self.plays) else self._why_gap(before, after)
        if why:
            return Verdict("unknown", why)
        if self._held_older(expected):
            return Verdict("outdated")
        return Verdict("missing", RESTARTED if self._restarted(before, after) else "")

    def _why_gap(self, before: int, after: int) -> str:
        """Why records may be lacking between two; empty when their numbers leave no room."""
        last = self.plays[after]
        if any(play.is_lost for play in self.plays[before + 1 : after + 1]):
            return MEMORY_LOST
        if before < 0:
            first = self.plays[0]
            whole = first.record_id == 1 and first.epoch == last.epoch and last.record_id == after + 1
            return "" if whole else AWAITED
        first = self.plays[before]
        if first.epoch != last.epoch:
            return MEMORY_LOST
        return "" if last.record_id - first.record_id == after - before else AWAITED

    def _why_open(self, over_ms: int) -> str:
        """No later record: it is lacking only if the node was there afterwards, and told everything."""
        presence = self._presence
        if presence.heard_until_ms < max(over_ms, presence.back_since_ms) + SETTLE_MS:
            return DARK
        newest = self.plays[-1] if self.plays else None
        if newest is None:
            return "" if presence.upto == 0 and presence.epoch == 0 else AWAITED
        if newest.epoch != presence.epoch:
            return MEMORY_LOST
        return "" if newest.record_id <= presence.upto else AWAITED

    def _held_older(self, expected: Expected) -> bool:
        """The next it played of this slot came out of a version older than the one that counted."""
        counted_ms = self._stored_ms.get(expected.digest, 0)
        later = (play for play in self._of_slot.get(expected.slot, ()) if play.opened_ms > expected.planned_ms)
        following = next(later, None)
        return following is not None and self._stored_ms.get(following.digest, counted_ms) < counted_ms

    def _restarted(self, before: int, after: int) -> bool:
        if before < 0 or after >= len(self.plays):
            return False
        return self.plays[before].boot_count < self.plays[after].boot_count


def of_records(expected: Expected, plays: Sequence[Play]) -> Verdict:
    """What became of a bulletin that has records: interrupted and taken up again, they are one."""
    last = plays[-1]
    sounded = [play for play in plays if play.sound_ms]
    if sounded and all(play.silent for play in sounded) and last.ending not in ("failed", "skipped"):
        return Verdict("silent", last.reason)
    if any(play.ending == "played" for play in plays):
        begun_ms = min((play.started_ms for play in plays if play.started_ms is not None), default=expected.planned_ms)
        return Verdict("late" if begun_ms > expected.planned_ms + LATE_MS else "played")
    # one that gave way and found no time to go on was interrupted, not skipped
    if last.ending == "skipped" and any(play.ending == "interrupted" for play in plays):
        return Verdict("interrupted", last.reason)
    return Verdict(_OF_ENDING.get(last.ending, "failed"), last.reason)


def worst_clock(plays: Sequence[Play]) -> str:
    """The least trusted clock of some records."""
    return max((play.clock_state for play in plays), key=lambda state: CLOCK_RANK.get(state, len(CLOCK_RANK)))
