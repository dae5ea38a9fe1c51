"""The player child with its WAV sink, judged by what is in the file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import psutil
import pytest

from edge_agent.player import tones, wire
from edge_agent.player.limiter import CEILING
from edge_agent.player.pcm import RATE
from edge_agent.player.score import Align, Clip, Pause, Play, Tone
from tests.audio import best_shift, first_sound, last_sound, peak_dbfs, read_wav, rms_dbfs, without_holes
from tests.player.live_player import LivePlayer

MS = 1_000_000


def tone_samples(name) -> np.ndarray:
    return np.frombuffer(tones.synthesise(name), "<i2").astype(np.int64)


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def noise(count: int, amplitude: int = 8000, seed: int = 1) -> np.ndarray:
    values = np.random.default_rng(seed).integers(-amplitude, amplitude, count)
    return np.where(values == 0, 1, values)


def test_a_timed_play_begins_at_its_sample(player):
    for step in range(5):
        at = time.monotonic_ns() + (150 + 37 * step) * MS
        play_id = player.start(Tone("test", 60), at_mono_ns=at)
        player.ended(play_id)
        samples = player.samples()
        begin = player.index(at) - RATE // 50
        found = first_sound(samples[begin:], -90) + begin
        assert abs(found - player.index(at)) <= 1
        assert abs(player.wait(wire.Started, play_id).mono_ns - at) <= 21_000


def test_a_recording_begins_at_its_sample_too(player, tmp_path):
    clip = write_wav(tmp_path / "n.wav", noise(9600))
    at = time.monotonic_ns() + 400 * MS
    player.ended(player.start(Clip(str(clip)), at_mono_ns=at))
    samples = player.samples()
    begin = player.index(at) - 2000
    assert abs(first_sound(samples[begin:], -90) + begin - player.index(at)) <= 1


def test_parts_follow_each_other_without_a_gap_or_a_change(player, tmp_path):
    pieces = [noise(30_001, seed=1), noise(4_801, seed=2), noise(96_007, seed=3)]
    clips = [write_wav(tmp_path / f"{n}.wav", piece) for n, piece in enumerate(pieces)]
    chime = tone_samples("chime_open")
    ended, heard = player.play(
        Clip(str(clips[0]), samples=30_001), Clip(str(clips[1])), Tone("chime_open"), Clip(str(clips[2]), samples=96_007)
    )
    expected = np.concatenate((pieces[0], pieces[1], chime, pieces[2]))
    assert ended.how == "ended"
    assert ended.reason == ""
    assert ended.played_samples == len(expected) == len(heard)
    assert np.array_equal(heard, expected)


def test_every_tone_is_audible_within_5_ms_and_as_long_as_asked(player):
    for name in ("chime_open", "chime_close", "siren", "exercise", "test"):
        samples = tone_samples(name)
        assert first_sound(samples, -40) < RATE * 5 // 1000
        wanted = -20 if name == "test" else -6
        assert abs(peak_dbfs(samples) - wanted) < 0.3
    assert 1.5 < len(tone_samples("chime_open")) / RATE < 2.1
    assert len(tone_samples("siren")) / RATE >= 3
    ended, heard = player.play(Tone("test", 1700))
    assert len(without_holes(heard)) == ended.played_samples == 1700 * RATE // 1000
    assert abs(rms_dbfs(heard) + 23.0) < 0.3
    assert abs(ended.rms_cdb + 2300) < 40
    assert abs(ended.peak_cdb + 2000) < 10


def test_the_siren_repeats_without_a_seam():
    siren = tone_samples("siren")
    twice = np.concatenate((siren, siren))
    steps = np.abs(np.diff(twice))
    assert steps[len(siren) - 3 : len(siren) + 3].max() <= steps.max()
    assert steps.max() < 6000


def test_two_loud_plays_never_exceed_one_db_under_full_scale(player, tmp_path):
    loud = write_wav(tmp_path / "loud.wav", np.sign(np.sin(np.arange(2 * RATE) * 0.05)) * 32_000)
    first = player.start(Clip(str(loud)))
    player.wait(wire.Started, first)
    time.sleep(0.3)
    second = player.start(Tone("siren", 2000), level_cdb=500)
    player.ended(first)
    player.ended(second)
    samples = player.samples()
    assert np.abs(samples).max() <= CEILING
    assert peak_dbfs(samples) > -1.6


def test_a_single_recording_over_the_ceiling_is_limited_without_a_jump(player, tmp_path):
    n = np.arange(RATE)
    loud = np.round(np.sin(n * 2 * np.pi * 200 / RATE) * np.where(n < RATE // 2, 8_000, 32_700))
    _, heard = player.play(Clip(str(write_wav(tmp_path / "l.wav", loud))))
    assert np.abs(heard).max() <= CEILING
    quiet = heard[: RATE // 2 - 480]
    assert np.abs(quiet - loud[: len(quiet)]).max() <= 1


def test_a_stop_fades_out_and_then_all_is_silent(player):
    play_id = player.start(Tone("siren", 20_000))
    player.wait(wire.Started, play_id)
    time.sleep(0.5)
    asked = player.index(time.monotonic_ns())
    player.send(wire.Stop(play_id))
    ended = player.ended(play_id)
    assert ended.how == "stopped"
    samples = player.samples()
    last = last_sound(samples, -60)
    assert 0 < last - asked < RATE // 10
    tail = np.abs(samples[last - 240 : last + 1])
    assert tail[-48:].max() < tail[:48].max() / 2
    assert player.index(ended.mono_ns) >= last


def test_a_stop_in_the_last_second_of_a_file_is_silent_at_once(player, speech_mka):
    mka, decoded = speech_mka
    length = len(read_wav(decoded)[1])
    play_id = player.start(Clip(str(mka), samples=length))
    began = player.wait(wire.Started, play_id).mono_ns
    time.sleep(max(0, (began - time.monotonic_ns()) / 1e9 + length / RATE - 0.7))
    asked = player.index(time.monotonic_ns())
    player.send(wire.Stop(play_id))
    player.ended(play_id)
    time.sleep(1)
    assert last_sound(player.samples(), -60) - asked < RATE // 10


def test_opus_in_matroska_is_what_opusdec_decodes_and_is_cut_at_its_true_length(player, speech_mka):
    mka, decoded = speech_mka
    expected = read_wav(decoded)[1]
    ended, heard = player.play(Clip(str(mka), samples=len(expected)))
    assert ended.played_samples == len(expected)
    assert np.abs(heard - expected).max() <= 1


def test_recordings_of_every_kind_sound(player, speech_mka, tmp_path):
    source = speech_mka[1]
    length_s = len(read_wav(source)[1]) / RATE
    kinds = {"22k.wav": ["-ar", "22050"], "44k.wav": ["-ar", "44100", "-ac", "2"], "8k.mp3": ["-ar", "8000"]}
    kinds |= {"44k.mp3": ["-ar", "44100"], "a.flac": ["-ar", "32000"], "a.ogg": ["-c:a", "libvorbis"]}
    for name, options in kinds.items():
        words = ["ffmpeg", "-v", "error", "-i", source, *options, tmp_path / name]
        subprocess.run(words, check=True, timeout=60)
        ended, heard = player.play(Clip(str(tmp_path / name)))
        assert (ended.how, ended.reason) == ("ended", ""), name
        assert abs(len(heard) / RATE - length_s) < 0.2, name
        assert abs(rms_dbfs(heard) - rms_dbfs(read_wav(source)[1])) < 3.5, name


def test_a_duck_is_a_ramp_to_a_level_and_back(player):
    play_id = player.start(Tone("test", 1500))
    began = player.index(player.wait(wire.Started, play_id).mono_ns)
    time.sleep(0.4)
    player.send(wire.Duck(play_id, -2000, 50))
    time.sleep(0.5)
    player.send(wire.Duck(play_id, 0, 50))
    player.ended(play_id)
    heard = player.samples()[began : began + 1500 * 48]
    levels = [rms_dbfs(heard[at : at + 480]) for at in range(0, len(heard), 480)]
    assert abs(min(levels) + 43) < 1
    assert abs(levels[5] + 23) < 0.5
    assert abs(levels[-5] + 23) < 0.5
    assert np.abs(np.diff(heard)).max() < 500


def test_gains_of_play_and_part_add_up(player, tmp_path):
    clip = write_wav(tmp_path / "n.wav", noise(24_000))
    _, heard = player.play(Clip(str(clip), gain_cdb=-600), level_cdb=-400)
    assert abs(rms_dbfs(heard) - rms_dbfs(noise(24_000)) + 10) < 0.1


def test_a_play_resumed_in_the_middle_goes_on_near_its_place_with_a_short_fade(player, speech_mka):
    mka, decoded = speech_mka
    expected = read_wav(decoded)[1]
    skip = 100_000
    ended, heard = player.play(Pause(5000), Clip(str(mka), samples=len(expected)), from_part=1, skip_samples=skip)
    assert ended.how == "ended"
    part = heard[20_000:30_000]
    at, error = best_shift(part, expected, skip + 20_000, 2_000)
    assert abs(at - skip - 20_000) <= 960
    assert error < 200
    assert abs(len(heard) - (len(expected) - skip)) <= 960


def test_a_wav_is_resumed_within_a_sample(player, tmp_path):
    values = noise(6 * RATE)
    clip = Clip(str(write_wav(tmp_path / "n.wav", values)), samples=len(values))
    for skip in (1, 100_003, 200_000, 234_567):
        ended, heard = player.play(clip, skip_samples=skip, max_ms=400)
        assert ended.how == "max"
        at, error = best_shift(heard[240:18_000], values, skip + 240, 2)
        assert (abs(at - skip - 240) <= 1, error) == (True, 0), skip


def test_an_align_waits_for_the_common_grid(player):
    origin = time.monotonic_ns() - 77 * MS
    player.ended(player.start(Tone("test", 100), Align(origin, 400), Tone("test", 50), Align(origin, 400), Tone("test", 50)))
    for part in (2, 4):
        at = next(r.mono_ns for r in player.reports if isinstance(r, wire.PartStarted) and r.part == part)
        off = (at - origin) % (400 * MS)
        assert min(off, 400 * MS - off) <= 42_000
    rests = [r for r in player.reports if isinstance(r, wire.PartStarted) and r.part in (1, 3)]
    assert all(0 < rest.rest_ms <= 400 for rest in rests)


def test_a_play_ends_at_its_ceiling(player):
    ended, heard = player.play(Tone("siren", 10_000), max_ms=730)
    assert ended.how == "max"
    assert len(heard) <= 730 * 48
    assert len(heard) > 700 * 48


def test_a_recording_of_unknown_length_ends_with_its_file(player, tmp_path):
    ended, heard = player.play(Clip(str(write_wav(tmp_path / "n.wav", noise(50_123)))), Tone("test", 100))
    assert ended.played_samples == 50_123 + 4800
    assert np.array_equal(heard[:50_123], noise(50_123))


def test_bad_parts_are_named_and_the_rest_of_the_play_goes_on(player, tmp_path):
    bad = {
        "empty.mka": b"",
        "noise.mka": os.urandom(50_000),
        "text.mp3": b"#EXTM3U\nhttp://127.0.0.1/x\n",
        "half.mka": b"\x1a\x45\xdf\xa3" + os.urandom(5_000),
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    parts = [Clip(str(tmp_path / name)) for name in (*bad, "missing.mka", "..")]
    ended, heard = player.play(*parts, Tone("test", 200))
    assert ended.how == "ended"
    for name in (*bad, "missing.mka"):
        assert name in ended.reason
    assert "is missing" in ended.reason
    assert abs(len(heard) - 9600) <= 480
    for part in parts:
        alone, silence = player.play(part)
        assert alone.how == "failed", part
        assert "part 1" in alone.reason
        assert not len(silence)
    assert player.play(Tone("test", 100))[0].how == "ended"


def test_a_truncated_recording_is_heard_as_far_as_it_goes_and_reported(player, speech_mka, tmp_path):
    mka, decoded = speech_mka
    (tmp_path / "cut.mka").write_bytes(mka.read_bytes()[: mka.stat().st_size // 2])
    ended, heard = player.play(Clip(str(tmp_path / "cut.mka"), samples=len(read_wav(decoded)[1])), Tone("test", 100))
    assert ended.how == "ended"
    assert "early" in ended.reason
    assert len(heard) > RATE


def test_endless_media_is_cut_at_its_length_or_its_ceiling(player, tmp_path):
    pipe = tmp_path / "endless.wav"
    header = write_wav(tmp_path / "h.wav", noise(10)).read_bytes()[:40] + b"\xff\xff\xff\x7f"
    endless = header + noise(20 * RATE).astype("<i2").tobytes()
    pipe.write_bytes(endless)
    ended, heard = player.play(Clip(str(pipe), samples=24_000))
    assert (ended.how, len(heard)) == ("ended", 24_000)
    ended, heard = player.play(Clip(str(pipe)), max_ms=400)
    assert (ended.how, len(heard) <= 19_200) == ("max", True)


def test_an_address_is_no_recording(player):
    ended, _ = player.play(Clip("http://127.0.0.1:9/x.wav"))
    assert (ended.how, ended.reason) == ("failed", "part 1 (x.wav) is missing")


def test_a_pipe_is_no_recording(player, tmp_path):
    os.mkfifo(tmp_path / "dry.wav")
    ended, _ = player.play(Clip(str(tmp_path / "dry.wav")))
    assert (ended.how, ended.reason) == ("failed", "part 1 (dry.wav) is no file")


def test_a_file_still_being_made_is_waited_for_and_heard(player, tmp_path):
    late = tmp_path / "late.wav"
    play_id = player.start(Tone("test", 200), Clip(str(late), wait_ms=3000), Tone("test", 50))
    player.wait(wire.Started, play_id)
    time.sleep(0.6)
    write_wav(tmp_path / "made.wav", noise(9600)).rename(late)
    ended = player.ended(play_id)
    assert (ended.how, ended.reason) == ("ended", "")
    began = {r.part: r.mono_ns for r in player.reports if isinstance(r, wire.PartStarted) and r.play_id == play_id}
    assert 300 * MS < began[1] - began[0] < 2500 * MS
    assert 9500 * 20_833 < began[2] - began[1] < 9700 * 20_834


def test_only_the_first_missing_file_of_a_play_is_waited_for(player, tmp_path):
    began = time.monotonic()
    clip = Clip(str(tmp_path / "never.wav"), wait_ms=700)
    ended, _ = player.play(Tone("test", 50), clip, Pause(50), clip, Pause(50), clip, Tone("test", 50))
    assert ended.reason.count("missing") == 3
    assert time.monotonic() - began < 2.5


def test_a_recording_of_nothing_is_seen_as_silence(player, tmp_path):
    silent = write_wav(tmp_path / "silent.wav", np.zeros(48_000))
    ended, _ = player.play(Clip(str(silent)))
    assert ended.peak_cdb == -12_000
    assert ended.silent_ms >= 990
    assert "silent.wav) was silent" in ended.reason
    ended, _ = player.play(Tone("test", 300), Pause(1000), Tone("test", 300))
    assert ended.silent_ms == 0


def test_a_play_that_has_not_begun_can_be_stopped(player):
    play_id = player.start(Tone("siren"), at_mono_ns=time.monotonic_ns() + 5_000 * MS)
    player.send(wire.Stop(play_id))
    ended = player.ended(play_id)
    assert (ended.how, ended.played_samples) == ("stopped", 0)


def test_too_many_plays_are_refused_and_the_others_sound(player):
    plays = [player.start(Tone("test", 2000)) for _ in range(9)]
    assert player.ended(plays[-1]).how == "failed"
    assert player.ended(plays[0]).how == "ended"


def test_lines_that_are_no_orders_are_survived(player):
    player.process.stdin.write(b'{"type":"start"}\nnonsense\n{"type":"stop","play_id":"x"}\n' + b"x" * 200_000 + b"\n")
    player.process.stdin.flush()
    assert player.play(Tone("test", 100))[0].how == "ended"


def test_without_its_agent_the_player_ends_and_its_recording_is_whole(tmp_path, player_cache):
    live = LivePlayer(f"wav:{tmp_path / 'w.wav'}", player_cache)
    live.wait(wire.Started, live.start(Tone("siren", 5000)))
    time.sleep(0.3)
    assert live.close() == 0
    rate, samples = read_wav(tmp_path / "w.wav")
    assert rate == RATE
    assert 0.2 * RATE < last_sound(samples) - first_sound(samples) < 2 * RATE


def test_a_sink_that_cannot_be_opened_is_one_sentence(tmp_path, player_cache):
    for sink, word in ((f"wav:{tmp_path}/no/where.wav", "choose a writable folder"), ("tape:x", "is none of")):
        words = [sys.executable, "-m", "edge_agent.player", "--sink", sink, "--cache", str(player_cache)]
        told = subprocess.run(words, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
        assert told.returncode == 69
        assert word in told.stderr
        assert "Traceback" not in told.stderr


def test_an_idle_player_beats_and_hardly_works(player):
    player.play(Tone("test", 100))
    process = psutil.Process(player.process.pid)
    before = process.cpu_times()
    beats = sum(isinstance(r, wire.Beat) for r in player.reports)
    time.sleep(3)
    after = process.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.09
    assert 8 <= sum(isinstance(r, wire.Beat) for r in player.reports) - beats <= 14


def test_a_beat_tells_how_far_each_play_is(player):
    play_id = player.start(Tone("test", 400), Tone("siren", 3000))
    player.wait(wire.PartStarted, play_id, part=1)
    time.sleep(0.8)
    playing = [r.playing for r in player.reports if isinstance(r, wire.Beat) and r.playing]
    assert playing[-1][0].play_id == play_id
    assert playing[-1][0].part == 1
    assert 0.2 * RATE < playing[-1][0].samples < 1.5 * RATE
    player.send(wire.Stop(play_id))


@pytest.mark.parametrize("count", [1, 2])
def test_two_plays_at_once_are_the_sum_of_both(player, tmp_path, count):
    pieces = [noise(48_000, 3000, seed) for seed in range(count)]
    at = time.monotonic_ns() + 500 * MS
    ids = [
        player.start(Clip(str(write_wav(tmp_path / f"{n}.wav", piece)), samples=48_000), at_mono_ns=at)
        for n, piece in enumerate(pieces)
    ]
    for play_id in ids:
        player.ended(play_id)
    begin = player.index(player.wait(wire.Started, ids[0]).mono_ns)
    heard = player.samples()[begin : begin + 48_000]
    assert np.abs(heard - sum(pieces)).max() <= 1


def test_a_play_is_plain_data():
    play = Play(1, (Tone("siren"), Clip("a", 3), Pause(5), Align(1, 2)), at_mono_ns=5)
    assert wire.order(wire.line(wire.Start(play))) == wire.Start(play)
