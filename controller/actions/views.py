"""What actions return: plain frozen structs, the same for the page and for `loa` (they travel as JSON by msgspec).

Times are UTC milliseconds of the controller's clock unless the name says `device_`.
"""

from typing import Literal

from msgspec import Struct

from controller.core.access import Duty
from protocol.reports import NetworkState

OrderKind = Literal["order", "exercise"]
Op = Literal["START", "STOP", "LIFT"]
NodeState = Literal["none", "sent", "received", "refused", "sounding", "ended", "stopped"]
IncidentPhase = Literal["waiting", "sounding", "stopping", "stopped", "ended", "expired"]
Presence = Literal["online", "lost", "unknown", "never"]
Area = Literal["province", "commune", "settlement", "node"]


class AreaView(Struct, frozen=True, kw_only=True):
    """An area, and how many nodes stand in it or below it."""

    id: str
    no: int
    level: Area
    name: str
    name_en: str = ""
    parent: str | None = None
    old_names: tuple[str, ...] = ()
    nodes: int = 0


class GroupView(Struct, frozen=True, kw_only=True):
    """A grouping of communes (an old district) that an officer may address at once; it has no authority of its own."""

    id: str
    name: str
    communes: tuple[str, ...]


class Reason(Struct, frozen=True, kw_only=True):
    """Why a node is not well, in both languages."""

    code: str
    severity: int
    vi: str
    en: str


class Added(Struct, frozen=True, kw_only=True):
    """What a list of settlements changed."""

    added: int
    changed: int


class NodeView(Struct, frozen=True, kw_only=True):
    """A node as far as the controller knows. `severity` 0 well, 1 notice, 2 trouble, 3 lost or mute.

    `device_at_ms` is what the node's clock said when the controller's clock said `heard_at_ms`.
    """

    id: str
    area_no: int
    name: str
    settlement: str
    settlement_name: str
    commune: str
    commune_name: str
    chain: tuple[str, ...]
    placed: bool
    severity: int
    reasons: tuple[Reason, ...]
    online: Presence
    last_heard_ms: int | None = None
    device_at_ms: int | None = None
    heard_at_ms: int | None = None
    clock_state: str = "unknown"
    clock_error_ms: int | None = None
    clock_offset_ms: int | None = None
    version: str = ""
    boot_count: int = 0
    holds_current: bool = False
    lagging: tuple[str, ...] = ()
    missing_media: int = 0
    network: NetworkState | None = None
    amnesia: bool = False
    sounding: str | None = None
    refused: int = 0
    records_upto: int = 0
    retired: bool = False
    suspended: tuple[str, ...] = ()
    doubt_ms: int | None = None


class RowView(Struct, frozen=True, kw_only=True):
    """One node of an incident. `stop_state`: how far the newest STOP or LIFT got; `nonce` is set when a re-seal is needed."""

    node: str
    node_name: str
    settlement: str
    settlement_name: str
    online: Presence
    state: NodeState
    reason: str = ""
    sent_ms: int | None = None
    received_ms: int | None = None
    sounding_ms: int | None = None
    spoken_ms: int | None = None
    ended_ms: int | None = None
    stop_state: NodeState | None = None
    offers: int = 0
    nonce: str | None = None


class SaidView(Struct, frozen=True, kw_only=True):
    """Words in one language."""

    lang: str
    text: str


