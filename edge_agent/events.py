"""All that can happen to a node, past tense. Drivers emit them; only the core says what follows."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from protocol.documents import Reach
from protocol.reports import PlayRecord, UpdatePhase
from protocol.seen import OrderMark
from protocol.units import ClockState


class Instant(Struct, frozen=True):
    """When it is, as far as is known: wall time, CLOCK_MONOTONIC, what the time source says, and 64 random bits in hex.

    `clock`: good is in step, holdover was in step since this program began, unknown never was. `error_ms`: by so much the wall
    clock can be off, as the time source knows it. `rtc_apart_ms`: how far it is from the battery-backed clock, if there is one.
    """

    wall_ms: int
    mono_ns: int
    clock: ClockState
    dice: str
    error_ms: int | None = None
    rtc_apart_ms: int | None = None


# --- the store ---


class KeptDocument(Struct, frozen=True):
    """A document as it lies on disk: whole bytes, the keys that signed, and whether it is in force or waits."""

    raw: bytes
    kind: str
    digest: str
    keyids: tuple[str, ...]
    pending: bool


class KeptOrder(Struct, frozen=True):
    """A START as it lies on disk, with how far it came; `accepted_ms` is when it was accepted, or began to sound."""

    raw: bytes
    mark: OrderMark
    accepted_ms: int
    state: Literal["accepted", "sounding", "ended", "stopped"]


class KeptUpdate(Struct, frozen=True, kw_only=True):
    """How far the release of this digest is, as it lies on disk before each step.

    `from_slot` is what ran when it was begun; `clock` and `linked` how time and broker stood before the restart: the new build
    must do no worse. `ready`: the loader was seen to have the new slot first; `passed`: its health was good. `starts` counts the
    starts of the new slot, `tries` how often the loader was told of it.
    """

    release: str
    build: int
    state: UpdatePhase
    reason: str = ""
    from_slot: str = ""
    clock: ClockState = "unknown"
    linked: bool = False
    tries: int = 0
    ready: bool = False
    starts: int = 0
    passed: bool = False


class KeptReach(Struct, frozen=True, kw_only=True):
    """How the controller is reached, as it lies on disk before anything is tried. An empty Reach is what the card says.

    `digest`: the network document weighed last (empty: none), and `wanted` what it says. `good` is where the controller answered
    last, `before` where it did before that. `brief`: the old way worked shortly before the trial, so it gets minutes, not a day.
    `starts` counts those under a trial, `silent_h` the hours in which nobody was reached by `good`.
    """

    digest: str = ""
    wanted: Reach = Reach()
    state: Literal["trial", "confirmed", "returned"] = "confirmed"
    good: Reach = Reach()
    before: Reach = Reach()
    brief: bool = False
    starts: int = 1
    silent_h: int = 0


class Memory(Struct, frozen=True, kw_only=True):
    """Everything that a power cut left. `first_boot`: the controller never answered yet since this memory began."""

    boot_count: int
    first_boot: bool
    created_ms: int | None
    floor_ms: int
    rtc_good_ms: int | None = None
    documents: tuple[KeptDocument, ...] = ()
    orders: tuple[KeptOrder, ...] = ()
    marks: tuple[OrderMark, ...] = ()
    evicted_seq: Mapping[str, int] = {}
    records: tuple[PlayRecord, ...] = ()
    next_record_id: int = 1
    first_record_id: int = 1
    records_upto: int = 0
    bulletins: tuple[PlayRecord, ...] = ()
    """The records of the last days' bulletins, oldest first: what does not play again, and what counts towards sessions."""
    media: Mapping[str, int] = {}
    """Digest to bytes of every whole file, the oldest first."""
    media_month: int = 0
    media_bytes: int = 0
    """What content has cost the link in that month (202701)."""
    suspends_ran_ms: Mapping[str, int] = {}
    """How long each suspension had run when that was last noted, by its digest."""
    update: KeptUpdate | None = None
    reach: KeptReach | None = None


class Booted(Struct, frozen=True):
    """The store is open; this is what it held. Records that were open are closed as cut."""

    memory: Memory


class Saved(Struct, frozen=True):
    """A transaction is on the disk, fsynced."""

    ref: int


class RecordsRecalled(Struct, frozen=True):
    """Records read from disk again, because the controller lost them."""

    records: tuple[PlayRecord, ...]


