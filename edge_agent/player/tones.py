"""Synthesised sounds, each audible from its first sample on: chimes, siren, exercise pips, test tone."""

from __future__ import annotations

import math
import os
import sys
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import get_args

from edge_agent.player.pcm import RATE, WIDTH
from edge_agent.player.score import ToneName

VERSION = "1"
ATTACK = RATE * 2 // 1000
"""2 ms: no click, and still above -40 dBFS within 5 ms."""
PEAK = 0.5
"""-6 dBFS."""
TEST_PEAK = 0.1
TEST_PEAK_CDB = -2_000

OPEN_HZ = (523.25, 659.26, 783.99, 1046.50)
NOTE_S = 0.36
RING_S = 0.78
CHIME_PARTIALS = ((1.0, 1.0), (2.0, 0.28), (3.0, 0.1))


def _bell(hertz: float) -> list[float]:
    """One struck note that dies away."""
    partials = [(2 * math.pi * hertz * multiple / RATE, weight) for multiple, weight in CHIME_PARTIALS]
    count = int(RING_S * RATE)
    return [
        min(1.0, (n + 1) / ATTACK)
        * math.exp(-3.2 * n / RATE)
        * min(1.0, (count - n) / (8 * ATTACK))
        * sum(weight * math.cos(step * n) for step, weight in partials)
        for n in range(count)
    ]


def _chime(notes: Iterable[float]) -> list[float]:
    """Four notes, each struck while the one before still rings."""
    bells = [_bell(hertz) for hertz in notes]
    hop = int(NOTE_S * RATE)
    mix = [0.0] * (hop * (len(bells) - 1) + len(bells[-1]))
    for index, bell in enumerate(bells):
        for n, value in enumerate(bell, hop * index):
            mix[n] += value
    return mix


def _siren() -> list[float]:
    """A wail of 4 s between 400 and 1000 Hz; 2800 whole turns, so that it repeats without a seam."""
    period = 4 * RATE
    wobble = 2 * math.pi / period
    values = []
    for n in range(period):
        phase = 2 * math.pi * 700 * n / RATE - 300 / RATE / wobble * 2 * math.pi * math.sin(wobble * n)
        values.append(math.cos(phase) + 0.35 * math.cos(2 * phase) + 0.2 * math.cos(3 * phase))
    return values


def _exercise() -> list[float]:
    """Two short pips and a rest: nothing like the siren, nothing like a chime."""
    length = int(0.16 * RATE)
    pip = [min(1.0, (n + 1) / ATTACK, (length - n) / ATTACK) * math.cos(2 * math.pi * 988 * n / RATE) for n in range(length)]
    return pip + [0.0] * int(0.12 * RATE) + pip + [0.0] * int(0.56 * RATE)


def _test() -> list[float]:
    """1 kHz for a second; whole turns, so that it repeats without a seam."""
    return [math.cos(2 * math.pi * n / 48) for n in range(RATE)]


SCORES: dict[ToneName, Callable[[], list[float]]] = {
    "chime_open": lambda: _chime(OPEN_HZ),
    "chime_close": lambda: _chime(reversed(OPEN_HZ)),
    "siren": _siren,
    "exercise": _exercise,
    "test": _test,
}


def synthesise(name: ToneName) -> bytes:
    """The samples of one tone, at its fixed peak (-6 dBFS; the test tone -20)."""
    values = SCORES[name]()
    peak = TEST_PEAK if name == "test" else PEAK
    factor = peak * 32_767 / max(map(abs, values))
    return array("h", [round(value * factor) for value in values]).tobytes()


def prepare(cache: Path) -> dict[ToneName, bytes]:
    """All tones, from the cache folder, made there when missing (0.6 s of one core, once for an installation).

    Raises OSError.
    """
    folder = cache / f"tones-{VERSION}-{sys.byteorder}"
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _cached(folder / f"{name}.s16", name) for name in get_args(ToneName)}


def _cached(path: Path, name: ToneName) -> bytes:
    if path.exists():
        samples = path.read_bytes()
        if samples and len(samples) % WIDTH == 0:
            return samples
    samples = synthesise(name)
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_bytes(samples)
    fresh.replace(path)
    return samples
