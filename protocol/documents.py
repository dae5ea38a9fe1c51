"""Documents that stay in force: root, grant, placement (authority), station (the rules of what may sound when), and the rest."""

from typing import Annotated, Literal

from msgspec import Meta

from protocol.bulletins import Programme
from protocol.units import (
    U32,
    AreaId,
    AreaLevel,
    BulletinClass,
    Cdb,
    Document,
    KeyState,
    Ms,
    Name,
    NodeId,
    PowerName,
    PublicKey,
    Seconds,
    Sha256,
    ShortId,
    Strict,
)

LinkBytes = Annotated[int, Meta(ge=0, le=2**50)]


class Person(Strict, frozen=True, kw_only=True):
    """A human who may sign, or a service that stands for one (`service`: narrow powers only, and shown as such)."""

    id: ShortId
    name: Name
    service: bool = False


class Key(Strict, frozen=True, kw_only=True):
    """One public Ed25519 key (hex of 32 bytes) of a person."""

    public: PublicKey
    person: ShortId
    state: KeyState = "active"


class Role(Strict, frozen=True, kw_only=True):
    """Which persons of the root act together, and how many."""

    persons: Annotated[tuple[ShortId, ...], Meta(min_length=1, max_length=32)]
    threshold: Annotated[int, Meta(ge=1, le=32)]


class RootBody(Strict, frozen=True, kw_only=True):
    """The persons at the top: m of n for the next root, and the roles that the root hands out."""

    version: Annotated[int, Meta(ge=1, lt=2**32)]
    persons: tuple[Person, ...]
    keys: Annotated[tuple[Key, ...], Meta(max_length=64)]
    root: Role
    delegate: Role
    placement: Role
    release: Role | None = None
    time: Role | None = None
    floor_reset_ms: Ms | None = None


class Root(Document, frozen=True, kw_only=True):
    """The root of all authority; the first is pinned in the image."""

    kind: Literal["root"] = "root"
    body: RootBody


class Power(Strict, frozen=True, kw_only=True):
    """What some persons of a grant may do: at least `threshold` of them together, within classes and duration.

    `contents` and `per_day` bind its services alone: the recordings that they may start, and how often a day.
    """

    power: PowerName
    persons: Annotated[tuple[ShortId, ...], Meta(min_length=1, max_length=64)]
    threshold: Annotated[int, Meta(ge=1, le=16)] = 1
    classes: tuple[BulletinClass, ...] = ()
    sound_max_s: Seconds | None = None
    contents: Annotated[tuple[Sha256, ...], Meta(max_length=64)] = ()
    per_day: Annotated[int, Meta(ge=1, le=96)] | None = None


class GrantBody(Strict, frozen=True, kw_only=True):
    """Who may do what in the grant's area until `until_ms`."""

    persons: Annotated[tuple[Person, ...], Meta(max_length=64)]
    keys: Annotated[tuple[Key, ...], Meta(max_length=64)]
    powers: Annotated[tuple[Power, ...], Meta(max_length=64)]
    until_ms: Ms


class Grant(Document, frozen=True, kw_only=True):
    """One per area; its id, which `authority` names elsewhere, is the area's id."""

    kind: Literal["grant"] = "grant"
    body: GrantBody


class ChainLink(Strict, frozen=True, kw_only=True):
    """One area of a node's chain."""

    area: AreaId
    area_no: U32
    level: AreaLevel


class PlacementBody(Strict, frozen=True, kw_only=True):
    """Where a node stands: its chain from the province down to itself, its neighbours in earshot, the key of its reports."""

    node: NodeId
    chain: Annotated[tuple[ChainLink, ...], Meta(min_length=2, max_length=8)]
    station: AreaId
    neighbours: Annotated[tuple[NodeId, ...], Meta(max_length=64)] = ()
    report_key: PublicKey


class Placement(Document, frozen=True, kw_only=True):
    """Gives a node its place; without one it obeys nobody from afar."""

    kind: Literal["placement"] = "placement"
    body: PlacementBody


