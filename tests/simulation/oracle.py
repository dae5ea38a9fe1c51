"""What the laws say, worked out a second time from plain data: who may say what, who may stop whom, when a station is open.

Nothing here asks protocol/rules, trust or hours: an error there must not excuse itself.
"""

from datetime import UTC, datetime, timedelta

from tests.core.people import COMMUNE, HAMLET, PROVINCE

LOCAL = timedelta(hours=7)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
HOUR_MS = 3_600_000
LEADERS = frozenset({"c1", "c2"})
PROVINCIAL = frozenset({"p1", "p2", "p3"})
POWERS = {
    (COMMUNE, "programme"): LEADERS,
    (COMMUNE, "station"): LEADERS,
    (COMMUNE, "order"): LEADERS,
    (COMMUNE, "exercise"): LEADERS,
    (HAMLET, "order"): frozenset({"h1"}),
    (HAMLET, "exercise"): frozenset({"h1"}),
    (PROVINCE, "programme"): PROVINCIAL,
    (PROVINCE, "order"): PROVINCIAL,
    (PROVINCE, "exercise"): PROVINCIAL,
}
LONGEST_S = {COMMUNE: 3_600, HAMLET: 600}


def below(area, authority):
    """Whether an area is the authority's own or lies in it."""
    return area == authority or area.startswith(authority + ".")


def why_not(signed, chain, key_states, *, held):
    """Why these people may not say this to a node standing in `chain`; None if they may. `key_states`: of the commune's keys."""
    payload = signed.payload
    if payload.area not in chain or not (below(payload.area, payload.authority) or payload.area == chain[-1]):
        return f"{payload.authority} has no say over {payload.area} here"
    states = ("active", "retired") if held else ("active",)
    usable = {name for name in signed.names if key_states.get(name, "active") in states}
    able = usable & POWERS.get((payload.authority, payload.kind), frozenset())
    most_s = getattr(payload, "sound_max_s", 0)
    if payload.kind == "exercise" and payload.authority == HAMLET:
        most_s = 0
    needed = 2 if payload.area == PROVINCE and payload.kind in ("order", "exercise") else 1
    if most_s > LONGEST_S.get(payload.authority, 21_600):
        return f"{most_s} s is longer than they may"
    return None if len(able) >= needed else f"signed by {sorted(signed.names)}, of whom {sorted(able)} may"


def may_touch(later, start):
    """Whether whoever signed `later` may end or update `start`."""
    one, other = later.payload, start.payload
    if (other.kind, one.kind) == ("order", "exercise"):
        return False
    if (other.kind, one.kind, later.op) == ("exercise", "order", "START"):
        return False
    return bool(later.names & start.names) or (below(other.authority, one.authority) and len(later.names) >= len(start.names))


def stops(stop, start):
    """Whether a STOP reaches a START: it names it (or everything), is not older, and may."""
    named = stop.payload.incident in (None, start.payload.incident)
    return stop.op == "STOP" and named and start.payload.seq <= stop.payload.seq and may_touch(stop, start)


def lifted(stop, lifts):
    """Whether one of these LIFTs ends the silence of a STOP."""
    want = (stop.payload.area, stop.payload.incident)
    return any(
        (lift.payload.area, lift.payload.incident) == want and lift.payload.seq > stop.payload.seq and may_touch(lift, stop)
        for lift in lifts
    )


def rank(start):
    """Live before exercise, higher risk, wider authority, newer."""
    payload = start.payload
    return payload.kind == "order", payload.risk, -payload.authority.count("."), payload.seq, payload.incident


def is_open(body, at_ms, chain):
    """Whether a station's hours hold an instant, in local time, and nobody works on the pole."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC) + LOCAL
    minute = local.hour * 60 + local.minute
    day = DAYS[local.weekday()]
    inside = any(day in hours.days and hours.from_min <= minute < hours.to_min for hours in body.hours)
    return inside and not any(work.area in chain and at_ms < work.until_ms for work in body.maintenance)


def clock_face(at_ms):
    local = datetime.fromtimestamp(at_ms / 1000, UTC) + LOCAL
    return local.strftime("%d/%m %H:%M:%S.") + f"{local.microsecond // 1000:03d}"
