"""Sounds into the library, with real ffmpeg, espeak-ng, sox and opusdec."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from controller import ffmpeg, media
from controller.media import MOST_BYTES, Prepared, open_range, parse_range, path_of, prepare, sweep
from controller.media_refused import MediaFailed, MediaRefused, RangeUnsatisfiable

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("ffmpeg", "ffprobe", "espeak-ng", "sox", "opusdec")),
    reason="needs ffmpeg, espeak-ng, sox and opus-tools",
)
SENTENCE = (
    "Kính thưa bà con. Đây là thông báo khẩn của Ủy ban nhân dân xã Phú Túc: mưa lũ đang lên nhanh, "
    "đề nghị các hộ ở buôn gần suối di chuyển ngay đến nhà văn hóa."
)
WAVE = ["-r", "48000", "-b", "16"]


def tool(*command: object) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, timeout=90).stdout


def speech(folder: Path) -> Path:
    tool("espeak-ng", "-v", "vi", "-w", folder / "speech.wav", SENTENCE)
    return folder / "speech.wav"


def music(folder: Path) -> Path:
    tool("sox", "-n", *WAVE, "-c", "2", folder / "m.wav", "synth", 8, "pluck", 220, "pluck", 331, "tremolo", 2, 60)
    return folder / "m.wav"


def loud_square(folder: Path) -> Path:
    tool("sox", "-n", *WAVE, "-c", "1", folder / "square.wav", "synth", 4, "square", 800, "gain", -0.1)
    return folder / "square.wav"


def one_second(folder: Path) -> Path:
    tool("sox", speech(folder), folder / "short.wav", "trim", 0.2, 1.0)
    return folder / "short.wav"


def phase_inverted(folder: Path) -> Path:
    tool("sox", speech(folder), folder / "inverted.wav", "remix", "1", "1i")
    return folder / "inverted.wav"


def one_empty_channel(folder: Path) -> Path:
    tool("sox", speech(folder), folder / "half.wav", "remix", "0", "1")
    return folder / "half.wav"


def telephone_mp3(folder: Path) -> Path:
    tool("ffmpeg", "-v", "error", "-i", speech(folder), "-ar", "8000", "-b:a", "16k", folder / "phone.mp3")
    return folder / "phone.mp3"


def flac(folder: Path) -> Path:
    tool("sox", music(folder), "-b", "24", folder / "m.flac", "gain", -30)
    return folder / "m.flac"


def video(folder: Path) -> Path:
    picture = ["-f", "lavfi", "-i", "color=c=red:s=64x64:r=5"]
    tool("ffmpeg", "-v", "error", *picture, "-i", speech(folder), "-shortest", "-c:v", "mpeg4", folder / "clip.mp4")
    return folder / "clip.mp4"


def surround(folder: Path) -> Path:
    tool("sox", speech(folder), "-c", "6", folder / "six.wav")
    return folder / "six.wav"


def far_apart(folder: Path) -> Path:
    tool("sox", speech(folder), folder / "soft.wav", "gain", -35)
    tool("sox", speech(folder), folder / "cut.wav", "trim", 0, 0.5)
    tool("sox", folder / "soft.wav", folder / "cut.wav", folder / "soft.wav", folder / "soft.wav", folder / "apart.wav")
    return folder / "apart.wav"


def metadata_named_differently(folder: Path) -> Path:
    tool("ffmpeg", "-v", "error", "-i", music(folder), "-metadata", "title=Bản tin sáng", folder / "title.mp3")
    return folder / "title.mp3"


def decoded(path: Path) -> np.ndarray:
    """The samples of a product as libopus gives them through ffmpeg, in 16 bits."""
    command = ["ffmpeg", "-v", "error", "-c:a", "libopus", "-i", str(path), "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True, timeout=90).stdout, np.int16)


def other_meter(path: Path) -> tuple[float, float]:
    """Loudness and true peak by ffmpeg's other meter, `ebur128`."""
    meter = "aformat=sample_fmts=flt:channel_layouts=mono,ebur128=peak=true:dualmono=true"
    command = ["ffmpeg", "-hide_banner", "-nostats", "-request_sample_fmt", "flt", "-c:a", "libopus"]
    said = subprocess.run(
        [*command, "-i", str(path), "-af", meter, "-f", "null", "-"], check=True, capture_output=True, text=True, timeout=90
    ).stderr
    summary = said[said.rindex("Summary:") :].split()
    return float(summary[summary.index("I:") + 1]), float(summary[summary.index("Peak:") + 1])


