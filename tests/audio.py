"""What a recording holds: read a WAV that is still being written, find the sound in it, measure it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int64]


def read_wav(path: Path | str) -> tuple[int, Samples]:
    """Rate and samples of a 16-bit mono WAV, as far as its header says that it is filled."""
    data = Path(path).read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(f"{path} is no WAV")
    at, rate = 12, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name == b"fmt ":
            _, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
            if (channels, bits) != (1, 16):
                raise ValueError(f"{path} has {channels} channels of {bits} bits")
        if name == b"data":
            usable = min(size, len(data) - at - 8) // 2 * 2
            return rate, np.frombuffer(data, "<i2", usable // 2, at + 8).astype(np.int64)
        at += 8 + size + size % 2
    raise ValueError(f"{path} holds no data")


def read_raw(path: Path | str) -> Samples:
    """Samples of a headerless 16-bit file."""
    data = Path(path).read_bytes()
    return np.frombuffer(data, "<i2", len(data) // 2).astype(np.int64)


def first_sound(samples: Samples, threshold_dbfs: float = -60.0) -> int | None:
    """Index of the first sample at or above a level; None without one."""
    loud = np.abs(samples) >= max(1.0, 32768 * 10 ** (threshold_dbfs / 20))
    return int(loud.argmax()) if loud.any() else None


def last_sound(samples: Samples, threshold_dbfs: float = -60.0) -> int | None:
    """Index of the last sample at or above a level; None without one."""
    at = first_sound(samples[::-1], threshold_dbfs)
    return None if at is None else len(samples) - 1 - at


def without_holes(samples: Samples, rate: int = 48_000) -> Samples:
    """A sound that has no pause of its own, without what a late machine left out: a sink keeps its place in time by zeros.

    A hole is at least 10 ms long; a block that is less late keeps its place.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (samples == 0).astype(int), [0]))))
    keep = np.ones(len(samples), dtype=bool)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        keep[start:end] = end - start < rate // 100
    return samples[keep]


def rms_dbfs(samples: Samples) -> float:
    """Level of the whole stretch (a full-scale sine is -3.01)."""
    if not len(samples):
        return -120.0
    return float(20 * np.log10(max(1e-6, np.sqrt(np.mean(np.square(samples.astype(float)))) / 32768)))


def peak_dbfs(samples: Samples) -> float:
    """Highest sample of the stretch."""
    return float(20 * np.log10(max(1e-6, np.abs(samples).max(initial=0) / 32768)))


def sounding_runs(samples: Samples, threshold_dbfs: float = -60.0, bridge: int = 480) -> list[tuple[int, int]]:
    """Stretches (first, last sample) of sound; gaps up to `bridge` samples do not part them."""
    loud = np.flatnonzero(np.abs(samples) >= max(1.0, 32768 * 10 ** (threshold_dbfs / 20)))
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > bridge)
    starts = np.concatenate(([loud[0]], loud[breaks + 1]))
    ends = np.concatenate((loud[breaks], [loud[-1]]))
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def best_shift(part: Samples, whole: Samples, around: int, reach: int) -> tuple[int, float]:
    """Where a part fits best in a recording near an index, and its mean error there in sample steps."""
    fits = [
        (float(np.abs(whole[at : at + len(part)] - part).mean()), at)
        for at in range(max(0, around - reach), around + reach + 1)
        if at + len(part) <= len(whole)
    ]
    error, at = min(fits)
    return at, error
