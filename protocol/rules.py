"""Checks 6 to 10 of the contract: may these signers say this here, and does it still count? Pure; the same on every side."""

from collections.abc import Mapping
from typing import Final

from protocol import services
from protocol.bulletins import Programme
from protocol.documents import Grant, Network, Placement, Power, Root, Station
from protocol.errors import (
    ClockUnusable,
    Equivocation,
    Expired,
    FromFuture,
    Malformed,
    NotEmpowered,
    NotMine,
    Stopped,
    Superseded,
    Suspended,
    TooFewPersons,
)
from protocol.messages import Sealed
from protocol.orders import AnyOrder, AnyStart, ExerciseStart, ExerciseStop, Lift, Start, Stop
from protocol.passing import Suspend, TimeToken
from protocol.reader import Clock, Me
from protocol.release import Release
from protocol.release_rules import check_floor, signers_of
from protocol.reports import FetchStatement, Hello, Receipt
from protocol.seen import Mark, OrderMark, Seen, Slot, op_of
from protocol.shape import check_shape
from protocol.suspension import judge_passing, standing
from protocol.topics import Address
from protocol.trust import WIDE_LEVELS, WIDE_PERSONS, Signer, Trust, Verifier, check_keys, covers, level_of, position, public_key
from protocol.units import Document

REPORTS: Final = frozenset({"hello", "receipt", "fetch"})
FUTURE_SLACK_MS: Final = 120_000
ACCEPT_MAX_MS: Final = {"order": 6 * 3_600_000, "exercise": 600_000}
FETCH_AGE_MS: Final = 600_000
GRANT_PERSONS: Final = 2
"""Authority is never handed out by one person, whatever the grant above says."""


def is_held(seen: Seen, digest: str) -> bool:
    """Whether a document or order with this digest was taken in before."""
    return any(mark.digest == digest for mark in seen.documents.values()) or any(
        mark.digest == digest for mark in seen.orders.values()
    )


def candidates(trust: Trust, *, held: bool) -> Mapping[str, Verifier]:
    """Check 3: the keys to be tried: active ones; retired ones too for what is already held."""
    return {keyid: verifier for keyid, (verifier, active) in trust.keys.items() if active or held}


def report_candidates(trust: Trust, address: Address | None) -> Mapping[str, Verifier]:
    """The report key of the topic's node; without a topic, of every node known."""
    nodes = trust.report_keys if address is None or address.node is None else {address.node}
    verifiers = [public_key(trust.report_keys[node]) for node in nodes if node in trust.report_keys]
    return {verifier.keyid: verifier for verifier in verifiers}


def slot_of(document: Document) -> Slot:
    """The place where only one document is in force. Placement, network, grant and release have one, whoever signed."""
    kind: str = document.kind  # type: ignore[attr-defined]  # every concrete document names its kind
    one_place = isinstance(document, Root | Grant | Placement | Network | Release)
    return Slot(kind, document.subject, "-" if one_place else document.authority)


def mark_of(order: AnyOrder, digest: str, signers: tuple[Signer, ...]) -> OrderMark:
    """What is remembered of an order."""
    return OrderMark(
        kind=order.kind,
        op=op_of(order),
        incident=order.incident,
        area=order.area,
        authority=order.authority,
        seq=order.seq,
        digest=digest,
        keyids=tuple(signer.keyid for signer in signers),
        persons=tuple(sorted({signer.person for signer in signers})),
    )


# --- who may (checks 6 and 7) ---


def power_name(payload: Sealed) -> str:
    """The power that a payload needs."""
    match payload:
        case Start():
            return "emergency"
        case Stop() | Lift():
            return "stop"
        case ExerciseStart() | ExerciseStop():
            return "exercise"
        case Grant() | Suspend():
            return "delegate"
        case _:
            return payload.kind


def _fits(power: Power, payload: Sealed) -> bool:
    """Whether a power reaches this class and this duration."""
    match payload:
        case Start():
            return payload.class_ in power.classes and _short_enough(power, payload)
        case ExerciseStart():
            return _short_enough(power, payload)
        case Programme():
            return all(item.class_ in power.classes for item in payload.body.items)
        case _:
            return True


def _short_enough(power: Power, start: AnyStart) -> bool:
    return power.sound_max_s is None or start.sound_max_s <= power.sound_max_s


