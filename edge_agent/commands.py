"""All that a node can do, imperative. The core gives them; drivers carry them out."""

from msgspec import Struct

from edge_agent.events import KeptDocument, KeptOrder, KeptReach, KeptUpdate
from edge_agent.player.score import Align, Clip, Input, Part, Pause, Play, Speech, Stream, Tone
from protocol.documents import Reach
from protocol.reports import Health, Hello, PlayRecord, Receipt
from protocol.seen import OrderMark, Slot

# --- what a transaction writes ---


class PutDocument(Struct, frozen=True):
    """Keep a document in its slot, as the one in force or the one that waits."""

    slot: Slot
    document: KeptDocument


class DropDocument(Struct, frozen=True):
    """Forget what waits (or is in force) in a slot."""

    slot: Slot
    pending: bool


class PutOrder(Struct, frozen=True):
    """Keep a whole START."""

    order: KeptOrder


class PutMark(Struct, frozen=True):
    """Remember that an order was seen."""

    mark: OrderMark


class PutRecord(Struct, frozen=True):
    """Keep a play record; one that is open when the power goes stays as it is: cut."""

    record: PlayRecord
    is_open: bool


class PutNumber(Struct, frozen=True):
    """Keep one number under a name: the floor of time, the controller's mark, the day this memory began."""

    name: str
    value: int


class PutUpdate(Struct, frozen=True):
    """Keep how far the firmware's update is."""

    update: KeptUpdate


class PutReach(Struct, frozen=True):
    """Keep how the controller is reached, and how far the trial of another way is."""

    reach: KeptReach


Write = PutDocument | DropDocument | PutOrder | PutMark | PutRecord | PutNumber | PutUpdate | PutReach


# --- commands ---


class Save(Struct, frozen=True):
    """Write all of this in one fsynced transaction, then answer Saved with the ref."""

    ref: int
    writes: tuple[Write, ...]


class RecallRecords(Struct, frozen=True):
    """Read the closed records after this one from disk again."""

    after: int


class Acknowledge(Struct, frozen=True):
    """PUBACK: what came is on the disk, or (`why_not`: code and reason) was refused. A negative ref came on a stick."""

    ref: int
    why_not: str = ""


class Subscribe(Struct, frozen=True):
    """Read these topics."""

    filters: tuple[str, ...]


class GoBy(Struct, frozen=True):
    """Reach the controller in this way from now on; what it leaves out is as the card says."""

    reach: Reach


class Publish(Struct, frozen=True):
    """Say this to the controller; the desk seals all but health."""

    message: Hello | Receipt | Health


class Speak(Struct, frozen=True):
    """Sound this."""

    play: Play


class Hush(Struct, frozen=True):
    """End a play with a fade of a few ms."""

    play_id: int
    fade_ms: int = 5


class Want(Struct, frozen=True):
    """One media file that is needed."""

    sha256: str
    bytes: int


class Fetch(Struct, frozen=True):
    """These files are needed, in this order; what is not named waits, or is no longer needed.

    `budget_bytes` is what the link may still carry for them from now on (None: no limit).
    """

    wants: tuple[Want, ...]
    budget_bytes: int | None = None


class Evict(Struct, frozen=True):
    """Take these files off the card."""

    files: tuple[str, ...]


class HoldFetch(Struct, frozen=True):
    """Leave the link to an order (True), or go on (False)."""

    hold: bool


class Install(Struct, frozen=True, kw_only=True):
    """Bring this bundle into the slot that does not run; what runs, and what boots next, stays as it is.

    `manifest` is the SHA-256 that its manifest must have; `budget_bytes` what the link may carry for it (None: no limit).
    """

    sha256: str
    bytes: int
    manifest: str
    budget_bytes: int | None = None


class HoldInstall(Struct, frozen=True):
    """What brings the bundle leaves the link to an emergency (True), or goes on."""

    hold: bool


class Activate(Struct, frozen=True):
    """The boot loader shall try the other slot next, a few times; then say what it will do (SlotsChecked)."""


class Confirm(Struct, frozen=True):
    """The slot that runs is good (SlotConfirmed follows)."""


class Restart(Struct, frozen=True):
    """Restart the machine."""


Command = (
    Save
    | RecallRecords
    | Acknowledge
    | Subscribe
    | GoBy
    | Publish
    | Speak
    | Hush
    | Fetch
    | Evict
    | HoldFetch
    | Install
    | HoldInstall
    | Activate
    | Confirm
    | Restart
)

__all__ = [
    "Acknowledge",
    "Activate",
    "Align",
    "Clip",
    "Command",
    "Confirm",
    "DropDocument",
    "Evict",
    "Fetch",
    "GoBy",
    "HoldFetch",
    "HoldInstall",
    "Hush",
    "Input",
    "Install",
    "KeptDocument",
    "KeptOrder",
    "KeptReach",
    "KeptUpdate",
    "Part",
    "Pause",
    "Play",
    "Publish",
    "PutDocument",
    "PutMark",
    "PutNumber",
    "PutOrder",
    "PutReach",
    "PutRecord",
    "PutUpdate",
    "RecallRecords",
    "Restart",
    "Save",
    "Slot",
    "Speak",
    "Speech",
    "Stream",
    "Subscribe",
    "Tone",
    "Want",
    "Write",
]
