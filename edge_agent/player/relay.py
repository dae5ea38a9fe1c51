"""A relay as a play's part: what comes in from outside, and the fallback clip while nothing is heard of it.

Law 5 sets the times: the amplifier may be on for 5 s with nothing playing, and stays on for 1.5 s behind a play's end.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_agent.player.ear import Ear
from edge_agent.player.link import Link
from edge_agent.player.pcm import RATE, WIDTH, audioop, ramp, ratio, samples_of_ms, samples_of_ns
from edge_agent.player.score import Clip, Input, Stream
from edge_agent.player.sources import CUT_FADE, Source

LEAST_SILENCE_MS = 500
GIVE_UP = 3 * RATE
"""5 s less the 1.5 s of `power.LINGER_NS` and a margin: without a fallback the part ends after this."""
FALL_BACK = 11 * RATE // 4
CLIP_SILENT = 13 * RATE // 4
"""The fallback begins after 2.75 s at the latest: one that gives nothing must be found out and the part ended in time too."""
GRACE = RATE // 4
"""A source that has just begun may be silent for this long: an encoder's delay behind a slow amplifier is no dead carrier."""
PREPARE = RATE // 2
"""How long before it is due the fallback is opened, so that it is at hand, or known to be broken."""
SOON = FALL_BACK - PREPARE
RECENT = RATE // 2
PAUSE = RATE
"""Silence between two runs of the fallback."""

OpenClip = Callable[[Clip], Source]