class IncidentView(Struct, frozen=True, kw_only=True):
    """An incident over all its orders; a STOP or LIFT of a whole area without an incident has its own, `stop-<digest>`."""

    incident: str
    kind: OrderKind
    op: Op
    state: IncidentPhase
    areas: tuple[str, ...]
    area_names: tuple[str, ...]
    texts: tuple[SaidView, ...] = ()
    risk: int = 0
    issuing_body: str = ""
    source_doc: str = ""
    created_by: str = ""
    created_name: str = ""
    requested_at_ms: int
    accept_until_ms: int | None = None
    digests: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    rows: tuple[RowView, ...] = ()


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an officer asks for: areas are settlements, communes, nodes or groups; texts in the order they are said."""

    areas: tuple[str, ...]
    texts: tuple[SaidView, ...]
    clips: tuple[str, ...] = ()
    clip_langs: tuple[str, ...] = ()
    risk: int = 0
    issuing_body: str
    source_doc: str = ""
    repeats: int = 3
    exercise: bool = False
    sound_max_s: int = 600
    accept_s: int = 600


class Draft(Struct, frozen=True, kw_only=True):
    """A request resolved and checked, waiting for the deliberate second act until `expires_ms`."""

    id: str
    areas: tuple[AreaView, ...]
    node_count: int
    node_names: tuple[str, ...]
    offline: tuple[str, ...]
    without_clock: tuple[str, ...]
    needs_second_person: bool
    reads: str
    exercise: bool
    created_by: str
    expires_ms: int
    request: Request


class DocumentView(Struct, frozen=True, kw_only=True):
    """A sealed document that the controller stored."""

    digest: str
    kind: str
    subject: str
    authority: str
    seq: int
    in_force: bool
    valid_from_ms: int
    valid_until_ms: int
    persons: tuple[str, ...]
    created_ms: int
    created_by: str
    fresh: bool = True


class DocumentContext(Struct, frozen=True, kw_only=True):
    """What an editor needs to write the next document of a slot."""

    kind: str
    subject: str
    authority: str
    area_no: int
    prev: str | None
    highest_seq: int
    now_ms: int


class LinkView(Struct, frozen=True, kw_only=True):
    """One area of a chain, widest first."""

    area: str
    area_no: int
    level: Area


class OrderContext(Struct, frozen=True, kw_only=True):
    """What a signer needs to address an area: its number, the chain above it, the highest seq known there, the server's time."""

    area: str
    area_no: int
    chain: tuple[LinkView, ...]
    authorities: tuple[str, ...]
    highest_seq: int
    now_ms: int
    nodes: int
    nonces: tuple[str, ...]


class MediaView(Struct, frozen=True, kw_only=True):
    """A prepared sound in the library."""

    sha256: str
    bytes: int
    samples: int
    duration_ms: int
    loudness_clufs: int
    true_peak_cdbtp: int
    source_name: str
    title: str
    created_by: str
    created_ms: int


class PersonView(Struct, frozen=True, kw_only=True):
    """Someone who may sign in to the page. `second_factor`: whether a telephone's codes are set up."""

    name: str
    full_name: str
    must_change: bool
    lang: str
    disabled: bool = False
    duties: tuple[Duty, ...] = ()
    second_factor: bool = False


class NewPerson(Struct, frozen=True, kw_only=True):
    """A person just made, with the first password: shown this once."""

    person: PersonView
    first_password: str


Stage = Literal["password", "set-up", "code", "open"]
"""How far a session is: first password to be changed, second factor to be set up, its code to be given, or open."""


class Session(Struct, frozen=True, kw_only=True):
    """A signed-in browser: `token` goes into the cookie, `csrf` into every form."""

    token: str
    csrf: str
    person: PersonView
    expires_ms: int
    stage: Stage = "open"
    factor_ms: int | None = None


class SessionView(Struct, frozen=True, kw_only=True):
    """One of somebody's sessions, to be looked at and ended. `id` opens nothing."""

    id: str
    created_ms: int
    seen_ms: int
    expires_ms: int
    source: str
    agent: str
    open: bool
    current: bool


class PlayView(Struct, frozen=True, kw_only=True):
    """One counted play."""

    node: str
    record_id: int
    boot_count: int
    digest: str
    item: str
    incident: str | None
    area: str
    authority: str
    purpose: str
    planned_ms: int
    started_ms: int | None
    ended_ms: int | None
    ending: str
    reason: str
    rms_cdb: int | None
    peak_cdb: int | None
    silent_ms: int
    clock_state: str
    clock_error_ms: int | None
    stored_ms: int


class RefusalView(Struct, frozen=True, kw_only=True):
    """Something that was refused, counted. `node` is who refused: a node's id, or `controller`."""

    node: str
    reason: str
    topic: str
    digest: str
    count: int
    first_ms: int
    last_ms: int


class AuditView(Struct, frozen=True, kw_only=True):
    """One line of what people did."""

    id: int
    at_ms: int
    actor: str
    via: str
    act: str
    object: str
    detail: str
    hash: str = ""


class StatusView(Struct, frozen=True, kw_only=True):
    """How the controller itself is."""

    now_ms: int
    version: str
    province: str
    broker_connected: bool
    broker_since_ms: int | None
    broker_trouble: str
    signer_keys: tuple[str, ...]
    signer_trouble: str
    root_digest: str | None
    nodes: int
    online: int
    outbox: int
    https_port: int
    broker_port: int
    audit_trouble: str = ""
