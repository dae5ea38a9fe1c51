"""What arrives: judged by `unseal`, kept on disk, then acknowledged and acted upon; refusals change nothing but a count."""

import hashlib

import msgspec

from edge_agent.commands import Acknowledge, PutMark, RecallRecords, Subscribe
from edge_agent.core import content, playback, reports
from edge_agent.core.state import MS_NS, After, Alarm, Turn
from edge_agent.events import Arrived
from protocol import topics
from protocol.envelope import Opened, peek, unseal
from protocol.errors import ClockUnusable, ProtocolError, Superseded
from protocol.orders import AnyOrder, ExerciseStart, ExerciseStop, Lift, Start, Stop
from protocol.reports import RecordMark
from protocol.rules import mark_of

QUIET_NS = 300 * MS_NS
LONGEST_NS = 2_000 * MS_NS
KIND_ORDER = {"root": 0, "placement": 1, "grant": 2, "station": 3, "programme": 4}
_RECORD_MARK = msgspec.json.Decoder(RecordMark)


def collect(turn: Turn) -> None:
    """After CONNACK or a new subscription: gather what comes until 300 ms of quiet (at most 2 s), then take it in seq order."""
    now_ns = turn.now.mono_ns
    if turn.state.collect_until_ns is None:
        turn.set(collect_latest_ns=now_ns + LONGEST_NS)
    turn.set(collect_until_ns=min(now_ns + QUIET_NS, turn.state.collect_latest_ns))


def arrived(turn: Turn, event: Arrived) -> None:
    """Take one message in, or keep it for the collection that is under way."""
    if turn.state.collect_until_ns is not None:
        turn.set(collected=(*turn.state.collected, event))
        collect(turn)
    else:
        take(turn, event)


def take_collected(turn: Turn) -> None:
    """The quiet has come: authority first, then everything else as it was issued."""
    if turn.state.collect_until_ns is None or turn.now.mono_ns < turn.state.collect_until_ns:
        return
    collected = turn.state.collected
    turn.set(collected=(), collect_until_ns=None)
    for event in sorted(collected, key=_age):
        take(turn, event)


def _age(event: Arrived) -> tuple[int, int]:
    kind, seq = peek(event.raw)
    return KIND_ORDER.get(kind, len(KIND_ORDER)), seq


def take(turn: Turn, event: Arrived) -> None:
    """Judge one message and do what it says."""
    state = turn.state
    if not event.raw:
        turn.tell(Acknowledge(event.ref))
        return
    if event.topic == topics.topic("records", node=state.node):
        _take_record_mark(turn, event)
        return
    try:
        opened = unseal(
            event.raw, topic=event.topic, trust=state.trust, me=state.me, now=turn.wall, seen=state.seen, reads=_READS
        )
    except ProtocolError as error:
        _refuse(turn, event, error)
        return
    payload = opened.payload
    if isinstance(payload, Start | Stop | Lift | ExerciseStart | ExerciseStop):
        _take_order(turn, opened, payload, event.ref)
    elif opened.fresh:
        content.take_document(turn, opened, event.ref)
        subscribe(turn)
    else:
        turn.save(after=After(acknowledge=event.ref))


_READS = frozenset(reports.READS)


def _refuse(turn: Turn, event: Arrived, error: ProtocolError) -> None:
    turn.tell(Acknowledge(event.ref))
    retained_old = isinstance(error, Superseded) and not event.topic.endswith("/document") and "/order/" not in event.topic
    if retained_old:
        return
    try:
        incident = topics.parse(event.topic).incident
    except ProtocolError:
        incident = None
    named = None if incident == topics.WHOLE_AREA else incident
    digest = hashlib.sha256(event.raw).hexdigest()
    reports.refuse(turn, error.code, str(error), event.topic, digest, named)
    if isinstance(error, ClockUnusable):
        turn.ask_hello(delay_ms=0)


def _take_record_mark(turn: Turn, event: Arrived) -> None:
    turn.tell(Acknowledge(event.ref))
    try:
        mark = _RECORD_MARK.decode(event.raw)
    except msgspec.MsgspecError:
        return
    if reports.controller_has(turn, mark.upto):
        turn.tell(RecallRecords(turn.state.records_upto))


def _take_order(turn: Turn, opened: Opened, order: AnyOrder, ref: int) -> None:
    mark = mark_of(order, opened.digest, opened.signers)
    if not opened.fresh:
        reports.repeat_result(turn, mark)
        turn.save(after=After(acknowledge=ref))
        return
    turn.set(seen=turn.state.seen.with_order(mark))
    if isinstance(order, Start | ExerciseStart):
        alarm = Alarm(start=order, mark=mark, raw=opened.raw, accepted_ms=turn.now.wall_ms)
        playback.take_alarm(turn, alarm, ref)
        content.refresh_wants(turn)
        return
    playback.stop(turn, mark)
    turn.save(PutMark(mark), after=After(acknowledge=ref))
    reports.note(turn, mark, "stopped" if mark.op == "STOP" else "ended")


def subscribe(turn: Turn) -> None:
    """Read the topics of this node and of the areas of its chain; what is new brings its retained messages."""
    areas = tuple(link.area for link in turn.state.trust.chain)
    wanted = frozenset((*topics.node_filters(turn.state.node), *topics.area_filters(areas)))
    fresh = wanted - turn.state.filters
    if turn.state.link_up and fresh:
        turn.set(filters=wanted)
        turn.tell(Subscribe(tuple(sorted(fresh))))
        collect(turn)
