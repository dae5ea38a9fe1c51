"""Any audio file in, one kind of sound out: Opus 24 kbit/s mono in Matroska at -16 LUFS, named by the SHA-256 of its bytes.

Loudness and true peak are those of the *decoded product*, since Opus moves both. Mono is measured as dual mono: one horn
or two, an officer's meter shows what ours did (EBU R 128, ITU-R BS.1770).
"""

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from controller import ffmpeg
from controller.ffmpeg import FfmpegFailed, FfmpegMissing, FfmpegSlow, Loudness
from controller.media_refused import MediaFailed, MediaRefused, RangeUnsatisfiable

TARGET_LUFS: Final = -16.0
TOLERANCE_LU: Final = 0.5
SHORT_TOLERANCE_LU: Final = 1.0
AIM_LU: Final = 0.2
"""What the rounds aim at, so that another meter (they differ by 0.1 LU) still reads within the tolerance."""
PEAK_DBTP: Final = -1.0
SILENCE_LUFS: Final = -60.0
RATE_HZ: Final = 48_000
SHORT_SAMPLES: Final = 3 * RATE_HZ
LEAST_SAMPLES: Final = 2 * RATE_HZ // 5
"""0.4 s, the one block that EBU R 128 measures: nothing shorter has a loudness."""
MOST_S: Final = 4 * 3600
MOST_SAMPLES: Final = MOST_S * RATE_HZ
MOST_BYTES: Final = 500_000_000
MOST_ERRORS: Final = 10
"""Decoder complaints that a file may cause: junk at its ends makes a few, damage makes one a frame."""
CANCEL_DB: Final = 9.0
"""A mix that far below its louder channel cancels itself (one empty channel alone costs 6 dB): the louder one is taken."""
STREAMED_RIFF_BYTES: Final = 0x7F00_0000
"""From here on a RIFF size is what a program writes that does not know it yet (espeak-ng, ffmpeg into a pipe)."""
EXACT_FORMATS: Final = ("wav", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "aiff")
"""Containers whose declared duration is a promise, not an estimate."""
SHARE_OF_DECLARED: Final = 0.98
ROUNDS: Final = 5
"""Encodings at each strength of compression; speech takes two or three."""
PEAK_TO_LOUDNESS_DB: Final = (20.0, 27.0)
"""Up to the first the limiter alone does it, up to the second a mild compressor goes before it, above it a strong one."""
COMPRESSORS: Final = (
    "",
    "acompressor=threshold=-28dB:ratio=3:attack=3:release=200,",
    "acompressor=threshold=-38dB:ratio=10:attack=1:release=200,",
)
LEAST_LIMIT_DB: Final = -20.0
DEADLINE_S: Final = 180.0
DEADLINE_PER_S: Final = 0.5
"""A run may take 3 minutes and half the length of its sound; two busy cores need 0.02 of it."""

DISK_FULL: Final = "No space left on device"
"""ffmpeg 5.1 says it, leaves a cut file and exits 0: so its words and the length of the product are both looked at."""
SLACK_SAMPLES: Final = 48
"""Resampling rounds a length by a sample or two; 1 ms is not a cut."""

OnProgress = Callable[[str, float], None]
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DOWNMIX: Final = f"aresample={RATE_HZ},aformat=sample_fmts=flt:channel_layouts=stereo"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sound in the library. `samples` is its true length at 48 kHz: what a decoder gives, and where the player cuts."""

    sha256: str
    bytes: int
    samples: int
    duration_ms: int
    loudness_clufs: int
    true_peak_cdbtp: int
    source_name: str
    codec: str = "opus"


@dataclass(frozen=True, slots=True)
class _Read:
    """What one pass over the source told: its length, and the filters that make it mono."""

    samples: int
    mono: str

    @property
    def deadline_s(self) -> float:
        return DEADLINE_S + DEADLINE_PER_S * self.samples / RATE_HZ


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to encode in the next round."""

    before_db: float
    """Gain before the compressor: brings the source to the loudness for which the compressors are set."""
    after_db: float = 0.0
    limit_db: float = -2.5
    strength: int = 0


@dataclass(frozen=True, slots=True)
class _Product:
    """An encoded file and what was measured of it."""

    path: Path
    samples: int
    loudness: Loudness


