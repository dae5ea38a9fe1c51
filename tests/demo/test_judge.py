"""The demo's judge hears what is there, misses what is not, and lets nothing pass that was heard where it should not be."""

from __future__ import annotations

import json
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from demo import judge
from edge_agent.player.tones import synthesise

RATE = judge.RATE
PLANNED_MS = 4_000
CONFIRMED_MS = 9_000
STOPPED_MS = 14_000
NAMES = ("here", "next door", "elsewhere")


def voice(seconds: float, seed: int) -> np.ndarray:
    """Something as irregular as speech: noise in syllables."""
    chance = np.random.default_rng(seed)
    noise = chance.normal(0, 0.15, int(seconds * RATE))
    syllables = np.repeat(chance.uniform(0.2, 1.0, int(seconds * 5) + 1), RATE // 5)[: len(noise)]
    return np.clip(noise * syllables, -0.9, 0.9)


BULLETIN = voice(12, 1)
WORDS = voice(3.5, 2)
CHIME = np.frombuffer(synthesise("chime_open"), "<i2") / 32768


def written(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def recording(path: Path, *sounds: tuple[float, np.ndarray]) -> Path:
    """A WAV of 25 s that began at 0 ms of the test's own time; later sounds take the place of earlier ones."""
    samples = np.zeros(25 * RATE)
    for at_ms, sound in sounds:
        begin = int(at_ms * RATE / 1000)
        samples[begin : begin + len(sound)] = sound
    written(path, samples)
    offset_ns = time.time_ns() - time.monotonic_ns()
    Path(f"{path}.json").write_text(json.dumps({"first_sample_mono_ns": -offset_ns}))
    return path


def emergency_at(at_ms: float, until_ms: float) -> tuple[float, np.ndarray]:
    sound = np.concatenate((CHIME, np.zeros(RATE // 10), WORDS, np.zeros(RATE)))
    return at_ms, sound[: int((until_ms - at_ms) * RATE / 1000)]


def cut(sound: np.ndarray, from_ms: float, until_ms: float) -> tuple[float, np.ndarray]:
    return from_ms, sound[: int((until_ms - from_ms) * RATE / 1000)]


@pytest.fixture
def day(tmp_path: Path) -> judge.Day:
    return judge.Day(written(tmp_path / "bulletin.wav", BULLETIN), PLANNED_MS, CONFIRMED_MS, STOPPED_MS)


def good(folder: Path) -> dict[str, list[tuple[float, np.ndarray]]]:
    return {
        "here": [cut(BULLETIN, PLANNED_MS, CONFIRMED_MS + 60), emergency_at(CONFIRMED_MS + 60, STOPPED_MS + 40)],
        "next": [(PLANNED_MS, BULLETIN)],
        "else": [],
    }


def verdict(folder: Path, day: judge.Day, ailment: str = "", **changed) -> dict[tuple[str, str], bool]:
    heard = good(folder) | changed
    wavs = tuple(recording(folder / f"{name}.wav", *heard[name]) for name in ("here", "next", "else"))
    return {(row.node, row.what): row.right for row in judge.judge(NAMES, wavs, day, third_ailment=ailment)}


def test_a_day_as_it_should_be_is_right_in_every_line(tmp_path, day):
    judged = verdict(tmp_path, day)
    assert len(judged) == 6
    assert all(judged.values())


def test_what_was_not_heard_is_wrong(tmp_path, day):
    judged = verdict(tmp_path, day, here=[], next=[])
    assert not judged["here", "bulletin"]
    assert not judged["here", "emergency"]
    assert not judged["here", "STOP"]
    assert not judged["next door", "bulletin"]


def test_an_emergency_heard_by_the_neighbours_is_wrong(tmp_path, day):
    judged = verdict(tmp_path, day, next=[(PLANNED_MS, BULLETIN), emergency_at(18_000, 22_000)])
    assert not judged["next door", "no emergency"]


def test_any_sound_in_the_other_commune_is_wrong_and_so_is_a_silence_that_proves_nothing(tmp_path, day):
    assert not verdict(tmp_path, day, **{"else": [(5_000, WORDS * 0.05)]})["elsewhere", "silence"]
    assert not verdict(tmp_path, day, ailment="not there")["elsewhere", "silence"]


def test_an_emergency_that_goes_on_after_the_stop_is_wrong(tmp_path, day):
    longer = [(CONFIRMED_MS + 60, np.concatenate((CHIME, WORDS, WORDS, WORDS)))]
    assert not verdict(tmp_path, day, here=[(PLANNED_MS, BULLETIN), *longer])["here", "STOP"]


def test_a_chime_without_words_is_wrong(tmp_path, day):
    only_chime = [cut(BULLETIN, PLANNED_MS, CONFIRMED_MS), (CONFIRMED_MS + 60, CHIME)]
    silenced = [*only_chime, (CONFIRMED_MS + 60 + len(CHIME) / RATE * 1000, np.zeros(8 * RATE))]
    assert not verdict(tmp_path, day, here=silenced)["here", "emergency"]


def test_a_bulletin_cut_short_or_late_is_wrong(tmp_path, day):
    assert not verdict(tmp_path, day, next=[(PLANNED_MS, BULLETIN[: 8 * RATE])])["next door", "bulletin"]
    assert not verdict(tmp_path, day, next=[(PLANNED_MS + 400, BULLETIN)])["next door", "bulletin"]
