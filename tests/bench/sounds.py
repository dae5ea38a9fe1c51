"""A prepared sound whose first sample is loud, put on nodes' disks as if they had fetched it."""

from __future__ import annotations

import array
import asyncio
import math
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
from msgspec import Struct

from controller import media
from protocol.bulletins import Media
from tests.bench.ear import LOUD, RATE

TONE_S = 0.8
PEAK = 16_000


class Sound(Struct, frozen=True):
    """A file of the library and where, in it, the first loud sample lies."""

    path: Path
    media: Media
    onset_ms: float


def _onset_ms(path: Path) -> float:
    words = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"]
    samples = np.frombuffer(subprocess.run(words, check=True, capture_output=True).stdout, "<i2").astype(np.int32)
    return int((np.abs(samples) >= LOUD).argmax()) * 1000 / RATE


async def tone(folder: Path) -> Sound:
    """A tone through the product's own preparation; its onset is measured on what a decoder gives."""
    source = folder / "tone.wav"
    with wave.open(str(source), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(array.array("h", (int(PEAK * math.cos(n / 10)) for n in range(int(TONE_S * RATE)))).tobytes())
    library = folder / "library"
    library.mkdir()
    prepared = await media.prepare(source, library)
    path = media.path_of(library, prepared.sha256)
    named = Media(sha256=prepared.sha256, bytes=prepared.bytes, samples=prepared.samples)
    return Sound(path, named, await asyncio.to_thread(_onset_ms, path))


def plant(sound: Sound, node_folder: Path) -> None:
    """Put the file where the node's fetcher would."""
    home = node_folder / "state" / "media" / sound.media.sha256[:2]
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(sound.path, home / f"{sound.media.sha256}.mka")