def left_in(library: Path) -> list[Path]:
    return [path for path in library.rglob("*") if path.is_file() or path.name.startswith(".")]


@pytest.mark.parametrize(
    "make",
    [
        speech,
        music,
        loud_square,
        one_second,
        phase_inverted,
        one_empty_channel,
        telephone_mp3,
        flac,
        video,
        surround,
        far_apart,
        metadata_named_differently,
    ],
)
async def test_any_sound_comes_out_at_16_lufs_and_below_the_peak(make, tmp_path):
    source = make(tmp_path)
    got = await prepare(source, tmp_path / "library")
    place = path_of(tmp_path / "library", got.sha256)

    assert hashlib.sha256(place.read_bytes()).hexdigest() == got.sha256
    assert got.bytes == place.stat().st_size
    assert left_in(tmp_path / "library") == [place]
    tolerance = 100 if got.samples < 144_000 else 50
    assert abs(got.loudness_clufs + 1600) <= tolerance
    assert got.true_peak_cdbtp <= -100
    lufs, peak_dbtp = other_meter(place)
    assert abs(lufs + 16) <= tolerance / 100
    assert peak_dbtp <= -1.0
    assert decoded(place).size == got.samples
    assert got.source_name == source.name


async def test_the_product_is_mono_opus_at_24_kbit_in_matroska(tmp_path):
    got = await prepare(music(tmp_path), tmp_path / "library")
    place = path_of(tmp_path / "library", got.sha256)
    asked = "stream=codec_name,channels,sample_rate:format=format_name:format_tags:stream_tags"
    told = json.loads(tool("ffprobe", "-v", "error", "-of", "json", "-show_entries", asked, place))
    assert told["streams"][0]["codec_name"] == "opus"
    assert told["streams"][0]["channels"] == 1
    assert told["format"]["format_name"] == "matroska,webm"
    assert "Bản" not in json.dumps(told, ensure_ascii=False)
    assert 16_000 < got.bytes * 8 * 1000 / got.duration_ms < 32_000


async def test_the_true_length_and_every_sample_agree_with_opusdec(tmp_path):
    got = await prepare(speech(tmp_path), tmp_path / "library")
    place = path_of(tmp_path / "library", got.sha256)
    tool("ffmpeg", "-v", "error", "-i", place, "-c", "copy", tmp_path / "same.opus")
    tool("opusdec", "--quiet", "--no-dither", "--rate", "48000", tmp_path / "same.opus", tmp_path / "same.wav")
    with wave.open(str(tmp_path / "same.wav")) as file:
        theirs = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    # Remuxing keeps the packets and loses the trimming of the last one, so opusdec may add the rest of a 20 ms packet.
    assert 0 <= theirs.size - got.samples < 960
    difference = np.abs(theirs[: got.samples].astype(int) - decoded(place).astype(int))
    assert int(difference.max()) <= 1
    with wave.open(str(tmp_path / "speech.wav")) as file:
        meant = file.getnframes() * 48_000 / file.getframerate()
    assert abs(got.samples - meant) <= 2


async def test_the_same_file_gives_the_same_bytes(tmp_path):
    source = speech(tmp_path)
    first = await prepare(source, tmp_path / "one")
    second = await prepare(source, tmp_path / "two")
    assert first == second
    third = await prepare(source, tmp_path / "one")
    assert third == first
    assert len(left_in(tmp_path / "one")) == 1


async def test_channels_in_opposite_phase_do_not_cancel(tmp_path):
    got = await prepare(phase_inverted(tmp_path), tmp_path / "library")
    plain = await prepare(tmp_path / "speech.wav", tmp_path / "library")
    one, two = (decoded(path_of(tmp_path / "library", each.sha256)).astype(float) for each in (got, plain))
    size = min(one.size, two.size)
    assert np.corrcoef(one[:size], two[:size])[0, 1] > 0.9


async def test_progress_runs_to_its_end(tmp_path):
    seen: list[tuple[str, float]] = []
    await prepare(one_second(tmp_path), tmp_path / "library", on_progress=lambda stage, share: seen.append((stage, share)))
    assert seen[-1] == ("done", 1.0)
    assert {"read", "measure", "encode"} <= {stage for stage, _ in seen}
    assert all(0.0 <= share <= 1.0 for _, share in seen)


