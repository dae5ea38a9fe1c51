"""Runs ffmpeg and ffprobe as children under a deadline and reads what they say. Knows none of our rules about sound."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

FORMATS: Final = (
    "aac,ac3,aiff,amr,amrnb,amrwb,asf,au,avi,caf,eac3,flac,flv,mov,mp4,m4a,3gp,3g2,mj2,"
    "matroska,webm,mp3,mpeg,mpegts,ogg,voc,w64,wav,wv"
)
"""Containers that carry their own sound. No playlist is among them: an uploaded playlist makes ffmpeg read other files."""
STDERR_BYTES: Final = 262_144
"""What is kept of ffmpeg's words: the last 256 kB, since its summaries come last."""
PROBE_DEADLINE_S: Final = 60.0


class FfmpegMissing(Exception):
    """ffmpeg or ffprobe is not installed on the machine."""


class FfmpegSlow(Exception):
    """A run passed its deadline and was killed."""


class FfmpegFailed(Exception):
    """A run ended with an error; `said` is the end of what it wrote."""

    def __init__(self, said: str) -> None:
        super().__init__(said[-2000:])
        self.said = said


class Stream(msgspec.Struct, frozen=True):
    """One stream of a file, as ffprobe names it."""

    codec_type: str = ""
    codec_name: str = ""
    channels: int = 0
    sample_rate: str = ""


class Format(msgspec.Struct, frozen=True):
    """The container, as ffprobe names it; a duration in seconds where it knows one."""

    format_name: str = ""
    duration: str = ""


class Probe(msgspec.Struct, frozen=True):
    """What ffprobe found in a file."""

    streams: list[Stream] = []
    format: Format = Format()

    @property
    def declared_s(self) -> float | None:
        """The duration the container claims, or None."""
        try:
            return float(self.format.duration)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Loudness:
    """EBU R 128 of a whole file: integrated loudness (None: no block above the gate) and true peak."""

    integrated_lufs: float | None
    true_peak_dbtp: float


def source(path: Path) -> list[str]:
    """The arguments that open an untrusted file: no other protocol, no playlist, no network."""
    return ["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i", f"file:{path.resolve()}"]


async def probe(path: Path) -> Probe:
    """Look into a file. Raises FfmpegFailed when it is nothing that ffmpeg knows."""
    out: list[str] = []
    what = "stream=codec_type,codec_name,channels,sample_rate:format=format_name,duration"
    await run(
        ["ffprobe", "-hide_banner", "-v", "error", "-of", "json", "-show_entries", what, *source(path)],
        deadline_s=PROBE_DEADLINE_S,
        on_line=out.append,
    )
    return msgspec.json.decode("".join(out), type=Probe)


async def ffmpeg(arguments: Sequence[str], *, deadline_s: float, on_seconds: Callable[[float], None] | None = None) -> str:
    """Run ffmpeg; tell the seconds of sound done so far; give what it wrote (each line with its level)."""

    def read(line: str) -> None:
        if on_seconds is not None and line.startswith("out_time_us="):
            with suppress(ValueError):  # "N/A" until the first packet
                on_seconds(int(line[12:]) / 1e6)

    fixed = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", "-progress", "pipe:1", "-y"]
    return await run([*fixed, *arguments], deadline_s=deadline_s, on_line=read)


async def run(command: Sequence[str], *, deadline_s: float, on_line: Callable[[str], None]) -> str:
    """Run a child to its end, or kill it; lines of stdout go to `on_line`, the end of stderr is the answer."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError as error:
        raise FfmpegMissing(f"`{command[0]}` is not installed") from error
    try:
        async with asyncio.timeout(deadline_s), asyncio.TaskGroup() as group:
            group.create_task(_lines(child, on_line))
            said = group.create_task(_tail(child))
        code = await child.wait()
    except TimeoutError as error:
        raise FfmpegSlow(f"`{command[0]}` was not done after {deadline_s:.0f} s") from error
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if code != 0:
        raise FfmpegFailed(said.result())
    return said.result()


async def _lines(child: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
    if child.stdout is not None:
        async for line in child.stdout:
            on_line(line.decode("utf-8", "replace").rstrip("\n"))


async def _tail(child: asyncio.subprocess.Process) -> str:
    kept: deque[bytes] = deque()
    size = 0
    while child.stderr is not None and (chunk := await child.stderr.read(16_384)):
        kept.append(chunk)
        size += len(chunk)
        while size - len(kept[0]) >= STDERR_BYTES:
            size -= len(kept.popleft())
    return b"".join(kept).decode("utf-8", "replace")


def errors_in(said: str) -> list[str]:
    """The lines in which ffmpeg complained."""
    return [line for line in said.splitlines() if "[error]" in line or "[fatal]" in line]


def samples_in(said: str) -> int:
    """The number of samples that an `astats` filter counted."""
    found = re.findall(r"Number of samples: (\d+)", said)
    return int(found[-1]) if found else 0


def rms_in(said: str) -> list[float]:
    """The RMS level in dB of each channel that an `astats` filter saw."""
    return [_number(text) for text in re.findall(r"RMS level dB: (\S+)", said)]


class _Loudnorm(msgspec.Struct, frozen=True):
    """The part of loudnorm's JSON summary that is a measurement of its input."""

    input_i: str
    input_tp: str


def loudness_in(said: str) -> Loudness:
    """What a `loudnorm` filter measured of its input."""
    found = re.findall(r"\{[^{}]*\"input_i\"[^{}]*\}", said)
    if not found:
        raise FfmpegFailed(said)
    summary = msgspec.json.decode(found[-1], type=_Loudnorm)
    integrated = _number(summary.input_i)
    return Loudness(integrated if integrated > float("-inf") else None, _number(summary.input_tp))


def _number(text: str) -> float:
    """A level in dB as ffmpeg writes it; what is no number is silence."""
    value = float(text) if re.fullmatch(r"[-+]?\d+(\.\d+)?", text) else float("-inf")
    return value if value > -1000 else float("-inf")  # noqa: PLR2004 - astats writes -3000 or so for digital silence
