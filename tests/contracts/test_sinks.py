"""What every sink keeps: it paces by its clock, never blocks, takes silence for an end, and says what went wrong."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_agent.player import alsa, sinks
from edge_agent.player.pcm import BLOCK, BLOCK_BYTES, BLOCK_NS, RATE
from edge_agent.player.sinks import Origin, SinkFailed, parse
from tests.audio import read_raw, read_wav

AHEAD_NS = 45_000_000


class Reader:
    """Somebody who takes everything out of a pipe, noting when."""

    def __init__(self, path: Path) -> None:
        self.data = b""
        self.times: list[tuple[int, int]] = []
        self._ended = False
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self._fd, True)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def _read(self) -> None:
        while not self._ended:
            piece = os.read(self._fd, 4096)
            if piece:
                self.times.append((time.monotonic_ns(), len(self.data)))
                self.data += piece
            elif self.data:
                return
            else:
                time.sleep(0.001)  # the writer has not come yet

    def end(self) -> bytes:
        if self._thread.ident is not None:
            self._thread.join(2)
            self._ended = True
            self._thread.join(2)
        os.close(self._fd)
        return self.data


class Bench:
    """A sink of one kind, and what came out of it."""

    def __init__(self, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind, self.folder, self.reader = kind, folder, None
        self.raw = folder / "alsa.raw"
        (folder / "asound.conf").write_text(f'pcm.rec {{ type file slave.pcm {{ type null }} file "{self.raw}" format "raw" }}\n')
        monkeypatch.setenv("ALSA_CONFIG_PATH", str(folder / "asound.conf"))
        spec = {"wav": f"wav:{folder / 'o.wav'}", "fifo": f"fifo:{folder / 'o.fifo'}", "alsa": "alsa:rec"}
        spec["both"] = f"{spec['alsa']}+{spec['wav']}"
        self.sink = parse(spec[kind])
        self.sink.open()
        if kind == "fifo":
            self.reader = Reader(folder / "o.fifo")
            self.reader.begin()

    def pump(self, blocks: list[bytes]) -> list[int]:
        """Write as the mixer does; how far ahead of the clock each block lay when written."""
        ahead = []
        for block in blocks:
            wait_ns = self.sink.due_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
            ahead.append(self.sink.next_ns() - time.monotonic_ns())
            self.sink.write(block)
        return ahead

    def heard(self) -> np.ndarray:
        self.sink.close()
        if self.kind in ("wav", "both"):
            return read_wav(self.folder / "o.wav")[1]
        if self.reader is not None:
            return np.frombuffer(self.reader.end(), "<i2").astype(np.int64)
        return read_raw(self.raw)


@pytest.fixture(params=["wav", "fifo", "alsa", "both"])
def bench(request, tmp_path, monkeypatch):
    return Bench(request.param, tmp_path, monkeypatch)


def blocks(count: int, seed: int = 1) -> list[bytes]:
    values = np.random.default_rng(seed).integers(1, 20_000, (count, BLOCK))
    return [row.astype("<i2").tobytes() for row in values]


def without_silence(samples: np.ndarray) -> np.ndarray:
    return samples[samples != 0]


def test_what_is_written_comes_out_unchanged_and_in_order(bench):
    sent = blocks(40)
    bench.pump(sent)
    assert np.array_equal(without_silence(bench.heard()), np.frombuffer(b"".join(sent), "<i2"))


def test_it_is_paced_by_the_clock_and_stays_little_ahead(bench):
    began = time.monotonic_ns()
    ahead = bench.pump(blocks(50))
    took = time.monotonic_ns() - began
    assert took >= 50 * BLOCK_NS - AHEAD_NS
    assert max(ahead) <= AHEAD_NS
    bench.heard()


def test_a_running_sink_gives_each_block_the_instant_after_the_one_before(bench):
    bench.pump(blocks(5))
    instants = []
    for block in blocks(20):
        bench.pump([])
        wait_ns = bench.sink.due_ns()
        time.sleep(max(0, wait_ns) / 1e9)
        instants.append(bench.sink.next_ns())
        bench.sink.write(block)
    if not bench.sink.underruns:
        assert np.abs(np.diff(instants) - BLOCK_NS).max() < 1_000_000
    bench.heard()


def test_after_a_rest_it_sounds_at_once_again(bench):
    first, second = blocks(5, 1), blocks(5, 2)
    bench.pump(first)
    time.sleep(0.1)
    bench.sink.idle()
    time.sleep(0.5)
    assert bench.sink.due_ns() <= 0
    assert bench.sink.next_ns() - time.monotonic_ns() < AHEAD_NS
    bench.pump(second)
    assert np.array_equal(without_silence(bench.heard()), np.frombuffer(b"".join(first + second), "<i2"))
    assert bench.sink.underruns == 0


def test_it_never_waits(bench):
    longest = 0
    for block in blocks(20):
        time.sleep(max(0, bench.sink.due_ns()) / 1e9)
        began = time.monotonic_ns()
        bench.sink.next_ns()
        bench.sink.write(block)
        longest = max(longest, time.monotonic_ns() - began)
    assert longest < 100_000_000
    bench.heard()


def test_it_can_be_closed_twice(bench):
    bench.sink.close()
    bench.sink.close()


# --- what only one of them can do


def test_a_wav_keeps_its_silences(tmp_path):
    sink = parse(f"wav:{tmp_path / 'o.wav'}")
    sink.open()
    origin = msgspec.json.decode((tmp_path / "o.wav.json").read_bytes(), type=Origin)
    places = []
    for pause_s in (0.2, 0.35):
        time.sleep(pause_s)
        at = sink.next_ns()
        sink.write(blocks(1)[0])
        sink.idle()
        rate, samples = read_wav(tmp_path / "o.wav")
        places.append((at, len(samples) - BLOCK))
    assert rate == origin.rate == RATE
    for at, place in places:
        assert abs((at - origin.first_sample_mono_ns) * RATE / 1e9 - place) <= 1
    assert abs(origin.first_sample_wall_ms / 1000 - time.time()) < 5
    sink.close()


def test_a_wav_is_valid_at_any_time_while_it_sounds(tmp_path):
    sink = parse(f"wav:{tmp_path / 'o.wav'}")
    sink.open()
    lengths = []
    for block in blocks(250):
        time.sleep(max(0, sink.due_ns()) / 1e9)
        sink.next_ns()
        sink.write(block)
        lengths.append(len(read_wav(tmp_path / "o.wav")[1]))
    assert lengths[-1] >= RATE
    sink.close()
    assert len(read_wav(tmp_path / "o.wav")[1]) >= 250 * BLOCK


def test_a_wav_begun_in_this_boot_is_continued_in_its_place(tmp_path):
    first = parse(f"wav:{tmp_path / 'o.wav'}")
    first.open()
    first.next_ns()
    first.write(blocks(1, 1)[0])
    origin = (tmp_path / "o.wav.json").read_bytes()
    os.close(first._fd)  # as a kill -9 leaves it
    time.sleep(0.3)
    second = parse(f"wav:{tmp_path / 'o.wav'}")
    second.open()
    at = second.next_ns()
    second.write(blocks(1, 2)[0])
    second.close()
    samples = read_wav(tmp_path / "o.wav")[1]
    assert (tmp_path / "o.wav.json").read_bytes() == origin
    begin = msgspec.json.decode(origin, type=Origin).first_sample_mono_ns
    assert np.array_equal(samples[-BLOCK:], np.frombuffer(blocks(1, 2)[0], "<i2"))
    assert abs((at - begin) * RATE / 1e9 - (len(samples) - BLOCK)) <= 1
    assert np.array_equal(without_silence(samples)[:BLOCK], np.frombuffer(blocks(1, 1)[0], "<i2"))


def test_a_wav_of_another_boot_is_begun_anew(tmp_path):
    old = Origin(RATE, 1, 1, "another boot")
    (tmp_path / "o.wav.json").write_bytes(msgspec.json.encode(old))
    (tmp_path / "o.wav").write_bytes(b"RIFF" + bytes(5000))
    sink = parse(f"wav:{tmp_path / 'o.wav'}")
    sink.open()
    sink.close()
    assert len(read_wav(tmp_path / "o.wav")[1]) == 0
    assert msgspec.json.decode((tmp_path / "o.wav.json").read_bytes(), type=Origin).boot_id == sinks.boot_id()


def test_a_wav_is_capped(tmp_path, caplog):
    sink = parse(f"wav:{tmp_path / 'o.wav'}?max_s=1")
    sink.open()
    for block in blocks(130):
        time.sleep(max(0, sink.due_ns()) / 1e9)
        sink.next_ns()
        sink.write(block)
    sink.close()
    assert (tmp_path / "o.wav").stat().st_size <= RATE * 2 + 44
    assert caplog.text.count("reached its limit") == 1


def test_a_fifo_without_a_reader_loses_sound_in_real_time(tmp_path):
    sink = parse(f"fifo:{tmp_path / 'o.fifo'}")
    sink.open()
    began = time.monotonic()
    for block in blocks(20):
        time.sleep(max(0, sink.due_ns()) / 1e9)
        sink.next_ns()
        sink.write(block)
    assert time.monotonic() - began >= 0.18
    reader = Reader(tmp_path / "o.fifo")
    reader.begin()
    sink.next_ns()
    sink.write(blocks(1, 9)[0])
    sink.close()
    assert reader.end() == blocks(1, 9)[0]


def test_a_fifo_reader_hears_each_block_at_its_instant(tmp_path):
    bench = Bench("fifo", tmp_path, pytest.MonkeyPatch())
    planned = []
    for block in blocks(30):
        time.sleep(max(0, bench.sink.due_ns()) / 1e9)
        planned.append(bench.sink.next_ns())
        bench.sink.write(block)
    bench.heard()
    late = [at - planned[offset // BLOCK_BYTES] for at, offset in bench.reader.times]
    assert min(late) > -1_000_000
    assert sorted(late)[len(late) // 2] < 10_000_000


def test_a_fifo_whose_reader_sleeps_drops_and_counts(tmp_path):
    sink = parse(f"fifo:{tmp_path / 'o.fifo'}")
    sink.open()
    reader = Reader(tmp_path / "o.fifo")
    for block in blocks(30):
        time.sleep(max(0, sink.due_ns()) / 1e9)
        sink.next_ns()
        sink.write(block)
    assert sink.underruns >= 20
    sink.close()
    reader.begin()
    assert len(reader.end()) <= 4096


def test_a_fifo_survives_a_reader_that_goes(tmp_path):
    sink = parse(f"fifo:{tmp_path / 'o.fifo'}")
    sink.open()
    reader = os.open(tmp_path / "o.fifo", os.O_RDONLY | os.O_NONBLOCK)
    sink.write(blocks(1)[0])
    os.close(reader)
    sink.write(blocks(1)[0])
    sink.write(blocks(1)[0])
    sink.close()


def test_two_sinks_hear_the_same(tmp_path, monkeypatch):
    bench = Bench("both", tmp_path, monkeypatch)
    written = blocks(20)
    bench.pump(written)
    recorded = without_silence(bench.heard())
    assert np.array_equal(recorded, without_silence(read_raw(bench.raw)))
    assert len(recorded) == 20 * BLOCK


NO_SINKS = ("", "wav:", "wav", "wav:x?max_s=0", "wav:x?max_s=no", "fifo:", "alsa:", "tape:x", "wav:x+tape:y")


@pytest.mark.parametrize("spec", NO_SINKS)
def test_a_sink_that_is_none_is_refused_with_the_remedy(spec):
    with pytest.raises(ValueError, match="wav:PATH"):
        parse(spec)


def test_each_sink_says_what_is_wrong_and_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "empty.conf").write_text("")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "empty.conf"))
    (tmp_path / "file").write_text("x")
    for spec, words in (
        ("alsa:none", "aplay -L"),
        (f"wav:{tmp_path}/no/o.wav", "writable folder"),
        (f"fifo:{tmp_path}/no/o", "another path"),
        (f"fifo:{tmp_path}/file", "another path"),
    ):
        with pytest.raises(SinkFailed, match=words):
            parse(spec).open()


def test_a_card_without_a_clock_is_paced_by_ours(tmp_path, monkeypatch):
    bench = Bench("alsa", tmp_path, monkeypatch)
    assert isinstance(bench.sink, alsa.AlsaSink)
    bench.pump(blocks(10))
    assert bench.sink._paced
    bench.heard()
