"""What a node knows and is doing, and the turn in which one event changes it."""

from collections.abc import Hashable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct, structs

from edge_agent.commands import Command, PutOrder, Save, Want, Write
from edge_agent.core.writes import key_of, outdated_by
from edge_agent.events import Arrived, Instant, KeptOrder, KeptReach, KeptUpdate, SlotsChecked
from protocol.bulletins import Item
from protocol.documents import AnyDocument, Reach
from protocol.hours import Aired, Rules
from protocol.orders import AnyStart
from protocol.passing import Suspend
from protocol.programme import Order
from protocol.recurrence import Calendar
from protocol.release import Release
from protocol.reports import Ending, OrderResult, PlayRecord, Result, UpdateState
from protocol.rules import Clock, Me
from protocol.seen import OrderMark, Seen, Slot
from protocol.trust import Trust
from protocol.units import ClockState

MS_NS: Final = 1_000_000
HELLO_QUIET_NS: Final = 2_000 * MS_NS
VERSION: Final = "0.1.0"


class Stored(Struct, frozen=True):
    """A document that was accepted, with what is needed to judge its signers again; `media` is the set it names.

    A programme has its calendar with it, which is expanded once.
    """

    payload: AnyDocument | Release
    digest: str
    raw: bytes
    keyids: tuple[str, ...]
    media: frozenset[str] = frozenset()
    calendar: Calendar | None = None


class Suspended(Struct, frozen=True, kw_only=True):
    """A suspension that lies on the card. `ran_ms` is how long it had run, in monotonic time, at `since_ns`."""

    what: Suspend
    digest: str
    keyids: tuple[str, ...]
    since_ns: int
    ran_ms: int = 0


class Attested(Struct, frozen=True):
    """The time as a timekeeper told it: what it was at `at_ns` (CLOCK_MONOTONIC), to within `error_ms`."""

    wall_ms: int
    at_ns: int
    error_ms: int


class Alarm(Struct, frozen=True, kw_only=True):
    """A START that is on disk and not over.

    `repeats_done` counts those that were heard whole, `tries` the plays told of it, `failures` those in a row that never began.
    `sounded_ns` is CLOCK_MONOTONIC of its first sample; after a power cut it may lie before the zero of that clock.
    `accepted_ms` is its acceptance, and once it sounded the wall time of its first sample, if a clock could tell it.
    """

    start: AnyStart
    mark: OrderMark
    raw: bytes
    accepted_ms: int
    sounded_ns: int | None = None
    repeats_done: int = 0
    tries: int = 0
    failures: int = 0

    def put(self, state: Literal["accepted", "sounding", "ended", "stopped"]) -> PutOrder:
        """What the disk is to know of it."""
        return PutOrder(KeptOrder(self.raw, self.mark, self.accepted_ms, state))


OccurrenceKey = tuple[str, str, str, int]
"""Subject and authority of the programme, item id, planned time: what never plays twice."""


class Due(Struct, frozen=True, kw_only=True):
    """An item whose time has come or is near; one that was interrupted goes on at `from_part`, `skip_samples` into it."""

    key: OccurrenceKey
    digest: str
    item: Item
    planned_ms: int
    until_ms: int
    from_part: int = 0
    skip_samples: int = 0
    gone_ms: int = 0

    @property
    def slot(self) -> Slot:
        """Where its programme stands."""
        return Slot("programme", self.key[0], self.key[1])


class Playing(Struct, frozen=True, kw_only=True):
    """One play, from the moment its record is being written to the moment its end is reported.

    `ceiling_ns` (CLOCK_MONOTONIC) is where the player ends it by itself because its station closes.
    """

    play_id: int
    phase: Literal["saving", "told", "ending"]
    record: PlayRecord
    alarm: str | None = None
    due: Due | None = None
    repeat_parts: tuple[int, ...] = ()
    spoken_part: int | None = None
    closing_part: int = 0
    media: frozenset[str] = frozenset()
    begun_ns: int | None = None
    ceiling_ns: int | None = None
    ending: Ending | None = None
    why: str = ""


class After(Struct, frozen=True, kw_only=True):
    """What follows once a transaction is on disk: what was accepted takes effect, a play begins, its messages are acknowledged.

    `digest` names the order or document that it keeps; `result` is what is then told of `order`.
    """

    writes: tuple[Write, ...] = ()
    digest: str = ""
    acknowledge: tuple[int, ...] = ()
    order: OrderMark | None = None
    result: Result = "received"
    alarm: Alarm | None = None
    record: PlayRecord | None = None
    play_id: int | None = None
    closed: PlayRecord | None = None
    update: KeptUpdate | None = None
    reach: KeptReach | None = None