def authorise(
    payload: Sealed, keyids: tuple[str, ...], *, trust: Trust, me: Me, now: Clock, held: bool = False
) -> tuple[Signer, ...]:
    """The signers who, together, may say this; asked at acceptance, at every change of grants and before each sound.

    Raises NotMine, NotEmpowered, TooFewPersons or Expired (the grant has ended).
    """
    if isinstance(payload, Release):
        return signers_of(payload, keyids, trust, me, held=held)
    chain = payload.body.chain if isinstance(payload, Placement) else trust.chain
    if isinstance(payload, Placement):
        _judge_move(payload, trust, me)
    area = payload.subject if isinstance(payload, Document) else payload.area
    if position(chain, area) is None:
        raise NotMine(f"area {area} is not in this placement")
    if isinstance(payload, Grant | Suspend) and payload.authority == area:
        raise NotEmpowered(f"a {payload.kind} of an area is signed above it")
    if not covers(chain, payload.authority, area):
        raise NotEmpowered(f"authority {payload.authority} does not reach {area}")
    if isinstance(payload, Document) and payload.area != payload.subject:
        raise Malformed(f"area {payload.area} and subject {payload.subject} differ")
    level = level_of(chain, area)
    signers = trust.signers(payload.authority, keyids, held=held)
    extra = _after_until(payload, trust, now, held=held)
    void = frozenset() if held and isinstance(payload, Document) else trust.suspended(payload.authority, now)
    able = tuple(signer for signer in signers if signer.keyid not in void)
    try:
        return _enough(payload, able, trust, wide=level in WIDE_LEVELS, extra=extra)
    except (NotEmpowered, TooFewPersons) as error:
        if len(able) < len(signers):
            raise Suspended(
                f"a key of {', '.join({each.person for each in signers if each.keyid in void})} is suspended"
            ) from error
        raise


def _judge_move(placement: Placement, trust: Trust, me: Me) -> None:
    """A node is placed by the root or by an area that it already stands in: no other area can draw it away."""
    if me.node not in (None, placement.body.node):
        raise NotMine(f"a placement of {placement.body.node}")
    present = trust.placement
    if present is None or present.body.node != placement.body.node or placement.authority == "root":
        return
    if position(present.body.chain, placement.authority) is None:
        raise NotEmpowered(f"{placement.authority} is not above this node: it cannot move it")


def _after_until(payload: Sealed, trust: Trust, now: Clock, *, held: bool) -> int:
    """After a grant's end emergency and stop go on with one person more; everything else ends.

    Grants and placements that are already held stay: without them no emergency could go on below. So do a link's budgets.
    """
    until_ms = trust.until_ms(payload.authority)
    if until_ms is None or not now.usable or now.wall_ms <= until_ms:
        return 0
    if held and isinstance(payload, Grant | Placement | Network):
        return 0
    if isinstance(payload, Start | Stop | Lift):
        return 1
    raise Expired(f"the grant of {payload.authority} has ended")


def _enough(payload: Sealed, signers: tuple[Signer, ...], trust: Trust, *, wide: bool, extra: int) -> tuple[Signer, ...]:
    name = power_name(payload)
    is_order = isinstance(payload, Start | Stop | Lift | ExerciseStart | ExerciseStop)
    best: tuple[Signer, ...] = ()
    needed_of_best = 0
    for power in trust.powers(payload.authority, name):
        if not _fits(power, payload):
            continue
        empowered = tuple(signer for signer in signers if services.empowered(signer, payload, power, trust, wide=wide))
        persons = len({signer.person for signer in empowered})
        least = GRANT_PERSONS if isinstance(payload, Grant | Network) else WIDE_PERSONS if wide and is_order else 1
        needed = 1 if isinstance(payload, Suspend) else max(power.threshold, least) + extra
        if persons >= needed:
            return empowered
        if len(empowered) > len(best) or not best:
            best, needed_of_best = empowered, needed
    if not best:
        raise NotEmpowered(f"no signer has the power {name!r} of {payload.authority} for this class and duration")
    raise TooFewPersons(f"{len({signer.person for signer in best})} of {needed_of_best} persons signed")


