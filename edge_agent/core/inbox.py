"""What arrives: judged by `unseal`, kept on disk, then acknowledged and acted upon; refusals change nothing but a count."""

import hashlib

import msgspec

from edge_agent.commands import Acknowledge, PutMark, RecallRecords, Subscribe
from edge_agent.core import alarms, clock, content, disk, flood, plan, playback, reach, reports, suspends
from edge_agent.core.state import MS_NS, Alarm, Turn
from edge_agent.events import Arrived
from protocol import topics
from protocol.documents import Root
from protocol.envelope import Opened, claimed, payload_of, peek, unseal
from protocol.errors import BadSignature, Malformed, NotRead, ProtocolError, WrongType
from protocol.orders import AnyOrder, ExerciseStart, ExerciseStop, Lift, Start, Stop
from protocol.passing import Suspend, TimeToken
from protocol.reports import RecordMark
from protocol.rules import mark_of

QUIET_NS = 300 * MS_NS
LONGEST_NS = 2_000 * MS_NS
MOST_COLLECTED = 256
FROM_CARD = 0
"""The ref of a document that lies on the node's own card: nobody waits for an answer."""
UNVERIFIED = (Malformed, WrongType, BadSignature, NotRead)
"""Refused before, or without knowing, that somebody trusted signed it."""
TURN_OF_KIND = {"root": 0, "placement": 1, "grant": 2, "suspend": 3, "order": 4, "exercise": 4}
_RECORD_MARK = msgspec.json.Decoder(RecordMark)
_READS = frozenset(reports.READS)


def collect(turn: Turn) -> None:
    """After CONNACK or a new subscription: gather what comes until 300 ms of quiet (at most 2 s), then take it in seq order."""
    now_ns = turn.now.mono_ns
    if turn.state.collect_until_ns is None:
        turn.set(collect_latest_ns=now_ns + LONGEST_NS)
    turn.set(collect_until_ns=min(now_ns + QUIET_NS, turn.state.collect_latest_ns))


def arrived(turn: Turn, event: Arrived) -> None:
    """Take one message in, or keep it for the collection that is under way."""
    if turn.state.collect_until_ns is None:
        take(turn, event)
        return
    turn.set(collected=(*turn.state.collected, event))
    collect(turn)
    if len(turn.state.collected) >= MOST_COLLECTED:
        take_collected(turn)


def quiet_has_come(turn: Turn) -> bool:
    """Whether a collection is over."""
    return turn.state.collect_until_ns is not None and turn.now.mono_ns >= turn.state.collect_until_ns


def take_collected(turn: Turn) -> None:
    """Authority first, then orders, then the rest, each as it was issued."""
    collected = turn.state.collected
    turn.set(collected=(), collect_until_ns=None)
    for event in sorted(collected, key=_age):
        take(turn, event)


def _age(event: Arrived) -> tuple[int, int]:
    kind, seq = peek(event.raw)
    return TURN_OF_KIND.get(kind, len(TURN_OF_KIND)), seq


def take(turn: Turn, event: Arrived) -> None:
    """Judge one message and do what it says."""
    state = turn.state
    if not event.raw:
        turn.tell(Acknowledge(event.ref))
        return
    if event.topic == topics.topic("records", node=state.node):
        _take_record_mark(turn, event)
        return
    if event.ref < FROM_CARD and _is_passed(turn, event.raw):
        turn.tell(Acknowledge(event.ref, "superseded: a later root is in force"))
        return
    try:
        opened = unseal(
            event.raw, topic=event.topic, trust=state.trust, me=state.me, now=turn.wall, seen=state.seen, reads=_READS
        )
    except ProtocolError as error:
        _refuse(turn, event, error.code, str(error), signed=not isinstance(error, UNVERIFIED))
        return
    payload = opened.payload
    if isinstance(payload, TimeToken):
        turn.tell(Acknowledge(event.ref))
        clock.take_time(turn, payload)
        return
    if not opened.fresh and disk.join(turn, opened.digest, event.ref):
        return
    if isinstance(payload, Start | Stop | Lift | ExerciseStart | ExerciseStop):
        _take_order(turn, opened, payload, event)
    elif opened.fresh and isinstance(payload, Suspend):
        suspends.take(turn, opened, payload, event.ref)
    elif opened.fresh:
        content.take_document(turn, opened, event.ref)
        subscribe(turn)
    else:
        turn.save(acknowledge=(event.ref,))


