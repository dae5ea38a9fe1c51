"""A node in virtual time: the real `decide` among a disk, a player, a link and a controller that behave like themselves."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from edge_agent.commands import Acknowledge, Evict, Fetch, HoldFetch, Hush, Publish, RecallRecords, Save, Speak, Subscribe
from edge_agent.core.node import decide
from edge_agent.core.state import State
from edge_agent.desk import LONGEST_SLEEP_S
from edge_agent.events import (
    Arrived,
    Booted,
    Event,
    Instant,
    LinkDown,
    LinkUp,
    MediaEvicted,
    MediaReceived,
    MediaStored,
    RecordsRecalled,
    Saved,
    SaveFailed,
    Woke,
)
from protocol import keys, topics
from protocol.envelope import seal
from protocol.reports import Hello, Receipt, RecordMark
from protocol.seen import Seen
from protocol.trust import Trust
from tests.core.card import Card
from tests.core.player import MS_NS, Heard, Player
from tests.protocol import vector_world as world
from tests.vectors import key

BOOT_NS = 20_000 * MS_NS
LOCAL = timedelta(hours=7)


@dataclass
class Controller:
    """What the controller learned: results in order, records by number, the last hello."""

    records: dict[int, object] = field(default_factory=dict)
    results: list = field(default_factory=list)
    hellos: list[Hello] = field(default_factory=list)
    answers_marks: bool = True

    def results_of(self, incident: str) -> list[str]:
        return [told.result for told in self.results if told.incident == incident.rjust(16, "0")]

    def upto(self) -> int:
        return next(number for number in itertools.count() if number + 1 not in self.records)


class Node:
    """`at_ms` is the true time; the node's clock may differ (`step`), drift (`lose_time_source`), be distrusted (`trust_clock`).

    Its time source bounds the error as the real ones do: `bound_ms` in step, growing and with every step after that.
    """

    longest_sleep_s = LONGEST_SLEEP_S

    def __init__(
        self,
        at_ms: int,
        *documents,
        card: Card | None = None,
        clock: str = "good",
        node: str = world.NODE,
        rtc_apart_ms: int | None = None,
    ) -> None:
        self.name = node
        self.card = card or Card()
        self.controller = Controller()
        self.clock = clock
        self.true_ms = at_ms
        self.error_ms = 0
        self.bound_ms = 20
        self.bound_ppm = self.drift_ppm = 0
        self.adrift_ns = 0
        self.rtc_apart_ms = rtc_apart_ms
        self.save_ms = 3
        self.card_fails: Callable[[Save], bool] = lambda _save: False
        self.retained: dict[str, bytes] = {}
        self.filters: set[str] = set()
        self.dice = itertools.count(1)
        self.refs = itertools.count(1)
        self.acknowledged: dict[int, int] = {}
        self.unacknowledged: dict[int, Arrived] = {}
        self.turns = 0
        self._boot()
        for sent in documents:
            self.give(sent)
        self.run(1)

    # --- time ---

    def _boot(self) -> None:
        self.mono_ns = self.card_free_ns = BOOT_NS
        self.epoch_ms = self.true_ms - BOOT_NS // MS_NS
        self.events: list = []
        self.order = itertools.count()
        self.player = Player(self.later)
        self.wants: tuple = ()
        self.budget_bytes: int | None = None
        self.held = False
        self.linked = False
        self.spoken: list = []
        self.commands: list = []
        root = world.root()
        self.state = State(node=self.name, media_root="/media", trust=Trust(root), seen=Seen())
        self.wake_ns = self.mono_ns
        self.happen(Booted(self.card.boot()))

    def power_cut(self, off_ms: int = 10_000, clock: str = "good") -> None:
        """Nothing that was not on the card is left."""
        self.true_ms += off_ms
        self.clock = clock
        self.drift_ppm = self.bound_ppm = 0
        self._boot()

    def later(self, at_ns: int, make: Callable[[], Event | None]) -> None:
        heapq.heappush(self.events, (at_ns, next(self.order), make))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until_ns = self.mono_ns + round(seconds * 1e9)
        while True:
            next_ns = min(self.events[0][0] if self.events else until_ns + 1, self.wake_ns)
            if next_ns > until_ns:
                break
            self._move(max(next_ns, self.mono_ns))
            if self.events and self.events[0][0] <= self.mono_ns:
                event = heapq.heappop(self.events)[2]()
                if event is not None:
                    self.happen(event)
            else:
                self.happen(Woke())
        self._move(until_ns)

    def run_to(self, at_ms: int) -> None:
        self.run((at_ms - self.true_ms) / 1000)

    def _move(self, mono_ns: int) -> None:
        self.mono_ns = mono_ns
        self.true_ms = self.epoch_ms + mono_ns // MS_NS

    def step(self, ms: int) -> None:
        """Somebody sets the node's clock; a time source in step answers for it at once."""
        self.error_ms += ms
        if self.clock != "good":
            self.bound_ms += abs(ms)
        self.happen(Woke())

    def trust_clock(self, state: str) -> None:
        self.clock = state
        if state == "good":
            self.bound_ms, self.bound_ppm = 20, 0
        self.happen(Woke())

    def lose_time_source(self, *, bound_ppm: int, drift_ppm: int = 0, says: str = "holdover") -> None:
        """From now on the clock runs by itself; a sync file that still lies there goes on saying good."""
        self.clock = says
        self.adrift_ns, self.bound_ppm, self.drift_ppm = self.mono_ns, bound_ppm, drift_ppm
        self.happen(Woke())

    def find_time_source(self) -> None:
        """The time source answers again, and puts the clock right."""
        self.clock, self.bound_ms, self.bound_ppm, self.drift_ppm, self.error_ms = "good", 20, 0, 0, 0
        self.happen(Woke())

    def _strayed_ms(self, ppm: int) -> int:
        return (self.mono_ns - self.adrift_ns) * ppm // 1_000_000 // MS_NS

    @property
    def off_ms(self) -> int:
        """By how much the node's clock is wrong in truth."""
        return self.error_ms + self._strayed_ms(self.drift_ppm)

    def instant(self) -> Instant:
        bound_ms = None if self.clock == "unknown" else self.bound_ms + self._strayed_ms(self.bound_ppm)
        dice = f"{next(self.dice):016x}"
        return Instant(self.true_ms + self.off_ms, self.mono_ns, self.clock, dice, bound_ms, self.rtc_apart_ms)

    # --- what happens ---

    def happen(self, event: Event) -> None:
        self.turns += 1
        self.state, commands, wake_ns = decide(self.state, event, self.instant())
        assert wake_ns > self.mono_ns, "a wake that is past would turn the processor in circles"
        self.wake_ns = min(wake_ns, self.mono_ns + round(self.longest_sleep_s * 1e9))
        for command in commands:
            self.commands.append(command)
            self._obey(command)

    def _obey(self, command) -> None:
        match command:
            case Save():
                fails = self.card_fails(command)
                self.card_free_ns = max(self.card_free_ns, self.mono_ns + self.save_ms * MS_NS)  # one after another
                self.later(self.card_free_ns, lambda: self._commit(command, fails))
            case RecallRecords(after):
                self.later(self.mono_ns, lambda: RecordsRecalled(self.card.records_after(after)))
            case Acknowledge(ref):
                self.acknowledged[ref] = len(self.card.journal)
                self.unacknowledged.pop(ref, None)
            case Subscribe(filters):
                self._subscribe(filters)
            case Publish(message):
                self._said(message)
            case Speak(play):
                self.spoken.append(play)
                self.player.start(play, self.mono_ns)
            case Hush(play_id):
                self.player.stop(play_id, self.mono_ns)
            case Fetch(wants, budget_bytes):
                self.wants, self.budget_bytes = wants, budget_bytes
            case Evict(files):
                self.card.media -= frozenset(files)
                for sha256 in files:
                    self.later(self.mono_ns + 1, lambda sha256=sha256: MediaEvicted(sha256))
            case HoldFetch(hold):
                self.held = hold

    def _commit(self, save: Save, fails: bool) -> Event:
        if fails:
            return SaveFailed(save.ref, "disk I/O error")
        self.card.commit(save)
        return Saved(save.ref)

    def _said(self, message) -> None:
        assert self.linked
        if isinstance(message, Hello):
            seal(message, [keys.sealer(key("report"))])
            self.controller.hellos.append(message)
            if self.controller.answers_marks:
                self.tell_mark(self.controller.upto())
        elif isinstance(message, Receipt):
            seal(message, [keys.sealer(key("report"))])
            self.controller.results += message.results
            for record in message.plays:
                known = self.controller.records.setdefault(record.record_id, record)
                assert known == record, "one number, two plays"
            if message.plays and self.controller.answers_marks:
                self.tell_mark(self.controller.upto())

    # --- the link ---

    def connect(self) -> None:
        self.linked = True
        self.happen(LinkUp(next(self.refs)))
        for event in list(self.unacknowledged.values()):
            self.happen(event)

    def disconnect(self) -> None:
        self.linked = False
        self.happen(LinkDown("gone"))

    def online(self) -> "Node":
        """Connected, and past the first quiet."""
        self.connect()
        self.run(3)
        return self

    def _subscribe(self, filters) -> None:
        for topic, raw in self.retained.items():
            if _wanted(topic, filters):
                self.later(self.mono_ns + 50 * MS_NS, lambda topic=topic, raw=raw: self._arrival(raw, topic))

    def _arrival(self, raw: bytes, topic: str) -> Arrived:
        event = Arrived(next(self.refs), topic, raw)
        self.unacknowledged[event.ref] = event
        return event

    def give(self, sent, topic: str | None = None) -> int:
        """A message arrives now. Returns its ref."""
        event = self._arrival(sent.raw, topic or sent.topic)
        self.happen(event)
        return event.ref

    def tell_mark(self, upto: int) -> None:
        topic = topics.topic("records", node=self.name)
        self.later(self.mono_ns + 20 * MS_NS, lambda: self._arrival(msgspec.json.encode(RecordMark(upto=upto)), topic))

    def fetched(self, sha256: str) -> None:
        size = next((want.bytes for want in self.wants if want.sha256 == sha256), 1_000)
        self.card.media |= {sha256}
        self.card.sizes[sha256] = size
        self.wants = tuple(want for want in self.wants if want.sha256 != sha256)
        self.happen(MediaReceived(size))
        self.happen(MediaStored(sha256))

    def run_fetching(self, to_ms: int, step_s: int = 300) -> list[tuple[int, str]]:
        """Let time pass with a link over which everything that is wanted comes. Returns when what came."""
        came = []
        while self.true_ms < to_ms:
            self.run(min(step_s, (to_ms - self.true_ms) / 1000))
            while self.linked and not self.held and self.wants:
                came.append((self.true_ms, self.wants[0].sha256))
                self.fetched(self.wants[0].sha256)
        return came

    # --- what is to be seen ---

    def story(self) -> list[str]:
        """Every record as it lies on the card: what, from when, how it ended."""
        lines = []
        for record, is_open in (self.card.records[number] for number in sorted(self.card.records)):
            what = f"{record.purpose} {record.incident.lstrip('0')}" if record.incident else record.item
            begun = "never" if record.started_ms is None else _clock_face(record.started_ms)
            lines.append(f"{what} {begun} {'open' if is_open else record.ending}")
        return lines

    def sounds(self) -> str | None:
        """What is heard at this instant."""
        playing = [
            self.what(heard) for heard in self.player.active.values() if heard.begin_ns <= self.mono_ns and not heard.stopped
        ]
        assert len(playing) <= 1, f"two things sound: {playing}"
        return playing[0] if playing else None

    def what(self, heard: Heard) -> str:
        record = next(rec for rec in self._records_of_plays() if rec[0] == heard.play.play_id)[1]
        return record.incident.lstrip("0") if record.incident else record.item

    def _records_of_plays(self):
        return [(number, playing.record) for number, playing in self.state.plays.items()]


def _clock_face(at_ms: int) -> str:
    return (datetime.fromtimestamp(at_ms / 1000, UTC) + LOCAL).strftime("%H:%M:%S")


def _wanted(topic: str, filters) -> bool:
    def fits(pattern: str) -> bool:
        parts, mine = pattern.split("/"), topic.split("/")
        return len(parts) == len(mine) and all(one in ("+", other) for one, other in zip(parts, mine, strict=True))

    return any(fits(pattern) for pattern in filters)
