"""The broker between controller and poles: sessions, retained messages, wills; in bad hours it loses, doubles and reorders."""

from dataclasses import dataclass, field
from functools import lru_cache

from tests.simulation.clockwork import MS_NS

KEEPALIVE_MS = 90_000
QUEUE = 1_000


@dataclass(eq=False)
class Letter:
    topic: str
    raw: bytes
    expires_ms: int | None = None


@dataclass(eq=False)
class Session:
    """What the broker knows of one node's client."""

    filters: set[str] = field(default_factory=set)
    queue: list[Letter] = field(default_factory=list)
    inflight: dict[int, Letter] = field(default_factory=dict)


@lru_cache(maxsize=4_096)
def fits(pattern: str, topic: str) -> bool:
    parts, mine = pattern.split("/"), topic.split("/")
    return len(parts) == len(mine) and all(one in ("+", other) for one, other in zip(parts, mine, strict=True))


class Broker:
    """`chance` is the seeded randomness of the network."""

    def __init__(self, world) -> None:
        self.world = world
        self.clockwork = world.clockwork
        self.chance = world.chance
        self.up = True
        self.retained: dict[str, Letter] = {}
        self.sessions: dict[str, Session] = {}
        self.covered: dict[str, bool] = {}
        self.messy: dict[str, bool] = {}
        self.connects = 0
        self.refs = 0
        self.to_head: list = []

    # --- connections ---

    def cover_changed(self, pole) -> None:
        """Power, coverage or the broker itself came or went."""
        there = pole.on and self.up and self.covered.get(pole.name, True)
        if there and not pole.linked:
            life = pole.life

            def connect() -> None:
                if pole.life == life and pole.on and not pole.linked and self.up and self.covered.get(pole.name, True):
                    self._connect(pole)

            self.clockwork.after_ms(self.chance.randint(1_000, 20_000), connect)
        elif not there and pole.linked:
            self.link_lost(pole)

    def _connect(self, pole) -> None:
        session = self.sessions.get(pole.name)
        if session is None:
            session = self.sessions[pole.name] = Session()
        session.queue[:0] = list(session.inflight.values())
        session.inflight.clear()
        self.connects += 1
        pole.connection = self.connects
        self.world.note(pole, "link up")
        pole.link_up()
        if pole.linked:
            self.world.head_hears(lambda head: head.alive(pole, online=True))
            self._pump(pole)

    def link_lost(self, pole) -> None:
        """The node sees it at once (or is dark); the broker only when nothing came for a keep-alive and a half."""
        if not pole.linked:
            return
        connection = pole.connection
        pole.linked = False
        self.world.note(pole, "link down")
        if pole.on:
            pole.link_down()

        def will() -> None:
            if pole.connection == connection and not pole.linked:
                self.world.head_hears(lambda head: head.alive(pole, online=False))

        self.clockwork.after_ms(KEEPALIVE_MS, will)

    def kill(self, *, forgets: bool) -> None:
        """mosquitto dies; with luck its last save is young, else sessions, queues and retained messages are gone."""
        self.up = False
        for pole in self.world.poles.values():
            self.link_lost(pole)
        if forgets:
            self.sessions.clear()
            self.retained.clear()
            self.to_head.clear()

    def start(self) -> None:
        self.up = True
        self.world.head.broker_is_back()
        for pole in self.world.poles.values():
            self.cover_changed(pole)

    # --- to the poles ---

    def publish(self, topic: str, raw: bytes, *, retain: bool = False, expires_ms: int | None = None) -> None:
        if not self.up:
            return
        letter = Letter(topic, raw, expires_ms)
        if retain:
            self.retained[topic] = letter
        for name, session in self.sessions.items():
            if any(fits(pattern, topic) for pattern in session.filters):
                self._queue(self.world.poles[name], session, letter)

    def hostile(self, pole, topic: str, raw: bytes) -> None:
        """Whoever holds the broker says anything to anybody."""
        session = self.sessions.get(pole.name)
        if session is not None:
            self._queue(pole, session, Letter(topic, raw))

    def _queue(self, pole, session: Session, letter: Letter) -> None:
        chance = self.chance
        copies = 1
        if self.messy.get(pole.name):
            roll = chance.random()
            copies = 0 if roll < 0.15 else 2 if roll < 0.35 else 1
        for _ in range(copies):
            if len(session.queue) < QUEUE:
                session.queue.append(letter)
        self._pump(pole)

    def _pump(self, pole) -> None:
        """Hand over what waits, in order, unless the hour is bad."""
        session = self.sessions.get(pole.name)
        if session is None or not pole.linked:
            return
        waiting, session.queue = session.queue, []
        delay_ms = self.chance.randint(20, 120)
        for letter in waiting:
            if letter.expires_ms is not None and self.clockwork.now_ms >= letter.expires_ms:
                continue
            self.refs += 1
            session.inflight[self.refs] = letter
            late_ms = self.chance.randint(0, 30_000) if self.messy.get(pole.name) and self.chance.random() < 0.3 else 0
            self.clockwork.after_ms(delay_ms + late_ms, self._delivery(pole, session, self.refs, letter))

    def _delivery(self, pole, session: Session, ref: int, letter: Letter):
        connection = pole.connection

        def deliver() -> None:
            if pole.linked and pole.connection == connection and ref in session.inflight:
                self.world.arrives(pole, letter.topic, letter.raw)
                pole.arrives(ref, letter.topic, letter.raw)

        return deliver

    def subscribe(self, pole, filters) -> None:
        """Retained messages come for subscriptions that the session did not have."""
        session = self.sessions.get(pole.name)
        if session is None or not pole.linked:
            return
        new = set(filters) - session.filters
        session.filters |= new
        for topic in sorted(self.retained):
            if any(fits(pattern, topic) for pattern in new):
                self._queue(pole, session, self.retained[topic])

    def acknowledged(self, pole, ref: int) -> None:
        session = self.sessions.get(pole.name)
        if session is not None:
            session.inflight.pop(ref, None)

    # --- to the controller ---

    def from_node(self, pole, message) -> None:
        if not pole.linked:
            self.world.broken(7, pole, "it spoke without a link")
        copies = 1
        delay_ms = self.chance.randint(20, 120)
        if self.messy.get(pole.name):
            roll = self.chance.random()
            copies = 0 if roll < 0.15 else 2 if roll < 0.3 else 1
            delay_ms += self.chance.randint(0, 20_000) if roll > 0.8 else 0
        for _ in range(copies):
            self.clockwork.after_ms(delay_ms, lambda life=pole.life: self._to_head(pole.name, message, pole.life == life))

    def _to_head(self, name: str, message, of_this_life: bool) -> None:
        """What was on its way when the power went is lost: no connection brings it after that of a later life."""
        if self.up and of_this_life:
            self.world.head_hears(lambda head: head.takes(name, message))


__all__ = ["MS_NS", "Broker"]