def _judge_root(new: Root, keyids: tuple[str, ...], trust: Trust) -> tuple[Signer, ...]:
    """A root follows the one in force by exactly one version, signed by enough persons of the old and of the new."""
    old = trust.root
    if old is None:
        raise NotEmpowered("no root is pinned here: a root cannot arrive by itself")
    if new.authority != "root" or new.subject != old.subject or new.area != old.area:
        raise NotEmpowered("a root of something else")
    check_keys(new.body.persons, new.body.keys, "root")
    if new.body.version <= old.body.version:
        raise Superseded(f"root version {new.body.version}, version {old.body.version} is in force")
    if new.body.version != old.body.version + 1:
        raise NotEmpowered(f"root version {new.body.version} does not follow {old.body.version}")
    signers: tuple[Signer, ...] = ()
    for whose, view in (("old", trust), ("new", Trust(new))):
        role = (view.root or new).body.root
        signers = tuple(signer for signer in view.signers("root", keyids) if signer.person in role.persons)
        persons = {signer.person for signer in signers}
        if len(persons) < role.threshold:
            raise TooFewPersons(f"{len(persons)} of {role.threshold} persons of the {whose} root signed")
    return signers


# --- order among orders ---


def may_stop(later: OrderMark, start: OrderMark, trust: Trust) -> bool:
    """Whether the signers of `later` may end (or update) `start`.

    One of its own signers may, or as many persons of an authority that is not narrower.
    """
    if start.kind == "order" and later.kind == "exercise":
        return False
    if start.kind == "exercise" and later.kind == "order" and later.op == "START":
        return False
    if set(later.keyids) & set(start.keyids):
        return True
    if later.authority == start.authority and set(later.persons) & set(start.persons):
        return True
    return covers(trust.chain, later.authority, start.authority) and services.humans(later, trust) >= len(start.persons)


def lifts(lift: OrderMark, stop: OrderMark, trust: Trust) -> bool:
    """Whether a LIFT ends the silence of a STOP: same incident and area, newer, and by someone who may undo it."""
    if lift.op != "LIFT" or stop.op != "STOP" or stop.kind != "order" or lift.seq <= stop.seq:
        return False
    return (lift.incident, lift.area) == (stop.incident, stop.area) and may_stop(lift, stop, trust)


def silences(stop: OrderMark, start: OrderMark, trust: Trust) -> bool:
    """Whether a STOP ends a START: its seq is not older (a tie stops), it names it or everything, and it may."""
    named = stop.incident is None or stop.incident == start.incident
    return stop.op == "STOP" and named and start.seq <= stop.seq and may_stop(stop, start, trust)


def _judge_order(order: AnyOrder, mark: OrderMark, *, trust: Trust, me: Me, now: Clock, seen: Seen) -> bool:
    """Check 9 for orders. Returns whether it is new. Raises Equivocation, Superseded, Stopped or NotEmpowered.

    What void keys said is known, so it never becomes new; it neither stops, nor closes an incident.
    """
    known = seen.order(mark)
    if known is not None:
        if known.digest != mark.digest:
            raise Equivocation(f"order {mark.incident} {mark.seq} {mark.op} was signed with two contents")
        return False
    if any(mark.seq <= seen.evicted_seq.get(keyid, -1) for keyid in mark.keyids):
        raise Superseded("older than anything still remembered of its key")
    seen = standing(seen, trust, now)
    if mark.incident is not None:
        _judge_incident(mark, mark.incident, trust, seen)
    if isinstance(order, Start | ExerciseStart):
        if any(silences(stop, mark, trust) for stop in seen.stops()):
            raise Stopped("a STOP that is not older covers it")
        answered = bool(set(order.answers) & set(me.nonces))
        if seen.amnesia_since_ms is not None and mark.seq <= seen.amnesia_since_ms and not answered:
            raise Superseded("older than this node's memory, which was lost")
    return True


def _judge_incident(mark: OrderMark, incident: str, trust: Trust, seen: Seen) -> None:
    """Within an incident only a higher seq acts, and only by those who may stop what was begun.

    Only what had the right to touch a START can be newer than it: neither a narrower authority nor an exercise closes an
    incident to those above by being first. An exercise that borrows the incident of a live START never hinders it.
    """
    live = mark.op == "START" and mark.kind == "order"
    begun = [start for start in seen.starts_of(incident) if not (live and start.kind == "exercise")]
    if not all(may_stop(mark, start, trust) for start in begun):
        raise NotEmpowered(f"these signers may not touch incident {incident}, which others of a wider area opened")
    if mark.op == "START":
        held = (old for old in seen.orders.values() if old.incident == incident and may_stop(old, mark, trust))
        closing = (old.seq for old in held if old.op != "LIFT" and (old.op, old.seq) != ("STOP", mark.seq))  # ties: the STOP rule
        newest = max(closing, default=-1)
        if mark.seq <= newest:
            raise Superseded(f"incident {incident} is already at {newest}")


