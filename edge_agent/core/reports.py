"""What the node says of itself: hello, receipts, play records, health; each sent when there is something to say."""

import unicodedata
from typing import Any, Final, TypeVar

import msgspec
from msgspec import structs

from edge_agent.commands import Publish, PutNumber, PutRecord
from edge_agent.core import authority, health, reach
from edge_agent.core.state import MS_NS, VERSION, Told, Turn
from protocol.errors import ClockUnusable
from protocol.messages import TYPES
from protocol.orders import AnyStart
from protocol.reports import Ending, Held, Hello, IncidentState, OrderResult, PlayRecord, Receipt, Result
from protocol.seen import OrderMark

AGAIN_NS: Final = 900_000 * MS_NS
"""Results of the quarter of an hour before a connection broke are told again: they, or the broker, may be gone."""
RESULTS_KEPT: Final = 200
RESULTS_A_RECEIPT: Final = 32
PLAYS_A_RECEIPT: Final = 20
HALF_RECEIPT_BYTES: Final = 11_000
"""A receipt is capped at 32,768 bytes, and base64 makes four of three."""
HOLDS_A_HELLO: Final = 64
STANDING_A_HELLO: Final = 32
REASON_LETTERS: Final = 300
TOPIC_LETTERS: Final = 200
REFUSALS_TOLD: Final = 16
REFUSAL_QUIET_NS: Final = 5_000 * MS_NS
MARK_BACK_QUIET_NS: Final = 600_000 * MS_NS
HELLO_AGAIN_NS: Final = 30_000 * MS_NS
RECORDS_AGAIN_NS: Final = 600_000 * MS_NS
RECORDS_AGAIN_DOUBLED: Final = 5
"""Records that the mark does not name are told again after 10 minutes, then ever more rarely, at last every 5 hours."""
HELLO_LONGEST_NS: Final = 3_600_000 * MS_NS
"""After an outage ten thousand nodes say hello at once, and a broker whose queue is full drops what came last, acknowledged."""
MORE_AFTER_NS: Final = 500 * MS_NS
READS: Final = tuple(sorted(set(TYPES) - {"hello", "receipt", "fetch"}))
Entry = TypeVar("Entry", OrderResult, PlayRecord)
_encode: Final = msgspec.json.Encoder().encode


def clean(text: str, longest: int) -> str:
    """Words that may come from anybody, made fit to be sealed: NFC, no surrogates or controls, short."""
    whole = text[:longest].encode("utf-8", "replace").decode("utf-8")
    shown = "".join(letter if letter.isprintable() else " " for letter in whole)
    return unicodedata.normalize("NFC", shown)[:longest]


def knows(turn: Turn, mark: OrderMark) -> bool:
    """Whether something was told of this order already."""
    return mark.digest in turn.state.results


def note(
    turn: Turn,
    mark: OrderMark,
    result: Result,
    *,
    reason: str = "",
    at_ms: int | None = None,
    spoken_at_ms: int | None = None,
    told: bool = True,
) -> None:
    """What became of an order; it is told until the broker has it, and again when the order is offered again."""
    old = turn.state.results.get(mark.digest)
    _put_result(
        turn,
        mark.digest,
        OrderResult(
            incident=mark.incident,
            order_seq=mark.seq,
            result=result,
            reason=clean(reason, REASON_LETTERS),
            digest=mark.digest,
            at_ms=max(0, turn.now.wall_ms if at_ms is None else at_ms),
            spoken_at_ms=spoken_at_ms if spoken_at_ms is not None or old is None else old.result.spoken_at_ms,
        ),
        told=told,
    )


def _put_result(turn: Turn, key: str, result: OrderResult, *, told: bool = True) -> None:
    """Keep a result, forgetting the oldest beyond what is kept (those of orders that still sound come back by being told)."""
    results = {other: kept for other, kept in turn.state.results.items() if other != key}
    results[key] = Told(result, turn.now.mono_ns)
    for oldest in list(results)[: max(0, len(results) - RESULTS_KEPT)]:
        del results[oldest]
    unsent = turn.state.unsent | {key} if told else turn.state.unsent
    turn.set(results=results, unsent=unsent & results.keys())


def repeat_result(turn: Turn, mark: OrderMark) -> None:
    """The order came again: say again what became of it."""
    if knows(turn, mark):
        turn.set(unsent=turn.state.unsent | {mark.digest})
    else:
        note(turn, mark, "received", reason="held from before")


