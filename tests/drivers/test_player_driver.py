"""The player's driver with a real child, a WAV sink and an amplifier that keeps a log."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
import wave
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_agent.drivers.amplifier import FileAmplifier
from edge_agent.drivers.player import PlayerDriver, PlayerKeepsDying
from edge_agent.drivers.speech import Speaker
from edge_agent.errors import SpeechUnavailable
from edge_agent.events import PartSounding, PlayEnded, PlayerLost, PlayerReady, PlayerReplaced, Sounding
from edge_agent.player.pcm import RATE
from edge_agent.player.score import Clip, Input, Pause, Play, Speech, Stream, Tone
from edge_agent.player.sinks import Origin
from tests.audio import best_shift, first_sound, last_sound, read_wav, sounding_runs
from tests.radio import Manner, Radio, radio_sounds, runs, spelled

MS = 1_000_000
S = 1_000_000_000


@pytest.fixture(scope="session")
def player_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("player-cache")


class Node:
    """A driver at work, and all that can be seen of it from outside."""

    def __init__(self, folder: Path, cache: Path, power_on_ms: int = 0, voice=None, inputs=None) -> None:
        self.folder = folder
        self.events: list = []
        self._news = asyncio.Condition()
        self.voice = voice or Speaker(folder / "speech")
        self.amplifier = FileAmplifier(folder / "amp.log", power_on_ms)
        self.driver = PlayerDriver(
            sink=f"wav:{folder / 'o.wav'}",
            cache=cache,
            amplifier=self.amplifier,
            voice=self.voice,
            emit=self.events.append,
            inputs=inputs,
        )
        self._ids = iter(range(1, 1000))

    def start(self, *parts, **more) -> int:
        play_id = next(self._ids)
        self.driver.start(Play(play_id, parts, **more))
        return play_id

    async def wait(self, kind, within_s=20.0, **fields):
        deadline = time.monotonic() + within_s
        while True:
            for event in self.events:
                if isinstance(event, kind) and all(getattr(event, k) == v for k, v in fields.items()):
                    return event
            assert time.monotonic() < deadline, f"no {kind.__name__} {fields} in {self.events[-6:]}"
            await asyncio.sleep(0.01)

    async def ended(self, play_id: int) -> PlayEnded:
        return await self.wait(PlayEnded, play_id=play_id, within_s=60)

    async def until_off(self) -> None:
        deadline = time.monotonic() + 10
        while self.amplifier.is_on:
            assert time.monotonic() < deadline, "the amplifier stays on"
            await asyncio.sleep(0.02)

    def origin_ns(self) -> int:
        return msgspec.json.decode((self.folder / "o.wav.json").read_bytes(), type=Origin).first_sample_mono_ns

    def index(self, mono_ns: int) -> int:
        return round((mono_ns - self.origin_ns()) * RATE / 1e9)

    def samples(self) -> np.ndarray:
        return read_wav(self.folder / "o.wav")[1]

    def powered(self) -> list[tuple[int, int]]:
        """Intervals of the amplifier's log; one still on lasts until now."""
        runs, since = [], None
        for line in (self.folder / "amp.log").read_text().splitlines():
            at, word = line.split()
            if word == "on" and since is None:
                since = int(at)
            if word == "off" and since is not None:
                runs.append((since, int(at)))
                since = None
        return runs if since is None else [*runs, (since, time.monotonic_ns())]


@asynccontextmanager
async def running(node: Node):
    task = asyncio.create_task(node.driver.run())
    try:
        await node.wait(PlayerReady)
        yield node
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def noise_clip(path: Path, count: int) -> tuple[Clip, np.ndarray]:
    values = np.random.default_rng(5).integers(100, 8000, count)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(values.astype("<i2").tobytes())
    return Clip(str(path), samples=count), values


async def test_a_play_is_told_from_its_first_sample_to_its_end(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache)) as node:
        asked = time.monotonic_ns()
        play_id = node.start(Tone("chime_open"), Tone("test", 300))
        ended = await node.ended(play_id)
        began = await node.wait(Sounding, play_id=play_id)
        parts = [event.part for event in node.events if isinstance(event, PartSounding)]
    assert parts == [0, 1]
    assert ended.how == "ended"
    assert 0 <= began.at_mono_ns - asked < 500 * MS
    assert abs(first_sound(node.samples()) - node.index(began.at_mono_ns)) < 240
    assert abs(last_sound(node.samples()) - node.index(ended.at_mono_ns)) < 480
    assert abs(ended.peak_cdb + 600) < 30


