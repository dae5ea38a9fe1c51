"""Parts that the player's tests share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.player.live_player import LivePlayer


@pytest.fixture(scope="session")
def player_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("player-cache")


@pytest.fixture
def player(tmp_path: Path, player_cache: Path):
    live = LivePlayer(f"wav:{tmp_path / 'out.wav'}", player_cache)
    yield live
    live.close()


@pytest.fixture(scope="session")
def speech_mka(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A spoken sentence as Opus in Matroska, and the same packets decoded by opusdec."""
    folder = tmp_path_factory.mktemp("speech")
    raw, mka, opus, decoded = (folder / name for name in ("s.wav", "s.mka", "s.opus", "s.dec.wav"))
    text = "Nước sông Ba dâng cao, đề nghị bà con buôn Ma Nher chuyển đến trường học."
    run = lambda *words: subprocess.run(words, check=True, capture_output=True, timeout=60)  # noqa: E731
    run("espeak-ng", "-v", "vi", "-w", str(raw), text)
    quiet = ("-af", "volume=-6dB", "-ar", "48000", "-ac", "1")
    run("ffmpeg", "-v", "error", "-i", raw, *quiet, "-c:a", "libopus", "-b:a", "24k", mka)
    run("ffmpeg", "-v", "error", "-i", mka, "-c", "copy", opus)
    run("opusdec", "--quiet", "--no-dither", "--force-wav", opus, decoded)
    return mka, decoded
