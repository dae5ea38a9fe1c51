"""What a node knows and is doing, and the turn in which one event changes it."""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct, structs

from edge_agent.commands import Command, Save, Want, Write
from edge_agent.events import Arrived, Instant
from protocol.documents import AnyDocument, Item
from protocol.orders import AnyStart
from protocol.reports import Ending, OrderResult, PlayRecord
from protocol.rules import Clock, Me
from protocol.seen import OrderMark, Seen, Slot
from protocol.trust import Trust
from protocol.units import ClockState

MS_NS: Final = 1_000_000
VERSION: Final = "0.1.0"


class Stored(Struct, frozen=True):
    """A document that was accepted, with what is needed to judge its signers again."""

    payload: AnyDocument
    digest: str
    raw: bytes
    keyids: tuple[str, ...]


class Alarm(Struct, frozen=True, kw_only=True):
    """A START that was accepted and is not over: `repeats_done` counts those that were heard whole."""

    start: AnyStart
    mark: OrderMark
    raw: bytes
    accepted_ms: int
    sounded_ns: int = 0
    repeats_done: int = 0
    replays: int = 0


OccurrenceKey = tuple[str, str, str, int]
"""Subject and authority of the programme, item id, planned time: what never plays twice."""


class Due(Struct, frozen=True, kw_only=True):
    """An item whose time has come or is near."""

    key: OccurrenceKey
    digest: str
    item: Item
    planned_ms: int
    until_ms: int
    from_part: int = 0
    skip_samples: int = 0


class Playing(Struct, frozen=True, kw_only=True):
    """One play, from the moment its record is being written to the moment its end is reported."""

    play_id: int
    phase: Literal["saving", "told", "ending"]
    record: PlayRecord
    alarm: str | None = None
    due: Due | None = None
    repeat_parts: tuple[int, ...] = ()
    spoken_part: int | None = None
    closing_part: int = 0
    begun_ns: int | None = None
    ending: Ending | None = None
    why: str = ""


class After(Struct, frozen=True, kw_only=True):
    """What follows once a transaction is on disk."""

    acknowledge: int | None = None
    play_id: int | None = None
    results: tuple[OrderResult, ...] = ()
    order: OrderMark | None = None


class State(Struct, frozen=True, kw_only=True):
    """Everything; replaced, never changed."""

    node: str
    media_root: str
    trust: Trust
    seen: Seen
    boot_count: int = 0
    booted: bool = False
    first_boot: bool = False
    # clock
    floor_ms: int = 0
    clock: ClockState = "unknown"
    offset_ms: int = 0
    nonces: tuple[str, ...] = ()
    nonce_drawn_ns: int = 0
    # link
    link_up: bool = False
    filters: frozenset[str] = frozenset()
    collected: tuple[Arrived, ...] = ()
    collect_until_ns: int | None = None
    collect_latest_ns: int = 0
    # content
    documents: Mapping[Slot, Stored] = {}
    waiting: Mapping[Slot, Stored] = {}
    media: frozenset[str] = frozenset()
    wants: tuple[Want, ...] = ()
    fetch_held: bool = False
    # sound
    alarms: Mapping[str, Alarm] = {}
    plays: Mapping[int, Playing] = {}
    current: int | None = None
    queue: tuple[Due, ...] = ()
    upcoming: tuple[Due, ...] = ()
    planned_to_ms: int = 0
    played: Mapping[OccurrenceKey, int] = {}
    next_play_id: int = 1
    # records and reports
    next_record_id: int = 1
    first_record_id: int = 1
    records_upto: int = 0
    records: Mapping[int, PlayRecord] = {}
    sent_records: frozenset[int] = frozenset()
    results: Mapping[tuple[str | None, int | None, str], OrderResult] = {}
    unsent: frozenset[tuple[str | None, int | None, str]] = frozenset()
    hello_due_ns: int | None = None
    health_due_ns: int | None = None
    health_sent_ns: int | None = None
    troubles: frozenset[str] = frozenset()
    refused: Mapping[str, int] = {}
    refusal_said_ns: Mapping[str, int] = {}
    restarts: Mapping[str, int] = {}
    disk_free_bytes: int = -1
    temperature_cc: int | None = None
    uptime_s: int = 0
    # saves and publishes under way
    next_ref: int = 1
    after: Mapping[int, After] = {}

    @property
    def me(self) -> Me:
        """Who this node is when it judges documents."""
        return Me(self.node, self.nonces)

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
        return Clock(self.now.wall_ms, self.state.clock)

    def set(self, **changes: object) -> None:
        """Replace fields of the state."""
        self.state = structs.replace(self.state, **changes)

    def tell(self, *commands: Command) -> None:
        """Give commands, in order."""
        self.commands.extend(commands)

    def ref(self) -> int:
        """A number for a transaction or a publish."""
        number = self.state.next_ref
        self.set(next_ref=number + 1)
        return number

    def save(self, *writes: Write, after: After | None = None) -> None:
        """Write in one transaction; `after` follows when it is on disk."""
        number = self.ref()
        if after is not None:
            self.set(after={**self.state.after, number: after})
        self.tell(Save(number, writes))

    def trouble(self, name: str, *, there: bool) -> None:
        """Note that something is wrong, or no longer is."""
        troubles = self.state.troubles | {name} if there else self.state.troubles - {name}
        if troubles != self.state.troubles:
            self.set(troubles=troubles)
            self.ask_hello(delay_ms=1_000)

    def ask_hello(self, delay_ms: int) -> None:
        """Say anew what this node holds, soon; several wishes become one hello."""
        due_ns = self.now.mono_ns + delay_ms * MS_NS
        if self.state.hello_due_ns is None or due_ns < self.state.hello_due_ns:
            self.set(hello_due_ns=due_ns)

    def mono_ns_of(self, wall_ms: int) -> int:
        """The CLOCK_MONOTONIC instant of a wall time, as the clock stands now."""
        return self.now.mono_ns + (wall_ms - self.now.wall_ms) * MS_NS

    def wall_ms_of(self, mono_ns: int) -> int:
        """The wall time of a CLOCK_MONOTONIC instant, as the clock stands now."""
        return self.now.wall_ms + (mono_ns - self.now.mono_ns) // MS_NS
