"""What follows when a transaction is on disk, and when it is not: an order is refused, all else is tried again until it is."""

from msgspec import structs

from edge_agent.commands import Acknowledge, PutDocument, Write
from edge_agent.core import alarms, content, playback, reach, reports, update
from edge_agent.core.state import MS_NS, After, Turn
from edge_agent.core.writes import key_of, outdated_by
from edge_agent.events import Saved, SaveFailed
from protocol.seen import Seen

AGAIN_NS = 5_000 * MS_NS
MOST_UNWRITTEN = 256
"""A card that takes nothing for days must not fill the memory; what is oldest is given up first."""


def saved(turn: Turn, event: Saved) -> None:
    """It is on disk: what was accepted takes effect, then its messages are acknowledged, then its result is told."""
    after = _take_out(turn, event.ref)
    if after is None:
        return
    turn.trouble("storage-failed", there=bool(turn.state.unwritten))
    if turn.state.unwritten:
        turn.set(retry_ns=turn.now.mono_ns)  # the card takes something again
    if after.alarm is not None:
        alarms.take_effect(turn, after.alarm, after.record)
    if after.play_id is not None:
        playback.recorded(turn, after.play_id)
    if after.closed is not None:
        reports.closed(turn, after.closed)
    if after.update is not None:
        update.kept(turn, after.update)
    if after.reach is not None:
        reach.kept(turn, after.reach)
    turn.tell(*(Acknowledge(ref) for ref in after.acknowledge))
    if after.order is not None and not reports.knows(turn, after.order):
        reports.note(turn, after.order, after.result)


def failed(turn: Turn, event: SaveFailed) -> None:
    """Nothing of it is on disk.

    A START is refused, unacknowledged, and changes nothing; a bulletin whose record cannot be kept is not begun. Everything
    else holds already (a STOP silences, a play is over, a document is in force): it is tried again until it is written.
    """
    after = _take_out(turn, event.ref)
    turn.trouble("storage-failed", there=True)
    if after is None:
        return
    reason = f"storage: {event.reason}"
    if after.alarm is not None:
        turn.set(seen=_without(turn, after.digest))
        reports.note(turn, after.alarm.mark, "refused", reason=reason)
        if after.record is not None:
            reports.close_record(turn, after.record, "skipped", reason=reason)
        return
    if after.play_id is not None and not playback.unrecorded(turn, after.play_id, reason):
        return
    under_way = [write for ref, other in turn.state.after.items() if ref > event.ref for write in other.writes]
    newer = frozenset().union(*map(outdated_by, under_way))
    kept = structs.replace(after, play_id=None, writes=tuple(write for write in after.writes if key_of(write) not in newer))
    if kept.writes or kept.acknowledge:
        turn.set(unwritten=(*turn.state.unwritten, kept)[-MOST_UNWRITTEN:], retry_ns=turn.now.mono_ns + AGAIN_NS)


def try_again(turn: Turn) -> None:
    """Write what could not be written: one thing every few seconds, and once the card takes it the next at once.

    Never all of it at a time: a card that fails would be written to thousands of times an hour. What fails again goes to the end.
    """
    unwritten = turn.state.unwritten
    if not unwritten or turn.now.mono_ns < turn.state.retry_ns:
        return
    turn.set(unwritten=unwritten[1:], retry_ns=turn.now.mono_ns + AGAIN_NS)
    fields = structs.asdict(unwritten[0])
    writes = fields.pop("writes")
    turn.save(*writes, *_waiting_behind(turn, writes), **fields)


def _waiting_behind(turn: Turn, writes: tuple[Write, ...]) -> list[Write]:
    """A document that comes into force on the card ends what waited in its slot: the one that waits for its turn goes with it."""
    slots = [write.slot for write in writes if isinstance(write, PutDocument) and not write.document.pending]
    return [content.put(slot, turn.state.waiting[slot], pending=True) for slot in slots if slot in turn.state.waiting]


def next_wake_ns(turn: Turn) -> list[int]:
    """When what could not be written is tried again."""
    return [turn.state.retry_ns] if turn.state.unwritten else []


def join(turn: Turn, digest: str, ref: int) -> bool:
    """The same bytes came again before they are on disk: acknowledge them together. Returns whether that is so."""
    for number, after in turn.state.after.items():
        if after.digest == digest:
            joined = structs.replace(after, acknowledge=(*after.acknowledge, ref))
            turn.set(after={**turn.state.after, number: joined})
            return True
    for after in turn.state.unwritten:
        if after.digest == digest:
            joined = structs.replace(after, acknowledge=(*after.acknowledge, ref))
            turn.set(unwritten=tuple(joined if other is after else other for other in turn.state.unwritten))
            return True
    return False


def _take_out(turn: Turn, ref: int) -> After | None:
    after = turn.state.after.get(ref)
    if after is not None:
        turn.set(after={number: other for number, other in turn.state.after.items() if number != ref})
    return after


def _without(turn: Turn, digest: str) -> Seen:
    seen = turn.state.seen
    return structs.replace(seen, orders={key: mark for key, mark in seen.orders.items() if mark.digest != digest})