class Told(Struct, frozen=True):
    """What became of an order, and when (CLOCK_MONOTONIC) that was noted."""

    result: OrderResult
    noted_ns: int


class State(Struct, frozen=True, kw_only=True):
    """Everything; replaced, never changed."""

    node: str
    media_root: str
    trust: Trust
    seen: Seen
    boot_count: int = 0
    boot: str | None = None
    booted: bool = False
    first_boot: bool = False
    introduced: bool = True
    """Whether the controller answered since this memory began; before, it may still count plays of a memory that is lost."""
    # clock
    floor_ms: int = 0
    clock: ClockState = "unknown"
    clock_error_ms: int | None = None
    offset_ms: int = 0
    rtc_from_ms: int | None = None
    """When the RTC last agreed with a good clock, while it is the RTC that we go by."""
    nonces: tuple[str, ...] = ()
    nonce_drawn_ns: int = 0
    nonces_told_ns: Mapping[str, int] = {}
    """When each nonce was first told: a time that answers it can be no older."""
    attested: Attested | None = None
    # link
    link_up: bool = False
    filters: frozenset[str] = frozenset()
    collected: tuple[Arrived, ...] = ()
    collect_until_ns: int | None = None
    collect_latest_ns: int = 0
    # the way to the controller: what is kept, what is gone by, since when in vain, whether the link that stands is proven
    reach: KeptReach = KeptReach()
    reach_used: Reach = Reach()
    reach_silent_ns: int = 0
    linked_ns: int | None = None
    answered: bool = False
    answered_ns: int | None = None
    # keys that are suspended: what was taken in, and the digests of those that are in force
    suspends: Mapping[Slot, Suspended] = {}
    suspends_in_force: frozenset[str] = frozenset()
    # content
    documents: Mapping[Slot, Stored] = {}
    waiting: Mapping[Slot, Stored] = {}
    media: Mapping[str, int] = {}
    """What is whole on the card, digest to bytes, the least recently needed first; `evicting`: what is on its way out."""
    evicting: Mapping[str, int] = {}
    clips_wanted: Mapping[str, int] = {}
    fetch_held: bool = False
    # supply: what the fetcher was told, from when until when (wall time) that stays right, and what the month has cost
    wants: tuple[Want, ...] = ()
    fetch_limit: int | None = None
    fetch_month: int = 0
    late_media: int = 0
    """Files that are missing now, and do not merely wait for the night."""
    supply_stale: bool = True
    supply_usable: bool = False
    supply_from_ms: int = 0
    supply_until_ms: int = 0
    spent_month: int = 0
    spent_bytes: int = 0
    spent_saved_month: int = 0
    spent_saved_bytes: int = 0
    # sound
    alarms: Mapping[str, Alarm] = {}
    begun_ms: Mapping[str, int] = {}
    """By key: until when (CLOCK_MONOTONIC) what it began lasts, at the pace that it may keep."""
    plays: Mapping[int, Playing] = {}
    current: int | None = None
    queue: tuple[Due, ...] = ()
    upcoming: tuple[Due, ...] = ()
    planned_to_ms: int = 0
    plan_ends_ms: int = 0
    plan_stale: bool = True
    rules: Rules | None = None
    order: Order = {}
    aired: Aired = Aired()
    played: Mapping[OccurrenceKey, int] = {}
    next_play_id: int = 1
    # records and reports
    next_record_id: int = 1
    first_record_id: int = 1
    records_upto: int = 0
    records: Mapping[int, PlayRecord] = {}
    unsent_records: frozenset[int] = frozenset()
    records_again_ns: int | None = None
    """When records that were told and are not in the controller's mark are told again; `records_tries` counts that."""
    records_tries: int = 0
    mark_back_ns: int | None = None
    results: Mapping[str, Told] = {}
    """By the order's digest; of a refusal by its code and topic."""
    unsent: frozenset[str] = frozenset()
    link_lost_ns: int | None = None
    hello_due_ns: int | None = None
    hello_sent_ns: int | None = None
    hello_again_ns: int | None = None
    """When a hello that nobody answered is said again; `hello_tries` counts those since the last answer."""
    hello_tries: int = 0
    health_due_ns: int | None = None
    health_sent_ns: int | None = None
    health_error_ms: int | None = None
    troubles: frozenset[str] = frozenset()
    refused: Mapping[str, int] = {}
    refusal_said_ns: Mapping[str, int] = {}
    restarts: Mapping[str, int] = {}
    disk_free_bytes: int = -1
    temperature_cc: int | None = None
    uptime_s: int = 0
    power_low: bool | None = None
    # firmware: what runs, how far an update is (on disk once `update_kept`), and what was asked of the slots when
    slots: SlotsChecked | None = None
    update: KeptUpdate | None = None
    update_kept: bool = True
    update_recalled: bool = False
    """Whether what is in `update` was begun before this program started, and not weighed against the slots yet."""
    update_waits: str = ""
    bundle_brought: str = ""
    """The bundle that lies here whole, by hand."""
    update_again_ns: int = 0
    update_asked_ns: int | None = None
    update_bytes: int = 0
    install_held: bool = False
    slot_confirmed: bool = False
    confirm_asked_ns: int | None = None
    update_said: UpdateState | None = None
    update_told: UpdateState | None = None
    """What the last health said of it, without bytes."""
    settled_ns: int = 0
    """Until then a start may still be on its way: to the broker, to a clock in step."""
    linked_once: bool = False
    sounded_once: bool = False
    # transactions under way, and those that failed and wait to be tried again
    next_ref: int = 1
    after: Mapping[int, After] = {}
    unwritten: tuple[After, ...] = ()
    retry_ns: int = 0

    @property
    def me(self) -> Me:
        """Who this node is when it judges documents."""
        return Me(self.node, self.nonces)

    @property
    def orders_on_disk(self) -> int:
        """Only what no power cut takes back is counted: of fewer the controller would think that this is an older card."""
        under_way = [*self.after.values(), *self.unwritten]
        return max(0, len(self.seen.orders) - sum(after.order is not None for after in under_way))

    @property
    def clock_usable(self) -> bool:
        """Good enough for anything timed."""
        return self.clock in ("good", "holdover")


