"""The station's operating rules: open hours, sessions, maintenance, volumes. Pure; node and preview call the same.

None of it touches an emergency. A session is a run of bulletins with pauses of at most five minutes; it belongs to the local day
on which it begins.
"""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from protocol.documents import Station, StationBody
from protocol.recurrence import DAY_MS, WEEKDAYS, local, zone

SESSION_GAP_MS: Final = 300_000
AHEAD_DAYS: Final = 9
"""Open around the clock ends nowhere: then the end that is given lies over a week away."""
INSIDE_MS: Final = 1_000
"""So much may a bulletin sound past its end without counting as half inside: pauses and fades."""
NO_RULES: Final = "no operating rules: without hours only emergencies sound"
QUIET: Final = "quiet hours"


class Aired(Struct, frozen=True, gc=False):
    """What counts towards sessions: the day of the newest one, how many began on it, its own begin and the last sound's end."""

    day: int = 0
    sessions: int = 0
    begun_ms: int = 0
    ended_ms: int | None = None

    def joins(self, at_ms: int) -> bool:
        """Whether a sound at this instant belongs to the newest session."""
        return self.ended_ms is not None and self.begun_ms - SESSION_GAP_MS <= at_ms <= self.ended_ms + SESSION_GAP_MS


class Admission(Struct, frozen=True, gc=False):
    """Until when (UTC ms) a bulletin may sound; or why it may not begin."""

    until_ms: int | None
    why: str = ""


class StationHeld(Struct, frozen=True):
    """A station's rules somewhere: in a node's memory, or in the controller's."""

    digest: str
    station: Station


def station_of(held: Iterable[StationHeld], placed: str, chain: Iterable[str]) -> Station | None:
    """Whose rules hold on a node: those of its placement's station, else of the narrowest area of its chain that has any.

    Of several for one area the newest. `chain` goes from the widest area down to the node.
    """
    found: dict[str, StationHeld] = {}
    for each in held:
        known = found.get(each.station.subject)
        if known is None or (each.station.seq, each.digest) > (known.station.seq, known.digest):
            found[each.station.subject] = each
    wanted = [placed, *reversed(list(chain))]
    return next((found[area].station for area in wanted if area in found), None)


class Rules:
    """One station's rules as they hold for one node, which stands in `areas` (itself included)."""

    def __init__(self, body: StationBody, areas: Iterable[str]) -> None:
        self.body = body
        self.areas = frozenset(areas)
        self._tz = zone(body.tz)
        self._from_ms = self._to_ms = 0
        self._day = self._day_from_ms = self._day_to_ms = 0
        self._opens: list[int] = []
        self._closes: list[int] = []
        lower = [special.volume_cdb for special in body.special if special.area in self.areas]
        self.volume_cdb = body.volume_cdb + min(lower, default=0)

    def open_until(self, at_ms: int) -> int | None:
        """The end (UTC ms) of the open time that holds this instant, over adjoining hours and midnights; None when closed."""
        if not self._from_ms <= at_ms < self._to_ms - (AHEAD_DAYS - 1) * DAY_MS:
            self._look_ahead(at_ms)
        number = bisect_right(self._opens, at_ms) - 1
        return self._closes[number] if number >= 0 and at_ms < self._closes[number] else None

    def _look_ahead(self, at_ms: int) -> None:
        midnight = local(at_ms, self._tz).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        self._opens, self._closes = [], []
        for ahead in range(-1, 2 * AHEAD_DAYS):
            day = midnight + timedelta(days=ahead)
            name = WEEKDAYS[day.weekday()]
            for hours in sorted((h.from_min, h.to_min) for h in self.body.hours if name in h.days and h.from_min < h.to_min):
                begin, end = (_ms(day + timedelta(minutes=minute)) for minute in hours)
                if self._closes and begin <= self._closes[-1]:
                    self._closes[-1] = max(self._closes[-1], end)
                else:
                    self._opens.append(begin)
                    self._closes.append(end)
        self._from_ms, self._to_ms = _ms(midnight), _ms(midnight + timedelta(days=2 * AHEAD_DAYS))

    def maintained_until(self, at_ms: int) -> int | None:
        """Until when somebody works on this node or its area; None when nobody does."""
        ends = [work.until_ms for work in self.body.maintenance if work.area in self.areas and at_ms < work.until_ms]
        return max(ends, default=None)

    def why_quiet(self, at_ms: int) -> str:
        """Why nothing but an emergency may sound at an instant; empty when it may (exercises count in no session)."""
        if (until_ms := self.maintained_until(at_ms)) is not None:
            return f"maintenance until {self.clock_face(until_ms)}"
        return QUIET if self.open_until(at_ms) is None else ""

    def admit(self, at_ms: int, length_ms: int, aired: Aired) -> Admission:
        """Whether a bulletin of a length may begin at an instant, and until when it may sound at the most."""
        until_ms = self.open_until(at_ms)
        if until_ms is None or self.body.maintenance:
            if why := self.why_quiet(at_ms):
                return Admission(None, why)
            until_ms = until_ms or at_ms
        past = "its hours end"
        joins = aired.joins(at_ms)
        if not joins and self.body.sessions_a_day is not None and self._sessions(aired, at_ms) >= self.body.sessions_a_day:
            return Admission(None, f"the day's sessions are over: {self.body.sessions_a_day}")
        if self.body.session_max_min is not None:
            session_ends_ms = (aired.begun_ms if joins else at_ms) + self.body.session_max_min * 60_000
            if session_ends_ms < until_ms:
                until_ms, past = session_ends_ms, f"its session's {self.body.session_max_min} minutes end"
        if until_ms <= at_ms:
            return Admission(None, f"{past} at {self.clock_face(until_ms)}")
        if at_ms + length_ms > until_ms + INSIDE_MS and self.body.half_inside == "refuse":
            return Admission(None, f"half inside: {past} at {self.clock_face(until_ms)}")
        return Admission(until_ms)

    def _sessions(self, aired: Aired, at_ms: int) -> int:
        return aired.sessions if aired.day == self.day_of(at_ms) else 0

    def day_of(self, at_ms: int) -> int:
        """The local day of an instant, as a number."""
        if not self._day_from_ms <= at_ms < self._day_to_ms:
            midnight = local(at_ms, self._tz).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
            self._day_from_ms, self._day_to_ms = _ms(midnight), _ms(midnight + timedelta(days=1))
            self._day = midnight.toordinal()
        return self._day

    def heard(self, aired: Aired, begun_ms: int, ended_ms: int) -> Aired:
        """The same after something more was heard."""
        if aired.joins(begun_ms):
            return Aired(aired.day, aired.sessions, aired.begun_ms, max(aired.ended_ms or 0, ended_ms))
        return Aired(self.day_of(begun_ms), self._sessions(aired, begun_ms) + 1, begun_ms, ended_ms)

    def clock_face(self, at_ms: int) -> str:
        """Local time as people read it."""
        return f"{local(at_ms, self._tz):%H:%M}"


def _ms(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)