def _is_passed(turn: Turn, raw: bytes) -> bool:
    """A stick brings every root from the first on; those that were passed are by signers unknown by now, and no attack."""
    root = turn.state.trust.root
    try:
        payload = payload_of(raw)
    except ProtocolError:
        return False
    return isinstance(payload, Root) and root is not None and payload.body.version < root.body.version


def _refuse(turn: Turn, event: Arrived, code: str, text: str, *, signed: bool) -> None:
    """Count it and tell it. Only an order that somebody trusted signed is named as that order: no forgery may speak for it."""
    turn.tell(Acknowledge(event.ref, f"{code}: {text}"))
    if event.ref == FROM_CARD:
        return
    try:
        incident = topics.parse(event.topic).incident
    except ProtocolError:
        incident = None
    named = None if incident == topics.WHOLE_AREA else incident
    claim = claimed(event.raw) if signed else None
    digest, seq = claim if claim is not None else (hashlib.sha256(event.raw).hexdigest(), None)
    reports.refuse(turn, code, text, event.topic, digest=digest, incident=named, order_seq=seq)


def _take_record_mark(turn: Turn, event: Arrived) -> None:
    turn.tell(Acknowledge(event.ref))
    try:
        mark = _RECORD_MARK.decode(event.raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    reach.answered(turn)
    if reports.controller_has(turn, mark.upto):
        turn.tell(RecallRecords(turn.state.records_upto))


def _take_order(turn: Turn, opened: Opened, order: AnyOrder, event: Arrived) -> None:
    mark = mark_of(order, opened.digest, opened.signers)
    if not opened.fresh:
        reports.repeat_result(turn, mark)
        turn.save(acknowledge=(event.ref,))
        return
    if isinstance(order, Start | ExerciseStart):
        why = plan.why_no_exercise(turn, order) if isinstance(order, ExerciseStart) else None
        if why is not None:
            _refuse(turn, event, "quiet-hours", why, signed=True)
            return
        if flood.too_often(turn, mark):
            _refuse(
                turn,
                event,
                flood.TOO_OFTEN,
                "its signers began too many of late: it is taken in when it is offered again",
                signed=True,
            )
            return
        turn.set(seen=turn.state.seen.with_order(mark))
        # a clock that cannot be trusted says nothing about when this was; the signer's does
        accepted_ms = turn.now.wall_ms if turn.state.clock_usable else order.seq
        alarms.take(turn, Alarm(start=order, mark=mark, raw=opened.raw, accepted_ms=accepted_ms), event.ref)
        return
    turn.set(seen=turn.state.seen.with_order(mark))
    writes = playback.stop(turn, mark) if mark.op == "STOP" else []
    result = "stopped" if mark.op == "STOP" else "ended"
    turn.save(PutMark(mark), *writes, digest=mark.digest, acknowledge=(event.ref,), order=mark, result=result)


def subscribe(turn: Turn) -> None:
    """Read the topics of this node and of the areas of its chain; what is new brings its retained messages."""
    areas = tuple(link.area for link in turn.state.trust.chain)
    wanted = frozenset((*topics.node_filters(turn.state.node), *topics.area_filters(areas)))
    fresh = wanted - turn.state.filters
    if turn.state.link_up and fresh:
        turn.set(filters=wanted)
        turn.tell(Subscribe(tuple(sorted(fresh))))
        collect(turn)