async def prepare(source: Path, library: Path, *, on_progress: OnProgress | None = None) -> Prepared:
    """Bring one audio file into the library, or refuse it in a sentence and leave nothing behind.

    The same file gives the same bytes on the same ffmpeg. Raises MediaRefused (the file's fault) or MediaFailed (ours).
    """
    tell = on_progress or _silent
    await asyncio.to_thread(_check_file, source)
    try:
        await asyncio.to_thread(library.mkdir, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library, prefix=".prepare-") as folder:
            read = await _read(source, tell)
            product = await _encode_to_tolerance(source, Path(folder), read, tell)
            prepared = await asyncio.to_thread(_keep, product, library, source.name)
    except FfmpegMissing as error:
        raise MediaFailed("no_ffmpeg", source.name) from error
    except FfmpegSlow as error:
        raise MediaFailed("too_slow", source.name) from error
    except FfmpegFailed as error:
        full = DISK_FULL in error.said
        raise MediaFailed("disk_full" if full else "ffmpeg_failed", source.name, error.said) from error
    except OSError as error:
        raise MediaFailed("library", source.name, str(error)) from error
    tell("done", 1.0)
    return prepared


def sweep(library: Path) -> int:
    """Remove what a killed process left half made; give the count. To be called before the first `prepare`."""
    left = [path for path in library.glob(".prepare-*") if path.is_dir()]
    for path in left:
        shutil.rmtree(path)
    return len(left)


def path_of(library: Path, sha256: str) -> Path:
    """Where a sound lies. Raises ValueError if the name is no lower-case hex SHA-256, so no path can be smuggled in."""
    if not _SHA256.fullmatch(sha256):
        raise ValueError("a medium is named by 64 lower-case hex digits")
    return library / sha256[:2] / f"{sha256}.mka"


def parse_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """First and last byte asked for (RFC 9110, 14.2); None: send the whole. Several ranges or nonsense: the whole.

    Raises RangeUnsatisfiable when it asks for bytes that are not there (416).
    """
    match = re.fullmatch(r"\s*bytes\s*=\s*([0-9]{0,18})-([0-9]{0,18})\s*", header or "", re.IGNORECASE)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = int(match[2])
        if length == 0 or size_bytes == 0:
            raise RangeUnsatisfiable(size_bytes)
        return max(0, size_bytes - length), size_bytes - 1
    first = int(match[1])
    last = int(match[2]) if match[2] else size_bytes - 1
    if match[2] and last < first:
        return None
    if first >= size_bytes:
        raise RangeUnsatisfiable(size_bytes)
    return first, min(last, size_bytes - 1)


def open_range(library: Path, sha256: str, first: int, last: int, *, chunk_bytes: int = 65_536) -> Iterator[bytes]:
    """The bytes from `first` to `last`, both included. Raises FileNotFoundError at the first step."""
    left = last - first + 1
    with path_of(library, sha256).open("rb") as file:
        file.seek(first)
        while left > 0 and (chunk := file.read(min(chunk_bytes, left))):
            left -= len(chunk)
            yield chunk


def _silent(_stage: str, _share: float) -> None:
    """Progress that nobody asked for."""


def _check_file(source: Path) -> None:
    try:
        size = source.stat().st_size if source.is_file() else -1
    except OSError as error:
        raise MediaRefused("missing", source.name, str(error)) from error
    if size < 0:
        raise MediaRefused("missing", source.name)
    if size == 0:
        raise MediaRefused("empty", source.name)
    if size > MOST_BYTES:
        raise MediaRefused("too_big", source.name)
    if _riff_says_bytes(source) > size:
        raise MediaRefused("damaged", source.name, "the RIFF header promises more bytes than the file has")


def _riff_says_bytes(source: Path) -> int:
    """The size a RIFF header claims, 0 where it claims none. ffmpeg believes the file instead, so a cut WAV looks whole."""
    with source.open("rb") as file:
        head = file.read(8)
    says = int.from_bytes(head[4:8], "little")
    return says + 8 if head[:4] == b"RIFF" and says < STREAMED_RIFF_BYTES else 0


