"""Relays of a radio stream by the real child from a real server, judged by what is in the recording."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from edge_agent.player import wire
from edge_agent.player.pcm import RATE
from edge_agent.player.score import Clip, Pause, Play, Stream, Tone, stream_fault
from tests.audio import last_sound, rms_dbfs, without_holes
from tests.player.live_player import LivePlayer
from tests.player.test_player_child import write_wav
from tests.radio import Manner, Radio, encode, radio_sounds, runs, spelled

MS = 1_000_000
REFUSED = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="session")
def sounds(tmp_path_factory) -> dict[str, bytes]:
    return radio_sounds(tmp_path_factory.mktemp("radio"))


@pytest.fixture(scope="module")
def player(tmp_path_factory, player_cache):
    """One child for all of them: whatever a server did, the next stream is heard."""
    live = LivePlayer(f"wav:{tmp_path_factory.mktemp('streams') / 'out.wav'}", player_cache)
    yield live
    live.close()


@pytest.fixture
def radio(sounds):
    with Radio(sounds) as at:
        yield at


def fallback(folder: Path, seconds: float) -> Clip:
    """880 Hz, whole periods."""
    n = np.arange(int(seconds * RATE))
    return Clip(str(write_wav(folder / "fallback.wav", np.round(6000 * np.sin(2 * np.pi * 880 * n / RATE)))), samples=len(n))


def order(heard: list[tuple[str, float]]) -> str:
    return "".join(letter for letter, _ in heard)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_stream_is_heard_for_its_time_and_ends_without_a_click(player, radio):
    ended, heard = player.play(Stream(radio.url, max_ms=1500, silence_ms=1000))
    assert (ended.how, ended.reason) == ("ended", "")
    assert len(without_holes(heard)) == ended.played_samples == 1500 * 48
    assert spelled(heard[2400:]).count("R") >= 56
    assert np.abs(heard[-24:]).max() < np.abs(heard[-2400:-480]).max() / 8
    assert len(radio.asked) == 1


KINDS = {
    "vorbis": ("r.ogg", "application/ogg", ("-c:a", "libvorbis"), "HTTP/1.1 200 OK"),
    "opus": ("r.opus", "audio/ogg", ("-c:a", "libopus", "-page_duration", "100000"), "HTTP/1.1 200 OK"),
    "aac": ("r.aac", "audio/aacp", ("-ar", "44100", "-c:a", "aac"), "HTTP/1.0 200 OK"),
    "shoutcast": ("r.mp3", "audio/mpeg", ("-ar", "44100", "-b:a", "128k", "-write_xing", "0"), "ICY 200 OK"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_streams_of_every_kind_are_heard(player, radio, tmp_path, kind):
    name, content_type, options, first = KINDS[kind]
    body = encode(tmp_path, name, "sine=frequency=440:sample_rate=48000:duration=5", *options)
    radio.usual = Manner(body=body, pace=len(body) // 5, head=f"{first}\r\nContent-Type: {content_type}\r\n\r\n", burst_s=3)
    ended, heard = player.play(Stream(radio.url, max_ms=500, silence_ms=3000))
    assert (ended.how, ended.reason) == ("ended", "")
    assert len(without_holes(heard)) == 500 * 48
    assert spelled(heard).count("R") >= 18


def test_a_stream_that_stalls_is_covered_by_the_fallback_and_taken_back_after_it(player, radio, tmp_path):
    radio.manners = [Manner(programme=(("tone", 1.8),), then="stall")]
    ended, heard = player.play(Stream(radio.url, max_ms=7600, silence_ms=800, fallback=fallback(tmp_path, 1.5)))
    found = runs(heard)
    assert (ended.how, len(heard)) == ("ended", 7600 * 48)
    assert re.fullmatch(r"R\.F(\.F)*\.?R", order(found)), found
    assert re.match(r"relay: fallback from [23] s on: stalled", ended.reason), ended.reason
    assert 0.7 < found[1][1] < 1.0, found
    assert all(abs(seconds - 1.5) < 0.08 for letter, seconds in found if letter == "F"), found
    assert len(radio.asked) == 2
    assert radio.asked[1] - radio.asked[0] > 3


def test_a_dead_carrier_is_covered_too_and_the_programme_taken_back_after_a_whole_clip(player, radio, tmp_path):
    radio.usual = Manner(programme=(("tone", 0.7), ("silence", 2.0), ("tone", 60.0)))
    ended, heard = player.play(Stream(radio.url, max_ms=4800, silence_ms=700, fallback=fallback(tmp_path, 2.0)))
    found = runs(heard)
    assert order(found) == "R.FR", found
    assert abs(found[2][1] - 2.0) < 0.08
    assert (ended.how, ended.reason) == ("ended", "relay: fallback from 1 s on: silent")
    assert len(radio.asked) == 1


def test_the_fallback_is_repeated_after_a_pause_when_nothing_can_be_reached(player, tmp_path):
    address = f"http://127.0.0.1:{closed_port()}/radio"
    asked = time.monotonic_ns()
    ended, heard = player.play(Stream(address, max_ms=2600, silence_ms=600, fallback=fallback(tmp_path, 0.5)))
    began = player.wait(wire.Started, ended.play_id).mono_ns
    found = runs(heard)
    assert 550 * MS < began - asked < 1_200 * MS
    assert order(found) == "F.F.", found
    assert abs(found[1][1] - 1.0) < 0.1
    assert (ended.how, len(heard)) == ("ended", 2600 * 48)
    assert ended.reason.startswith("relay: fallback from 0 s on: cannot be opened")


def test_a_server_that_closes_is_found_again_before_the_ring_is_empty(player, radio):
    radio.manners = [Manner(programme=(("tone", 2.0),), then="close")]
    ended, heard = player.play(Stream(radio.url, max_ms=3500, silence_ms=1500))
    assert (ended.how, ended.reason) == ("ended", "relay: interrupted 1 times: ended")
    assert spelled(heard).count("R") > 3.5 * 40 * 0.8
    assert len(radio.asked) == 2


def test_without_a_fallback_silence_ends_the_play_as_failed(player, radio):
    radio.usual = Manner(programme=(("tone", 1.8),), then="stall", burst_s=2)
    began = time.monotonic()
    ended, heard = player.play(Tone("test", 200), Stream(radio.url, max_ms=60_000, silence_ms=900), Tone("test", 100))
    assert ended.how == "failed"
    assert re.fullmatch(r"relay: no sound for (0\.9|1) s and no fallback \(stalled\)", ended.reason), ended.reason
    assert time.monotonic() - began < 6
    assert spelled(heard[-100 * 48 :]).count(".") == 0, "the part behind it is still heard"


def test_nothing_waits_in_silence_longer_than_the_amplifier_may(player):
    began = time.monotonic()
    address = f"http://127.0.0.1:{closed_port()}/radio"
    ended, _ = player.play(Pause(1500), Stream(address, max_ms=60_000, silence_ms=60_000))
    assert (ended.how, ended.reason) == ("failed", "relay: no sound for 3 s and no fallback (cannot be opened)")
    assert 2.8 < time.monotonic() - began < 4


HOSTILE = {
    "refuses": Manner(head=REFUSED, programme=(), then="close"),
    "never answers": Manner(mute=True),
    "never ends its headers": Manner(endless_head=True),
    "sends garbage": Manner(body=np.random.default_rng(3).bytes(400_000), fast=True),
    "sends a list that names a file": Manner(body=b"#EXTM3U\n#EXTINF:9,x\nfile://{file}\n", then="close"),
    "leads to a file": Manner(head="HTTP/1.1 302 Found\r\nLocation: file://{file}\r\nContent-Length: 0\r\n\r\n", body=b""),
    "leads to the orders": Manner(head="HTTP/1.1 302 Found\r\nLocation: fd://0\r\nContent-Length: 0\r\n\r\n", body=b""),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_server_is_left_and_the_player_lives(player, radio, tmp_path, kind):
    file = fallback(tmp_path, 1.0).path
    manner = HOSTILE[kind]
    body = None if manner.body is None else manner.body.replace(b"{file}", file.encode())
    radio.usual = Manner(**vars(manner) | {"head": manner.head.replace("{file}", file), "body": body})
    size = psutil.Process(player.process.pid).memory_info().rss
    ended, heard = player.play(Stream(radio.url, max_ms=9000, silence_ms=600))
    assert ended.how == "failed"
    assert re.match(r"relay: no sound for 0\.[6-9] s and no fallback", ended.reason), ended.reason
    assert radio.asked
    assert not {"F", "R"} & set(spelled(heard))
    assert player.play(Tone("test", 100))[0].reason == ""
    assert psutil.Process(player.process.pid).memory_info().rss - size < 16_000_000


def test_a_server_faster_than_real_time_is_held_back_and_nothing_is_lost(player, radio, tmp_path):
    n = np.arange(30 * RATE)
    file = write_wav(tmp_path / "long.wav", np.round(6000 * np.sin(2 * np.pi * 440 * n / RATE)))
    head = "HTTP/1.0 200 OK\r\nContent-Type: audio/wav\r\n\r\n"
    radio.usual = Manner(body=file.read_bytes(), fast=True, head=head)
    player.play(Stream(radio.url, max_ms=300, silence_ms=1000))
    size = psutil.Process(player.process.pid).memory_info().rss
    ended, heard = player.play(Stream(radio.url, max_ms=3000, silence_ms=1000))
    assert (ended.how, ended.reason) == ("ended", "")
    assert set(spelled(heard[2400:-2400])) == {"R"}
    assert np.abs(np.diff(heard[480:-480])).max() < 400, "no jump: no sample is left out"
    assert psutil.Process(player.process.pid).memory_info().rss - size < 8_000_000
    assert radio.given < 24_000_000, "what the kernel holds for two connections, and some seconds"


def test_a_stop_is_heard_at_once_and_closes_the_connection(player, radio):
    play_id = player.start(Stream(radio.url, max_ms=60_000, silence_ms=1000))
    player.wait(wire.Started, play_id)
    time.sleep(0.4)
    asked = player.index(time.monotonic_ns())
    player.send(wire.Stop(play_id))
    ended = player.ended(play_id)
    assert ended.how == "stopped"
    assert 0 < last_sound(player.samples(), -60) - asked < RATE // 10
    assert 0.2 * RATE < ended.part_samples < RATE


def test_a_stop_before_anything_came_ends_it(player, radio):
    radio.usual = Manner(mute=True)
    play_id = player.start(Stream(radio.url, max_ms=60_000, silence_ms=3000))
    time.sleep(0.3)
    player.send(wire.Stop(play_id))
    assert player.ended(play_id).how == "stopped"


def test_a_resumed_stream_goes_on_live_for_the_rest_of_its_time(player, radio):
    part = Stream(radio.url, max_ms=2000, silence_ms=1000)
    ended, heard = player.play(Pause(5000), part, from_part=1, skip_samples=1200 * 48)
    assert (ended.how, ended.reason) == ("ended", "")
    assert len(without_holes(heard)) == 800 * 48
    ended, heard = player.play(part, skip_samples=2000 * 48)
    assert (ended.how, len(heard)) == ("ended", 0)


def test_a_play_ceiling_holds_for_a_stream(player, radio):
    ended, heard = player.play(Stream(radio.url, max_ms=60_000, silence_ms=1000), max_ms=700)
    assert (ended.how, len(heard) <= 700 * 48) == ("max", True)


def test_stream_and_fallback_have_their_own_gains_under_that_of_the_play(player, radio, tmp_path):
    _, plain = player.play(Stream(radio.url, max_ms=500, silence_ms=1000))
    _, soft = player.play(Stream(radio.url, max_ms=500, silence_ms=1000, gain_cdb=-600), level_cdb=-400)
    assert abs(rms_dbfs(plain[2400:-2400]) - rms_dbfs(soft[2400:-2400]) - 10) < 0.2
    clip = Clip(fallback(tmp_path, 1.0).path, gain_cdb=-1000)
    nowhere = f"http://127.0.0.1:{closed_port()}/radio"
    _, heard = player.play(Stream(nowhere, max_ms=500, silence_ms=500, fallback=clip, gain_cdb=-600), level_cdb=-400)
    assert abs(rms_dbfs(heard[2400:-2400]) - 20 * np.log10(6000 / 32768 / 2**0.5) + 14) < 0.3


def test_a_fallback_that_is_missing_is_said(player, tmp_path):
    address = f"http://127.0.0.1:{closed_port()}/radio"
    missing = Clip(str(tmp_path / "never.mka"))
    ended, _ = player.play(Stream(address, max_ms=9000, silence_ms=700, fallback=missing))
    assert ended.how == "failed"
    assert "and the fallback is missing" in ended.reason


def test_a_fallback_that_is_silent_fails_too(player, tmp_path):
    address = f"http://127.0.0.1:{closed_port()}/radio"
    silent = Clip(str(write_wav(tmp_path / "silent.wav", np.zeros(10 * RATE))))
    began = time.monotonic()
    ended, _ = player.play(Stream(address, max_ms=9000, silence_ms=700, fallback=silent))
    assert ended.how == "failed"
    assert "the fallback gives none" in ended.reason
    assert time.monotonic() - began < 4


def test_a_stream_behind_a_chime_is_connected_to_while_the_chime_sounds(player, radio):
    radio.usual = Manner(burst_s=0)
    ended, _ = player.play(Tone("test", 1500), Stream(radio.url, max_ms=300, silence_ms=1000))
    began = [player.wait(wire.PartStarted, ended.play_id, part=part).mono_ns for part in (0, 1)]
    assert began[1] - began[0] < 1_600 * MS


ADDRESSES = {
    "https://stream.example.vn/vov1": "",
    "http://10.0.0.1:8000/radio.mp3?x=1": "",
    "file:///etc/passwd": "is no radio address",
    "/etc/passwd": "is no radio address",
    "rtsp://example.vn/x": "is no radio address",
    "http/file:///etc/passwd": "is no radio address",
    "https:///nowhere": "names no server",
    "http://a b/": "holds letters",
    "http://example.vn/\nx": "holds letters",
    "http://[::1/x": "cannot be read",
    "http://example.vn:99999/": "cannot be read",
    "": "is no radio address",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_addresses_of_the_web_are_streams(address):
    assert ADDRESSES[address] in stream_fault(address)
    assert bool(stream_fault(address)) == bool(ADDRESSES[address])


def test_an_address_that_is_none_fails_the_play_at_once(player, tmp_path):
    ended, heard = player.play(Stream(f"file://{fallback(tmp_path, 1.0).path}", max_ms=900, silence_ms=900))
    assert ended.how == "failed"
    assert ended.reason == "relay: file:// is no radio address; write one that begins with https:// or http://"
    assert not len(heard)


def test_a_relay_is_plain_data():
    play = Play(1, (Stream("http://a/b", 5, 6, Clip("a")),), quiet_ms=3)
    assert wire.order(wire.line(wire.Start(play))) == wire.Start(play)
