"""Samples: 48 kHz mono, 16 bit signed in the machine's order, in blocks of 10 ms."""

from __future__ import annotations

import math
import sys
import warnings
from array import array

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop  # 3.11 and 3.12 have it and say that it goes; 3.13 gets it from audioop-lts

__all__ = ["BLOCK", "BLOCK_BYTES", "BLOCK_NS", "FLOOR_CDB", "RATE", "WIDTH", "audioop"]

RATE = 48_000
WIDTH = 2
BLOCK = RATE // 100
BLOCK_BYTES = BLOCK * WIDTH
BLOCK_NS = 10_000_000
FULL_SCALE = 32_768
FLOOR_CDB = -12_000
"""What a level of nothing at all is called: below the smallest sample (-90.3 dBFS)."""

SILENT_BLOCK = bytes(BLOCK_BYTES)


def ns_of(samples: int) -> int:
    """How long so many samples last."""
    return samples * 1_000_000_000 // RATE


def samples_of_ns(ns: int) -> int:
    """How many samples lie in so long a time, to the nearest."""
    return (ns * RATE + 500_000_000) // 1_000_000_000


def samples_of_ms(ms: int) -> int:
    """How many samples lie in so many milliseconds."""
    return ms * RATE // 1000


def ratio(cdb: int) -> float:
    """The factor of a gain given in hundredths of a decibel."""
    return 1.0 if cdb == 0 else 10.0 ** (cdb / 2000)


def cdb(amplitude: float) -> int:
    """The level of an amplitude of 16-bit samples, in hundredths of dBFS."""
    return FLOOR_CDB if amplitude <= 0 else max(FLOOR_CDB, round(2000 * math.log10(amplitude / FULL_SCALE)))


def ramp(samples: bytes, start: float, end: float) -> bytes:
    """The samples under a gain that moves in a straight line, sample by sample.

    About 50 us for 10 ms: used only while a gain really moves.
    """
    values = array("h", samples)
    step = (end - start) / len(values)
    return array("h", [int(value * (start + step * index)) for index, value in enumerate(values, 1)]).tobytes()


def to_little_endian(samples: bytes) -> bytes:
    """The samples as a WAV file wants them."""
    return samples if sys.byteorder == "little" else audioop.byteswap(samples, WIDTH)
