"""Keeps a relay's source at hand: opens it, sees that it is lost, opens it anew after growing waits."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from edge_agent.player.pcm import RATE, WIDTH, ramp
from edge_agent.player.ring import ENOUGH, Ring

STALLED_NS = 3_000_000_000
FIRST_WAIT_NS = 500_000_000
LONGEST_WAIT_NS = 5_000_000_000
GOOD_NS = 10_000_000_000
"""A connection that lasted this long was a good one: the waits begin anew."""
BEHIND = 2 * RATE
"""A source that was waited for this long in all is that far behind its programme: it is opened anew, which is live again."""
MOST = 3 * RATE
"""libVLC is held back at 2 s; an input whose clock is faster than ours comes here after hours."""


class Feed(Protocol):
    """One connection to a source, filling a ring from the moment it is made."""

    @property
    def ring(self) -> Ring:
        """What it has brought."""

    @property
    def held(self) -> bool:
        """Whether we hold it back, so that its silence is not its own."""

    def eased(self) -> None:
        """Something was taken out of the ring."""

    def close(self) -> None:
        """No more is wanted; what is in the ring stays."""


class Link:
    """One feed after another. Only the mixer's thread touches it; nothing here waits."""

    def __init__(self, open_feed: Callable[[], Feed], start_ms: int) -> None:
        self.trouble = ""
        self.losses = 0
        self.dropped = 0
        self._open_feed = open_feed
        self._start_ns = start_ms * 1_000_000
        self._feed: Feed | None = None
        self._last: Feed | None = None
        self._opened_ns = 0
        self._retry_ns = 0
        self._wait_ns = FIRST_WAIT_NS
        self._flows = False
        self._behind = 0

    def tend(self, now_ns: int) -> None:
        """Open, or give up and plan to open again."""
        feed = self._feed
        if feed is None:
            if now_ns >= self._retry_ns:
                self._feed, self._opened_ns, self._behind = self._open_feed(), now_ns, 0
            return
        trouble = self._trouble(feed, now_ns)
        if trouble:
            self._lose(feed, trouble, now_ns)

    def _trouble(self, feed: Feed, now_ns: int) -> str:
        ring = feed.ring
        if ring.fault:
            return ring.fault
        if feed.held:
            return ""
        if not ring.arrived:
            waited_ns = now_ns - self._opened_ns
            return f"no sample within {self._start_ns / 1e9:g} s" if waited_ns > self._start_ns else ""
        if now_ns - ring.news_ns > STALLED_NS:
            return "stalled"
        return "fell behind" if self._behind > BEHIND else ""

    def _lose(self, feed: Feed, trouble: str, now_ns: int) -> None:
        """Close it; what it has brought is still heard while the next one is sought."""
        self.trouble = trouble
        self.losses += 1
        feed.close()
        if feed.ring.queued and self._last is None:
            self._last = feed
        self._feed = None
        if feed.ring.arrived and now_ns - self._opened_ns > GOOD_NS:
            self._wait_ns = FIRST_WAIT_NS
        self._retry_ns = now_ns + int(self._wait_ns * random.uniform(0.75, 1.25))  # noqa: S311  so that nodes do not come all at once
        self._wait_ns = min(2 * self._wait_ns, LONGEST_WAIT_NS)

    # --- sound

    @property
    def state(self) -> str:
        """What is wrong when nothing is heard, in a word or two."""
        if self._flows:
            return "silent"
        if self._feed is not None and self._feed.ring.arrived:
            return "stalled"
        return self.trouble or "nothing came"

    def ready(self) -> bool:
        """Whether there is enough to begin with."""
        source = self._source()
        return source is not None and (source.ring.queued >= ENOUGH or bool(source.ring.fault and source.ring.queued))

    def _source(self) -> Feed | None:
        if self._last is not None and not self._last.ring.queued:
            self._last = None
        return self._last or self._feed

    def read(self, count: int) -> bytes:
        """At most so many samples; none while it fills again. What begins or breaks off is faded."""
        began = not self._flows
        if began and not self.ready():
            self._behind += count if self._feed is not None and self._feed.ring.taken else 0
            return b""
        self._flows = True
        stretch = b""
        while len(stretch) < count * WIDTH and (feed := self._source()) is not None:
            piece = feed.ring.take(count - len(stretch) // WIDTH)
            if not piece:
                break
            stretch += piece
            self._shorten(feed)
            feed.eased()
        if len(stretch) < count * WIDTH:
            self._flows = False
            self._behind += count - len(stretch) // WIDTH
            return ramp(stretch, 1.0, 0.0) if stretch else b""
        return ramp(stretch, 0.0, 1.0) if began else stretch

    def _shorten(self, feed: Feed) -> None:
        """Keep to the present a source that cannot be held back; what is left out is counted."""
        if feed.ring.queued > MOST and not feed.held:
            self.dropped += len(feed.ring.take(feed.ring.queued - ENOUGH)) // WIDTH

    def close(self) -> None:
        """Let go of the source."""
        for feed in (self._feed, self._last):
            if feed is not None:
                feed.close()
        self._feed = self._last = None
