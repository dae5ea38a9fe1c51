"""A node on its pole: the real `decide`, a card, a player, a fetcher and a clock that can each go wrong."""

from dataclasses import dataclass

from msgspec import structs

from edge_agent.commands import (
    Acknowledge,
    Clip,
    Fetch,
    HoldFetch,
    Hush,
    Play,
    Publish,
    PutOrder,
    RecallRecords,
    Save,
    Speak,
    Speech,
    Subscribe,
)
from edge_agent.core import node as core
from edge_agent.core.state import State
from edge_agent.events import (
    Arrived,
    Booted,
    ClockChecked,
    Instant,
    LinkDown,
    LinkUp,
    MediaStored,
    PlayEnded,
    RecordsRecalled,
    Saved,
    SaveFailed,
    Woke,
)
from protocol.seen import Seen
from protocol.trust import Trust
from tests.core.card import Card
from tests.core.player import Player
from tests.protocol import vector_world as vectors
from tests.simulation.clockwork import MS_NS

BOOT_NS = 20_000 * MS_NS
LOOKS_AT_CLOCK_MS = 5_000
"""The desk wakes the core at least this often; the world lets it sleep unless the clock was touched."""
BULLETINS_KEPT_MS = 2 * 86_400_000
ROOT = vectors.root()
BOUND_MS = {"good": 20, "holdover": 5_000}
"""By so much the clock can be off, says its time source, which may be wrong (`step`)."""


class SimCard(Card):
    """Forgets as the real store does, and knows which STARTs are not over."""

    def __init__(self) -> None:
        super().__init__()
        self.standing: dict[str, PutOrder] = {}
        self.ever: set[str] = set()

    def commit(self, save: Save) -> None:
        for write in save.writes:
            self._put(write)
            if isinstance(write, PutOrder):
                if write.order.state in ("accepted", "sounding"):
                    self.standing[write.order.mark.digest] = write
                else:
                    self.standing.pop(write.order.mark.digest, None)

    def boot(self):
        newest = max((rec.planned_ms for rec, _ in self.records.values() if rec.incident is None), default=0)
        self.records = {
            number: pair
            for number, pair in self.records.items()
            if number > self.numbers.get("records_upto", 0) or pair[0].planned_ms > newest - 30 * 86_400_000
        }
        memory = super().boot()
        kept = tuple(rec for rec in memory.bulletins if rec.planned_ms > newest - BULLETINS_KEPT_MS)
        return structs.replace(memory, bulletins=kept)


@dataclass(eq=False)
class Sound:
    """What an ear under the pole hears; `signed` is whose words these are (None: nobody's)."""

    signed: object
    item: str
    words: tuple[str, ...]
    record: object
    play: Play
    begin_ms: int
    wall_ms: int
    end_ms: int | None = None
    how: str = ""
    whole: bool = False


class SimPlayer(Player):
    """Refuses what it has no file for; tells the pole of every beginning and end."""

    def __init__(self, pole: "Pole") -> None:
        super().__init__(pole.later)
        self._pole = pole

    def start(self, play: Play, now_ns: int) -> None:
        lost = [part for part in play.parts if isinstance(part, Clip) and _sha(part) not in self._pole.card.media]
        if lost:
            end = PlayEnded(play.play_id, "failed", "no such file", now_ns, 0, 0, -12_000, -12_000, 0)
            self._later(now_ns, lambda: end)
            return
        super().start(play, now_ns)

    def _begin(self, heard):
        event = super()._begin(heard)
        if event is not None:
            self.heard.clear()
            self._pole.ear_begins(heard)
        return event

    def _end(self, heard, how):
        event = super()._end(heard, how)
        # an emergency ends with a pause, its call sign and a chime: who heard those heard all of it
        whole = event.part >= len(heard.play.parts) - 3
        self._pole.ear_ends(heard.play.play_id, how, whole=whole)
        return event


def _sha(clip: Clip) -> str:
    return clip.path.rsplit("/", 1)[1].removesuffix(".mka")