async def _read(source: Path, tell: OnProgress) -> _Read:
    """Decode the whole source once: how long, how damaged, how loud on each side."""
    try:
        found = await ffmpeg.probe(source)
    except FfmpegFailed as error:
        raise MediaRefused("not_audio", source.name, error.said) from error
    if not any(stream.codec_type == "audio" for stream in found.streams):
        raise MediaRefused("no_audio", source.name)
    declared_s = found.declared_s
    if declared_s is not None and declared_s > MOST_S:
        raise MediaRefused("too_long", source.name)
    sides = (
        f"{_DOWNMIX},pan=3.0|c0=c0|c1=c1|c2=0.5*c0+0.5*c1,astats=measure_perchannel=RMS_level:measure_overall=Number_of_samples"
    )
    limit = ["-t", str(MOST_S + 1)]
    try:
        said = await ffmpeg.ffmpeg(
            [*_open(source), *limit, "-af", sides, "-f", "null", "-"],
            deadline_s=DEADLINE_S + DEADLINE_PER_S * (declared_s or MOST_S),
            on_seconds=lambda done_s: tell("read", min(1.0, done_s / (declared_s or MOST_S))),
        )
    except FfmpegFailed as error:
        raise MediaRefused("damaged", source.name, error.said) from error
    samples = ffmpeg.samples_in(said)
    complaints = ffmpeg.errors_in(said)
    if samples == 0 or len(complaints) > MOST_ERRORS:
        raise MediaRefused("damaged", source.name, "\n".join(complaints[:3]))
    exact = found.format.format_name in EXACT_FORMATS
    if declared_s and (exact or complaints) and samples / RATE_HZ < SHARE_OF_DECLARED * declared_s - 0.1:
        raise MediaRefused("damaged", source.name, f"{samples / RATE_HZ:.1f} s of {declared_s:.1f} s can be read")
    if samples >= MOST_SAMPLES:
        raise MediaRefused("too_long", source.name)
    if samples < LEAST_SAMPLES:
        raise MediaRefused("too_short", source.name)
    return _Read(samples, _mono(ffmpeg.rms_in(said)))


def _mono(rms_db: list[float]) -> str:
    """The filters that make one channel of two: their mean, or the louder one where they cancel each other."""
    left_db, right_db, mix_db = rms_db
    mean = "pan=mono|c0=0.5*c0+0.5*c1"
    if mix_db >= max(left_db, right_db) - CANCEL_DB:
        return f"{_DOWNMIX},{mean}"
    return f"{_DOWNMIX},pan=mono|c0={'c0' if left_db >= right_db else 'c1'}"


async def _encode_to_tolerance(source: Path, folder: Path, read: _Read, tell: OnProgress) -> _Product:
    """Encode, measure the product, correct, until loudness and true peak are both right."""
    before = await _measure_source(source, read, tell)
    if before.integrated_lufs is None or before.integrated_lufs < SILENCE_LUFS:
        raise MediaRefused("silent", source.name)
    plan = _first_plan(before.integrated_lufs, before.true_peak_dbtp)
    good: _Product | None = None
    while True:
        for number in range(ROUNDS):
            product = await _encode(source, folder / f"{plan.strength}-{number}.mka", read, plan, tell)
            error_lu = _error_lu(product)
            if product.loudness.true_peak_dbtp <= PEAK_DBTP:
                if abs(error_lu) <= AIM_LU:
                    return product
                if abs(error_lu) <= _tolerance_lu(product):
                    good = product
            plan = _next_plan(plan, product)
        if good is not None:
            return good
        if plan.strength == len(COMPRESSORS) - 1:
            raise MediaRefused("unreachable", source.name, f"{error_lu:+.1f} LU from {TARGET_LUFS:.0f} LUFS")
        plan = _Plan(before_db=plan.before_db, strength=plan.strength + 1)


def _first_plan(integrated_lufs: float, true_peak_dbtp: float) -> _Plan:
    ratio_db = true_peak_dbtp - integrated_lufs
    strength = sum(ratio_db > step_db for step_db in PEAK_TO_LOUDNESS_DB)
    return _Plan(before_db=TARGET_LUFS - integrated_lufs, strength=strength)


def _next_plan(plan: _Plan, product: _Product) -> _Plan:
    """Correct the gain by what is missing, and the limiter by what Opus put on top of it."""
    over_db = product.loudness.true_peak_dbtp - PEAK_DBTP
    limit_db = plan.limit_db - over_db - 0.2 if over_db > 0 else plan.limit_db
    error_lu = max(-12.0, min(12.0, _error_lu(product)))
    return replace(plan, after_db=plan.after_db - error_lu, limit_db=max(LEAST_LIMIT_DB, limit_db))


