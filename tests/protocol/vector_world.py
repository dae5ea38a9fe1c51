"""The world of the golden vectors: a province, two communes, three nodes; and builders that sign whatever a case needs."""

import base64
import json
from typing import Any, Final

import msgspec
from msgspec import Struct
from securesystemslib.dsse import Envelope

from protocol import keys
from protocol.bulletins import Item, Media, Programme, ProgrammeBody, Variant
from protocol.documents import (
    ChainLink,
    Grant,
    GrantBody,
    Hours,
    Key,
    Network,
    NetworkBody,
    Person,
    Placement,
    PlacementBody,
    Power,
    Role,
    Root,
    RootBody,
    Station,
    StationBody,
)
from protocol.envelope import seal
from protocol.messages import Sealed, payload_type
from protocol.node_id import new_id
from protocol.orders import AnyOrder, Clip, ExerciseStart, ExerciseStop, Lift, Start, Stop, Text
from protocol.passing import Suspend, TimeToken
from protocol.release import Bundle, Release, ReleaseBody
from protocol.reports import Report
from protocol.topics import WHOLE_AREA, topic
from protocol.units import Document
from tests.vectors import key

T0: Final = 1_772_323_200_000
"""2026-03-01 00:00 UTC: when the world was signed."""
DAY_MS: Final = 86_400_000
NOW: Final = T0 + 9 * 3_600_000
UNTIL: Final = T0 + 400 * DAY_MS
PROVINCE: Final = "52"
COMMUNE: Final = "52.24076"
OTHER: Final = "52.24100"
HAMLET: Final = "52.24076.001"
NUMBERS: Final = {PROVINCE: 52, COMMUNE: 24076, OTHER: 24100, HAMLET: 2407601, "52.24076.002": 2407602, "52.24100.001": 2410001}
LEVELS: Final = ("province", "commune", "settlement", "node")


def _node(number: int) -> str:
    found = new_id(number.to_bytes(6, "big"))
    if found is None:
        raise ValueError(f"node number {number} has no check letter")
    return found


NODE: Final = _node(1_000_001)
NEIGHBOUR: Final = _node(1_000_002)
ELSEWHERE: Final = _node(1_000_003)
PLACES: Final = {NODE: HAMLET, NEIGHBOUR: "52.24076.002", ELSEWHERE: "52.24100.001"}


LISTED: Final = "6b" * 32
"""The one recording that the commune's service key may start."""


class Sent(Struct, frozen=True):
    """Sealed bytes and the topic they belong on."""

    raw: bytes
    topic: str | None


def common(area: str, authority: str, seq: int, **more: Any) -> dict[str, Any]:
    return {"area": area, "authority": authority, "seq": seq, "area_no": NUMBERS.get(area, 7), "purpose": "routine"} | more


def lasting(area: str, authority: str, seq: int, **more: Any) -> dict[str, Any]:
    return {"subject": area, "valid_from_ms": T0, "valid_until_ms": UNTIL} | common(area, authority, seq) | more


def person(name: str, *, service: bool = False) -> Person:
    return Person(id=name, name=f"Người thử {name}", service=service)


def owned(name: str, owner: str | None = None, state: str = "active") -> Key:
    return Key(public=keys.public_hex(key(name)), person=owner or name, state=state)


def root(version: int = 1, seq: int = T0, persons: str = "r1 r2 r3", **more: Any) -> Root:
    names = tuple(persons.split())
    role = Role(persons=names, threshold=2)
    desk = ("v1", "v2", "v3")
    body = RootBody(
        version=version,
        persons=(*map(person, names), person("t1", service=True), *map(person, desk)),
        keys=(*map(owned, names), owned("t1"), *map(owned, desk)),
        root=role,
        delegate=role,
        placement=role,
        release=Role(persons=desk, threshold=2),
        time=Role(persons=("t1",), threshold=1),
    )
    return Root(**lasting(PROVINCE, "root", seq, body=body) | more)


def grant_body(persons: tuple[Person, ...], owners: tuple[Key, ...], *powers: Power, until_ms: int = UNTIL) -> GrantBody:
    return GrantBody(persons=persons, keys=owners, powers=powers, until_ms=until_ms)


def power(name: str, persons: str, threshold: int = 1, classes: str = "", sound_max_s: int | None = None, **more: Any) -> Power:
    return Power(
        power=name,
        persons=tuple(persons.split()),
        threshold=threshold,
        classes=tuple(classes.split()),
        sound_max_s=sound_max_s,
        **more,
    )


def province_body(**more: Any) -> GrantBody:
    who = "p1 p2 p3"
    persons = tuple(map(person, who.split()))
    owners = (*map(owned, who.split()), owned("p1b", "p1"))
    powers = (
        power("delegate", who, 2),
        power("placement", who, 2),
        power("programme", who, 1, "normal priority"),
        power("emergency", who, 1, "emergency"),
        power("stop", who),
        power("exercise", who),
    )
    return grant_body(persons, owners, *powers, **more)