async def test_no_sound_goes_to_an_amplifier_that_is_not_warm(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache, power_on_ms=400)) as node:
        first = await node.wait(Sounding, play_id=node.start(Tone("test", 300)))
        on = node.powered()[0][0]
        assert first.at_mono_ns - on >= 400 * MS
        await node.ended(1)
        second = time.monotonic_ns()
        began = await node.wait(Sounding, play_id=node.start(Tone("test", 300)))
        assert began.at_mono_ns - second < 390 * MS
        await node.ended(2)
        assert len(node.powered()) == 1


async def test_a_timed_play_has_power_before_and_begins_at_its_sample(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache, power_on_ms=200)) as node:
        at = time.monotonic_ns() + 1_500 * MS
        play_id = node.start(Tone("test", 200), at_mono_ns=at)
        await node.ended(play_id)
        on = node.powered()[0][0]
        assert 200 * MS <= at - on < 1_000 * MS
    assert abs(first_sound(node.samples(), -90) - node.index(at)) <= 1


async def test_a_late_timed_play_begins_now(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache)) as node:
        now = time.monotonic_ns()
        began = await node.wait(Sounding, play_id=node.start(Tone("test", 100), at_mono_ns=now - 5 * S))
    assert began.at_mono_ns - now < S


async def test_text_is_spoken_behind_a_chime_that_does_not_wait(tmp_path, player_cache):
    text = "Khẩn cấp: nước lũ đang lên, đề nghị bà con sơ tán ngay."
    async with running(Node(tmp_path, player_cache)) as node:
        asked = time.monotonic_ns()
        play_id = node.start(Tone("chime_open"), Speech("vi", text), Pause(100), Speech("vi", text), Tone("chime_close"))
        began = await node.wait(Sounding, play_id=play_id)
        ended = await node.ended(play_id)
    assert began.at_mono_ns - asked < 500 * MS
    assert (ended.how, ended.reason) == ("ended", "")
    assert node.voice.runs == 1
    starts = {event.part: event.at_mono_ns for event in node.events if isinstance(event, PartSounding)}
    assert 1_700 * MS < starts[1] - starts[0] < 2_100 * MS
    speech = node.samples()[node.index(starts[1]) : node.index(starts[2])]
    assert len(speech) > RATE
    assert sounding_runs(speech, -40)


async def test_a_language_without_a_voice_is_reported_and_the_play_goes_on(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache)) as node:
        ended = await node.ended(node.start(Tone("test", 100), Speech("jra", "Ơi ană plei"), Tone("test", 100)))
    assert ended.how == "ended"
    assert "'jra'" in ended.reason
    assert ended.played_samples == 9600


class LostVoice:
    """A voice that promises and then cannot."""

    def path_of(self, lang, text):
        return Path("/nonexistent/speech.wav")

    async def clip(self, lang, text):
        raise SpeechUnavailable("the voice is hoarse")


