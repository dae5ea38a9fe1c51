"""What the node says of itself: hello, receipts, play records, health; each sent when there is something to say."""

from typing import Any

from msgspec import structs

from edge_agent.commands import Publish, PutRecord
from edge_agent.core.state import MS_NS, VERSION, Turn
from protocol.messages import TYPES
from protocol.orders import AnyStart
from protocol.reports import Ending, Health, Held, Hello, IncidentState, OrderResult, PlayRecord, Receipt, Result
from protocol.seen import OrderMark

AGAIN_MS = 900_000
"""Results of the last quarter of an hour are told again after a reconnect: the broker may have forgotten them."""
RESULTS_A_RECEIPT = 32
PLAYS_A_RECEIPT = 20
REFUSAL_QUIET_NS = 5_000_000_000
HEALTH_QUIET_NS = 600_000_000_000
HEALTH_DELAY_NS = 5_000_000_000
READS = tuple(sorted(set(TYPES) - {"hello", "receipt", "fetch"}))


def note(
    turn: Turn,
    mark: OrderMark,
    result: Result,
    *,
    reason: str = "",
    at_ms: int | None = None,
    spoken_at_ms: int | None = None,
) -> None:
    """What became of an order; it is told until the broker has it, and again when the order is offered again."""
    key = (mark.incident, mark.seq, mark.op)
    old = turn.state.results.get(key)
    told = OrderResult(
        incident=mark.incident,
        order_seq=mark.seq,
        result=result,
        reason=reason[:300],
        digest=mark.digest,
        at_ms=turn.now.wall_ms if at_ms is None else at_ms,
        spoken_at_ms=spoken_at_ms if spoken_at_ms is not None or old is None else old.spoken_at_ms,
    )
    results = {**turn.state.results, key: told}
    for oldest in list(results)[: max(0, len(results) - 200)]:
        del results[oldest]
    turn.set(results=results, unsent=turn.state.unsent | {key})


def repeat_result(turn: Turn, mark: OrderMark) -> None:
    """The order came again: say again what became of it."""
    key = (mark.incident, mark.seq, mark.op)
    if key in turn.state.results:
        turn.set(unsent=turn.state.unsent | {key})
    else:
        note(turn, mark, "received", reason="held from before")


def refuse(turn: Turn, code: str, text: str, topic: str, digest: str | None, incident: str | None) -> None:
    """Count a refusal; tell it with its reason, but at most every five seconds (a flood costs nothing)."""
    state = turn.state
    turn.set(refused={**state.refused, code: state.refused.get(code, 0) + 1})
    if turn.state.health_due_ns is None:
        turn.set(health_due_ns=turn.now.mono_ns + HEALTH_DELAY_NS)
    said_ns = state.refusal_said_ns.get(code + topic)
    if said_ns is not None and turn.now.mono_ns - said_ns < REFUSAL_QUIET_NS:
        return
    said = dict(list(state.refusal_said_ns.items())[-64:])
    told = OrderResult(
        incident=incident,
        result="refused",
        reason=f"{code}: {text}"[:300],
        topic=topic[:200],
        digest=digest,
        at_ms=turn.now.wall_ms,
    )
    key = (incident, None, code + topic)
    turn.set(
        refusal_said_ns={**said, code + topic: turn.now.mono_ns},
        results={**turn.state.results, key: told},
        unsent=turn.state.unsent | {key},
    )


def open_record(
    turn: Turn, *, digest: str, area: str, authority: str, planned_ms: int, item: str = "order", start: AnyStart | None = None
) -> PlayRecord:
    """Number a play before it begins. An open record already says `cut`: that is what it was if nobody closes it."""
    number = turn.state.next_record_id
    turn.set(next_record_id=number + 1)
    return PlayRecord(
        record_id=number,
        boot_count=turn.state.boot_count,
        digest=digest,
        item=item,
        incident=start.incident if start else None,
        area=area,
        authority=authority,
        purpose=start.purpose if start else "routine",
        planned_ms=planned_ms,
        ending="cut",
        clock_state=turn.state.clock,
    )


def close_record(turn: Turn, record: PlayRecord, ending: Ending, *, reason: str = "", ended_ms: int | None = None) -> None:
    """The play is over: keep the record closed, and tell it."""
    closed = structs.replace(
        record, ending=ending, reason=reason[:300], ended_ms=turn.now.wall_ms if ended_ms is None else ended_ms
    )
    turn.set(records={**turn.state.records, closed.record_id: closed})
    turn.save(PutRecord(closed, is_open=False))


def controller_has(turn: Turn, upto: int) -> bool:
    """The controller's mark. Returns whether it is lower than before, so that what it lost must be read again from disk."""
    upto = min(upto, turn.state.next_record_id - 1)
    back = upto < turn.state.records_upto
    kept = {number: record for number, record in turn.state.records.items() if number > upto}
    turn.set(
        records_upto=upto, records=kept, sent_records=frozenset(number for number in turn.state.sent_records if number > upto)
    )
    return back


