"""Plays what is ordered: amplifier first, then the child; a child that dies is replaced and goes on where it was."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge_agent.drivers.player.child import Child
from edge_agent.drivers.player.power import Power
from edge_agent.errors import SpeechUnavailable
from edge_agent.events import PartSounding, PlayEnded, PlayerLost, PlayerReady, PlayerReplaced, Sounding
from edge_agent.player import wire
from edge_agent.player.pcm import samples_of_ns
from edge_agent.player.score import Clip, How, InputName, Part, Play, Speech
from edge_agent.ports import Amplifier, Voice

log = logging.getLogger(__name__)

PlayerEvent = PlayerReady | Sounding | PartSounding | PlayEnded | PlayerLost | PlayerReplaced

INBOX = 64
MOST_PLAYS = 8
SPEECH_WAIT_MS = 3000
DEATHS = 5
WITHIN_S = 30.0
FLOOR_CDB = -12_000


class PlayerKeepsDying(RuntimeError):
    """Replacing the player does not help; the agent ends so that systemd starts everything anew."""


@dataclass(slots=True)
class Active:
    """A play from its order to its end, as far as is known here."""

    play: Play
    notes: list[str] = field(default_factory=list)
    sent: bool = False
    begun_ns: int | None = None
    rest_until_ns: int = 0
    progress: wire.Progress | None = None
    stopping: bool = False
    ducked: wire.Duck | None = None
    lives: int = 1

    def resumed(self, now_ns: int, lost_s: float | None) -> Play | None:
        """The rest of it, unheard since the player was lost; None when its time is used up."""
        play = self.play
        if self.begun_ns is None:
            return play
        max_ms = play.max_ms
        if max_ms is not None:
            max_ms -= (now_ns - self.begun_ns) // 1_000_000
            if max_ms <= 0:
                return None
        at = self.progress or wire.Progress(play.play_id, play.from_part, play.skip_samples)
        quiet_ms = 0 if lost_s is None else now_ns // 1_000_000 - round(lost_s * 1000)
        rest = {"from_part": at.part, "skip_samples": at.samples, "quiet_ms": max(0, quiet_ms)}
        return msgspec.structs.replace(play, at_mono_ns=None, max_ms=max_ms, **rest)


class PlayerDriver:
    """Owns the player's child and the amplifier. `run` belongs in a TaskGroup; the rest may be called at any time.

    Orders go through an inbox of 64; one that does not fit ends the play as failed (a stop is never dropped).
    """

    def __init__(
        self,
        *,
        sink: str,
        cache: Path,
        amplifier: Amplifier,
        voice: Voice,
        emit: Callable[[PlayerEvent], None],
        inputs: Mapping[InputName, str] | None = None,
    ) -> None:
        self._sink = sink
        self._cache = cache
        self._inputs = inputs or {}
        self._power = Power(amplifier)
        self._amplifier = amplifier
        self._voice = voice
        self._emit = emit
        self._inbox: deque[wire.Start | wire.Stop | wire.Duck] = deque()
        self._news = asyncio.Event()
        self._active: dict[int, Active] = {}
        self._child: Child | None = None
        self._group = asyncio.TaskGroup()
        self._ever_ready = False
        self._lost_s: float | None = None

    @property
    def pid(self) -> int | None:
        """The child's process, while there is one."""
        return self._child.process.pid if self._child is not None else None

    # --- orders

    def start(self, play: Play) -> None:
        """Play this, now or at its instant."""
        if len(self._inbox) >= INBOX:
            self._fail(play, "the player's inbox is full")
            return
        self._order(wire.Start(play))

    def stop(self, play_id: int, fade_ms: int = 5) -> None:
        """Fade a play out."""
        self._order(wire.Stop(play_id, fade_ms))

    def duck(self, play_id: int, gain_cdb: int, ramp_ms: int) -> None:
        """Bring a play to a level."""
        self._order(wire.Duck(play_id, gain_cdb, ramp_ms))

    def _order(self, order: wire.Start | wire.Stop | wire.Duck) -> None:
        self._inbox.append(order)
        self._news.set()

    # --- life

    async def run(self) -> None:
        """Play until cancelled. Raises PlayerKeepsDying, AmplifierFailed."""
        self._amplifier.off()
        try:
            async with self._group:
                self._group.create_task(self._obey(), name="player's orders")
                self._group.create_task(self._supervise(), name="player's supervisor")
        finally:
            self._amplifier.close()

    async def _supervise(self) -> None:
        """One child after another; too many in a short time end this driver."""
        deaths: deque[float] = deque(maxlen=DEATHS)
        while True:
            child = await Child.spawn(self._sink, self._cache, self._inputs, self._take)
            self._child = child
            try:
                reason = await child.life(first=not self._ever_ready)
            except asyncio.CancelledError:
                self._child = None
                await child.quit()
                raise
            self._child = None
            await child.bury()
            self._lost_s = child.sign_s if self._lost_s is None else self._lost_s
            log.error("the player is lost: %s", reason)
            self._emit(PlayerLost(reason, tuple(id_ for id_, active in self._active.items() if active.sent)))
            deaths.append(time.monotonic())
            if len(deaths) == DEATHS and deaths[-1] - deaths[0] < WITHIN_S:
                raise PlayerKeepsDying(f"{DEATHS} players died within {WITHIN_S:.0f} s, the last because {reason}")

    async def _obey(self) -> None:
        """Do what is ordered, and keep the amplifier's power agreeing with it."""
        while True:
            self._news.clear()
            while self._inbox:
                match self._inbox.popleft():
                    case wire.Start(play):
                        self._admit(play)
                    case wire.Stop() | wire.Duck() as order:
                        self._pass_on(order)
            wake_ns = self._conduct()
            wait_s = None if wake_ns is None else max(0.0, (wake_ns - time.monotonic_ns()) / 1e9)
            try:
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _admit(self, play: Play) -> None:
        if play.play_id in self._active:
            log.error("play %d is active: the second order is ignored", play.play_id)
            return
        if len(self._active) >= MOST_PLAYS:
            self._fail(play, "too many plays are active")
            return
        active = Active(play)
        active.play = msgspec.structs.replace(play, parts=tuple(self._spoken(part, active) for part in play.parts))
        self._active[play.play_id] = active

    def _pass_on(self, order: wire.Stop | wire.Duck) -> None:
        active = self._active.get(order.play_id)
        if active is None:
            return
        if isinstance(order, wire.Stop):
            active.stopping = True
        else:
            active.ducked = order
        if active.sent and self._child is not None and self._child.ready:
            self._child.send(order)
        elif active.stopping:
            self._end(active, "stopped")

    def _conduct(self) -> int | None:
        """Give power where it is due and hand plays over; return when to look again."""
        now = time.monotonic_ns()
        able = self._child is not None and self._child.ready
        wake = self._power.keep([self._needed_from(active) for active in self._active.values() if able], now)
        if self._amplifier.is_on:
            for active in self._active.values():
                if not active.sent and self._needed_from(active) <= now:
                    self._hand_over(active, active.play)
        pending = [need for active in self._active.values() if (need := self._needed_from(active)) > now]
        return min([*pending, *([] if wake is None else [wake])], default=None)

    def _needed_from(self, active: Active) -> int:
        """From when on a play needs the amplifier's power."""
        if active.sent and active.begun_ns is not None:
            return active.rest_until_ns - self._power.before_ns()
        at = active.play.at_mono_ns
        return 0 if at is None else at - self._power.before_ns()

    def _hand_over(self, active: Active, play: Play) -> None:
        """Order a play of the child, not before the amplifier is warm."""
        if self._child is None or not self._child.ready:
            return
        warm = self._power.warm_ns
        if warm > time.monotonic_ns() and (play.at_mono_ns is None or play.at_mono_ns < warm):
            play = msgspec.structs.replace(play, at_mono_ns=warm)
        active.sent = True
        self._child.send(wire.Start(play))
        if active.ducked is not None:
            self._child.send(active.ducked)

    # --- speech

    def _spoken(self, part: Part, active: Active) -> Part:
        """A text becomes the recording that is being made of it; one that cannot be said stays, and is reported."""
        if not isinstance(part, Speech):
            return part
        try:
            path = self._voice.path_of(part.lang, part.text)
        except SpeechUnavailable as error:
            active.notes.append(str(error))
            return part
        self._group.create_task(self._speak(part, active), name="speech")
        return Clip(str(path), wait_ms=SPEECH_WAIT_MS)

    async def _speak(self, part: Speech, active: Active) -> None:
        try:
            await self._voice.clip(part.lang, part.text)
        except SpeechUnavailable as error:
            active.notes.append(str(error))

    # --- reports

    def _take(self, report: wire.Report) -> None:
        """What the child says, in the agent's words."""
        match report:
            case wire.Ready():
                self._welcome()
            case wire.Beat(_, playing, _):
                for progress in playing:
                    if (active := self._active.get(progress.play_id)) is not None:
                        active.progress = progress
            case wire.Started() | wire.PartStarted() | wire.Ended():
                if (active := self._active.get(report.play_id)) is not None:
                    self._follow(active, report)

    def _follow(self, active: Active, report: wire.Started | wire.PartStarted | wire.Ended) -> None:
        match report:
            case wire.Started(play_id, mono_ns):
                if active.begun_ns is None:
                    active.begun_ns = mono_ns
                    self._emit(Sounding(play_id, mono_ns))
            case wire.PartStarted(play_id, part, mono_ns, rest_ms):
                active.rest_until_ns = mono_ns + rest_ms * 1_000_000 if rest_ms else 0
                self._emit(PartSounding(play_id, part, mono_ns))
                self._news.set()
            case wire.Ended():
                self._close(active, report)

    def _welcome(self) -> None:
        """A child can sound: the first, or one in place of another."""
        now = time.monotonic_ns()
        if not self._ever_ready:
            self._ever_ready = True
            self._emit(PlayerReady())
        resumed = []
        for active in list(self._active.values()):
            rest = active.resumed(now, self._lost_s)
            if active.stopping:
                self._end(active, "stopped")
            elif rest is None:
                self._end(active, "max")
            elif active.sent:
                active.lives += 1
                self._hand_over(active, rest)
                resumed.append(active.play.play_id)
        if self._lost_s is not None:
            self._emit(PlayerReplaced(round((time.monotonic() - self._lost_s) * 1000), tuple(resumed)))
            self._lost_s = None
        self._news.set()

    def _close(self, active: Active, ended: wire.Ended) -> None:
        del self._active[ended.play_id]
        notes = list(dict.fromkeys(active.notes))
        played = ended.played_samples
        if active.lives > 1 and active.begun_ns is not None:
            notes.append(f"the player was replaced {active.lives - 1} times, levels are since then")
            played = samples_of_ns(ended.mono_ns - active.begun_ns)
        fields = msgspec.structs.asdict(ended)
        at_mono_ns = fields.pop("mono_ns")
        fields |= {"reason": "; ".join(filter(None, [ended.reason, *notes])), "played_samples": played}
        self._emit(PlayEnded(at_mono_ns=at_mono_ns, **fields))
        self._news.set()

    def _end(self, active: Active, how: How) -> None:
        """End a play without the child's word."""
        play = active.play
        at = active.progress or wire.Progress(play.play_id, play.from_part, play.skip_samples)
        now = time.monotonic_ns()
        self._close(active, wire.Ended(at.play_id, how, "", now, at.samples, at.part, FLOOR_CDB, FLOOR_CDB, 0, at.samples))

    def _fail(self, play: Play, reason: str) -> None:
        log.error("play %d is refused: %s", play.play_id, reason)
        self._emit(PlayEnded(play.play_id, "failed", reason, time.monotonic_ns(), 0, 0, FLOOR_CDB, FLOOR_CDB, 0))
