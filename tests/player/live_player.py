"""A real player child for tests: orders in, reports kept, its WAV at hand."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from edge_agent.player import wire
from edge_agent.player.pcm import RATE
from edge_agent.player.score import Part, Play
from edge_agent.player.sinks import Origin
from tests.audio import Samples, read_wav

PATIENCE_S = 20


class LivePlayer:
    """The child process with a sink; reports are collected by a thread."""

    def __init__(self, sink: str, cache: Path, env: dict[str, str] | None = None, words: tuple[str, ...] = ()) -> None:
        self.wav = Path(sink.removeprefix("wav:").partition("?")[0])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge_agent.player", "--sink", sink, "--cache", str(cache), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | (env or {}),
        )
        self.reports: list[wire.Report] = []
        self._news = threading.Condition()
        self._ids = itertools.count(1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait(wire.Ready)

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._news:
                self.reports.append(wire.report(line))
                self._news.notify_all()

    def send(self, order: wire.Order) -> None:
        self.process.stdin.write(wire.line(order))
        self.process.stdin.flush()

    def start(self, *parts: Part, **more: object) -> int:
        play_id = next(self._ids)
        self.send(wire.Start(Play(play_id, parts, **more)))
        return play_id

    def wait(self, kind: type, play_id: int | None = None, **fields: object):
        """The first report of a kind, about a play, with these fields."""
        deadline = time.monotonic() + PATIENCE_S
        with self._news:
            while True:
                for report in self.reports:
                    wanted = fields if play_id is None else fields | {"play_id": play_id}
                    if isinstance(report, kind) and all(getattr(report, k) == v for k, v in wanted.items()):
                        return report
                assert time.monotonic() < deadline, f"no {kind.__name__} {fields} among {self.reports[-5:]}"
                self._news.wait(0.2)

    def ended(self, play_id: int) -> wire.Ended:
        return self.wait(wire.Ended, play_id)

    def play(self, *parts: Part, **more: object) -> tuple[wire.Ended, Samples]:
        """Play to the end; how it ended, and what was recorded from its first sample on."""
        play_id = self.start(*parts, **more)
        ended = self.ended(play_id)
        started = [r for r in self.reports if isinstance(r, wire.Started) and r.play_id == play_id]
        return ended, self.recorded(started[0].mono_ns, ended.mono_ns) if started else self.samples()[:0]

    def samples(self) -> Samples:
        """The recording; complete once the player rests."""
        time.sleep(0.15)
        return read_wav(self.wav)[1]

    def index(self, mono_ns: int) -> int:
        origin = msgspec.json.decode(self.wav.with_name(self.wav.name + ".json").read_bytes(), type=Origin)
        return round((mono_ns - origin.first_sample_mono_ns) * RATE / 1e9)

    def recorded(self, start_ns: int, end_ns: int) -> Samples:
        return self.samples()[self.index(start_ns) : self.index(end_ns)]

    def close(self) -> int:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait(10)
        self._reader.join(10)
        self.process.stdout.close()
        return status
