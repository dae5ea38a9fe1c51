"""A real HTTP server of a radio programme, that can be told to stall, fall silent, close, refuse, lie or never end."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from edge_agent.player.pcm import RATE
from tests.audio import Samples, rms_dbfs

BYTES_A_SECOND = 8_000
"""MP3 of 64 kbit/s: every frame is 24 ms and 192 bytes."""
HALF_S = BYTES_A_SECOND // 2
STEP = RATE // 40


@dataclass
class Manner:
    """How one request is answered: a programme of (what, seconds), then `then`; the first seconds come at once."""

    programme: tuple[tuple[str, float], ...] = (("tone", 60.0),)
    then: str = "stall"
    burst_s: float = 1.5
    fast: bool = False
    head: str = "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n"
    body: bytes | None = None
    pace: int = BYTES_A_SECOND
    endless_head: bool = False
    mute: bool = False


@dataclass
class Radio:
    """`manners` are used up one per connection; then it is as `usual`."""

    sounds: dict[str, bytes]
    usual: Manner = field(default_factory=Manner)
    manners: list[Manner] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    given: int = 0
    ending: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.ending.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}/radio"

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while not self.ending.is_set():
                peer, _ = self._server.accept()
                thread = threading.Thread(target=self._answer, args=(peer,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _answer(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            peer.settimeout(1)
            peer.recv(4096)
            manner = self.manners.pop(0) if self.manners else self.usual
            self.asked.append(time.monotonic())
            if manner.mute:
                self.ending.wait(30)
            while manner.endless_head and not self.ending.is_set():
                peer.sendall(b"X-Filler: " + b"x" * 90 + b"\r\n")
            peer.sendall(manner.head.encode())
            self._give(peer, manner)
            if manner.then == "stall":
                self.ending.wait(30)

    def _give(self, peer: socket.socket, manner: Manner) -> None:
        content = manner.body if manner.body is not None else self._content(manner)
        began, sent = time.monotonic(), 0
        while (sent < len(content) or manner.fast) and not self.ending.is_set():
            due = int((manner.burst_s + time.monotonic() - began) * manner.pace)
            if not manner.fast and due <= sent:
                self.ending.wait(0.02)
                continue
            at = sent % len(content)
            piece = content[at : at + min(8_192, due - sent if not manner.fast else 8_192)]
            peer.sendall(piece)
            sent += len(piece)
            self.given += len(piece)

    def _content(self, manner: Manner) -> bytes:
        pieces = []
        for name, seconds in manner.programme:
            sound, wanted = self.sounds[name], int(seconds * BYTES_A_SECOND)
            pieces.append((sound * (wanted // len(sound) + 1))[:wanted])
        return b"".join(pieces)


def encode(folder: Path, name: str, source: str, *options: str) -> bytes:
    """A sound that ffmpeg makes, as it encodes it."""
    words = ("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-ac", "1", *options, str(folder / name))
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return (folder / name).read_bytes()


def radio_sounds(folder: Path) -> dict[str, bytes]:
    """440 Hz and silence as MP3 frames."""
    mp3 = ("-ar", "48000", "-c:a", "libmp3lame", "-b:a", "64k", "-write_xing", "0", "-id3v2_version", "0")
    return {
        "tone": encode(folder, "tone.mp3", "sine=frequency=440:sample_rate=48000:duration=6", *mp3),
        "silence": encode(folder, "silence.mp3", "anullsrc=sample_rate=48000:duration=6:channel_layout=mono", *mp3),
    }


def spelled(samples: Samples) -> str:
    """What is heard, a letter for each 25 ms: R the radio's 440 Hz, F the fallback's 880 Hz, a dot silence, ? anything else."""
    letters = []
    for at in range(0, len(samples) - STEP + 1, STEP):
        piece = samples[at : at + STEP].astype(float)
        if rms_dbfs(piece) < -60:
            letters.append(".")
            continue
        hertz = int(np.abs(np.fft.rfft(piece * np.hanning(STEP), RATE)).argmax())
        letters.append("R" if abs(hertz - 440) < 25 else "F" if abs(hertz - 880) < 25 else "?")
    return "".join(letters)


def runs(samples: Samples) -> list[tuple[str, float]]:
    """What is heard one after the other, and for how many seconds; a letter in between two runs is their border."""
    found: list[tuple[str, float]] = []
    word = spelled(samples)
    at = 0
    while at < len(word):
        end = at
        while end < len(word) and word[end] == word[at]:
            end += 1
        if end - at >= 3:
            if found and found[-1][0] == word[at]:
                found[-1] = (word[at], found[-1][1] + (end - at) * STEP / RATE)
            else:
                found.append((word[at], (end - at) * STEP / RATE))
        at = end
    return found
