"""Papers for people: what a document says, line by line, in plain words."""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

from protocol.bulletins import Programme
from protocol.documents import Grant, GrantBody, Network, NetworkBody, Placement, Power, Reach, Role, Root, RootBody, Station
from protocol.messages import Sealed
from protocol.orders import ExerciseStart, Lift, Start, Stop
from protocol.release import Release, ReleaseBody
from protocol.trust import public_key
from protocol.units import MAX_MS, Document
from provisioning.papers import Paper

HERE: Final = ZoneInfo("Asia/Ho_Chi_Minh")
SHORT: Final = 16
Line = tuple[str, str]


def moment(at_ms: int) -> str:
    """A time in Viet Nam's zone, or words for the end of time."""
    if at_ms >= MAX_MS:
        return "no end"
    return dt.datetime.fromtimestamp(at_ms / 1000, HERE).strftime("%d/%m/%Y %H:%M:%S (%z)")


def _people(body: RootBody | GrantBody) -> list[Line]:
    lines = []
    for person in body.persons:
        marks = " (service, not a human)" if person.service else ""
        keys = ", ".join(f"{key.public[:SHORT]}… {key.state}" for key in body.keys if key.person == person.id)
        lines.append((f"person {person.id}", f"{person.name}{marks}; keys: {keys or 'none'}"))
    return lines


def _who(threshold: int, persons: tuple[str, ...], body: RootBody | GrantBody) -> str:
    """How many of whom; those who can no longer sign are named apart."""
    able = {key.person for key in body.keys if key.state == "active"}
    now = [person for person in persons if person in able]
    gone = [person for person in persons if person not in able]
    return f"{threshold} of {len(now)}: {', '.join(now)}" + (f"; no longer: {', '.join(gone)}" if gone else "")


def _role(name: str, role: Role | None, body: RootBody) -> list[Line]:
    return [] if role is None else [(f"role {name}", _who(role.threshold, role.persons, body))]


def _power(power: Power, body: GrantBody) -> Line:
    classes = f"; classes {', '.join(power.classes)}" if power.classes else ""
    longest = f"; at most {power.sound_max_s} s" if power.sound_max_s is not None else ""
    service = f"; services: {power.per_day} starts a day of {len(power.contents)} recordings" if power.contents else ""
    return (f"power {power.power}", f"{_who(power.threshold, power.persons, body)}{classes}{longest}{service}")


def _start(start: Start | ExerciseStart) -> list[Line]:
    says = "EXERCISE (diễn tập)" if isinstance(start, ExerciseStart) else "EMERGENCY (khẩn cấp)"
    lines = [("starts", says), ("incident", start.incident), ("risk", str(start.risk)), ("issued by", start.issuing_body)]
    lines += [(f"text {text.lang}", text.text) for text in start.text]
    lines += [(f"clip {clip.lang}", f"{clip.sha256[:SHORT]}… {clip.duration_ms / 1000:.1f} s") for clip in start.clips]
    lines += [("repeats", str(start.repeats)), ("accepted until", moment(start.accept_until_ms))]
    return [*lines, ("sounds at most", f"{start.sound_max_s} s")]


def _root(body: RootBody) -> list[Line]:
    lines = [("version", str(body.version)), *_people(body)]
    for name in ("root", "delegate", "placement", "release", "time"):
        lines += _role(name, getattr(body, name), body)
    if body.floor_reset_ms is not None:
        lines.append(("lowers the floor", f"every node's time floor goes to {moment(body.floor_reset_ms)}"))
    return lines


def _body(payload: Sealed) -> list[Line]:  # noqa: PLR0911  one return a kind
    match payload:
        case Root():
            return _root(payload.body)
        case Grant():
            body = payload.body
            return [("until", moment(body.until_ms)), *_people(body), *(_power(power, body) for power in body.powers)]
        case Placement():
            place = payload.body
            chain = " > ".join(f"{link.area} ({link.level})" for link in place.chain)
            return [("chain", chain), ("station", place.station), ("report key", f"{place.report_key[:SHORT]}…")]
        case Network():
            return budget_lines(payload.body)
        case Release():
            return [("machine (loại máy)", payload.subject), *_release(payload.body)]
        case Station():
            hours = [(",".join(span.days), f"{_clock(span.from_min)}-{_clock(span.to_min)}") for span in payload.body.hours]
            return [("zone", payload.body.tz), *hours]
        case Programme():
            return [(f"item {item.id}", f"{item.title}; {item.class_}; {item.rrule}") for item in payload.body.items]
        case Start() | ExerciseStart():
            return _start(payload)
        case _:
            ends = "LIFT" if isinstance(payload, Lift) else "STOP" if isinstance(payload, Stop) else "report or exercise stop"
            return [("says", f"{ends}: {getattr(payload, 'reason', '') or '-'}")]


def _release(body: ReleaseBody) -> list[Line]:
    return [
        ("version (phiên bản)", f"{body.version}, build {body.build}"),
        ("floor (mức sàn)", f"no build below {body.floor} may be installed after it, ever"),
        ("bundle (gói)", f"{body.bundle.bytes / 1e6:,.1f} MB, SHA-256 {body.bundle.sha256}"),
        ("manifest", f"SHA-256 {body.manifest}"),
        *((f"page: {file.name}", f"SHA-256 {file.sha256}") for file in body.page),
    ]


def budget_lines(body: NetworkBody) -> list[Line]:
    """What content may cost on a node's link and card."""
    month = "no limit" if body.month_bytes is None else f"{body.month_bytes / 1e6:,.0f} MB a month"
    return [
        ("fetches from", f"{_clock(body.fetch_from_min)} to {_clock(body.fetch_to_min)} ({body.tz})"),
        ("content may cost", f"{month}; for emergencies {body.emergency_reserve_bytes / 1e6:,.0f} MB more"),
        ("on the card", f"{body.cache_bytes / 1e6:,.0f} MB"),
        *reach_lines(body.reach or Reach()),
    ]


def reach_lines(reach: Reach) -> list[Line]:
    """How a node reaches its controller."""
    card = "as the node's card says"
    apn = reach.apn
    return [
        ("brokers (máy chủ lệnh)", ", then ".join(f"{each.host}:{each.port}" for each in reach.brokers) or card),
        ("media (tải tệp)", reach.media_url or card),
        ("certificates (chứng chỉ)", reach.enrol_url or card),
        ("APN", card if apn is None else apn.name + (f", user {apn.user}" if apn.user else "")),
        ("time (giờ)", ", ".join(each.host + (" (NTS)" if each.nts else "") for each in reach.time_sources) or card),
    ]


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def lines_of(paper: Paper) -> list[Line]:
    """What a paper says, as (name, words); nothing of it is verified here."""
    payload = paper.payload
    lines: list[Line] = [("document", paper.kind), ("digest", paper.digest), ("authority", payload.authority)]
    lines.append(("area", f"{payload.area} (number {payload.area_no})"))
    lines.append(("issued", moment(payload.seq)))
    if isinstance(payload, Document):
        lines.append(("valid", f"{moment(payload.valid_from_ms)} to {moment(payload.valid_until_ms)}"))
        lines.append(("replaces", payload.prev or "nothing named"))
    return [*lines, *_body(payload)]


def whose(paper: Paper, keyid: str) -> str:
    """The person of a key as the paper itself names it; '' for a key that it does not name."""
    body = getattr(paper.payload, "body", None)
    if not isinstance(body, RootBody | GrantBody):
        return ""
    return next((key.person for key in body.keys if public_key(key.public).keyid == keyid), "")