class Hours(Strict, frozen=True, kw_only=True):
    """On these weekdays (MO..SU) sound is allowed from minute to minute of the local day (0-1440, from < to)."""

    days: Annotated[tuple[Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"], ...], Meta(min_length=1, max_length=7)]
    from_min: Annotated[int, Meta(ge=0, le=1440)]
    to_min: Annotated[int, Meta(ge=0, le=1440)]


class SpecialArea(Strict, frozen=True, kw_only=True):
    """A settlement or node beside a school, clinic or place of worship: bulletins sound lower there."""

    area: AreaId
    place: Literal["school", "clinic", "worship", "other"]
    volume_cdb: Annotated[int, Meta(ge=-4_000, le=0)]


class Maintenance(Strict, frozen=True, kw_only=True):
    """While somebody works on the pole: until then nothing but an emergency sounds in that area."""

    area: AreaId
    until_ms: Ms


class StationBody(Strict, frozen=True, kw_only=True):
    """A commune's operating rules: the only owner of hours and volumes. Of an emergency it touches the volume only.

    A session is a run of bulletins with pauses of at most 5 minutes; `half_inside` says what becomes of one that would sound
    past the hours or past its session's minutes. None means no limit.
    """

    tz: Name = "Asia/Ho_Chi_Minh"
    hours: Annotated[tuple[Hours, ...], Meta(max_length=64)]
    sessions_a_day: Annotated[int, Meta(ge=0, le=96)] | None = None
    session_max_min: Annotated[int, Meta(ge=1, le=1440)] | None = None
    half_inside: Literal["cut", "refuse"] = "cut"
    volume_cdb: Cdb = 0
    emergency_volume_cdb: Annotated[int, Meta(ge=-600, le=0)] = 0
    special: Annotated[tuple[SpecialArea, ...], Meta(max_length=256)] = ()
    maintenance: Annotated[tuple[Maintenance, ...], Meta(max_length=256)] = ()


class Station(Document, frozen=True, kw_only=True):
    """Operating rules of an area."""

    kind: Literal["station"] = "station"
    body: StationBody


Host = Annotated[str, Meta(pattern=r"^[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?\Z")]
"""A name or an IPv4 address; a node that has IPv6 alone goes by names."""


DoorUrl = Annotated[str, Meta(pattern=r"^https://[0-9A-Za-z][0-9A-Za-z.-]{0,252}(:[0-9]{1,5})?\Z")]


class Endpoint(Strict, frozen=True, kw_only=True):
    """Where a broker listens."""

    host: Host
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8883


class Apn(Strict, frozen=True, kw_only=True):
    """The access point of the SIM's operator. No password: anybody may read the document, and operators ask for none."""

    name: Annotated[str, Meta(pattern=r"^[0-9A-Za-z]([0-9A-Za-z._-]{0,98}[0-9A-Za-z])?\Z")]
    user: Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._@-]{0,62}\Z")] | None = None


class TimeSource(Strict, frozen=True, kw_only=True):
    """A server that tells the time, signed (`nts`: RFC 8915) or not."""

    host: Host
    nts: bool = False


class Reach(Strict, frozen=True, kw_only=True):
    """How a node reaches its controller; what is left out is as its card says. Brokers are tried in this order.

    Whoever answers there must still prove itself by the CA that the card pins: an address is a way, never a reason to trust.
    """

    brokers: Annotated[tuple[Endpoint, ...], Meta(max_length=3)] = ()
    media_url: DoorUrl | None = None
    enrol_url: DoorUrl | None = None
    apn: Apn | None = None
    time_sources: Annotated[tuple[TimeSource, ...], Meta(max_length=4)] = ()


class NetworkBody(Strict, frozen=True, kw_only=True):
    """How a node uses its link and its card for content, and how it reaches its controller; what is left out is as here.

    Content that can wait is fetched from minute to minute of the local day (from > to crosses midnight). `month_bytes` is what
    content may cost in a calendar month (None: no limit); when that is used up, an emergency's recordings still have
    `emergency_reserve_bytes`. `cache_bytes` is what all media may take on the card. `reach` is
    tried first, and kept once the controller answered there: a node never cuts itself off.
    """

    tz: Name = "Asia/Ho_Chi_Minh"
    fetch_from_min: Annotated[int, Meta(ge=0, lt=1440)] = 1_320
    fetch_to_min: Annotated[int, Meta(ge=0, le=1440)] = 300
    month_bytes: LinkBytes | None = None
    emergency_reserve_bytes: LinkBytes = 50_000_000
    cache_bytes: LinkBytes = 2_000_000_000
    reach: Reach | None = None


class Network(Document, frozen=True, kw_only=True):
    """One node's budgets and ways, by two persons: who empties them silences content, who misleads it cuts it off for a while."""

    kind: Literal["network"] = "network"
    body: NetworkBody


AnyDocument = Root | Grant | Placement | Network | Station | Programme