def empty(folder: Path) -> Path:
    (folder / "x.mp3").write_bytes(b"")
    return folder / "x.mp3"


def random_bytes(folder: Path) -> Path:
    (folder / "x.mp3").write_bytes(np.random.default_rng(7).bytes(200_000))
    return folder / "x.mp3"


def text(folder: Path) -> Path:
    (folder / "x.wav").write_text(SENTENCE * 50)
    return folder / "x.wav"


def silence(folder: Path) -> Path:
    tool("sox", "-n", *WAVE, folder / "x.wav", "trim", 0, 3)
    return folder / "x.wav"


def hiss_below_60_lufs(folder: Path) -> Path:
    tool("sox", "-n", *WAVE, folder / "x.wav", "synth", 3, "pinknoise", "gain", -55)
    return folder / "x.wav"


def picture_only(folder: Path) -> Path:
    tool("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=c=red:s=64x64:r=5:d=2", "-c:v", "mpeg4", folder / "x.mp4")
    return folder / "x.mp4"


def click(folder: Path) -> Path:
    tool("sox", "-n", *WAVE, folder / "x.wav", "synth", 0.2, "sine", 900)
    return folder / "x.wav"


def too_long(folder: Path) -> Path:
    tool("sox", "-n", "-r", "8000", "-b", "8", folder / "x.wav", "trim", 0, 14_401)
    return folder / "x.wav"


def too_big(folder: Path) -> Path:
    with (folder / "x.wav").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    return folder / "x.wav"