def _fresh_start(start: AnyStart, me: Me, now: Clock) -> None:
    """Check 10 for STARTs. Raises Expired or ClockUnusable."""
    longest_ms = ACCEPT_MAX_MS[start.kind]
    if start.accept_until_ms > start.seq + longest_ms:
        raise Malformed(f"acceptable for over {longest_ms // 60_000} minutes")
    if start.accept_until_ms < start.seq:
        raise Malformed("it could be accepted only before it was issued")
    if set(start.answers) & set(me.nonces):
        return
    if not now.usable_for_start:
        raise ClockUnusable("this clock cannot tell whether the START is fresh, and it does not answer the nonce")
    if start.seq > now.wall_ms + FUTURE_SLACK_MS:
        raise FromFuture(f"issued {(start.seq - now.wall_ms) // 1000} s ahead of this clock")
    if now.wall_ms > start.accept_until_ms:
        raise Expired("its time of acceptance is over")


# --- documents ---


def _judge_document(document: Document, digest: str, seen: Seen, now: Clock) -> bool:
    """Check 9 for documents: in force is the highest (seq, digest) of a slot. Returns whether it is new.

    A root goes by its version alone (judged before): one wrong date in it must not close the door to the next. So of the rest:
    what is held and lies ahead of a usable clock came in without one, and gives way to what is issued now.
    """
    if isinstance(document, Root):
        return True
    held = seen.document(slot_of(document))
    if isinstance(document, Release):
        check_floor(document, held)
    if held is None or (document.seq, digest) > (held.seq, held.digest):
        return True
    if held.digest == digest or (now.usable and held.seq > now.wall_ms + FUTURE_SLACK_MS):
        return held.digest != digest
    raise Superseded(f"seq {document.seq}, {held.seq} is in force")


def _judge_validity(document: Document, now: Clock) -> None:
    if document.valid_until_ms <= document.valid_from_ms:
        raise Malformed("it ends before it begins")
    ends = isinstance(document, Programme | Station | Network | Placement | Release)
    if ends and now.usable and now.wall_ms >= document.valid_until_ms:
        raise Expired(f"it was valid until {document.valid_until_ms}")


def _judge_report(
    report: Hello | Receipt | FetchStatement, keyids: tuple[str, ...], trust: Trust, now: Clock
) -> tuple[Signer, ...]:
    key = trust.report_keys.get(report.node)
    if key is None or public_key(key).keyid not in keyids or report.area != report.node:
        raise NotEmpowered(f"not the report key of {report.node}")
    if isinstance(report, FetchStatement) and report.clock_state != "unknown" and abs(report.at_ms - now.wall_ms) > FETCH_AGE_MS:
        raise Expired("this permission to fetch is too old or from the future")
    return (Signer(public_key(key).keyid, report.node, "active", False),)


def judge(
    payload: Sealed, digest: str, keyids: tuple[str, ...], *, trust: Trust, me: Me, now: Clock, seen: Seen
) -> tuple[tuple[Signer, ...], bool]:
    """Checks 6 to 10. Returns the signers who count, and whether this is new. Raises the first thing that is wrong."""
    if isinstance(payload, Hello | Receipt | FetchStatement):
        return _judge_report(payload, keyids, trust, now), True
    held = is_held(seen, digest)
    if isinstance(payload, Root):
        if trust.root is not None and (held or payload == trust.root):
            return (), False
        signers = _judge_root(payload, keyids, trust)
    else:
        if not held:
            keyids = services.within_day(payload, keyids, power_name(payload), trust, seen, controller=me.node is None)
        signers = authorise(payload, keyids, trust=trust, me=me, now=now, held=held)
    if now.usable and payload.seq > now.wall_ms + FUTURE_SLACK_MS:
        raise FromFuture(f"issued {(payload.seq - now.wall_ms) // 1000} s ahead of this clock")
    if isinstance(payload, Suspend | TimeToken):
        return signers, judge_passing(payload, digest, trust=trust, me=me, now=now, seen=seen)
    if isinstance(payload, Document):
        if not _judge_document(payload, digest, seen, now):
            return signers, False
        check_shape(payload)
        _judge_validity(payload, now)
        return signers, True
    mark = mark_of(payload, digest, signers)
    fresh = _judge_order(payload, mark, trust=trust, me=me, now=now, seen=seen)
    if fresh and isinstance(payload, Start | ExerciseStart):
        _fresh_start(payload, me, now)
    return signers, fresh


def document_mark(document: Document, digest: str) -> Mark:
    """What is remembered of a document."""
    return Mark(document.seq, digest, document.body.floor if isinstance(document, Release) else 0)


__all__ = ["Clock", "Me"]