def refuse(turn: Turn, code: str, text: str, topic: str, *, digest: str, incident: str | None, order_seq: int | None) -> None:
    """Count a refusal; tell it with its reason, but of one kind and topic only every five seconds, and few in all."""
    state, now_ns = turn.state, turn.now.mono_ns
    turn.set(refused={**state.refused, code: state.refused.get(code, 0) + 1})
    health.ask(turn, delay_ns=health.DELAY_NS)
    said = {key: at_ns for key, at_ns in state.refusal_said_ns.items() if now_ns - at_ns < REFUSAL_QUIET_NS}
    what = code + topic
    if what in said or len(said) >= REFUSALS_TOLD:
        turn.set(refusal_said_ns=said)
        return
    turn.set(refusal_said_ns={**said, what: now_ns})
    told = OrderResult(
        incident=incident,
        order_seq=order_seq,
        result="refused",
        reason=clean(f"{code}: {text}", REASON_LETTERS),
        topic=clean(topic, TOPIC_LETTERS),
        digest=digest,
        at_ms=max(0, turn.now.wall_ms),
    )
    _put_result(turn, what, told)
    if code == ClockUnusable.code:
        turn.ask_hello(delay_ms=0)


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
        clock_error_ms=turn.state.clock_error_ms,
    )


def opening(turn: Turn, record: PlayRecord) -> tuple[PutRecord, PutNumber]:
    """What a play writes before it begins; the controller's mark rides along, so that it costs no transaction of its own."""
    return PutRecord(record, is_open=True), PutNumber("records_upto", turn.state.records_upto)


def close_record(turn: Turn, record: PlayRecord, ending: Ending, *, reason: str = "", ended_ms: int | None = None) -> None:
    """The play is over: keep the record closed, and tell it once it is on disk.

    Told before, its number could come to stand for another play after a power cut.
    """
    at_ms = max(0, turn.now.wall_ms if ended_ms is None else ended_ms)
    closed = structs.replace(record, ending=ending, reason=clean(reason, REASON_LETTERS), ended_ms=at_ms)
    turn.save(PutRecord(closed, is_open=False), closed=closed)


def closed(turn: Turn, record: PlayRecord) -> None:
    """A closed record is on disk."""
    turn.set(
        records={**turn.state.records, record.record_id: record},
        unsent_records=turn.state.unsent_records | {record.record_id},
    )


def recalled(turn: Turn, records: tuple[PlayRecord, ...]) -> None:
    """Records that were read from disk again: what memory knows of them is newer."""
    again = {record.record_id: record for record in records if record.record_id > turn.state.records_upto}
    turn.set(records=again | dict(turn.state.records), unsent_records=turn.state.unsent_records | again.keys())


def controller_has(turn: Turn, upto: int) -> bool:
    """The controller's mark. Returns whether records must be read again from disk: it lost some, or memory holds no more.

    A mark that goes back is believed once in ten minutes: it is not sealed, and each costs the link what was sent before.
    """
    hello_answered(turn)
    state = turn.state
    upto = min(upto, state.next_record_id - 1)
    if upto < state.records_upto:
        if state.mark_back_ns is not None and turn.now.mono_ns - state.mark_back_ns < MARK_BACK_QUIET_NS:
            return False
        turn.set(records_upto=upto, mark_back_ns=turn.now.mono_ns)
        return True
    kept = {number: record for number, record in state.records.items() if number > upto}
    unsent = frozenset(number for number in state.unsent_records if number > upto)
    turn.set(records_upto=upto, records=kept, unsent_records=unsent)
    if upto > state.records_upto:
        told = len(kept) > len(unsent)
        turn.set(records_again_ns=turn.now.mono_ns + RECORDS_AGAIN_NS if told else None, records_tries=0)
    return upto > state.records_upto and not kept and upto + len(state.plays) < state.next_record_id - 1


def hello_answered(turn: Turn) -> None:
    """The controller hears us. Had an earlier hello been lost, then play records of that time may be lost too: they go again."""
    if turn.state.hello_tries > 1:
        turn.set(unsent_records=frozenset(turn.state.records))
    if not turn.state.introduced and turn.state.hello_sent_ns is not None:
        turn.set(introduced=True)
        turn.save(PutNumber("introduced", 1))
    turn.set(hello_tries=0, hello_again_ns=None)


def _said_hello(turn: Turn) -> None:
    """It is said again unless it is answered: after 30 to 60 s (by the nonce, so that nodes do not speak as one), then rarer."""
    tries = turn.state.hello_tries + 1
    jitter_ns = HELLO_AGAIN_NS * int(turn.state.nonces[0][:4], 16) >> 16
    wait_ns = min((HELLO_AGAIN_NS + jitter_ns) << min(tries - 1, 16), HELLO_LONGEST_NS + jitter_ns)
    now_ns = turn.now.mono_ns
    told_ns = {nonce: turn.state.nonces_told_ns.get(nonce, now_ns) for nonce in turn.state.nonces}
    turn.set(nonces_told_ns=told_ns)
    turn.set(hello_due_ns=None, hello_sent_ns=now_ns, hello_tries=tries, hello_again_ns=now_ns + wait_ns)


def link_came_back(turn: Turn) -> None:
    """What was told shortly before the connection broke, or since, may be lost: tell it again."""
    state = turn.state
    since_ns = (turn.now.mono_ns if state.link_lost_ns is None else state.link_lost_ns) - AGAIN_NS
    again = {key for key, told in state.results.items() if told.noted_ns >= since_ns}
    turn.set(unsent=state.unsent | again, unsent_records=frozenset(state.records), link_lost_ns=None, hello_tries=0)
    turn.set(records_again_ns=None, records_tries=0)
    turn.ask_hello(delay_ms=0)