async def test_speech_that_fails_is_waited_for_once_and_reported(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache, voice=LostVoice())) as node:
        began = time.monotonic()
        said = Speech("vi", "nước")
        ended = await node.ended(node.start(Tone("test", 100), said, Pause(50), said, Pause(50), said, Tone("test", 100)))
        took = time.monotonic() - began
        await asyncio.sleep(2)
    assert ended.how == "ended"
    assert "the voice is hoarse" in ended.reason
    assert took < 5
    check_law_5(node)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_player_that_dies_or_hangs_is_replaced_and_goes_on_near_its_place(tmp_path, player_cache, blow):
    clip, values = noise_clip(tmp_path / "n.wav", 6 * RATE)
    async with running(Node(tmp_path, player_cache)) as node:
        play_id = node.start(Tone("test", 200), clip)
        await node.wait(Sounding, play_id=play_id)
        await asyncio.sleep(1.6)
        struck = time.monotonic_ns()
        os.kill(node.driver.pid, blow)
        lost = await node.wait(PlayerLost)
        replaced = await node.wait(PlayerReplaced)
        ended = await node.ended(play_id)
        await asyncio.sleep(0.2)
        samples = node.samples()
    assert lost.plays == replaced.resumed == (play_id,)
    assert replaced.after_ms < 3000
    assert ended.how == "ended"
    assert "replaced 1 times" in ended.reason
    end = node.index(ended.at_mono_ns)
    at, error = best_shift(samples[end - RATE : end - RATE // 2], values, len(values) - RATE, 2)
    assert (abs(at - len(values) + RATE) <= 1, error) == (True, 0)
    again = node.index(struck) + first_sound(samples[node.index(struck) + RATE // 10 :]) + RATE // 10
    piece = samples[again + 2400 : again + 4800]
    at, error = best_shift(piece, values, int(1.4 * RATE), RATE)
    assert error == 0
    heard_before = (struck - (await node.wait(PartSounding, part=1)).at_mono_ns) / 1e9
    assert -0.8 < (at - 2400) / RATE - heard_before < 0.1


async def test_what_was_stopped_while_there_was_no_player_stays_stopped(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache)) as node:
        play_id = node.start(Tone("siren", 20_000))
        await node.wait(Sounding, play_id=play_id)
        os.kill(node.driver.pid, signal.SIGKILL)
        node.driver.stop(play_id)
        ended = await node.ended(play_id)
        assert ended.how == "stopped"
        await node.wait(PlayerReplaced)
        await asyncio.sleep(0.5)
        length = len(node.samples())
        await asyncio.sleep(0.5)
        assert len(node.samples()) == length
        assert (await node.wait(PlayerReplaced)).resumed == ()


async def test_a_ceiling_holds_across_a_replacement(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache)) as node:
        play_id = node.start(Tone("siren", 20_000), max_ms=1500)
        began = (await node.wait(Sounding, play_id=play_id)).at_mono_ns
        await asyncio.sleep(0.7)
        os.kill(node.driver.pid, signal.SIGKILL)
        ended = await node.ended(play_id)
    assert ended.how == "max"
    assert ended.at_mono_ns - began <= 1_520 * MS


async def test_a_player_that_cannot_live_ends_the_driver(tmp_path, player_cache):
    node = Node(tmp_path, player_cache)
    node.driver._sink = f"wav:{tmp_path}/no/where.wav"
    with pytest.raises(ExceptionGroup) as told:
        await asyncio.wait_for(node.driver.run(), 60)
    assert told.group_contains(PlayerKeepsDying, match="5 players died")
    assert sum(isinstance(event, PlayerLost) for event in node.events) == 5
    assert not node.amplifier.is_on


async def test_cancelled_it_ends_the_child_and_takes_the_power(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache)) as node:
        await node.wait(Sounding, play_id=node.start(Tone("siren", 20_000)))
        pid = node.driver.pid
        assert node.amplifier.is_on
    assert not node.amplifier.is_on
    assert node.driver.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_orders_given_before_the_player_is_ready_are_kept(tmp_path, player_cache):
    node = Node(tmp_path, player_cache)
    early, dropped = node.start(Tone("test", 200)), node.start(Tone("siren", 5000))
    node.driver.stop(dropped)
    async with running(node):
        assert (await node.ended(early)).how == "ended"
        assert (await node.ended(dropped)).how == "stopped"


async def test_too_many_orders_end_as_failed_and_none_is_lost_in_silence(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache)) as node:
        plays = [node.start(Tone("test", 500)) for _ in range(100)]
        hows = [(await node.ended(play_id)).how for play_id in plays]
    assert hows.count("ended") == 8
    assert hows.count("failed") == 92


