"""Targets that are sounds: files that somebody brings, and files that a node was told to play."""

from __future__ import annotations

import asyncio
import atexit
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from controller import media
from controller.media_refused import MediaFailed, MediaRefused
from edge_agent.player.score import Clip
from tests.fuzz.plain_targets import folder, written
from tests.player.live_player import LivePlayer


@cache
def _tones() -> tuple[bytes, ...]:
    made = []
    for name, codec in (
        ("a.mka", "libopus"),
        ("a.wav", "pcm_s16le"),
        ("a.flac", "flac"),
        ("a.mp3", "libmp3lame"),
        ("a.ogg", "libvorbis"),
    ):
        path = folder() / name
        source = "sine=frequency=440:sample_rate=48000:duration=0.5"
        rate = ["-ar", "8000"] if name == "a.wav" else []
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-ac", "1", *rate, "-c:a", codec, path], check=True
        )
        made.append(path.read_bytes())
    return tuple(made)


def sound_seeds() -> Iterator[bytes]:
    yield from _tones()


def sounds(data: bytes) -> None:
    """A file that somebody brings: prepared whole, or refused in a sentence with nothing left behind."""
    library = folder() / "library"
    try:
        made = asyncio.run(media.prepare(written("brought", data), library))
    except (MediaRefused, MediaFailed):
        assert not list(library.glob(".prepare-*"))
        return
    assert media.path_of(library, made.sha256).stat().st_size == made.bytes


@cache
def _player() -> LivePlayer:
    made = LivePlayer(f"wav:{folder() / 'out.wav'}", folder())
    atexit.register(made.close)
    return made


def player(data: bytes) -> None:
    """A file as signed, whatever is in it: the player says how its play ended, and lives, within 300 MB."""
    path = written("hostile.mka", data)
    alive = _player()
    play_id = alive.start(Clip(str(path), samples=24_000))
    alive.ended(play_id)
    alive.reports.clear()
    assert alive.process.poll() is None, "the player died"
    pages = int(Path(f"/proc/{alive.process.pid}/statm").read_text().split()[1])
    assert pages * 4_096 < 300_000_000, f"{pages * 4_096} bytes resident"


def close() -> None:
    """End the player."""
    if _player.cache_info().currsize:
        _player().close()
        _player.cache_clear()
