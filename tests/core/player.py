"""A player that sounds in virtual time: parts have lengths, plays end, are faded out or reach their ceiling."""

from collections.abc import Callable
from dataclasses import dataclass, field

from edge_agent.commands import Align, Clip, Pause, Play, Speech, Tone
from edge_agent.events import Event, PartSounding, PlayEnded, Sounding

MS_NS = 1_000_000
LATENCY_NS = 5 * MS_NS
TONE_MS = 2_000
SPEECH_MS = 80
"""A letter."""


@dataclass
class Heard:
    """One play as an ear on the pole would tell it."""

    play: Play
    begin_ns: int
    parts: list[tuple[int, int]] = field(default_factory=list)
    end_ns: int = 0
    how: str = ""
    stopped: bool = False


class Player:
    """`later(at_ns, make_event)` is the world's clock."""

    def __init__(self, later: Callable[[int, Callable[[], Event | None]], None]) -> None:
        self._later = later
        self.active: dict[int, Heard] = {}
        self.heard: list[Heard] = []
        self.refuses = 0
        self.latency_ns = LATENCY_NS

    def start(self, play: Play, now_ns: int) -> None:
        if self.refuses:
            self.refuses -= 1
            self._later(now_ns, lambda: PlayEnded(play.play_id, "failed", "no sink", now_ns, 0, 0, -12_000, -12_000, 0))
            return
        assert play.play_id not in self.active, "told twice"
        begin_ns = max(now_ns + self.latency_ns, play.at_mono_ns or 0)
        heard = Heard(play, begin_ns)
        self.active[play.play_id] = heard
        at_ns = begin_ns
        for number, part in enumerate(play.parts):
            if number >= play.from_part:
                heard.parts.append((number, at_ns))
                at_ns += self._length_ns(part, at_ns) - (play.skip_samples * 1_000_000 // 48 if number == play.from_part else 0)
        ceiling_ns = begin_ns + play.max_ms * MS_NS if play.max_ms is not None else at_ns
        heard.end_ns = min(at_ns, ceiling_ns)
        how = "max" if ceiling_ns < at_ns else "ended"
        self._later(begin_ns, lambda: self._begin(heard))
        for number, part_ns in heard.parts:
            if part_ns < heard.end_ns:
                self._later(part_ns, lambda number=number, part_ns=part_ns: self._part(heard, number, part_ns))
        self._later(heard.end_ns, lambda: None if heard.stopped else self._end(heard, how))

    @staticmethod
    def _length_ns(part, at_ns: int) -> int:
        match part:
            case Tone():
                return TONE_MS * MS_NS
            case Speech(_, text):
                return len(text) * SPEECH_MS * MS_NS
            case Clip():
                return (part.samples or 48_000) * 1_000_000 // 48
            case Pause(ms):
                return ms * MS_NS
            case Align(origin, every_ms):
                return (origin - at_ns) % (every_ms * MS_NS)

    def _begin(self, heard: Heard) -> Event | None:
        if heard.stopped:
            return None
        self.heard.append(heard)
        return Sounding(heard.play.play_id, heard.begin_ns)

    def _part(self, heard: Heard, number: int, at_ns: int) -> Event | None:
        return None if heard.stopped else PartSounding(heard.play.play_id, number, at_ns)

    def stop(self, play_id: int, now_ns: int) -> None:
        heard = self.active.get(play_id)
        if heard is None or heard.stopped:
            return
        heard.stopped = True
        heard.end_ns = min(heard.end_ns, now_ns + self.latency_ns)
        self._later(heard.end_ns, lambda: self._end(heard, "stopped"))

    def _end(self, heard: Heard, how: str) -> Event:
        del self.active[heard.play.play_id]
        heard.how = how
        part, since_ns = max(
            ((n, at) for n, at in heard.parts if at <= heard.end_ns), default=(heard.play.from_part, heard.end_ns)
        )
        skip = heard.play.skip_samples if part == heard.play.from_part else 0
        samples = max(0, heard.end_ns - heard.begin_ns) * 48 // 1_000_000
        within = max(0, heard.end_ns - since_ns) * 48 // 1_000_000 + skip
        return PlayEnded(heard.play.play_id, how, "", heard.end_ns, samples, part, -2_000, -300, 0, within)
