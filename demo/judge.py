"""Judges the demo from its recordings alone: what was heard, where, when, how loud, and what was not to be heard."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_agent.player.tones import synthesise

RATE: Final = 48_000
HEAD_S: Final = 3.0
"""A bulletin is recognised by its first three seconds."""
ALIKE: Final = 0.6
"""Correlation of the same recording through encoder, mixer and limiter is above 0.9; of other speech below 0.2."""
SILENT_DBFS: Final = -60.0

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recording:
    """A WAV of a node, with the wall time (UTC ms) of its first sample."""

    samples: Samples
    first_ms: float

    def at_ms(self, index: int) -> float:
        """The wall time of a sample."""
        return self.first_ms + index * 1000 / RATE

    def index(self, at_ms: float) -> int:
        """The sample at a wall time, inside the recording."""
        return int(min(max((at_ms - self.first_ms) * RATE / 1000, 0), len(self.samples)))

    def between(self, from_ms: float, to_ms: float) -> Samples:
        """The samples of a stretch of time."""
        return self.samples[self.index(from_ms) : self.index(to_ms)]


def read(path: Path) -> Recording:
    """Read a node's WAV by its sidecar (its header is 44 bytes; the file may still be growing)."""
    sidecar = json.loads(Path(f"{path}.json").read_text())
    raw = path.read_bytes()[44:]
    samples = np.frombuffer(raw[: len(raw) // 2 * 2], "<i2").astype(np.float64) / 32768
    offset_ns = time.time_ns() - time.monotonic_ns()
    return Recording(samples, (sidecar["first_sample_mono_ns"] + offset_ns) / 1e6)


def decode(path: Path) -> Samples:
    """The samples of a prepared recording, decoded by another program than the player's."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-"]
    raw = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    return np.frombuffer(raw, "<i2").astype(np.float64) / 32768


def opening_chime() -> Samples:
    """The sound that every emergency begins with."""
    return np.frombuffer(synthesise("chime_open"), "<i2").astype(np.float64) / 32768


def find(samples: Samples, pattern: Samples) -> tuple[int, float]:
    """Where a pattern fits best, and how well (normalised correlation, 1 is the same)."""
    if len(samples) < len(pattern):
        return 0, 0.0
    size = 1 << int(np.ceil(np.log2(len(samples) + len(pattern))))
    product = np.fft.irfft(np.fft.rfft(samples, size) * np.conj(np.fft.rfft(pattern, size)), size)
    product = product[: len(samples) - len(pattern) + 1]
    energy = np.concatenate(([0.0], np.cumsum(samples**2)))
    window = energy[len(pattern) :] - energy[: len(energy) - len(pattern)]
    norm = np.sqrt(np.maximum(window, 1e-9) * np.sum(pattern**2))
    score = np.where(window > 1e-4, product / norm, 0.0)
    best = int(np.argmax(score))
    return best, float(score[best])


def level_dbfs(samples: Samples) -> float:
    """RMS level; -120 for nothing."""
    return float(20 * np.log10(max(1e-6, np.sqrt(np.mean(samples**2))))) if len(samples) else -120.0


def last_sound_ms(recording: Recording) -> float | None:
    """When the last audible sample was."""
    loud = np.flatnonzero(np.abs(recording.samples) > 10 ** (SILENT_DBFS / 20))
    return recording.at_ms(int(loud[-1])) if len(loud) else None


@dataclass(frozen=True, slots=True)
class Day:
    """What was planned and done, by the wall clock (UTC ms)."""

    bulletin: Path
    planned_ms: float
    confirmed_ms: float
    stopped_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a node, what it should do, what was heard, and whether that is right."""

    node: str
    what: str
    at_ms: float | None
    start_error_ms: float | None
    confirm_to_sound_ms: float | None
    level_dbfs: float | None
    right: bool
    remark: str = ""


def bulletin(name: str, recording: Recording, day: Day, *, whole: bool) -> Row:
    """The bulletin was heard, at its time; and to its end where nothing interrupted it."""
    pattern = decode(day.bulletin)
    head = pattern[: int(HEAD_S * RATE)]
    index, alike = find(recording.samples, head)
    if alike < ALIKE:
        return Row(name, "bulletin", None, None, None, None, right=False, remark=f"not heard (likeness {alike:.2f})")
    at_ms = recording.at_ms(index)
    error_ms = at_ms - day.planned_ms
    right, remark = abs(error_ms) < 100, f"likeness {alike:.2f}"
    if whole:
        tail_index, tail = find(recording.samples, pattern[-int(HEAD_S * RATE) :])
        expected = index + len(pattern) - int(HEAD_S * RATE)
        right = right and tail >= ALIKE and abs(tail_index - expected) <= 2
        remark += ", to its end" if right else ", its end is missing"
    level = level_dbfs(recording.samples[index : index + len(head)])
    return Row(name, "bulletin", at_ms, error_ms, None, level, right=right, remark=remark)


def emergency(name: str, recording: Recording, day: Day) -> Row:
    """The opening chime came after the confirmation, words followed, and the STOP ended both."""
    after = recording.between(day.confirmed_ms - 500, day.stopped_ms)
    index, alike = find(after, opening_chime())
    if alike < ALIKE:
        return Row(name, "emergency", None, None, None, None, right=False, remark=f"not heard (likeness {alike:.2f})")
    at_ms = day.confirmed_ms - 500 + index * 1000 / RATE
    spoken = level_dbfs(recording.between(at_ms + 2_500, day.stopped_ms))
    remark = f"likeness {alike:.2f}"
    right = spoken > -40
    if not right:
        remark += ", but no words after the chime"
    return Row(name, "emergency", at_ms, None, at_ms - day.confirmed_ms, spoken, right=right, remark=remark)


def stop(name: str, recording: Recording, day: Day) -> Row:
    """It sounded until the STOP, and from three seconds after it on nothing is heard any more."""
    last_ms = last_sound_ms(recording)
    late_ms = None if last_ms is None else last_ms - day.stopped_ms
    before = level_dbfs(recording.between(day.stopped_ms - 500, day.stopped_ms))
    right = late_ms is not None and 0 < late_ms < 3_000 and before > -40
    remark = "silent" if late_ms is None else f"silent {late_ms:.0f} ms after it was given"
    return Row(name, "STOP", last_ms, None, None, None, right=right, remark=remark)


def no_emergency(name: str, recording: Recording) -> Row:
    """The emergency was for somebody else: its chime is nowhere in the recording."""
    _, alike = find(recording.samples, opening_chime())
    return Row(name, "no emergency", None, None, None, None, right=alike < ALIKE, remark=f"likeness {alike:.2f}")


def silent(name: str, recording: Recording, *, ailment: str) -> Row:
    """Nothing was for this node: no sample of its recording is audible, though it was there to sound."""
    last_ms = last_sound_ms(recording)
    remark = f"proves nothing: {ailment}" if ailment else "alive and well"
    return Row(name, "silence", last_ms, None, None, None, right=last_ms is None and not ailment, remark=remark)


def judge(names: tuple[str, str, str], wavs: tuple[Path, Path, Path], day: Day, *, third_ailment: str) -> list[Row]:
    """The node of the settlement in danger, its neighbour settlement, the other commune."""
    endangered, neighbour, elsewhere = (read(wav) for wav in wavs)
    return [
        bulletin(names[0], endangered, day, whole=False),
        emergency(names[0], endangered, day),
        stop(names[0], endangered, day),
        bulletin(names[1], neighbour, day, whole=True),
        no_emergency(names[1], neighbour),
        silent(names[2], elsewhere, ailment=third_ailment),
    ]
