"""One play being rendered: part after part without a gap, one block ahead of what is heard."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath

from edge_agent.player.fader import Fader
from edge_agent.player.meter import SILENT_BELOW, Meter
from edge_agent.player.pcm import (
    BLOCK,
    BLOCK_NS,
    FLOOR_CDB,
    RATE,
    SILENT_BLOCK,
    WIDTH,
    audioop,
    ns_of,
    ratio,
    samples_of_ms,
    samples_of_ns,
)
from edge_agent.player.relay import Relay
from edge_agent.player.score import Align, Clip, How, Input, Part, Pause, Play, Speech, Stream, Tone
from edge_agent.player.sources import MISSING, Nothing, Rest, Source
from edge_agent.player.wire import Ended, PartStarted, Progress, Report, Started

LEAD_NS = 100_000_000
"""The sink runs this long before a timed play, so that its clock is steady at the instant."""
PREPARE_SAMPLES = 2 * RATE
"""The next recording is opened when this much of the current part is left."""
EARLY_NS = 3_000_000_000
"""The first recording of a timed play is opened this long before its instant."""
CONNECT_SAMPLES = 5 * RATE
"""A radio server is connected to when this much of the part before is left."""
BRIDGED_NS, POWERED_NS = 4_000_000_000, 1_000_000_000
"""The amplifier stays on in a rest of up to 4 s; in a longer one it has power again for at most 1 s before the end."""
Open = Callable[[Part, int], Source]


@dataclass(slots=True)
class Held:
    """A rendered block that has not been sent yet."""

    samples: bytes
    sounding: list[tuple[int, int]]
    marks: list[tuple[int, PartStarted]]
    progress: Progress
    starts_at: int | None = None
    ends_at: int | None = None


def describe(index: int, part: Part) -> str:
    """A part as a person would name it."""
    match part:
        case Clip():
            return f"part {index + 1} ({PurePath(part.path).name})"
        case Tone():
            return f"part {index + 1} ({part.name})"
        case _:
            return f"part {index + 1}"


@dataclass(slots=True)
class Voice:
    """A play from its order to its end. Only the mixer's thread touches it."""

    play: Play
    open_source: Open
    begun: bool = False
    over: bool = False
    stopping: bool = False
    held: Held | None = None
    starved: int = 0
    reached: Progress = field(init=False)
    sent: int = 0
    _index: int = 0
    _in_part: int = 0
    _sounded: int = 0
    _loud_part: bool = False
    _marked: bool = False
    _part_gain: float = 1.0
    _current: Source | None = None
    _next: Source | None = None
    _meter: Meter = field(default_factory=Meter)
    _out: Fader = field(default_factory=Fader)
    _faults: list[str] = field(default_factory=list)
    _capped: bool = False
    _impatient: bool = False
    _broken: bool = False
    _last_ns: int = 0
    _heard_ns: int = field(default_factory=time.monotonic_ns)

    def __post_init__(self) -> None:
        self._index = self.play.from_part
        self._in_part = self.play.skip_samples
        self.reached = self._progress()
        self._heard_ns -= self.play.quiet_ms * 1_000_000
        if self._in_part:
            self._out = Fader(0.0, 1.0, samples_of_ms(self.play.fade_ms))

    # --- orders

    def stop(self, fade_ms: int) -> None:
        """Fade out what is held and what follows; a play that has not begun is simply over."""
        self.stopping = True
        if self.begun:
            self._out.move(0.0, samples_of_ms(fade_ms))
        else:
            self.over = True

    def duck(self, gain_cdb: int, ramp_ms: int) -> None:
        """Move to a level."""
        if not self.stopping:
            self._out.move(ratio(gain_cdb), samples_of_ms(ramp_ms))

    # --- when

    def prepare(self, now_ns: int) -> None:
        """Open the first recording in time."""
        at = self.play.at_mono_ns
        if self._current is None and not self.over and (at is None or at - now_ns <= self._early_ns):
            self._enter(now_ns if at is None else at)

    @property
    def _early_ns(self) -> int:
        """How long before its instant the first part is opened; an input of the board not before."""
        first = self.play.parts[self._index] if self._index < len(self.play.parts) else None
        return 0 if isinstance(first, Input) else EARLY_NS

    def wants_sink(self, now_ns: int) -> bool:
        """Whether it sounds, or would begin if the sink ran."""
        if self.begun or self.held is not None:
            return True
        at = self.play.at_mono_ns
        if self.over or self._current is None:
            return False
        return at - now_ns <= LEAD_NS if at is not None and at > now_ns else self._current.ready()

    def wait_ns(self, now_ns: int) -> int | None:
        """How long until it must be looked at again; None: when its source calls."""
        at = self.play.at_mono_ns
        if at is None or self.begun:
            return None
        if self._current is None:
            return max(0, at - now_ns - self._early_ns)
        return at - now_ns - LEAD_NS if at - now_ns > LEAD_NS else None

    # --- rendering

    def fill(self, block_ns: int) -> None:
        """Render the block whose first sample is heard at this instant, unless one is held."""
        if self.held is not None or self.over:
            return
        offset = 0 if self.begun else self._begin_offset(block_ns)
        if offset is None:
            return
        held = Held(bytes(offset * WIDTH), [], [], self._progress())
        self._render(held, offset, block_ns)
        if self.begun:
            held.samples = held.samples.ljust(BLOCK * WIDTH, b"\0")
            held.progress = self._progress()
            self.held = held

    def _begin_offset(self, block_ns: int) -> int | None:
        """Where in this block the play begins; None: not in this one."""
        self.prepare(block_ns)
        at = self.play.at_mono_ns or 0
        if at >= block_ns + BLOCK_NS or self._current is None or not self._current.ready():
            return None
        return min(BLOCK - 1, samples_of_ns(max(0, at - block_ns)))

    def _render(self, held: Held, offset: int, block_ns: int) -> None:
        pieces = [held.samples]
        at = offset
        while at < BLOCK and not self.over and (source := self._current) is not None:
            stretch = source.read(BLOCK - at)
            if stretch:
                pieces.append(self._heard(stretch, held, at, block_ns))
                at += len(stretch) // WIDTH
            if source.over():
                self._leave(block_ns + ns_of(at))
            elif not stretch:
                self.starved += self.begun and self._in_part > 0
                break
        held.samples = b"".join(pieces)
        if self.over:
            held.ends_at = at

    def _heard(self, stretch: bytes, held: Held, at: int, block_ns: int) -> bytes:
        """Account for a stretch of the current part and bring it to its level."""
        count = len(stretch) // WIDTH
        part = self.play.parts[self._index]
        resting = isinstance(part, Pause | Align)
        if not self.begun:
            self.begun = True
            held.starts_at = at
        if not self._marked:
            self._marked = True
            left = self._current.left() if resting and self._current is not None else None
            rest_ms = (count + (left or 0)) * 1000 // RATE if resting else 0
            held.marks.append((at, PartStarted(self.play.play_id, self._index, 0, rest_ms)))
        self._in_part += count
        self._look_ahead()
        if resting:
            return stretch
        self._sounded += count
        if audioop.max(stretch, WIDTH) >= SILENT_BELOW:
            self._loud_part = True
            self._heard_ns = block_ns + ns_of(at + count)
        held.sounding.append((at * WIDTH, (at + count) * WIDTH))
        return stretch if self._part_gain == 1.0 else audioop.mul(stretch, WIDTH, self._part_gain)

    # --- parts

    def _enter(self, at_ns: int) -> None:
        """Begin the part at the index, from where it is to begin."""
        if self._index >= len(self.play.parts):
            self._finish()
            return
        part = self.play.parts[self._index]
        gain_cdb = self.play.level_cdb + (part.gain_cdb if isinstance(part, Clip) else 0)
        self._part_gain = ratio(gain_cdb)
        self._marked = self._loud_part = False
        match part:
            case Pause(ms):
                self._current = self._rest(samples_of_ms(ms) - self._in_part, at_ns)
            case Align(origin, every_ms):
                self._current = self._rest(samples_of_ns((origin - at_ns) % (every_ms * 1_000_000)), at_ns)
            case Speech():
                self._current = Nothing("is text that nobody has spoken")
            case _:
                self._current, self._next = self._next or self.open_source(part, self._in_part), None
        begins_ns = max(at_ns, time.monotonic_ns())
        self._current.turn(patient=not self._impatient, at_ns=begins_ns, quiet_ns=max(0, begins_ns - self._heard_ns))

    def _rest(self, samples: int, at_ns: int) -> Rest:
        """Silence by intention; behind a long one the amplifier has been on only for its last second."""
        if ns_of(samples) > BRIDGED_NS:
            self._heard_ns = at_ns + ns_of(samples) - POWERED_NS
        return Rest(samples)

    def _leave(self, at_ns: int) -> None:
        """End the current part, keep what was wrong with it, begin the next."""
        part = self.play.parts[self._index]
        source, self._current = self._current, None
        fault = source.fault if source is not None else ""
        if not fault and self._in_part and not self._loud_part and isinstance(part, Clip | Tone):
            fault = "was silent throughout"
        self._impatient = self._impatient or fault == MISSING
        if fault:
            self._faults.append(fault if isinstance(part, Stream | Input) else f"{describe(self._index, part)} {fault}")
        if source is not None:
            self._broken = self._broken or source.failed
            source.close()
        self._index += 1
        self._in_part = 0
        self._enter(at_ns)

    def _look_ahead(self) -> None:
        """Open the next recording while this part still sounds, so that no gap is heard."""
        following = self._index + 1
        if self._next is None and following < len(self.play.parts) and self._current is not None:
            left, part = self._current.left(), self.play.parts[following]
            early = PREPARE_SAMPLES if isinstance(part, Clip) else CONNECT_SAMPLES if isinstance(part, Stream) else 0
            if left is not None and left < early:
                self._next = self.open_source(part, 0)

    def _finish(self) -> None:
        self.over = True
        if isinstance(self._current, Relay) and self._current.fault:
            self._faults.append(self._current.fault)
        for source in (self._current, self._next):
            if source is not None:
                source.close()
        self._current = self._next = None

    # --- sending

    def preview(self) -> bytes | None:
        """The held block as loud as it may be sent."""
        if self.held is None:
            return None
        highest = self._out.highest
        return self.held.samples if highest == 1.0 else audioop.mul(self.held.samples, WIDTH, highest)

    def take(self, block_ns: int, reports: list[Report]) -> bytes:
        """The held block as it is sent now; what begins or ends in it is added to the reports."""
        held, self.held = self.held, None
        if held is None:
            return SILENT_BLOCK
        self._cap()
        samples = self._out.apply(held.samples)
        for start, end in held.sounding:
            self._meter.hear(samples[start:end])
        if held.starts_at is not None:
            reports.append(Started(self.play.play_id, block_ns + ns_of(held.starts_at)))
        reports += [PartStarted(m.play_id, m.part, block_ns + ns_of(at), m.rest_ms) for at, m in held.marks]
        last = BLOCK if held.ends_at is None else held.ends_at
        self.sent += last - (held.starts_at or 0)
        self._last_ns = block_ns + ns_of(last)
        self.reached = held.progress
        if (self.stopping or self._capped) and self._out.at_rest:
            self._finish()
        return samples

    def _cap(self) -> None:
        """In the last block that the ceiling allows: fade out before it."""
        if self.play.max_ms is None or self.over or self._capped:
            return
        left = samples_of_ms(self.play.max_ms) - self.sent
        if left <= BLOCK:
            self._capped = True
            self._out.move(0.0, max(0, min(left, samples_of_ms(self.play.fade_ms))))

    def _progress(self) -> Progress:
        return Progress(self.play.play_id, min(self._index, len(self.play.parts)), self._in_part)

    @property
    def done(self) -> bool:
        """Whether all of it has been sent."""
        return self.over and self.held is None

    def ended(self, now_ns: int) -> Ended:
        """How it went."""
        self._finish()
        how: How = "ended"
        if self.stopping:
            how = "stopped"
        elif self._capped:
            how = "max"
        elif self._broken or (self._faults and not self._sounded):
            how = "failed"
        return Ended(
            play_id=self.play.play_id,
            how=how,
            reason="; ".join(self._faults),
            mono_ns=self._last_ns or now_ns,
            played_samples=self.sent,
            part=max(0, min(self.reached.part, len(self.play.parts) - 1)),
            rms_cdb=self._meter.rms_cdb if self._sounded else FLOOR_CDB,
            peak_cdb=self._meter.peak_cdb,
            silent_ms=self._meter.silent_ms,
            part_samples=self.reached.samples,
        )