def say(turn: Turn) -> None:
    """Send whatever is due; called at the end of every turn."""
    state = turn.state
    if not state.link_up or state.collect_until_ns is not None:
        return
    _tell_records_again(turn)
    _say_receipt(turn)
    hello_ns = [due_ns for due_ns in (state.hello_due_ns, state.hello_again_ns) if due_ns is not None]
    if hello_ns and turn.now.mono_ns >= min(hello_ns):
        _said_hello(turn)
        turn.tell(Publish(_hello(turn)))
    health.say(turn)


def _tell_records_again(turn: Turn) -> None:
    """A receipt that the broker took and lost leaves a hole in the controller's count: the oldest records go once more."""
    state, now_ns = turn.state, turn.now.mono_ns
    if state.records_again_ns is None or now_ns < state.records_again_ns:
        return
    tries = min(state.records_tries + 1, RECORDS_AGAIN_DOUBLED)
    oldest = sorted(state.records)[:PLAYS_A_RECEIPT]
    again_ns = now_ns + (RECORDS_AGAIN_NS << tries) if oldest else None
    turn.set(unsent_records=state.unsent_records.union(oldest), records_tries=tries, records_again_ns=again_ns)


def _to_be_told(turn: Turn) -> frozenset[int]:
    """The records that may go: none until the controller knows that an older memory, and its numbers, are gone."""
    return turn.state.unsent_records if turn.state.introduced else frozenset()


def _say_receipt(turn: Turn) -> None:
    """One receipt a turn, within its size; what does not fit follows with the next."""
    state, numbers = turn.state, _to_be_told(turn)
    if not state.unsent and not numbers:
        return
    keys = [key for key in state.results if key in state.unsent][:RESULTS_A_RECEIPT]
    results = _within([state.results[key].result for key in keys])
    plays = _within([state.records[number] for number in sorted(numbers)[:PLAYS_A_RECEIPT]])
    keys = keys[: len(results)]
    # what was refused is not remembered: the same bytes are judged anew when they come again
    refused = {key for key in keys if state.results[key].result.result == "refused"}
    turn.set(
        unsent=state.unsent - set(keys),
        unsent_records=state.unsent_records - {record.record_id for record in plays},
        results={key: told for key, told in state.results.items() if key not in refused},
    )
    if plays and state.records_again_ns is None:
        turn.set(records_again_ns=turn.now.mono_ns + RECORDS_AGAIN_NS)
    turn.tell(Publish(Receipt(**_common(turn), results=tuple(results), plays=tuple(plays))))


def _within(entries: list[Entry]) -> list[Entry]:
    """As many as half a receipt holds, and one at least."""
    room_bytes = HALF_RECEIPT_BYTES
    for count, entry in enumerate(entries):
        room_bytes -= len(_encode(entry))
        if room_bytes < 0 and count:
            return entries[:count]
    return entries


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
        Held(
            kind=slot.kind,
            subject=slot.subject,
            authority=doc.payload.authority,
            seq=doc.payload.seq,
            digest=doc.digest,
            pending=pending,
        )
        for pending, table in ((False, state.documents), (True, state.waiting))
        for slot, doc in table.items()
    ]
    held[:0] = [
        Held(kind="suspend", subject=each.what.area, authority=each.what.authority, seq=each.what.seq, digest=each.digest)
        for each in state.suspends.values()
        if not turn.wall.is_past(each.what.forgotten_ms)
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
        version=VERSION if state.slots is None else f"{state.slots.version}+{state.slots.build}",
        reads=READS,
        holds=tuple(held[:HOLDS_A_HELLO]),
        incidents=incidents[:STANDING_A_HELLO],
        stops=tuple(mark.digest for mark in authority.standing_orders(turn).stops())[-STANDING_A_HELLO:],
        missing_media=state.late_media,
        amnesia=state.first_boot,
        last_record_id=state.next_record_id - 1 if state.introduced else 0,
        first_record_id=state.first_record_id,
        troubles=tuple(sorted(state.troubles)),
        boot=state.boot,
        orders=state.orders_on_disk,
        network=reach.told(turn),
    )


def next_wake_ns(turn: Turn) -> list[int]:
    """When something will be due to be said."""
    state = turn.state
    if not state.link_up:
        return []
    wakes = [due_ns for due_ns in (state.hello_due_ns, state.hello_again_ns) if due_ns is not None]
    if state.records_again_ns is not None:
        wakes.append(state.records_again_ns)
    if state.unsent or _to_be_told(turn):
        wakes.append(turn.now.mono_ns + MORE_AFTER_NS)
    wakes += health.next_wake_ns(turn)
    return [max(wake, turn.now.mono_ns + 50 * MS_NS) for wake in wakes]
