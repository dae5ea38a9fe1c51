"""What a power cut left, taken up again: documents, marks, records, and an emergency that was not over."""

from msgspec import structs

from edge_agent.commands import PutOrder
from edge_agent.core import content, reports
from edge_agent.core.state import MS_NS, Alarm, Stored, Turn
from edge_agent.events import KeptOrder, Memory
from protocol.envelope import payload_of
from protocol.orders import ExerciseStart, Start
from protocol.rules import document_mark, slot_of
from protocol.seen import Seen
from protocol.units import Document


def recall(turn: Turn, memory: Memory) -> None:
    """Take up everything that the store held. Runs once, as the first event."""
    seen = Seen(evicted_seq=memory.evicted_seq, amnesia_since_ms=memory.created_ms)
    turn.set(
        seen=seen,
        boot_count=memory.boot_count,
        first_boot=memory.first_boot,
        floor_ms=memory.floor_ms,
        media=memory.media,
        next_record_id=memory.next_record_id,
        first_record_id=memory.first_record_id,
        records_upto=memory.records_upto,
        records={record.record_id: record for record in memory.records},
        played={key: key[3] for key in memory.played},
        booted=True,
    )
    for mark in memory.marks:
        turn.set(seen=turn.state.seen.with_order(mark))
    _recall_documents(turn, memory)
    for order in memory.orders:
        _recall_order(turn, order)
    turn.trouble("amnesia", there=memory.first_boot)
    content.end_disempowered(turn)
    content.refresh_wants(turn)
    turn.ask_hello(delay_ms=0)


def _recall_documents(turn: Turn, memory: Memory) -> None:
    rank = {"root": 0, "grant": 1, "placement": 2}
    for kept in sorted(memory.documents, key=lambda kept: rank.get(kept.kind, len(rank))):
        payload = payload_of(kept.raw)
        if not isinstance(payload, Document):
            continue
        slot = slot_of(payload)
        stored = Stored(payload, kept.digest, kept.raw, kept.keyids)
        held = turn.state.seen.document(slot)
        mark = document_mark(payload, kept.digest)
        if held is None or (mark.seq, mark.digest) > (held.seq, held.digest):
            turn.set(seen=turn.state.seen.with_document(slot, mark))
        if kept.pending:
            turn.set(waiting={**turn.state.waiting, slot: stored})
        else:
            turn.set(documents={**turn.state.documents, slot: stored})
            if kept.kind in rank:
                turn.set(trust=turn.state.trust.with_document(payload))  # type: ignore[arg-type]  # a root, grant or placement


def _recall_order(turn: Turn, order: KeptOrder) -> None:
    """An unfinished emergency resumes while its times allow; with an unknown clock it is heard once more."""
    turn.set(seen=turn.state.seen.with_order(order.mark))
    start = payload_of(order.raw)
    if not isinstance(start, Start | ExerciseStart) or order.state in ("ended", "stopped"):
        reports.note(turn, order.mark, "stopped" if order.state == "stopped" else "ended", at_ms=order.accepted_ms)
        return
    alarm = Alarm(start=start, mark=order.mark, raw=order.raw, accepted_ms=order.accepted_ms, replays=1)
    gone_ms = turn.now.wall_ms - order.accepted_ms
    if turn.state.clock_usable and gone_ms >= start.sound_max_s * 1_000:
        turn.save(PutOrder(KeptOrder(order.raw, order.mark, order.accepted_ms, "ended")))
        reports.note(turn, order.mark, "ended", reason="power was off until its sound time was over")
        return
    if turn.state.clock_usable:
        alarm = structs.replace(alarm, sounded_ns=max(1, turn.now.mono_ns - gone_ms * MS_NS))
    else:
        alarm = structs.replace(alarm, repeats_done=start.repeats - 1)
    turn.set(alarms={**turn.state.alarms, start.incident: alarm})