def _error_lu(product: _Product) -> float:
    integrated = product.loudness.integrated_lufs
    return (integrated if integrated is not None else SILENCE_LUFS) - TARGET_LUFS


def _tolerance_lu(product: _Product) -> float:
    return SHORT_TOLERANCE_LU if product.samples < SHORT_SAMPLES else TOLERANCE_LU


def _open(source: Path) -> list[str]:
    return [*ffmpeg.source(source), "-map", "0:a:0", "-vn", "-sn", "-dn"]


async def _measure_source(source: Path, read: _Read, tell: OnProgress) -> Loudness:
    said = await ffmpeg.ffmpeg(
        [*_open(source), "-af", f"{read.mono},loudnorm=print_format=json:dual_mono=true", "-f", "null", "-"],
        deadline_s=read.deadline_s,
        on_seconds=_share_of(read, "measure", tell),
    )
    return ffmpeg.loudness_in(said)


async def _encode(source: Path, path: Path, read: _Read, plan: _Plan, tell: OnProgress) -> _Product:
    """One round. The limiter works at 192 kHz, where a sample peak is a true peak; `bitexact` keeps dates and chance out."""
    limiter = f"alimiter=limit={10 ** (plan.limit_db / 20):.6f}:attack=5:release=50:level=0:latency=1"
    dynamics = f"volume={plan.before_db:.3f}dB,{COMPRESSORS[plan.strength]}volume={plan.after_db:.3f}dB"
    chain = f"{read.mono},{dynamics},aresample={4 * RATE_HZ},{limiter}"
    opus = ["-c:a", "libopus", "-b:a", "24k", "-application", "audio", "-frame_duration", "20", "-ac", "1"]
    bare = ["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"]
    said = await ffmpeg.ffmpeg(
        [*_open(source), "-af", f"{chain},aresample={RATE_HZ}", *bare, *opus, "-f", "matroska", str(path)],
        deadline_s=read.deadline_s,
        on_seconds=_share_of(read, "encode", tell),
    )
    if DISK_FULL in said:
        raise FfmpegFailed(said)
    product = await _measure_product(path, read, tell)
    if abs(product.samples - read.samples) > SLACK_SAMPLES:
        raise FfmpegFailed(f"{product.samples} samples came of {read.samples}\n{said}")
    return product


async def _measure_product(path: Path, read: _Read, tell: OnProgress) -> _Product:
    """Decode by libopus in floats (its 16-bit output would hide a peak above full scale) and measure."""
    count = "astats=measure_perchannel=none:measure_overall=Number_of_samples"
    loud = "aformat=channel_layouts=mono,loudnorm=print_format=json:dual_mono=true"
    said = await ffmpeg.ffmpeg(
        ["-request_sample_fmt", "flt", "-c:a", "libopus", "-i", str(path), "-af", f"{count},{loud}", "-f", "null", "-"],
        deadline_s=read.deadline_s,
        on_seconds=_share_of(read, "measure", tell),
    )
    return _Product(path, ffmpeg.samples_in(said), ffmpeg.loudness_in(said))


def _share_of(read: _Read, stage: str, tell: OnProgress) -> Callable[[float], None]:
    return lambda done_s: tell(stage, min(1.0, done_s * RATE_HZ / read.samples))


def _keep(product: _Product, library: Path, source_name: str) -> Prepared:
    """Name the file by its digest and move it into its place, whole or not at all."""
    with product.path.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.seek(0, os.SEEK_END)
        os.fsync(file.fileno())
    place = path_of(library, digest)
    place.parent.mkdir(exist_ok=True)
    product.path.chmod(0o644)
    product.path.replace(place)
    for folder in (place.parent, library):
        _sync_folder(folder)
    integrated = product.loudness.integrated_lufs
    return Prepared(
        sha256=digest,
        bytes=size,
        samples=product.samples,
        duration_ms=product.samples * 1000 // RATE_HZ,
        loudness_clufs=round(100 * (integrated if integrated is not None else SILENCE_LUFS)),
        true_peak_cdbtp=round(100 * product.loudness.true_peak_dbtp),
        source_name=source_name,
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