class Relay:
    """One stretch of a relay. It gives nothing until it is first heard; then every sample asked for, silence included."""

    def __init__(self, part: Stream | Input, link: Link, open_clip: OpenClip, *, skip: int, early: bool) -> None:
        self.failed = False
        self._end = ""
        self._part = part
        self._link = link
        self._open_clip = open_clip
        self._patience = samples_of_ms(max(LEAST_SILENCE_MS, part.silence_ms))
        self._length = max(0, samples_of_ms(part.max_ms) - skip)
        self._given = 0
        self._skip = skip
        self._early = early
        self._begins_ns: int | None = None
        self._carried = self._ahead = 0
        self._begun = False
        self._clip: Source | None = None
        self._clip_on = False
        self._pausing = False
        self._spoilt = "" if part.fallback is not None else "no fallback"
        self._gains = ratio(part.gain_cdb), ratio(part.fallback.gain_cdb if part.fallback is not None else 0)
        self._live = Ear()
        self._out = Ear()
        self._back = False
        self._fell_s, self._why, self._falls, self._fallen = 0, "", 0, 0
        if early:
            link.tend(time.monotonic_ns())

    # --- the port

    @property
    def fault(self) -> str:
        """Why it failed, or what was not as it should be though something was heard."""
        return self._end or self._story()

    def turn(self, *, patient: bool, at_ns: int, quiet_ns: int) -> None:  # noqa: ARG002 - the port's signature
        """The source is opened now if it was not before. What was silent before counts for law 5, not for the part's patience."""
        self._begins_ns, self._carried = at_ns, samples_of_ns(quiet_ns)
        self._link.tend(time.monotonic_ns())

    def ready(self) -> bool:
        """Whether the source or the fallback can begin, or neither will."""
        if self._begun or self.over():
            return True
        if self._begins_ns is None:
            return False
        now_ns = time.monotonic_ns()
        self._link.tend(now_ns)
        since_ns = now_ns - self._begins_ns
        self._out.quiet, self._ahead = samples_of_ns(max(0, since_ns)), samples_of_ns(min(0, since_ns))
        if self._link.ready():
            return True
        self._watch_silence()
        return self._clip_on or self.failed

    def read(self, count: int) -> bytes:
        """The next stretch, from the one that is on."""
        if not self.ready() or self.over():
            return b""
        self._begun, self._ahead = True, 0
        self._link.tend(time.monotonic_ns())
        count = min(count, self._length - self._given)
        live = self._link.read(count).ljust(count * WIDTH, b"\0")
        self._live.hear(live)
        if self._clip_on or self._pausing:
            stretch = self._from_clip(count)
            self._out.hear(stretch)
        else:
            stretch = self._leveled(ramp(live, 0.0, 1.0) if self._back else live, self._gains[0])
            self._out.hear(live)
            self._back = False
        self._given += count
        self._watch_silence()
        return self._faded(stretch)

    def over(self) -> bool:
        """Whether its time is up, or it has failed."""
        return self._given >= self._length or self.failed

    def left(self) -> int:
        """Up to its longest."""
        return self._length - self._given

    def close(self) -> None:
        """Let go of source and fallback."""
        self._link.close()
        self._drop_clip()

    # --- the fallback

    def _watch_silence(self) -> None:
        """By how long nothing has been heard: make the fallback ready, put it on, or give up."""
        quiet = self._out.quiet
        self._carried = self._carried if quiet or not self._begun else 0
        unheard = quiet + self._carried + self._ahead if quiet >= GRACE or not self._begun else 0
        if self.over() or (quiet < self._patience - PREPARE and unheard < SOON):
            if self._clip is not None and not self._clip_on:
                self._drop_clip()  # it was only made ready, and sound came back
        elif self._clip_on:
            if quiet >= CLIP_SILENT:
                self._give_up("the fallback gives none")
        elif self._spoilt:
            if quiet >= self._patience or unheard >= GIVE_UP:
                self._give_up(self._spoilt)
        elif self._clip_ready() and (quiet >= (PAUSE if self._pausing else self._patience) or unheard >= FALL_BACK):
            self._put_on()

    def _clip_ready(self) -> bool:
        """Whether the fallback can begin; it is opened when it is not yet, and remembered as spoilt when it has a fault."""
        if self._clip is None and self._part.fallback is not None:
            self._clip = self._open_clip(self._part.fallback)
            self._clip.turn(patient=False, at_ns=0, quiet_ns=0)
        if self._clip is None or not self._clip.ready():
            return False
        if self._clip.over():
            self._spoilt = f"the fallback {self._clip.fault or 'is empty'}"
            self._drop_clip()
            return False
        return True

    def _put_on(self) -> None:
        if not self._pausing:
            self._falls += 1
            self._why = self._why or self._link.state
            self._fell_s = self._fell_s if self._falls > 1 else round((self._skip + self._given) / RATE)
        self._clip_on, self._pausing = True, False

    def _drop_clip(self) -> None:
        clip, self._clip = self._clip, None
        if clip is not None:
            clip.close()

    def _from_clip(self, count: int) -> bytes:
        """The fallback to its end, then a pause; the source is taken back when it gives real sound by then."""
        stretch = b""
        self._fallen += count
        if self._clip_on and self._clip is not None:
            stretch = self._leveled(self._clip.read(count), self._gains[1])
            if self._clip.over():
                self._drop_clip()
                self._clip_on, self._pausing = False, True
        if self._live.steady and self._live.quiet < RECENT and (self._pausing or self._out.quiet >= 2 * PAUSE):
            self._drop_clip()
            self._clip_on, self._pausing, self._back = False, False, True
        return stretch.ljust(count * WIDTH, b"\0")

    # --- the end

    def _give_up(self, why_no_fallback: str) -> None:
        self.failed = True
        silent_s = round((self._out.quiet + self._carried) / RATE, 1)
        self._end = f"relay: no sound for {silent_s:g} s and {why_no_fallback} ({self._link.state})"

    def _story(self) -> str:
        """What was not as it should be, though something was heard."""
        told = []
        if self._falls:
            times = f" ({self._falls} times, {self._fallen // RATE} s in all)" if self._falls > 1 else ""
            told.append(f"fallback from {self._fell_s} s on: {self._why}{times}")
        elif self._begun and self._link.losses:
            told.append(f"interrupted {self._link.losses} times: {self._link.trouble}")
        if self._link.dropped:
            told.append(f"{self._link.dropped * 1000 // RATE} ms left out to stay with the programme")
        return f"relay: {', '.join(told)}" if told else ""

    @staticmethod
    def _leveled(stretch: bytes, gain: float) -> bytes:
        return stretch if gain == 1.0 or not stretch else audioop.mul(stretch, WIDTH, gain)

    def _faded(self, stretch: bytes) -> bytes:
        """Bring the last 5 ms before its longest down to nothing."""
        after = self._length - self._given
        moving = min(CUT_FADE - after, len(stretch) // WIDTH)
        if moving <= 0:
            return stretch
        split = len(stretch) - moving * WIDTH
        return stretch[:split] + ramp(stretch[split:], (after + moving) / CUT_FADE, after / CUT_FADE)