class SaveFailed(Struct, frozen=True):
    """A transaction is not on the disk, and nothing of it is."""

    ref: int
    reason: str


# --- the link ---


class LinkUp(Struct, frozen=True):
    """CONNACK came; what was queued for us will follow."""

    birth: int


class LinkDown(Struct, frozen=True):
    """The connection is gone; the driver tries again by itself."""

    reason: str


class Arrived(Struct, frozen=True):
    """A message came; `ref` acknowledges it."""

    ref: int
    topic: str
    raw: bytes


# --- sound ---


class PlayerReady(Struct, frozen=True):
    """The player can sound."""


class Sounding(Struct, frozen=True):
    """The first sample of a play is heard at this instant."""

    play_id: int
    at_mono_ns: int


class PartSounding(Struct, frozen=True):
    """A part of a play begins to be heard."""

    play_id: int
    part: int
    at_mono_ns: int


class PlayEnded(Struct, frozen=True):
    """A play is over; levels are of what was sent to the sink, in hundredths of dBFS.

    `played_samples` counts the whole play; `part` and `part_samples` say where it is to go on if it is resumed.
    """

    play_id: int
    how: Literal["ended", "stopped", "max", "failed"]
    reason: str
    at_mono_ns: int
    played_samples: int
    part: int
    rms_cdb: int
    peak_cdb: int
    silent_ms: int
    part_samples: int = 0


class PlayerLost(Struct, frozen=True):
    """The player's child died or hung; the driver is replacing it."""

    reason: str
    plays: tuple[int, ...]


class PlayerReplaced(Struct, frozen=True):
    """A new child sounds, from where the old one was."""

    after_ms: int
    resumed: tuple[int, ...]


# --- content, clock, machine ---


class MediaStored(Struct, frozen=True):
    """A file is whole on disk and its hash agrees."""

    sha256: str


class MediaFailed(Struct, frozen=True):
    """A file could not be had yet; the driver goes on trying."""

    sha256: str
    reason: str


class MediaReceived(Struct, frozen=True):
    """The link carried so many bytes for content: of whole files, of parts, and of tries that came to nothing."""

    bytes: int


class MediaEvicted(Struct, frozen=True):
    """A file is off the card, as was told."""

    sha256: str


class ClockChecked(Struct, frozen=True):
    """The time source was looked at (the instant carries what it said)."""


class MachineChecked(Struct, frozen=True):
    """Figures of the machine. `power_low`: the supply sags under load (None: this machine cannot tell)."""

    disk_free_bytes: int
    temperature_cc: int | None
    uptime_s: int
    power_low: bool | None = None


# --- firmware ---


class SlotsChecked(Struct, frozen=True, kw_only=True):
    """What runs here, in which slot, and which one the boot loader takes next; `busy`: an installation is under way."""

    compatible: str
    version: str
    build: int
    booted: str
    next: str
    busy: bool = False


class InstallProgressed(Struct, frozen=True):
    """So much of the bundle was dealt with, of which so much is new on the link's account."""

    bytes_done: int


class InstallEnded(Struct, frozen=True):
    """The other slot holds the bundle whole, or (`reason`) not; `lasting`: the same bundle would never do better."""

    reason: str = ""
    lasting: bool = False


class BundleBrought(Struct, frozen=True):
    """Somebody at the node handed in this bundle whole: installing it takes nothing from the link and needs no night."""

    sha256: str


class SlotConfirmed(Struct, frozen=True):
    """The slot that runs was marked good: the boot loader counts its starts no more."""


class SlotsFailed(Struct, frozen=True):
    """What was asked of the slots could not be done; it may be asked again."""

    reason: str


class DriverFailed(Struct, frozen=True):
    """A driver that may fail did, and is being restarted."""

    driver: str
    reason: str
    restarts: int


class Woke(Struct, frozen=True):
    """The time that the core asked for has come."""


Event = (
    Booted
    | Saved
    | SaveFailed
    | RecordsRecalled
    | LinkUp
    | LinkDown
    | Arrived
    | PlayerReady
    | Sounding
    | PartSounding
    | PlayEnded
    | PlayerLost
    | PlayerReplaced
    | MediaStored
    | MediaFailed
    | MediaReceived
    | MediaEvicted
    | ClockChecked
    | MachineChecked
    | SlotsChecked
    | InstallProgressed
    | InstallEnded
    | BundleBrought
    | SlotConfirmed
    | SlotsFailed
    | DriverFailed
    | Woke
)
