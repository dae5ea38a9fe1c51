"""What a power cut left, taken up again: documents, marks, records, and an emergency that was not over."""

from collections import Counter
from typing import Final, Literal

from msgspec import structs

from edge_agent.core import authority, clock, content, plan, reach, reports, suspends
from edge_agent.core.state import MS_NS, Alarm, Turn
from edge_agent.events import KeptOrder, Memory
from protocol.documents import Root
from protocol.envelope import payload_of
from protocol.errors import ProtocolError
from protocol.orders import ExerciseStart, Start
from protocol.reports import PlayRecord
from protocol.rules import document_mark, may_stop, silences, slot_of
from protocol.seen import KEPT_PER_KEY, Seen
from protocol.units import Document

RANK: Final = {"root": 0, "grant": 1, "placement": 2}
TOLD_AGAIN: Final = 8
"""So many results are told after a boot: their receipts may have been on the way when the power went."""


def recall(turn: Turn, memory: Memory) -> None:
    """Take up everything that the store held. Runs once, as the first event."""
    turn.set(
        seen=_seen_of(memory),
        boot_count=memory.boot_count,
        boot=turn.now.dice,
        first_boot=memory.first_boot,
        introduced=not memory.first_boot,
        floor_ms=memory.floor_ms,
        media=memory.media,
        spent_month=memory.media_month,
        spent_bytes=memory.media_bytes,
        spent_saved_month=memory.media_month,
        spent_saved_bytes=memory.media_bytes,
        next_record_id=memory.next_record_id,
        first_record_id=memory.first_record_id,
        records_upto=memory.records_upto,
        records={record.record_id: record for record in memory.records},
        unsent_records=frozenset(record.record_id for record in memory.records),
        played={(rec.area, rec.authority, rec.item, rec.planned_ms): rec.planned_ms for rec in memory.bulletins},
        update=memory.update,
        update_recalled=memory.update is not None,
        booted=True,
    )
    clock.trust_rtc(turn, memory.rtc_good_ms)
    clock.judge(turn)  # again: only now are the floor and the RTC's past known
    _recall_documents(turn, memory)
    suspends.recall(turn, memory)
    for record in memory.bulletins:
        plan.count_session(turn, record)
    for number, order in enumerate(memory.orders, TOLD_AGAIN - len(memory.orders)):
        _recall_order(turn, order, told=number >= 0)
    _fill_gaps(turn, memory)
    content.end_disempowered(turn)
    reach.recall(turn, memory.reach)
    turn.ask_hello(delay_ms=0)


def _fill_gaps(turn: Turn, memory: Memory) -> None:
    """A number whose record a failing card never took is told as lost: the controller counts without gaps."""
    known = {record.record_id for record in memory.records}
    newest = max(known, default=memory.records_upto)
    for number in range(memory.records_upto + 1, newest):
        if number not in known:
            lost = PlayRecord(
                record_id=number,
                boot_count=memory.boot_count,
                digest="0" * 64,
                item="lost",
                area=turn.state.node,
                authority="placement",
                purpose="routine",
                planned_ms=0,
                ending="cut",
                clock_state="unknown",
            )
            reports.close_record(turn, lost, "cut", reason="the card failed before the power went: its record is lost")


def _seen_of(memory: Memory) -> Seen:
    marks = [*memory.marks, *(order.mark for order in memory.orders)]
    orders = {mark.identity: mark for mark in marks}
    seen = Seen(orders=orders, evicted_seq=memory.evicted_seq, amnesia_since_ms=memory.created_ms)
    counts = Counter(keyid for mark in orders.values() for keyid in mark.keyids)
    for keyid in [keyid for keyid, count in counts.items() if count > KEPT_PER_KEY]:
        # one that is there already, put in again: the key's oldest beyond what is kept are forgotten by the same rule as ever
        seen = seen.with_order(max((mark for mark in orders.values() if keyid in mark.keyids), key=lambda mark: mark.seq))
    return seen


def _recall_documents(turn: Turn, memory: Memory) -> None:
    """Authority first. What cannot be read (an older program's memory) or is older than what is in force is left aside."""
    for kept in sorted(memory.documents, key=lambda kept: (RANK.get(kept.kind, len(RANK)), kept.pending)):
        try:
            payload = payload_of(kept.raw)
        except ProtocolError:
            turn.trouble("memory-unreadable", there=True)
            continue
        if not isinstance(payload, Document):
            continue
        pinned = turn.state.trust.root
        if isinstance(payload, Root) and pinned is not None and payload.body.version < pinned.body.version:
            continue
        slot, mark = slot_of(payload), document_mark(payload, kept.digest)
        held = turn.state.seen.document(slot)
        if held is not None and (mark.seq, mark.digest) <= (held.seq, held.digest):
            continue
        stored = content.stored_of(payload, kept)
        turn.set(seen=turn.state.seen.with_document(slot, mark))
        name = "waiting" if kept.pending else "documents"
        turn.set(**{name: {**getattr(turn.state, name), slot: stored}})
        if kept.kind in RANK:
            turn.set(trust=turn.state.trust.with_document(payload))  # type: ignore[arg-type]  # a root, grant or placement


def _recall_order(turn: Turn, order: KeptOrder, *, told: bool) -> None:
    """An unfinished emergency resumes while its times allow; with an unknown clock it is heard once more."""
    if order.state in ("ended", "stopped"):
        reports.note(turn, order.mark, "stopped" if order.state == "stopped" else "ended", at_ms=order.accepted_ms, told=told)
        return
    try:
        start = payload_of(order.raw)
    except ProtocolError:
        turn.trouble("memory-unreadable", there=True)
        return
    if not isinstance(start, Start | ExerciseStart):
        return
    alarm = Alarm(start=start, mark=order.mark, raw=order.raw, accepted_ms=order.accepted_ms, tries=1)
    seen = authority.standing_orders(turn)
    if any(silences(stop, order.mark, turn.state.trust) for stop in seen.stops()):
        _close(turn, alarm, "stopped", "stopped by order")
    elif any(other.seq > start.seq and may_stop(other, order.mark, turn.state.trust) for other in seen.starts_of(start.incident)):
        _close(turn, alarm, "ended", "updated")
    elif not turn.state.clock_usable:
        _resume(turn, structs.replace(alarm, repeats_done=start.repeats - 1))
    else:
        _resume_in_time(turn, alarm, order)


def _resume_in_time(turn: Turn, alarm: Alarm, order: KeptOrder) -> None:
    """Its sound time went on while the power was off; one that was never heard may begin as long as it may be accepted."""
    start, now = alarm.start, turn.now
    gone_ms = max(0, now.wall_ms - order.accepted_ms)
    if order.state == "accepted" and now.wall_ms <= start.accept_until_ms:
        _resume(turn, alarm)
    elif gone_ms < start.sound_max_s * 1_000:
        _resume(turn, structs.replace(alarm, sounded_ns=now.mono_ns - gone_ms * MS_NS))
    else:
        _close(turn, alarm, "ended", "power was off until its sound time was over")


def _resume(turn: Turn, alarm: Alarm) -> None:
    turn.set(alarms={**turn.state.alarms, alarm.start.incident: alarm})


def _close(turn: Turn, alarm: Alarm, state: Literal["stopped", "ended"], why: str) -> None:
    turn.save(alarm.put(state))
    reports.note(turn, alarm.mark, state, reason=why)