class Turn:
    """One event's way through the core: the state so far, the instant, and the commands given."""

    def __init__(self, state: State, now: Instant) -> None:
        self.state = state
        self.now = now
        self.commands: list[Command] = []

    @property
    def wall(self) -> Clock:
        """The time as the protocol's checks want it."""
        return Clock(self.now.wall_ms, self.state.clock, self.state.floor_ms)

    def set(self, **changes: object) -> None:
        """Replace fields of the state."""
        self.state = structs.replace(self.state, **changes)

    def tell(self, *commands: Command) -> None:
        """Give commands, in order."""
        self.commands.extend(commands)

    def save(self, *writes: Write, **after: Any) -> None:
        """Write in one transaction; what `After` names follows when it is on disk."""
        number = self.state.next_ref
        follows = After(writes=writes, **after)
        if self.state.unwritten:
            self._outdate(frozenset().union(*map(outdated_by, writes)))
        self.set(next_ref=number + 1, after={**self.state.after, number: follows})
        self.tell(Save(number, writes))

    def _outdate(self, keys: frozenset[Hashable]) -> None:
        """What could not be written before must not undo what is written now."""
        kept = [
            structs.replace(after, writes=tuple(write for write in after.writes if key_of(write) not in keys))
            for after in self.state.unwritten
        ]
        self.set(unwritten=tuple(after for after in kept if after.writes or after.acknowledge))

    def trouble(self, name: str, *, there: bool) -> None:
        """Note that something is wrong, or no longer is."""
        troubles = self.state.troubles | {name} if there else self.state.troubles - {name}
        if troubles != self.state.troubles:
            self.set(troubles=troubles)
            self.ask_hello(delay_ms=1_000)

    def ask_hello(self, delay_ms: int) -> None:
        """Say anew what this node holds, soon, but not twice within two seconds; several wishes become one hello."""
        due_ns = self.now.mono_ns + delay_ms * MS_NS
        if self.state.hello_sent_ns is not None:
            due_ns = max(due_ns, self.state.hello_sent_ns + HELLO_QUIET_NS)
        if self.state.hello_due_ns is None or due_ns < self.state.hello_due_ns:
            self.set(hello_due_ns=due_ns)

    def mono_ns_of(self, wall_ms: int) -> int:
        """The CLOCK_MONOTONIC instant of a wall time, as the clock stands now."""
        return self.now.mono_ns + (wall_ms - self.now.wall_ms) * MS_NS

    def wall_ms_of(self, mono_ns: int) -> int:
        """The wall time of a CLOCK_MONOTONIC instant, as the clock stands now; a clock near its zero gives no negative ones."""
        return max(0, self.now.wall_ms + (mono_ns - self.now.mono_ns) // MS_NS)
