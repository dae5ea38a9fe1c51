"""What a node says: birth, state, receipts, play records; and the little that is not sealed."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from protocol.documents import LinkBytes
from protocol.units import (
    U32,
    AreaId,
    ClockState,
    Incident,
    Ms,
    Name,
    NodeId,
    Nonce,
    Payload,
    Purpose,
    Sha256,
    ShortId,
    Strict,
    Subject,
)


class Held(Strict, frozen=True, kw_only=True):
    """A document that a node holds in force (`pending`: its content is not whole yet, so an older one plays)."""

    kind: ShortId
    subject: Subject
    authority: ShortId
    seq: Ms
    digest: Sha256
    pending: bool = False


class Report(Payload, frozen=True, kw_only=True):
    """What a node says of itself; signed by the report key that its placement names."""

    node: NodeId
    boot_count: U32
    clock_state: ClockState
    at_ms: Ms


class IncidentState(Strict, frozen=True, kw_only=True):
    """How far an incident is on this node."""

    incident: Incident
    seq: Ms
    result: Literal["received", "sounding", "ended", "stopped"]


class NetworkState(Strict, frozen=True, kw_only=True):
    """What became of the newest network document that says how to reach the controller (None: it was withdrawn, the card counts).

    `trial`: it is being tried; `confirmed`: the controller answered there; `returned`: it did not, another way is used.
    """

    digest: Sha256 | None = None
    state: Literal["trial", "confirmed", "returned"]


class Hello(Report, frozen=True, kw_only=True):
    """Birth, and again at every change of what is held: the nonce, and everything the node holds, by digest.

    `boot` is drawn once at each start: two under one `boot_count` are two cards. `orders` is how many orders lie on the card.
    """

    kind: Literal["hello"] = "hello"
    nonce: Nonce
    previous_nonce: Nonce | None = None
    version: Name
    reads: tuple[ShortId, ...]
    holds: Annotated[tuple[Held, ...], Meta(max_length=200)] = ()
    incidents: Annotated[tuple[IncidentState, ...], Meta(max_length=64)] = ()
    stops: Annotated[tuple[Sha256, ...], Meta(max_length=64)] = ()
    missing_media: U32 = 0
    amnesia: bool = False
    last_record_id: U32 = 0
    first_record_id: U32 = 0
    troubles: Annotated[tuple[ShortId, ...], Meta(max_length=32)] = ()
    boot: Nonce | None = None
    orders: U32 = 0
    network: NetworkState | None = None


Result = Literal["received", "refused", "sounding", "ended", "stopped"]
Ending = Literal["played", "cut", "interrupted", "stopped", "failed", "skipped", "max"]


class OrderResult(Strict, frozen=True, kw_only=True):
    """What became of one order (or of a document that was refused: then `topic` says where it came from)."""

    incident: Incident | None = None
    order_seq: Ms | None = None
    result: Result
    reason: Annotated[str, Meta(max_length=300)] = ""
    topic: Annotated[str, Meta(max_length=200)] = ""
    digest: Sha256 | None = None
    at_ms: Ms
    spoken_at_ms: Ms | None = None


class PlayRecord(Strict, frozen=True, kw_only=True):
    """One play, counted once: what, whose, why, from-to, how it ended, measured level, under which clock.

    `clock_error_ms` is by how much that clock could be off when the play began, if that was known.
    """

    record_id: Annotated[int, Meta(ge=1, lt=2**32)]
    boot_count: U32
    digest: Sha256
    item: ShortId = "order"
    incident: Incident | None = None
    area: AreaId
    authority: ShortId
    purpose: Purpose
    planned_ms: Ms
    started_ms: Ms | None = None
    ended_ms: Ms | None = None
    ending: Ending
    reason: Annotated[str, Meta(max_length=300)] = ""
    rms_cdb: int | None = None
    peak_cdb: int | None = None
    silent_ms: int = 0
    clock_state: ClockState
    clock_error_ms: int | None = None


class Receipt(Report, frozen=True, kw_only=True):
    """Order results, and play records in order of their numbers."""

    kind: Literal["receipt"] = "receipt"
    results: Annotated[tuple[OrderResult, ...], Meta(max_length=64)] = ()
    plays: Annotated[tuple[PlayRecord, ...], Meta(max_length=64)] = ()


class FetchStatement(Report, frozen=True, kw_only=True):
    """Lets this node take one media file over HTTPS; good for a short time, once per nonce."""

    kind: Literal["fetch"] = "fetch"
    sha256: Sha256
    nonce: Nonce


BIRTHS_A_BOOT: Final = 1_000_000
"""A birth is the count of starts times this, and the connections since."""


class Alive(Strict, frozen=True, kw_only=True):
    """Birth and will (not sealed: the broker publishes the will); an old birth's death is ignored."""

    node: NodeId
    birth: Ms
    online: bool


UpdatePhase = Literal["waiting", "fetching", "installing", "installed", "trial", "good", "rolled-back", "refused"]


class UpdateState(Strict, frozen=True, kw_only=True):
    """How far the release of this digest is on this node.

    `waiting`: not now, `reason` says why; `installed`: a restart is due; `trial`: the new build runs and is not yet held good.
    """

    release: Sha256
    build: U32
    state: UpdatePhase
    bytes_done: LinkBytes = 0
    bytes_of: LinkBytes = 0
    reason: Annotated[str, Meta(max_length=300)] = ""


class Health(Strict, frozen=True, kw_only=True):
    """How the node is (not sealed, never acted upon): sent on change only."""

    node: NodeId
    at_ms: Ms
    clock_state: ClockState
    clock_error_ms: int | None = None
    disk_free_bytes: int
    temperature_cc: int | None = None
    uptime_s: int
    troubles: tuple[ShortId, ...] = ()
    refused: dict[str, int] = {}  # noqa: RUF012  msgspec copies a mutable default for each instance
    restarts: dict[str, int] = {}  # noqa: RUF012  as above
    update: UpdateState | None = None


class RecordMark(Strict, frozen=True, kw_only=True):
    """From the controller (not sealed): it has all play records up to this one; a lower mark asks for the rest again."""

    upto: U32