def check_law_5(node: Node) -> None:
    """The amplifier is never on for more than 5 s with nothing playing, and nothing sounds while it is off."""
    samples, origin = node.samples(), node.origin_ns()
    sounds = [(origin + a * S // RATE, origin + b * S // RATE) for a, b in sounding_runs(samples, -70, bridge=RATE // 20)]
    powered = node.powered()
    warm = node.amplifier.power_on_ms * MS
    for start, end in sounds:
        assert any(on + warm <= start and end <= off for on, off in powered), "sound without power"
    for on, off in powered:
        inside = [on, *(at for run in sounds if on <= run[0] <= off for at in run), off]
        for quiet_from, quiet_to in zip(inside[::2], inside[1::2], strict=True):
            assert quiet_to - quiet_from <= 5 * S, f"{(quiet_to - quiet_from) / S:.1f} s of power with nothing playing"


@pytest.mark.parametrize("seed", [1, 2])
async def test_sound_and_power_agree_whatever_is_played(tmp_path, player_cache, seed):
    dice = random.Random(seed)
    node = Node(tmp_path, player_cache, power_on_ms=dice.choice([100, 500]))
    async with running(node):
        for _ in range(6):
            kind = dice.randrange(6)
            tone = Tone("siren", dice.randrange(100, 900))
            missing = Clip(str(tmp_path / "never.wav"), wait_ms=3000)
            long_rest = (tone, Pause(6500), tone)
            parts = [(tone,), (tone, Pause(1500), tone), long_rest, (missing,), (tone, missing), (tone, tone)][kind]
            at = time.monotonic_ns() + dice.randrange(3000) * MS if dice.random() < 0.4 else None
            play_id = node.start(*parts, at_mono_ns=at)
            await asyncio.sleep(dice.random() * 2.5)
            if dice.random() < 0.3:
                node.driver.stop(play_id)
            if dice.random() < 0.15 and node.driver.pid is not None:
                os.kill(node.driver.pid, signal.SIGKILL)
        for play_id in range(1, 7):
            await node.ended(play_id)
        await asyncio.sleep(2.5)
        assert not node.amplifier.is_on
    check_law_5(node)


async def test_a_long_rest_inside_a_play_is_spent_without_power(tmp_path, player_cache):
    async with running(Node(tmp_path, player_cache, power_on_ms=300)) as node:
        await node.ended(node.start(Tone("test", 300), Pause(7000), Tone("test", 300)))
        await asyncio.sleep(2.2)
    assert len(node.powered()) == 2
    check_law_5(node)


@pytest.fixture(scope="session")
def radio_at(tmp_path_factory):
    return radio_sounds(tmp_path_factory.mktemp("radio"))


@pytest.fixture
def radio(radio_at):
    with Radio(radio_at) as server:
        yield server


def fallback(path: Path, seconds: float) -> Clip:
    values = np.round(6000 * np.sin(2 * np.pi * 880 * np.arange(int(seconds * RATE)) / RATE))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(values.astype("<i2").tobytes())
    return Clip(str(path), samples=len(values))


async def test_a_relay_whose_player_dies_goes_on_live_for_the_rest_of_its_time(tmp_path, player_cache, radio):
    async with running(Node(tmp_path, player_cache)) as node:
        play_id = node.start(Tone("test", 200), Stream(radio.url, max_ms=3000, silence_ms=2000))
        began = await node.wait(PartSounding, part=1)
        await asyncio.sleep(1.2)
        os.kill(node.driver.pid, signal.SIGKILL)
        replaced = await node.wait(PlayerReplaced)
        ended = await node.ended(play_id)
        await asyncio.sleep(0.2)
    heard = node.samples()[node.index(began.at_mono_ns) : node.index(ended.at_mono_ns)]
    assert replaced.resumed == (play_id,)
    assert ended.how == "ended"
    assert "replaced 1 times" in ended.reason
    assert len(radio.asked) == 2
    assert 3.0 <= len(heard) / RATE < 4.6
    assert 2.3 < spelled(heard).count("R") / 40 < 3.4
    assert [letter for letter, _ in runs(heard)] == ["R", ".", "R"]


@pytest.mark.parametrize("covered", [False, True])
async def test_a_relay_that_dies_keeps_law_5(tmp_path, player_cache, radio, covered):
    radio.manners, radio.usual = [Manner(programme=(("tone", 1.8),), then="stall")], Manner(mute=True)
    clip = fallback(tmp_path / "f.wav", 0.6) if covered else None
    async with running(Node(tmp_path, player_cache, power_on_ms=500)) as node:
        play_id = node.start(Stream(radio.url, max_ms=5800, silence_ms=60_000, fallback=clip))
        ended = await node.ended(play_id)
        await node.until_off()
    assert ended.how == ("ended" if covered else "failed")
    assert ("fallback from" if covered else "no fallback (stalled)") in ended.reason
    check_law_5(node)


async def test_a_slow_amplifier_leaves_a_relay_its_time_to_connect(tmp_path, player_cache, radio):
    radio.usual = Manner(burst_s=0)
    async with running(Node(tmp_path, player_cache, power_on_ms=3000)) as node:
        ended = await node.ended(node.start(Stream(radio.url, max_ms=400, silence_ms=3000)))
        await node.until_off()
    assert (ended.how, ended.reason) == ("ended", "")
    check_law_5(node)


async def test_an_input_is_named_by_the_board(tmp_path, player_cache, monkeypatch):
    raw = tmp_path / "in.raw"
    raw.write_bytes(np.round(6000 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)).astype("<i2").tobytes())
    card = f'pcm.card {{ type file slave.pcm {{ type null }} file "/dev/null" infile "{raw}" format "raw" }}\n'
    (tmp_path / "asound.conf").write_text(card)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    async with running(Node(tmp_path, player_cache, inputs={"fm": "card"})) as node:
        heard = await node.ended(node.start(Input("fm", max_ms=600, silence_ms=1000)))
        missing = await node.ended(node.start(Input("line", max_ms=600, silence_ms=1000)))
    assert (heard.how, heard.reason, heard.played_samples) == ("ended", "", 600 * 48)
    assert missing.how == "failed"
    assert "this node has no line input" in missing.reason