class Pole:
    """`world` gives time, the broker, the register of voices, and hears of everything."""

    def __init__(self, world, name: str, number: int) -> None:
        self.world, self.name, self.number = world, name, number
        self.clockwork = world.clockwork
        self.decide = core.decide
        self.card = SimCard()
        self.memories = 0
        self.life = 0
        self.on = False
        self.error_ms, self.clock = 0, "good"
        self.save_ms, self.card_fails = 3, False
        self.linked = False
        self.birth = 0
        self.refs = 0
        self.turns = 0
        self.cut_after: int | None = None
        self.ear: dict[int, Sound] = {}
        self.chain = tuple(link.area for link in vectors.chain(name, world.places[name]))

    # --- power ---

    def power_on(self) -> None:
        self.life += 1
        self.on = True
        self.epoch_ns = self.clockwork.now_ns - BOOT_NS
        self.card_free_ns = self.clockwork.now_ns
        self.pending: list[Save] = []
        self.waking = 0
        self.unacknowledged: dict[int, object] = {}
        self.wants: tuple = ()
        self.held = self.fetching = False
        self.player = SimPlayer(self)
        self.state = State(node=self.name, media_root="/media", trust=Trust(ROOT), seen=Seen())
        self.last = None
        self.world.note(self, "power on", self.clock)
        self.world.told("booting", self)
        self.happen(Booted(self.card.boot()))
        self.world.told("booted", self)
        self.world.broker.cover_changed(self)

    def power_off(self) -> None:
        """At this very instant: what the card is writing may just have been written, unanswered."""
        self.on = False
        self.cut_after = None
        if self.pending and not self.card_fails and self.world.chance.random() < 0.5:
            self._commit(self.pending.pop(0))
        self.world.note(self, "power off")
        self.life += 1
        for play_id in list(self.ear):
            self.ear_ends(play_id, "cut")
        self.world.told("cut", self)
        self.world.broker.link_lost(self)

    def lose_memory(self) -> None:
        """The database is unreadable and put aside; files and the count of starts lie beside it."""
        self.card, old = SimCard(), self.card
        self.card.boots, self.card.media, self.card.ever = old.boots, old.media, old.ever
        self.memories += 1

    # --- time ---

    @property
    def mono_ns(self) -> int:
        return self.clockwork.now_ns - self.epoch_ns

    @property
    def wall_ms(self) -> int:
        """What its own clock says."""
        return self.clockwork.now_ms + self.error_ms

    @property
    def time_is_good(self) -> bool:
        """As a clock-maker would judge it, from the image's date and the floor on the card."""
        return self.clock in ("good", "holdover") and self.wall_ms >= self.card.numbers.get("floor_ms", 0)

    def later(self, at_mono_ns: int, make) -> None:
        life = self.life

        def due() -> None:
            if self.life == life and (event := make()) is not None:
                self.happen(event)

        self.clockwork.at(at_mono_ns + self.epoch_ns, due)

    def set_clock(self, error_ms: int, state: str) -> None:
        """The desk looks within five seconds."""
        before = self.error_ms, self.clock
        self.error_ms, self.clock = error_ms, state
        self.world.told("clock_set", self, *before)
        if self.on:
            self.later(self.mono_ns + self.world.chance.randint(1, LOOKS_AT_CLOCK_MS) * MS_NS, ClockChecked)

    # --- what happens ---

    def happen(self, event) -> None:
        if not self.on:
            return
        world = self.world
        mono_ns = self.mono_ns
        self.turns += 1
        dice = (self.turns * 0x9E3779B97F4A7C15 ^ (self.number << 40) ^ self.life) & (2**64 - 1)
        now = Instant(self.wall_ms, mono_ns, self.clock, f"{dice:016x}", BOUND_MS.get(self.clock))
        self.state, commands, wake_ns = self.decide(self.state, event, now)
        self.last = now
        world.saw(self, event, commands)
        if wake_ns <= mono_ns:
            world.broken(14, self, "a wake that is past would turn the processor in circles")
        life = self.life
        for command in commands:
            if self.cut_after is not None:
                if self.cut_after <= 0:
                    world.power_cut_now(self)
                    return
                self.cut_after -= 1
            self._obey(command, event)
            if self.life != life:
                return
        self._wake_at(wake_ns)
        world.turned(self, event)

    def _wake_at(self, wake_ns: int) -> None:
        self.waking += 1
        number, life = self.waking, self.life

        def wake() -> None:
            if self.life == life and self.waking == number:
                self.happen(Woke())

        self.clockwork.at(wake_ns + self.epoch_ns, wake)

    def _obey(self, command, event) -> None:
        match command:
            case Save():
                self._save(command)
            case RecallRecords(after):
                self.later(self.mono_ns, lambda: RecordsRecalled(self.card.records_after(after)[:5_000]))
            case Acknowledge(ref):
                self.world.acknowledged(self, ref, event)
                self.unacknowledged.pop(ref, None)
                self.world.broker.acknowledged(self, ref)
            case Subscribe(filters):
                self.world.broker.subscribe(self, filters)
            case Publish(message):
                self.world.broker.from_node(self, message)
            case Speak(play):
                self.player.start(play, self.mono_ns)
            case Hush(play_id):
                self.player.stop(play_id, self.mono_ns)
            case Fetch(wants):
                self.wants = wants
                self.fetch_on()
            case HoldFetch(hold):
                self.held = hold
                self.fetch_on()

    # --- the card ---

    def _save(self, save: Save) -> None:
        self.pending.append(save)
        fails = self.card_fails
        self.card_free_ns = max(self.card_free_ns, self.clockwork.now_ns + self.save_ms * MS_NS)

        def answer():
            self.pending.remove(save)
            if fails:
                return SaveFailed(save.ref, "database or disk is full")
            self._commit(save)
            return Saved(save.ref)

        self.later(self.card_free_ns - self.epoch_ns, answer)

    def _commit(self, save: Save) -> None:
        self.card.commit(save)
        if save.writes:
            self.world.told("committed", self, save.writes)

    def card_digests(self) -> set[str]:
        return {kept.digest for kept in self.card.documents.values()}

    # --- the link ---

    def link_up(self) -> None:
        self.linked = True
        self.birth += 1
        self.happen(LinkUp(self.birth))
        self.fetch_on()

    def link_down(self) -> None:
        self.linked = False
        self.happen(LinkDown("gone"))

    def arrives(self, ref: int, topic: str, raw: bytes) -> None:
        event = Arrived(ref, topic, raw)
        self.unacknowledged[ref] = event
        self.happen(event)

    def fetch_on(self) -> None:
        """One file at a time, while there is a link and nobody needs it more."""
        want = next((want for want in self.wants if want.sha256 not in self.card.media), None)
        if self.fetching or want is None or self.held or not self.linked or self.world.media_down:
            return
        self.fetching = True
        life = self.life

        def came() -> None:
            if self.life != life:
                return
            self.fetching = False
            if not self.linked or self.world.media_down or self.card_fails:
                self.clockwork.after_ms(60_000, lambda: self.life == life and self.fetch_on())
                return
            self.card.media |= {want.sha256}
            self.card.ever.add(want.sha256)
            self.happen(MediaStored(want.sha256))
            self.fetch_on()

        self.clockwork.after_ms(500 + want.bytes // 20, came)

    # --- the ear ---

    def ear_begins(self, heard) -> None:
        words = tuple(
            part.text if isinstance(part, Speech) else _sha(part) for part in heard.play.parts if isinstance(part, Speech | Clip)
        )
        said = self.world.office.said
        signed, item = next((said[word] for word in words if word in said), (None, ""))
        playing = self.state.plays.get(heard.play.play_id)
        record = playing.record if playing is not None else None
        claimed = self.world.office.all.get(record.digest) if record is not None else None
        if claimed is not None and claimed.op and claimed.payload.text[0].text in words:
            signed = claimed  # one text may have been signed twice, the second time for a nonce
        sound = Sound(signed, item, words, record, heard.play, self.clockwork.now_ms, self.wall_ms)
        self.ear[heard.play.play_id] = sound
        self.world.note(self, "SOUNDS", signed, item)
        self.world.told("begun", self, sound)

    def ear_ends(self, play_id: int, how: str, *, whole: bool = False) -> None:
        sound = self.ear.pop(play_id, None)
        if sound is None:
            return
        sound.end_ms, sound.how, sound.whole = self.clockwork.now_ms, how, whole
        self.world.note(self, "silent", how, sound.signed, sound.item)
        self.world.told("over", self, sound)
