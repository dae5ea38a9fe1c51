"""A recording that gives less than the 40 ms that a play waits for: it is begun all the same, and the play goes on behind it."""

from pathlib import Path

from edge_agent.player import clips
from edge_agent.player.clips import ClipSource
from edge_agent.player.score import Clip, Tone

STOPS = Path(__file__).parents[1] / "fuzz" / "found" / "player" / "sound-that-stops-after-25-ms"


def test_what_follows_a_recording_that_stops_at_once_is_heard_and_the_reason_names_it(player):
    ended, heard = player.play(Clip(str(STOPS), samples=24_000), Tone("test", 200))
    assert ended.how == "ended"
    assert STOPS.name in ended.reason
    assert len(heard) >= 9_600


def test_a_recording_of_25_ms_is_heard_and_the_next_play_sounds(player):
    ended, heard = player.play(Clip(str(STOPS)))
    assert (ended.how, 0 < len(heard) <= 1_920) == ("ended", True)
    assert player.play(Tone("test", 100))[0].how == "ended"


def test_a_recording_that_gives_a_little_and_never_says_that_it_ends_is_begun_and_ends_with_a_reason(monkeypatch):
    class Loader:
        def tend(self, _thing) -> None:
            pass

        def wake(self) -> None:
            pass

    source = ClipSource(Clip("x.mka", samples=24_000), 0, Loader())
    source._decoder = object()
    source._on_samples(b"\1\0" * 100)
    assert not source.ready()
    monkeypatch.setattr(clips, "STALLED_NS", 0)
    assert source.ready()
    assert source.read(480) == b"\1\0" * 100
    assert source.over()
    assert "gave no sound" in source.fault
