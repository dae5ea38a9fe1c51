"""Samples to figures: percentiles by nearest rank, a goal, and the peer or limit that was measured in the same run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

NS_A_MS = 1e6


class Limit(Struct, frozen=True):
    """What a figure stands beside: a peer's samples, and how many times their p99 the figure may be (None: only shown)."""

    name: str
    samples: Sequence[float]
    times: float | None = None


class Figure(Struct, frozen=True, kw_only=True):
    """One line of build/bench.json. `judged` names what is held against the goal; a sample that never came is infinite."""

    name: str
    unit: str
    n: int
    p50: float | None
    p99: float | None
    goal: float | None
    limit_name: str = ""
    limit_p99: float | None = None
    ratio: float | None = None
    holds: bool
    judged: str = "p99"
    value: float | None = None
    note: str = ""


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that so many percent do not exceed; infinite without samples."""
    if not samples:
        return math.inf
    return sorted(samples)[max(0, math.ceil(len(samples) * percent / 100) - 1)]


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def judge(
    name: str,
    samples: Sequence[float],
    *,
    unit: str = "ms",
    goal: float | None = None,
    limit: Limit | None = None,
    percent: float = 99,
    lost: int = 0,
    note: str = "",
) -> Figure:
    """A figure out of samples. `lost` ones count as infinitely late; without a goal or a limit it is shown, not judged."""
    every = [*samples, *([math.inf] * lost)]
    value = percentile(every, percent)
    ratio = limit_p99 = math.nan
    if limit is not None and limit.samples:
        limit_p99 = percentile(limit.samples, percent)
        ratio = value / limit_p99 if limit_p99 > 0 else math.inf
    beside = limit is not None and limit.times is not None
    holds = bool(every) and (goal is None or value <= goal)
    if beside and limit is not None and limit.times is not None:
        holds = holds and ratio <= limit.times
    said = [note] if note else []
    if beside and limit is not None:
        said.append(f"at most {limit.times} x {limit.name}")
    if lost:
        said.append(f"{lost} of {len(every)} never came")
    return Figure(
        name=name,
        unit=unit,
        n=len(every),
        p50=_finite(percentile(every, 50)),
        p99=_finite(percentile(every, 99)),
        goal=goal,
        limit_name=limit.name if limit else "",
        limit_p99=_finite(limit_p99),
        ratio=_finite(ratio),
        holds=holds,
        judged=f"p{percent:g}",
        value=_finite(value),
        note="; ".join(said),
    )


def ms(later_ns: float, earlier_ns: float) -> float:
    """Milliseconds between two instants."""
    return (later_ns - earlier_ns) / NS_A_MS