def link_came_back(turn: Turn) -> None:
    """What was told on a connection that is gone may be lost: tell it again."""
    recent = turn.now.wall_ms - AGAIN_MS
    again = {key for key, told in turn.state.results.items() if told.at_ms >= recent}
    turn.set(unsent=turn.state.unsent | again, sent_records=frozenset())
    turn.ask_hello(delay_ms=0)


def say(turn: Turn) -> None:
    """Send whatever is due; called at the end of every turn."""
    state = turn.state
    if not state.link_up or state.collect_until_ns is not None:
        return
    _say_receipt(turn)
    if state.hello_due_ns is not None and turn.now.mono_ns >= state.hello_due_ns:
        turn.set(hello_due_ns=None)
        turn.tell(Publish(_hello(turn)))
    quiet = state.health_sent_ns is None or turn.now.mono_ns - state.health_sent_ns >= HEALTH_QUIET_NS
    if state.health_due_ns is not None and turn.now.mono_ns >= state.health_due_ns and quiet:
        turn.set(health_due_ns=None, health_sent_ns=turn.now.mono_ns)
        turn.tell(Publish(health(turn)))


def _say_receipt(turn: Turn) -> None:
    state = turn.state
    keys = [key for key in state.results if key in state.unsent][:RESULTS_A_RECEIPT]
    fresh = [number for number in sorted(state.records) if number not in state.sent_records][:PLAYS_A_RECEIPT]
    if not keys and not fresh:
        return
    receipt = Receipt(
        **_common(turn),
        results=tuple(state.results[key] for key in keys),
        plays=tuple(state.records[number] for number in fresh),
    )
    turn.set(
        unsent=state.unsent - set(keys),
        sent_records=state.sent_records | set(fresh),
        results={key: told for key, told in state.results.items() if told.result != "refused" or key not in keys},
    )
    turn.tell(Publish(receipt))


def _common(turn: Turn) -> dict[str, Any]:
    return {
        "authority": "placement",
        "area": turn.state.node,
        "area_no": 0,
        "seq": max(0, turn.now.wall_ms),
        "purpose": "routine",
        "node": turn.state.node,
        "boot_count": turn.state.boot_count,
        "clock_state": turn.state.clock,
        "at_ms": max(0, turn.now.wall_ms),
    }


def _hello(turn: Turn) -> Hello:
    state = turn.state
    held = [
        Held(kind=slot.kind, subject=slot.subject, authority=doc.payload.authority, seq=doc.payload.seq, digest=doc.digest)
        for slot, doc in state.documents.items()
    ] + [
        Held(
            kind=slot.kind,
            subject=slot.subject,
            authority=doc.payload.authority,
            seq=doc.payload.seq,
            digest=doc.digest,
            pending=True,
        )
        for slot, doc in state.waiting.items()
    ]
    current = state.plays.get(state.current) if state.current is not None else None
    sounding = current.alarm if current is not None else None
    incidents = tuple(
        IncidentState(incident=incident, seq=alarm.start.seq, result="sounding" if incident == sounding else "received")
        for incident, alarm in state.alarms.items()
    )
    return Hello(
        **_common(turn),
        nonce=state.nonces[0],
        previous_nonce=state.nonces[1] if len(state.nonces) > 1 else None,
        version=VERSION,
        reads=READS,
        holds=tuple(held[:200]),
        incidents=incidents[:64],
        stops=tuple(mark.digest for mark in state.seen.stops())[-64:],
        missing_media=len(state.wants),
        amnesia=state.first_boot,
        last_record_id=state.next_record_id - 1,
        first_record_id=state.first_record_id,
        troubles=tuple(sorted(state.troubles)),
    )


def health(turn: Turn) -> Health:
    """How the machine is, as last seen."""
    state = turn.state
    return Health(
        node=state.node,
        at_ms=max(0, turn.now.wall_ms),
        clock_state=state.clock,
        disk_free_bytes=state.disk_free_bytes,
        temperature_cc=state.temperature_cc,
        uptime_s=state.uptime_s,
        troubles=tuple(sorted(state.troubles)),
        refused=dict(state.refused),
        restarts=dict(state.restarts),
    )


def next_wake_ns(turn: Turn) -> list[int]:
    """When something will be due to be said."""
    state = turn.state
    if not state.link_up:
        return []
    wakes = [] if state.hello_due_ns is None else [state.hello_due_ns]
    if state.health_due_ns is not None:
        quiet_ns = 0 if state.health_sent_ns is None else state.health_sent_ns + HEALTH_QUIET_NS
        wakes.append(max(state.health_due_ns, quiet_ns))
    return [max(wake, turn.now.mono_ns + 50 * MS_NS) for wake in wakes]
