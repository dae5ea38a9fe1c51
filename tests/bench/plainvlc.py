"""The peer of timed starts: plain python-vlc, told to play at T, its first loud block stamped as it comes out."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import sys
import time
from pathlib import Path
from typing import Any, Self

import numpy as np

from tests.bench.ear import LOUD, RATE
from tests.bench.place import ROOT


class PlainVlc:
    """The peer's process as seen by a bench."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def __aenter__(self) -> Self:
        words = [sys.executable, "-m", "tests.bench.plainvlc", str(self._path)]
        pipe = asyncio.subprocess.PIPE
        self._child = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, cwd=ROOT)
        return self

    async def late_ms(self, at_mono_ns: int) -> float | None:
        """How late its first loud sample came out for a start at an instant; None when it never did."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{at_mono_ns}\n".encode())
        await self._child.stdin.drain()
        said = float(await self._child.stdout.readline())
        return said if said == said else None  # noqa: PLR0124  the peer says nan for silence

    async def __aexit__(self, *_exc: object) -> None:
        self._child.kill()
        await self._child.wait()


class Player:
    """One media player with amem callbacks, the way that a program without a mixer of its own would time a start."""

    def __init__(self, path: Path) -> None:
        import vlc

        self._instance: Any = vlc.Instance("--no-video", "--quiet")
        self._player: Any = self._instance.media_player_new()
        self._path = path
        self._first_ns = 0.0
        self._heard = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int64)(self._block)
        self._player.audio_set_callbacks(
            vlc.AudioPlayCb(ctypes.cast(self._heard, ctypes.c_void_p).value), None, None, None, None, None
        )
        self._player.audio_set_format("S16N", RATE, 1)

    def _block(self, _opaque: int, samples: int, count: int, _pts: int) -> None:
        now_ns = time.monotonic_ns()
        if self._first_ns:
            return
        loud = (
            np.abs(np.ctypeslib.as_array(ctypes.cast(samples, ctypes.POINTER(ctypes.c_int16)), (count,)).astype(np.int32)) >= LOUD
        )
        if loud.any():
            self._first_ns = now_ns + int(loud.argmax()) * 1e9 / RATE

    def late_ms(self, at_ns: int) -> float:
        """Play at an instant; milliseconds until the first loud sample (nan: none within a second)."""
        self._player.set_media(self._instance.media_new(str(self._path)))
        self._first_ns = 0.0
        time.sleep(max(0.0, (at_ns - time.monotonic_ns()) / 1e9))
        self._player.play()
        time.sleep(0.7)
        late_ms = (self._first_ns - at_ns) / 1e6 if self._first_ns else float("nan")
        self._player.stop()
        return late_ms


def main() -> None:
    """Answer each instant on standard input with a lateness."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    player = Player(parser.parse_args().path)
    for line in sys.stdin:
        sys.stdout.write(f"{player.late_ms(int(line))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
