"""What an input keeps: closed until its part, what comes in is heard unchanged, closed behind it, and it says what is wrong."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_agent.player import wire
from edge_agent.player.capture import InputFeed
from edge_agent.player.loader import Loader
from edge_agent.player.pcm import RATE
from edge_agent.player.score import Clip, Input, Play, Tone
from tests.audio import last_sound
from tests.player.live_player import LivePlayer
from tests.player.test_player_child import write_wav
from tests.radio import runs, spelled

MS = 1_000_000
CARD = 'pcm.{name} {{ type file slave.pcm {{ type null }} file "/dev/null" infile "{file}" format "raw" }}\n'


def sine(hertz: float, seconds: float) -> np.ndarray:
    return np.round(6000 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype("<i2")


class Cards:
    """ALSA devices that read raw files, and no other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "asound.conf"
        self.conf.write_text("")

    def add(self, name: str, samples: np.ndarray) -> Path:
        file = self.folder / f"{name}.raw"
        file.write_bytes(samples.astype("<i2").tobytes())
        self.conf.write_text(self.conf.read_text() + CARD.format(name=name, file=file))
        return file


@pytest.fixture
def cards(tmp_path, monkeypatch) -> Cards:
    made = Cards(tmp_path)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(made.conf))
    return made


@pytest.fixture(scope="module")
def board(tmp_path_factory) -> Iterator[tuple[LivePlayer, Cards]]:
    """A player whose FM input gives 440 Hz and whose line input nothing."""
    made = Cards(tmp_path_factory.mktemp("board"))
    made.add("radio", sine(440, 60))
    made.add("dead", np.zeros(60 * RATE))
    cache, env = tmp_path_factory.mktemp("cache"), {"ALSA_CONFIG_PATH": str(made.conf)}
    live = LivePlayer(f"wav:{made.folder / 'o.wav'}", cache, env, ("--input", "fm=radio", "--input", "line=dead"))
    yield live, made
    live.close()


@pytest.fixture
def player(board) -> LivePlayer:
    return board[0]


@pytest.fixture
def fm_file(board) -> str:
    return str(board[1].folder / "radio.raw")


def open_files(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(link.readlink()))
    return found


def until(look) -> bool:
    deadline = time.monotonic() + 10
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


# --- the feed by itself


@pytest.fixture
def loader() -> Loader:
    made = Loader(lambda: None)
    made.start()
    return made


def test_what_comes_in_is_given_unchanged_and_in_order(cards, loader):
    values = np.random.default_rng(1).integers(-20_000, 20_000, RATE)
    cards.add("card", values)
    feed = InputFeed("card", loader)
    assert until(lambda: feed.ring.queued >= 30_000)
    taken = np.frombuffer(feed.ring.take(30_000), "<i2")
    feed.close()
    assert np.array_equal(taken, values[:30_000])


def test_a_device_without_a_clock_is_read_by_ours(cards, loader):
    cards.add("card", sine(440, 20))
    feed = InputFeed("card", loader)
    assert until(lambda: feed.ring.arrived)
    began = time.monotonic()
    time.sleep(1)
    feed.close()
    assert feed.ring.arrived / RATE < time.monotonic() - began + 0.3
    assert feed.ring.arrived / RATE > 0.8


def test_a_closed_feed_lets_go_of_its_device(cards, loader):
    file = cards.add("card", sine(440, 20))
    feed = InputFeed("card", loader)
    assert until(lambda: feed.ring.arrived)
    assert str(file) in open_files(os.getpid())
    feed.close()
    assert until(lambda: str(file) not in open_files(os.getpid()))
    assert until(lambda: not any(thread.name == "input" for thread in threading.enumerate()))


def test_a_device_that_is_not_there_is_one_sentence(cards, loader):
    feed = InputFeed("nowhere", loader)
    assert until(lambda: feed.ring.fault)
    assert "input nowhere cannot be opened" in feed.ring.fault
    assert "arecord -L" in feed.ring.fault


# --- as a part of a play


def test_an_input_is_open_while_its_part_lasts_and_at_no_other_time(player, fm_file):
    assert fm_file not in open_files(player.process.pid)
    play_id = player.start(Tone("test", 700), Input("fm", max_ms=1200, silence_ms=1000), Tone("test", 700))
    player.wait(wire.PartStarted, play_id, part=0)
    assert fm_file not in open_files(player.process.pid)
    player.wait(wire.PartStarted, play_id, part=1)
    assert fm_file in open_files(player.process.pid)
    player.wait(wire.PartStarted, play_id, part=2)
    assert until(lambda: fm_file not in open_files(player.process.pid))
    ended = player.ended(play_id)
    heard = player.recorded(*(player.wait(wire.PartStarted, play_id, part=part).mono_ns for part in (1, 2)))
    assert (ended.how, ended.reason) == ("ended", "")
    assert abs(len(heard) - 1200 * 48) <= 1
    assert set(spelled(heard[2400:-2400])) == {"R"}


def test_a_timed_input_is_not_opened_before_its_instant(player, fm_file):
    at = time.monotonic_ns() + 1200 * MS
    play_id = player.start(Input("fm", max_ms=400, silence_ms=1000), at_mono_ns=at)
    seen_ns = 0
    while not seen_ns and time.monotonic_ns() < at + 5_000 * MS:
        seen_ns = time.monotonic_ns() if fm_file in open_files(player.process.pid) else 0
    began = player.wait(wire.Started, play_id).mono_ns
    assert at - 50 * MS <= seen_ns < began < at + 600 * MS
    assert player.ended(play_id).how == "ended"


def test_a_stop_closes_the_input_and_is_heard_at_once(player, fm_file):
    play_id = player.start(Input("fm", max_ms=60_000, silence_ms=1000))
    player.wait(wire.Started, play_id)
    time.sleep(0.3)
    asked = player.index(time.monotonic_ns())
    player.send(wire.Stop(play_id))
    assert player.ended(play_id).how == "stopped"
    assert until(lambda: fm_file not in open_files(player.process.pid))
    assert 0 < last_sound(player.samples(), -60) - asked < RATE // 10


def test_a_dead_input_is_covered_by_the_fallback(player, tmp_path):
    clip = Clip(str(write_wav(tmp_path / "f.wav", sine(880, 0.8))))
    ended, heard = player.play(Input("line", max_ms=2300, silence_ms=800, fallback=clip))
    assert "".join(letter for letter, _ in runs(heard)) == ".F."
    assert (ended.how, ended.reason) == ("ended", "relay: fallback from 1 s on: silent")


def test_a_dead_input_without_a_fallback_fails(player):
    ended, _ = player.play(Input("line", max_ms=9000, silence_ms=800))
    assert (ended.how, ended.reason) == ("failed", "relay: no sound for 0.8 s and no fallback (silent)")


def test_an_input_that_the_board_does_not_have_fails_with_a_sentence(tmp_path, tmp_path_factory):
    live = LivePlayer(f"wav:{tmp_path / 'o.wav'}", tmp_path_factory.mktemp("cache"))
    for source, name in (("fm", "FM"), ("line", "line")):
        ended, _ = live.play(Input(source, max_ms=9000, silence_ms=800, fallback=Clip("x")))
        assert ended.how == "failed"
        assert f"this node has no {name} input" in ended.reason
    live.close()


def test_an_input_is_plain_data():
    play = Play(1, (Input("line", 5, 6, Clip("a")),))
    assert wire.order(wire.line(wire.Start(play))) == wire.Start(play)
