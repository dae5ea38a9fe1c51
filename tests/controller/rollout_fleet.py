"""A fleet of simulated nodes that behave: windows, slow links, outages, restarts; bad ones roll back, some never return."""

import random
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from controller.core.rollout import Around, Bounds, Decision, Rollout, Told, begin, decide, under_way
from controller.core.rollout_waves import both_ways, order_of, waves_of

RELEASE = "ab" * 32
T0 = 1_800_000_000_000
HOUR_MS = 3_600_000


@dataclass
class Pole:
    """One node: `kind` is good, bad (rolls back), dead (never there), bricked (gone after installing)."""

    name: str
    kind: str
    fetch_ms: int
    away: tuple[tuple[int, int], ...] = ()
    window: tuple[int, int] = (0, 24 * HOUR_MS)
    taken_ms: int | None = None
    state: str = ""
    entered_ms: int = 0
    heard_ms: int | None = None
    runs: bool = False

    def there(self, now_ms: int) -> bool:
        off = any(start <= now_ms < end for start, end in self.away)
        restarting = self.state == "installed" and now_ms - self.entered_ms < 120_000
        gone = self.kind == "bricked" and self.state == "installed"
        return self.kind != "dead" and not off and not restarting and not gone

    def offered(self, now_ms: int) -> None:
        """The retained message: told again it is the same job."""
        if self.taken_ms is None:
            self.taken_ms, self.state, self.entered_ms = now_ms, "waiting", now_ms

    def withdrawn(self) -> None:
        if self.state in ("waiting", "fetching"):
            self.taken_ms, self.state = None, ""

    def live(self, now_ms: int) -> None:
        """One step of its own life; what it does offline it tells later."""
        spent = now_ms - self.entered_ms
        following = {
            "waiting": ("fetching", self.window[0] <= now_ms % (24 * HOUR_MS) < self.window[1]),
            "fetching": ("installing", spent >= self.fetch_ms),
            "installing": ("installed", spent >= 300_000),
            "installed": ("trial", spent >= 120_000 and self.kind != "bricked"),
            "trial": ("good" if self.kind == "good" else "rolled-back", spent >= 300_000),
        }
        if self.state in following and following[self.state][1]:
            self.state, self.entered_ms = following[self.state][0], now_ms
            self.runs = self.state in ("trial", "good")

    def told(self, now_ms: int, last: Told) -> Told:
        """What the controller knows of it now, `last` when it is away."""
        if not self.there(now_ms):
            return msgspec.structs.replace(last, reachable=False)
        self.heard_ms = now_ms
        release = RELEASE if self.state else ""
        return Told(reachable=True, heard_ms=now_ms, runs=self.runs, release=release, state=self.state)


@dataclass
class Fleet:
    """Poles, their neighbours, and the controller's side, which may be restarted at every step."""

    poles: dict[str, Pole]
    neighbours: dict[str, frozenset[str]]
    bounds: Bounds
    restarts: bool = False
    now_ms: int = T0
    last: dict[str, Told] = field(default_factory=dict)
    offers: list[tuple[int, str]] = field(default_factory=list)
    rollout: Rollout | None = None
    seen_pairs: int = 0

    def start(self) -> Rollout:
        there = {name for name, pole in self.poles.items() if pole.there(self.now_ms)}
        order = order_of(RELEASE, self.poles, there)
        self.rollout = begin(RELEASE, waves_of(order, self.neighbours, self.bounds), self.bounds, self.now_ms)
        return self.rollout

    def around(self) -> Around:
        absent = Told(reachable=False)
        self.last = {name: pole.told(self.now_ms, self.last.get(name, absent)) for name, pole in self.poles.items()}
        return Around(told=self.last, neighbours=self.neighbours, listening_ms=T0)

    def step(self, ms: int = 60_000) -> Decision:
        """Let time pass, let the nodes live, decide, deliver; and look whether two neighbours are under way."""
        self.now_ms += ms
        for pole in self.poles.values():
            pole.live(self.now_ms)
        around = self.around()
        before = self.rollout
        if self.restarts:
            before = msgspec.json.decode(msgspec.json.encode(before), type=Rollout)
            assert before == self.rollout
        made = decide(before, around, self.now_ms)
        again = decide(made.rollout, around, self.now_ms)
        assert (again.rollout, again.offers, again.withdrawals) == (made.rollout, (), ())
        self.rollout = made.rollout
        for node in made.offers:
            self.poles[node].offered(self.now_ms)
            self.offers.append((self.now_ms, node))
        for node in made.withdrawals:
            self.poles[node].withdrawn()
        self._look()
        return made

    def _look(self) -> None:
        under = under_way(self.rollout)
        really = {name for name, pole in self.poles.items() if pole.state in ("fetching", "installing", "installed", "trial")}
        alive = {name for name in really if self.poles[name].kind != "bricked"}
        for node in under | alive:
            assert not (self.neighbours.get(node, frozenset()) & (under | alive)), f"{node} and a neighbour are under way"
            self.seen_pairs += len(self.neighbours.get(node, ()))

    def run(self, *, most: int = 60 * 24 * 20, ms: int = 60_000) -> Rollout:
        """Until it is paused or over."""
        for _ in range(most):
            self.step(ms)
            if self.rollout.phase != "running":
                break
        return self.rollout

    def stands(self, stand: str) -> set[str]:
        return {name for name, member in self.rollout.members.items() if member.stand == stand}


def drawn_fleet(seed: int, count: int, *, bad: float, bounds: Bounds, outages: bool = True, windows: bool = False) -> Fleet:
    """A fleet by a seed: on a line of hamlets, where about every second node covers some of what the next one does."""
    draw = random.Random(seed)
    names = [f"N{number:05d}" for number in range(count)]
    wrong = set(draw.sample(names, round(count * bad)))
    poles = {}
    for name in names:
        away = [(T0 + draw.randrange(72) * HOUR_MS, 0) for _ in range(draw.randrange(3) if outages else 0)]
        spans = tuple((start, start + draw.randrange(1, 12) * HOUR_MS) for start, _ in away)
        window = (15 * HOUR_MS, 22 * HOUR_MS) if windows else (0, 24 * HOUR_MS)
        poles[name] = Pole(name, "bad" if name in wrong else "good", draw.randrange(120, 3_600) * 1000, spans, window)
    pairs = {a: {b} for a, b in pairwise(names) if draw.random() < 0.5}
    return Fleet(poles=poles, neighbours=both_ways(pairs), bounds=bounds)
