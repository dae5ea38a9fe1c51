"""The link of a relay and its ear, fed by hand: when a source is lost, how it is sought again, what counts as sound."""

from __future__ import annotations

import numpy as np

from edge_agent.player.ear import Ear
from edge_agent.player.link import Link
from edge_agent.player.pcm import BLOCK, RATE
from edge_agent.player.ring import Ring

S = 1_000_000_000


class HandFeed:
    """A source that gives what the test puts into it."""

    def __init__(self, now_ns: int) -> None:
        self.ring = Ring(lambda: None)
        self.ring.news_ns = now_ns
        self.held = False
        self.closed = False

    def eased(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True


class Desk:
    """A link, its clock, and every feed that it opened."""

    def __init__(self, start_ms: int = 2000) -> None:
        self.now_ns = 0
        self.feeds: list[HandFeed] = []
        self.link = Link(self._open, start_ms)
        self.link.tend(0)

    def _open(self) -> HandFeed:
        self.feeds.append(HandFeed(self.now_ns))
        return self.feeds[-1]

    def give(self, seconds: float) -> None:
        feed = self.feeds[-1]
        feed.ring.put(block(440, int(seconds * RATE)))
        feed.ring.news_ns = self.now_ns

    def until_opened(self, count: int) -> float:
        """Seconds of its clock until so many feeds have been opened."""
        began = self.now_ns
        while len(self.feeds) < count:
            self.now_ns += S // 100
            self.link.tend(self.now_ns)
            assert self.now_ns - began < 60 * S
        return (self.now_ns - began) / S


def block(hertz: float, count: int = BLOCK, amplitude: int = 8000, offset: int = 0) -> bytes:
    wave = amplitude * np.sin(2 * np.pi * hertz * np.arange(count) / RATE) + offset
    return np.round(wave).astype("<i2").tobytes()


def test_waits_between_attempts_grow_and_are_bounded():
    desk = Desk()
    waits = []
    for number in range(2, 9):
        desk.feeds[-1].ring.end("cannot be opened")
        waits.append(desk.until_opened(number))
    assert 0.35 <= waits[0] <= 0.7
    assert waits[1] > waits[0]
    assert all(3.7 <= wait <= 6.3 for wait in waits[-3:])
    assert all(feed.closed for feed in desk.feeds[:-1])


def test_a_good_connection_begins_the_waits_anew():
    desk = Desk()
    for number in range(2, 7):
        desk.feeds[-1].ring.end("cannot be opened")
        desk.until_opened(number)
    for _ in range(12):
        desk.now_ns += S
        desk.give(1)
        desk.link.tend(desk.now_ns)
        desk.link.read(RATE)
    desk.feeds[-1].ring.end("ended")
    assert desk.until_opened(7) < 0.7


def test_a_source_that_gives_nothing_or_stops_giving_is_left():
    desk = Desk(start_ms=2000)
    assert 2.3 < desk.until_opened(2) < 2.8
    assert desk.link.trouble == "no sample within 2 s"
    desk.give(0.5)
    desk.until_opened(3)
    assert desk.link.trouble == "stalled"


def test_a_source_that_we_hold_back_is_not_stalled():
    desk = Desk()
    desk.give(2)
    desk.feeds[0].held = True
    desk.now_ns += 20 * S
    desk.link.tend(desk.now_ns)
    assert (len(desk.feeds), desk.link.losses) == (1, 0)


def test_what_was_brought_is_heard_though_the_source_is_gone():
    desk = Desk()
    desk.give(0.5)
    desk.feeds[0].ring.end("ended")
    desk.link.tend(desk.now_ns)
    assert len(desk.link.read(RATE)) == RATE


def test_a_source_waited_for_too_often_is_opened_anew_so_that_it_is_live():
    desk = Desk()
    for _ in range(5):
        desk.give(0.3)
        desk.link.read(RATE // 2)
        desk.link.read(RATE // 2)
    desk.until_opened(2)
    assert desk.link.trouble == "fell behind"


def test_a_source_that_cannot_be_held_back_is_shortened_to_the_present_and_it_is_counted():
    desk = Desk()
    desk.give(4)
    desk.link.read(BLOCK)
    assert desk.feeds[0].ring.queued < RATE // 2
    assert 3 * RATE < desk.link.dropped < 4 * RATE


def test_neither_an_offset_nor_a_click_is_sound_and_speech_is():
    ear = Ear()
    for _ in range(50):
        ear.hear(block(440, amplitude=10, offset=900))
    ear.hear(block(440))
    assert ear.quiet == 51 * BLOCK
    assert not ear.steady
    for _ in range(50):
        ear.hear(block(440, amplitude=120))
    assert (ear.quiet, ear.steady) == (0, True)
    for _ in range(101):
        ear.hear(bytes(2 * BLOCK))
    assert not ear.steady