def commune_body(first: str = "active", **more: Any) -> GrantBody:
    persons = (person("c1"), person("c2"), person("page", service=True))
    owners = (owned("c1", state=first), owned("c2"), owned("page"))
    powers = (
        power("programme", "c1 c2", 1, "normal priority"),
        power("station", "c1 c2"),
        power("network", "c1 c2"),
        power("placement", "c1 c2"),
        power("emergency", "c1 c2", 1, "emergency", 3_600),
        power("stop", "c1 c2"),
        power("exercise", "c1 c2", 1, "", 3_600),
        power("emergency", "page", 1, "emergency", 600, contents=(LISTED,), per_day=2),
        power("exercise", "page", 1, "", 600, contents=(LISTED,), per_day=2),
    )
    return grant_body(persons, owners, *powers, **more)


def small_body(name: str) -> GrantBody:
    powers = (
        power("emergency", name, 1, "emergency", 600),
        power("stop", name),
        power("exercise", name),
        power("placement", name),
    )
    return grant_body((person(name),), (owned(name),), *powers)


def grant(area: str, authority: str, body: GrantBody, seq: int = T0, **more: Any) -> Grant:
    return Grant(**lasting(area, authority, seq, body=body) | more)


def chain(node: str, place: str | None = None) -> tuple[ChainLink, ...]:
    parts = (place or PLACES[node]).split(".")
    areas = [".".join(parts[: depth + 1]) for depth in range(3)] + [node]
    return tuple(
        ChainLink(area=area, area_no=NUMBERS.get(area, 7), level=level) for area, level in zip(areas, LEVELS, strict=True)
    )


def placement(node: str, authority: str = "root", seq: int = T0, place: str | None = None, **more: Any) -> Placement:
    body = PlacementBody(
        node=node,
        chain=chain(node, place),
        station=COMMUNE if place is None else OTHER,
        report_key=keys.public_hex(key(f"report {node}")),
    )
    return Placement(**lasting(node, authority, seq, body=body) | more)


def station(seq: int = T0, hours: tuple[tuple[int, int], ...] = ((300, 420), (990, 1110)), **more: Any) -> Station:
    week = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
    body = StationBody(hours=tuple(Hours(days=week, from_min=begin, to_min=end) for begin, end in hours))
    return Station(**lasting(COMMUNE, COMMUNE, seq, body=body) | more)


def network(node: str = NODE, seq: int = T0, authority: str = COMMUNE, body: NetworkBody | None = None, **more: Any) -> Network:
    return Network(**lasting(node, authority, seq, body=body or NetworkBody(month_bytes=500_000_000)) | more)


def release(seq: int = T0, build: int = 7, floor: int = 5, **more: Any) -> Release:
    """A firmware for the nodes of this world; `more` replaces fields."""
    body = ReleaseBody(
        version=f"2026.11.{build}",
        build=build,
        floor=floor,
        bundle=Bundle(sha256="7c" * 32, bytes=178_000_000),
        manifest="3d" * 32,
    )
    return Release(**lasting(PROVINCE, "root", seq, subject="loa-node", body=body) | more)


def item(name: str = "ban-tin-sang", rrule: str = "FREQ=DAILY;BYHOUR=5;BYMINUTE=30", class_: str = "normal") -> Item:
    media = Media(sha256="5a" * 32, bytes=543_210, samples=48_000 * 180, loudness_clufs=-1_600)
    return Item(id=name, title="Bản tin sáng", class_=class_, rrule=rrule, variants=(Variant(lang="vi", media=media),))


def programme(seq: int = T0, *items: Item, **more: Any) -> Programme:
    fields = lasting(COMMUNE, COMMUNE, seq, valid_until_ms=T0 + 45 * DAY_MS, body=ProgrammeBody(items=items or (item(),)))
    return Programme(**fields | more)


def _start(area: str, authority: str, seq: int, incident: str, more: dict[str, Any]) -> dict[str, Any]:
    fields = {
        "incident": incident,
        "risk": 4,
        "issuing_body": "UBND xã Phú Túc",
        "text": (Text(lang="vi", text="Lũ đang lên, bà con rời khỏi bờ suối ngay."),),
        "accept_until_ms": seq + 600_000,
    }
    return common(area, authority, seq) | fields | more


def start(area: str, authority: str, seq: int = NOW, incident: str = "00000000000000a1", **more: Any) -> Start:
    return Start(**_start(area, authority, seq, incident, {"purpose": "live"} | more))


def drill(area: str, authority: str, seq: int = NOW, incident: str = "00000000000000e1", **more: Any) -> ExerciseStart:
    return ExerciseStart(**_start(area, authority, seq, incident, {"purpose": "exercise"} | more))


