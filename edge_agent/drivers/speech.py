"""The node's own voice: espeak-ng into a bounded folder of recordings, each text spoken once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import subprocess
import unicodedata
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.errors import SpeechUnavailable
from edge_agent.player.pcm import audioop

log = logging.getLogger(__name__)

PROGRAM = "espeak-ng"
VOICES = {"vi": "vi", "en": "en"}
"""What espeak-ng can say here; vi-vn-x-central and vi-vn-x-south are the other accents of Vietnamese."""
DEADLINE_S = 10
CACHE_BYTES = 64 * 1024 * 1024
PEAK = 23_197
"""-3 dBFS: espeak-ng's own level goes above full scale between the samples."""
STRETCH_FRAMES = 65_536


def _version() -> str | None:
    """What espeak-ng calls itself; None without one."""
    try:
        told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.split("Data at")[0].strip() or None


def _normalise(source: Path, target: Path) -> None:
    """Copy a recording with its peak at -3 dBFS, a stretch at a time, and fsync it."""
    with wave.open(str(source), "rb") as read:
        width, frames = read.getsampwidth(), read.getnframes()
        peak = 0
        for _ in range(0, frames, STRETCH_FRAMES):
            peak = max(peak, audioop.max(read.readframes(STRETCH_FRAMES), width))
        if not peak:
            raise SpeechUnavailable("espeak-ng gave silence; the text has nothing that can be said")
        read.rewind()
        with target.open("wb") as file, wave.open(file, "wb") as write:
            write.setparams(read.getparams())
            for _ in range(0, frames, STRETCH_FRAMES):
                write.writeframes(audioop.mul(read.readframes(STRETCH_FRAMES), width, PEAK / peak))
    with target.open("rb") as written:
        os.fsync(written.fileno())


@dataclass
class Speaker:
    """Speaks texts into a folder; callers with the same text share one run."""

    folder: Path
    voices: Mapping[str, str] = field(default_factory=lambda: VOICES)
    cache_bytes: int = CACHE_BYTES
    runs: int = 0
    _under_way: dict[Path, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._version = _version()
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob("*.tmp"):  # of a run that a power cut ended
            left.unlink()

    def path_of(self, lang: str, text: str) -> Path:
        """Where the recording of a text is, or will be. Raises SpeechUnavailable."""
        if self._version is None:
            raise SpeechUnavailable(f"no {PROGRAM} on this node; install it, or send a recording")
        voice = self._voice(lang)
        key = "\0".join((lang, unicodedata.normalize("NFC", text), voice, self._version))
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}.wav"

    def _voice(self, lang: str) -> str:
        voice = self.voices.get(lang) or self.voices.get(lang.partition("-")[0])
        if voice is None:
            raise SpeechUnavailable(f"no synthetic voice speaks {lang!r}; send a recording in that language")
        return voice

    async def clip(self, lang: str, text: str) -> Path:
        """Make the recording unless it is there. Raises SpeechUnavailable."""
        path = self.path_of(lang, text)
        if path.exists():
            os.utime(path)
            return path
        run = self._under_way.get(path)
        if run is None:
            run = asyncio.create_task(self._speak(self._voice(lang), text, path), name=f"speech {path.stem[:8]}")
            self._under_way[path] = run
            run.add_done_callback(lambda done: self._forget(path, done))
        await asyncio.shield(run)
        return path

    def _forget(self, path: Path, run: asyncio.Task[None]) -> None:
        self._under_way.pop(path, None)
        if not run.cancelled() and (fault := run.exception()) is not None:
            log.warning("speech: %s", fault)  # also when every caller has left

    async def _speak(self, voice: str, text: str, path: Path) -> None:
        raw, ready = path.with_suffix(".raw.tmp"), path.with_suffix(".tmp")
        self.runs += 1
        try:
            await self._synthesise(voice, unicodedata.normalize("NFC", text), raw)
            await asyncio.to_thread(_normalise, raw, ready)
            ready.replace(path)
            self._make_room(path)
        except (OSError, EOFError, wave.Error) as error:
            raise SpeechUnavailable(f"the spoken text could not be kept in {self.folder}: {error}") from error
        finally:
            raw.unlink(missing_ok=True)
            ready.unlink(missing_ok=True)

    async def _synthesise(self, voice: str, text: str, target: Path) -> None:
        child = await asyncio.create_subprocess_exec(
            *(PROGRAM, "-v", voice, "-b", "1", "-w", str(target), "--stdin"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                _, complaint = await child.communicate(text.encode())
        except TimeoutError as error:
            raise SpeechUnavailable(f"{PROGRAM} took more than {DEADLINE_S} s for {len(text)} letters") from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            raise SpeechUnavailable(f"{PROGRAM} failed: {complaint.decode(errors='replace').strip()}")

    def _make_room(self, newest: Path) -> None:
        """Forget the recordings that were longest unused, until the folder is within its cap."""
        held = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self.folder.glob("*.wav"))
        total = sum(size for _, size, _ in held)
        for _, size, path in held:
            if total <= self.cache_bytes:
                return
            if path != newest:
                path.unlink()
                total -= size
