"""The thread that owns time: takes orders, renders every play, hands blocks to the sink when they are due."""

from __future__ import annotations

import gc
import logging
import os
import queue
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.player.capture import InputFeed
from edge_agent.player.clips import ClipSource
from edge_agent.player.limiter import HEADROOM, Limiter, add
from edge_agent.player.link import Link
from edge_agent.player.loader import Loader
from edge_agent.player.outlet import Outlet
from edge_agent.player.pcm import BLOCK_NS, FLOOR_CDB, SILENT_BLOCK, samples_of_ms
from edge_agent.player.relay import Relay
from edge_agent.player.score import Clip, Input, InputName, Part, Play, Stream, Tone, ToneName, stream_fault
from edge_agent.player.sinks import Sink
from edge_agent.player.sources import Nothing, Source, ToneSource
from edge_agent.player.streams import StreamFeed
from edge_agent.player.voice import Voice
from edge_agent.player.wire import Beat, Duck, Ended, Order, Quit, Report, Start, Stop

log = logging.getLogger(__name__)

BEAT_NS = 250_000_000
LOADER_DEADLINE_NS = 2_000_000_000
INPUT_START_MS = 3_000
BURST = 4
"""Blocks written without looking at orders, at most."""
EX_SOFTWARE = 70


@dataclass(slots=True)
class Mixer:
    """Everything that sounds. `run` ends after Quit."""

    sink: Sink
    outlet: Outlet
    tones: Mapping[ToneName, bytes]
    inputs: Mapping[InputName, str] = field(default_factory=dict)
    confined: bool = True
    loader: Loader = field(init=False)
    _orders: queue.SimpleQueue[Order | None] = field(default_factory=queue.SimpleQueue)
    _voices: list[Voice] = field(default_factory=list)
    _limiter: Limiter = field(default_factory=Limiter)
    _reports: list[Report] = field(default_factory=list)
    _sounding: bool = False
    _drained_at_ns: int | None = None
    _beat_at_ns: int = 0
    _starved: int = 0

    def __post_init__(self) -> None:
        self.loader = Loader(self.wake)

    def order(self, order: Order) -> None:
        """Take an order; from any thread."""
        self._orders.put(order)

    def wake(self) -> None:
        """Something has changed; from any thread."""
        self._orders.put(None)

    # --- the loop

    def run(self) -> None:
        """Sound until Quit. Raises SinkFailed, AgentGone."""
        self.loader.start()
        while self._take_orders():
            self._sound()
            self._beat()
        for voice in self._voices:
            self._reports.append(voice.ended(time.monotonic_ns()))
        self._send_reports()
        self.sink.close()

    def _take_orders(self) -> bool:
        """Wait until something is to be done, do what is ordered; False after Quit."""
        wait_ns = self._wait_ns()
        try:
            order = self._orders.get(timeout=wait_ns / 1e9) if wait_ns > 0 else self._orders.get_nowait()
            while True:
                if isinstance(order, Quit):
                    return False
                if order is not None:
                    self._obey(order)
                order = self._orders.get_nowait()
        except queue.Empty:
            return True

    def _wait_ns(self) -> int:
        now = time.monotonic_ns()
        waits = [self._beat_at_ns - now]
        if self._sounding:
            waits.append(self.sink.due_ns() if self._drained_at_ns is None else self._drained_at_ns - now)
        else:
            waits += [wait for voice in self._voices if (wait := voice.wait_ns(now)) is not None]
        return min(waits)

    def _obey(self, order: Start | Stop | Duck | Quit) -> None:
        match order:
            case Start(play):
                self._start(play)
            case Stop(play_id, fade_ms):
                for voice in self._voices:
                    if voice.play.play_id == play_id:
                        voice.stop(fade_ms)
            case Duck(play_id, gain_cdb, ramp_ms):
                for voice in self._voices:
                    if voice.play.play_id == play_id:
                        voice.duck(gain_cdb, ramp_ms)

    def _start(self, play: Play) -> None:
        now = time.monotonic_ns()
        if any(voice.play.play_id == play.play_id for voice in self._voices):
            log.error("play %d is already here: the second order is ignored", play.play_id)
            return
        if len(self._voices) >= HEADROOM:
            reason = f"{HEADROOM} plays are active already"
            self.outlet.send(Ended(play.play_id, "failed", reason, now, 0, 0, FLOOR_CDB, FLOOR_CDB, 0))
            return
        voice = Voice(play, self._open)
        self._voices.append(voice)
        voice.prepare(now)

    def _open(self, part: Part, skip: int) -> Source:
        match part:
            case Tone(name, duration_ms):
                length = None if duration_ms is None else samples_of_ms(duration_ms)
                return ToneSource.of(self.tones[name], length, skip)
            case Clip():
                return ClipSource(part, skip, self.loader)
            case Stream():
                return self._open_stream(part, skip)
            case Input():
                return self._open_input(part, skip)
            case _:
                return Nothing("cannot be opened")

    def _open_stream(self, part: Stream, skip: int) -> Source:
        fault = stream_fault(part.url)
        if not self.confined:
            fault = "libVLC is not Debian's here and could be led to local files, so no stream is opened"
        if fault:
            return Nothing(f"relay: {fault}", failed=True)
        link = Link(lambda: StreamFeed(part.url, self.loader), max(1_000, part.start_ms))
        return Relay(part, link, self._open_clip, skip=skip, early=True)

    def _open_input(self, part: Input, skip: int) -> Source:
        device = self.inputs.get(part.source)
        if device is None:
            name = "FM" if part.source == "fm" else part.source
            return Nothing(f"relay: this node has no {name} input (node.toml, [board], key {part.source})", failed=True)
        link = Link(lambda: InputFeed(device, self.loader), INPUT_START_MS)
        return Relay(part, link, self._open_clip, skip=skip, early=False)

    def _open_clip(self, clip: Clip) -> Source:
        return ClipSource(clip, 0, self.loader)

    # --- sound

    def _sound(self) -> None:
        now = time.monotonic_ns()
        for voice in self._voices:
            voice.prepare(now)
        if any(voice.wants_sink(now) for voice in self._voices):
            self._sounding, self._drained_at_ns = True, None
            for _ in range(BURST):
                if self.sink.due_ns() > 0:
                    break
                self._write_block()
        elif self._sounding:
            self._come_to_rest(now)
        self._bury(now)

    def _write_block(self) -> None:
        """Mix the block that is due, with an eye on the one after it."""
        at = self.sink.next_ns()
        for voice in self._voices:
            voice.fill(at)
        current = add([voice.take(at, self._reports) for voice in self._voices if voice.held is not None])
        for voice in self._voices:
            voice.fill(at + BLOCK_NS)
        following = add([block for voice in self._voices if (block := voice.preview()) is not None])
        self.sink.write(self._limiter.pass_through(current, following))
        self._send_reports()

    def _come_to_rest(self, now: int) -> None:
        """One block of silence behind the last sample, then wait until all has been heard."""
        if self._drained_at_ns is None:
            self.sink.write(SILENT_BLOCK)
            self._drained_at_ns = self.sink.next_ns()
        elif now >= self._drained_at_ns:
            self.sink.idle()
            self._limiter.gain = 1.0
            self._sounding, self._drained_at_ns = False, None
            gc.collect()

    def _bury(self, now: int) -> None:
        for voice in [voice for voice in self._voices if voice.done]:
            self._voices.remove(voice)
            self._starved += voice.starved
            self._reports.append(voice.ended(now))
        self._send_reports()

    # --- reports

    def _send_reports(self) -> None:
        for report in self._reports:
            self.outlet.send(report)
        self._reports.clear()

    def _beat(self) -> None:
        now = time.monotonic_ns()
        if now < self._beat_at_ns:
            return
        self._beat_at_ns = now + BEAT_NS
        busy = self.loader.busy_since_ns
        if busy is not None and now - busy > LOADER_DEADLINE_NS:
            log.error("libVLC has not answered for %d ms: the player ends to be replaced", (now - busy) // 1_000_000)
            os._exit(EX_SOFTWARE)
        starved = self._starved + sum(voice.starved for voice in self._voices)
        playing = tuple(voice.reached for voice in self._voices if voice.begun)
        self.outlet.send(Beat(now, playing, self.sink.underruns + starved))