def relayed(area: str, authority: str, seq: int = NOW, incident: str = "00000000000000a1", **more: Any) -> Start:
    """What the commune's service key may say: its recording, under its own name."""
    clip = Clip(lang="vi", sha256=more.pop("sha256", LISTED), bytes=24_000, duration_ms=8_000, purpose="live")
    fields = {"text": (), "clips": (clip,), "issuing_body": "Người thử page", "sound_max_s": 600}
    return start(area, authority, seq, incident, **(fields | more))


def stop(area: str, authority: str, seq: int = NOW, incident: str | None = "00000000000000a1") -> Stop:
    return Stop(**common(area, authority, seq, purpose="live", incident=incident, reason="đã qua"))


def lift(area: str, authority: str, seq: int = NOW, incident: str | None = "00000000000000a1") -> Lift:
    return Lift(**common(area, authority, seq, purpose="live", incident=incident))


def drill_stop(area: str, authority: str, seq: int = NOW, incident: str | None = "00000000000000e1") -> ExerciseStop:
    return ExerciseStop(**common(area, authority, seq, purpose="exercise", incident=incident))


def keyid_of(name: str) -> str:
    return keys.sealer(key(name)).public_key.keyid


def suspend(
    name: str, seq: int = NOW, area: str = COMMUNE, authority: str = PROVINCE, until_ms: int | None = None, **more: Any
) -> Suspend:
    """The key of this name, for a day unless told."""
    fields = {"key_id": keyid_of(name), "until_ms": seq + DAY_MS if until_ms is None else until_ms, "reason": "mất máy"}
    return Suspend(**common(area, authority, seq) | fields | more)


def time_token(node: str = NODE, nonce: str = "0123456789abcdef", at_ms: int = NOW, **more: Any) -> TimeToken:
    return TimeToken(**common(node, "root", at_ms) | {"node": node, "nonce": nonce, "at_ms": at_ms} | more)


def home(payload: Sealed) -> str | None:  # noqa: PLR0911  one arm a kind
    """The topic where this payload belongs."""
    match payload:
        case Root():
            return topic("root")
        case Placement():
            return topic("placement", node=payload.body.node)
        case Network():
            return topic("network", node=payload.subject)
        case Release():
            return topic("release", node=NODE)
        case Suspend():
            return topic("suspend", area=payload.area, key=payload.key_id)
        case TimeToken():
            return topic("time", node=payload.node)
        case Report():
            return None if payload.kind == "fetch" else topic(payload.kind, node=payload.node)
        case Document():
            return topic(payload.kind, area=payload.subject, authority=payload.authority)
        case _:
            order: AnyOrder = payload
            return topic("order", area=order.area, incident=order.incident or WHOLE_AREA)


def signed(payload: Sealed, *names: str) -> Sent:
    """Sealed by these keys, and where it belongs."""
    return Sent(seal(payload, [keys.sealer(key(name)) for name in names]), home(payload))


def forged(kind: str, payload: bytes, where: str | None, *names: str) -> Sent:
    """Any bytes under any type, with signatures that hold."""
    envelope = Envelope(payload, payload_type(kind), {})
    for name in names:
        signature = keys.sealer(key(name)).sign(envelope.pae())
        envelope.signatures[signature.keyid] = signature
    return Sent(msgspec.json.encode(envelope.to_dict()), where)


def changed(payload: Sealed, *names: str, kind: str | None = None, drop: tuple[str, ...] = (), **fields: Any) -> Sent:
    """The payload with other or more fields, properly signed: what a careless or hostile signer could make."""
    shown = json.loads(msgspec.json.encode(payload)) | fields
    body = {name: value for name, value in shown.items() if name not in drop}
    return forged(kind or payload.kind, msgspec.json.encode(body), home(payload), *names)


def payload_of(sent: Sent) -> bytes:
    return base64.b64decode(json.loads(sent.raw)["payload"])


def rewritten(sent: Sent, **outer: Any) -> Sent:
    """The same envelope with parts of it replaced."""
    return Sent(msgspec.json.encode(json.loads(sent.raw) | outer), sent.topic)


def signatures(sent: Sent) -> list[dict[str, str]]:
    return json.loads(sent.raw)["signatures"]


def world_documents(node: str) -> list[Sent]:
    """What a node of this world holds, in the order in which it learned it."""
    place = PLACES[node]
    grants = [signed(grant(PROVINCE, "root", province_body()), "r1", "r2")]
    if place.startswith(COMMUNE):
        grants.append(signed(grant(COMMUNE, PROVINCE, commune_body()), "p1", "p2"))
    else:
        grants.append(signed(grant(OTHER, PROVINCE, small_body("d1")), "p1", "p2"))
    if place == HAMLET:
        grants.append(signed(grant(HAMLET, PROVINCE, small_body("h1")), "p1", "p2"))
    rest = [signed(station(), "c1"), signed(programme(), "c1")] if place.startswith(COMMUNE) else []
    return [signed(placement(node), "r1", "r3"), *grants, *rest]