def cut_wav(folder: Path) -> Path:
    whole = speech(folder).read_bytes()
    (folder / "x.wav").write_bytes(whole[: len(whole) // 2])
    return folder / "x.wav"


def cut_mp4(folder: Path) -> Path:
    whole = video(folder).read_bytes()
    (folder / "x.mp4").write_bytes(whole[: len(whole) // 2])
    return folder / "x.mp4"


def rotten_flac(folder: Path) -> Path:
    whole = bytearray(flac(folder).read_bytes())
    noise = np.random.default_rng(3).bytes(len(whole) // 2)
    whole[len(whole) // 4 : len(whole) // 4 + len(noise)] = noise
    (folder / "x.flac").write_bytes(whole)
    return folder / "x.flac"


def rotten_mp3(folder: Path) -> Path:
    whole = bytearray(metadata_named_differently(folder).read_bytes())
    noise = np.random.default_rng(3).bytes(len(whole) // 2)
    whole[len(whole) // 4 : len(whole) // 4 + len(noise)] = noise
    (folder / "x.mp3").write_bytes(whole)
    return folder / "x.mp3"


def playlist_of_another_file(folder: Path) -> Path:
    secret = speech(folder)
    (folder / "x.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n")
    return folder / "x.m3u8"


def concat_script(folder: Path) -> Path:
    (folder / "x.mp3").write_text(f"ffconcat version 1.0\nfile '{speech(folder)}'\n")
    return folder / "x.mp3"


def nothing_there(folder: Path) -> Path:
    return folder / "x.wav"


def folder_itself(folder: Path) -> Path:
    return folder


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (empty, "empty"),
        (random_bytes, None),
        (text, "not_audio"),
        (silence, "silent"),
        (hiss_below_60_lufs, "silent"),
        (picture_only, "no_audio"),
        (click, "too_short"),
        (too_long, "too_long"),
        (too_big, "too_big"),
        (cut_wav, "damaged"),
        (cut_mp4, None),
        (rotten_flac, "damaged"),
        (rotten_mp3, "damaged"),
        (playlist_of_another_file, "not_audio"),
        (concat_script, "not_audio"),
        (nothing_there, "missing"),
        (folder_itself, "missing"),
    ],
)
async def test_what_cannot_be_aired_is_refused_in_a_sentence_and_leaves_nothing(make, reason, tmp_path):
    source = make(tmp_path)
    with pytest.raises(MediaRefused) as caught:
        await prepare(source, tmp_path / "library")
    if reason is not None:
        assert caught.value.reason == reason
    assert source.name in str(caught.value)
    assert source.name in caught.value.vi
    assert str(caught.value).endswith((".", ")"))
    assert left_in(tmp_path / "library") == []


def children() -> set[str]:
    """The names of the processes that this one started and that still run."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}


async def test_a_cancelled_preparation_ends_its_child_and_leaves_nothing(tmp_path):
    tool("sox", "-n", *WAVE, tmp_path / "x.wav", "synth", 600, "pinknoise", "gain", -20)
    started = asyncio.Event()
    task = asyncio.create_task(prepare(tmp_path / "x.wav", tmp_path / "library", on_progress=lambda *_: started.set()))
    await asyncio.wait_for(started.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_in(tmp_path / "library") == []
    assert "ffmpeg" not in children()


async def test_a_server_without_ffmpeg_says_what_to_install(tmp_path, monkeypatch):
    source = one_second(tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MediaFailed, match="apt install ffmpeg"):
        await prepare(source, tmp_path / "library")


async def test_a_library_that_cannot_be_written_is_our_fault_not_the_files(tmp_path):
    (tmp_path / "library").write_text("in the way")
    with pytest.raises(MediaFailed) as caught:
        await prepare(one_second(tmp_path), tmp_path / "library")
    assert caught.value.reason == "library"


@pytest.mark.root
@pytest.mark.parametrize("free_kib", [8, 24, 48])
async def test_a_disk_that_fills_up_is_said_and_no_cut_sound_is_kept(tmp_path, free_kib):
    library = tmp_path / "library"
    library.mkdir()
    if os.geteuid() != 0 or mount("-t", "tmpfs", "-o", f"size={free_kib}k", "none", str(library)) != 0:
        pytest.skip("needs the right to mount a small disk")
    try:
        tool("sox", "-n", *WAVE, tmp_path / "x.wav", "synth", 30, "pinknoise", "gain", -20)
        with pytest.raises(MediaFailed) as caught:
            await prepare(tmp_path / "x.wav", library)
        assert caught.value.reason == "disk_full"
        assert left_in(library) == []
    finally:
        tool("umount", library)


def mount(*arguments: str) -> int:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True, timeout=30).returncode


async def test_a_run_past_its_deadline_is_killed():
    with pytest.raises(ffmpeg.FfmpegSlow):
        await ffmpeg.run([sys.executable, "-c", "import time; time.sleep(60)"], deadline_s=0.3, on_line=print)


def test_what_a_killed_process_left_is_swept(tmp_path):
    (tmp_path / ".prepare-abc").mkdir()
    (tmp_path / ".prepare-abc" / "0-0.mka").write_bytes(b"half")
    (tmp_path / "aa").mkdir()
    assert sweep(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["aa"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("bytes=0-99", (0, 99)),
        ("bytes=0-", (0, 999)),
        ("bytes=990-5000", (990, 999)),
        ("Bytes = 5-5", (5, 5)),
        ("bytes=-10", (990, 999)),
        ("bytes=-5000", (0, 999)),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=1-2,5-6", None),
        ("items=0-5", None),
        ("bytes=٣-٤", None),
        ("bytes=0-99999999999999999999999999", None),
    ],
)
def test_ranges_are_read_as_rfc_9110_says(header, expected):
    assert parse_range(header, 1000) == expected


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
def test_a_range_beyond_the_end_is_unsatisfiable(header):
    with pytest.raises(RangeUnsatisfiable) as caught:
        parse_range(header, 1000)
    assert caught.value.size_bytes == 1000


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n", "a" * 64 + "/.."])
def test_no_path_can_be_smuggled_in_as_a_digest(name, tmp_path):
    with pytest.raises(ValueError, match="64 lower-case"):
        path_of(tmp_path, name)


def test_a_range_is_read_in_pieces(tmp_path):
    name = "ab" * 32
    path_of(tmp_path, name).parent.mkdir()
    path_of(tmp_path, name).write_bytes(bytes(range(256)) * 4)
    pieces = list(open_range(tmp_path, name, 10, 309, chunk_bytes=128))
    assert [len(piece) for piece in pieces] == [128, 128, 44]
    assert b"".join(pieces) == (bytes(range(256)) * 4)[10:310]


def test_a_prepared_sound_has_one_shape():
    assert Prepared("a" * 64, 1, 2, 3, -1600, -100, "x.wav").codec == "opus"
    assert media.PEAK_DBTP == -1.0
