"""Documents and their media: newer only; a set replaces the old one only when all of it is on disk."""

from edge_agent.commands import DropDocument, HoldFetch, PutDocument
from edge_agent.core import alarms, authority, cache, clock
from edge_agent.core.cache import media_of
from edge_agent.core.state import Stored, Turn
from edge_agent.events import KeptDocument
from protocol.bulletins import Programme
from protocol.documents import AnyDocument, Grant, Network, Placement, Root, Station
from protocol.envelope import Opened
from protocol.recurrence import Calendar
from protocol.release import Release
from protocol.rules import document_mark, slot_of
from protocol.seen import Seen, Slot

FLOOR_PERSONS = 2


def stored_of(payload: AnyDocument | Release, kept: KeptDocument) -> Stored:
    """A document with what is asked of it often."""
    calendar = Calendar(payload, kept.digest) if isinstance(payload, Programme) else None
    return Stored(payload, kept.digest, kept.raw, kept.keyids, frozenset(media_of(payload)), calendar)


def take_document(turn: Turn, opened: Opened, ref: int) -> None:
    """Keep a new document; it is in force at once, or waits until its content is whole and its time has come."""
    document = opened.payload
    assert isinstance(document, AnyDocument | Release)  # noqa: S101  the inbox sorted it
    slot = slot_of(document)
    stored = stored_of(document, KeptDocument(opened.raw, slot.kind, opened.digest, opened.keyids, pending=False))
    turn.set(seen=turn.state.seen.with_document(slot, document_mark(document, opened.digest)))
    waits = not _is_ready(turn, stored)
    if waits:
        turn.set(waiting={**turn.state.waiting, slot: stored})
    else:
        _put_in_force(turn, slot, stored)
    turn.save(put(slot, stored, pending=waits), digest=opened.digest, acknowledge=(ref,))
    if isinstance(document, Root | Grant) and len(opened.persons) >= FLOOR_PERSONS:
        if isinstance(document, Root) and document.body.floor_reset_ms is not None:
            clock.reset_floor(turn, document.body.floor_reset_ms)
        else:
            clock.raise_floor(turn, document.seq)
    turn.set(supply_stale=True)
    turn.ask_hello(delay_ms=500)


def put(slot: Slot, stored: Stored, *, pending: bool) -> PutDocument:
    """The write that keeps a document, as the one in force or as the one that waits."""
    return PutDocument(slot, KeptDocument(stored.raw, slot.kind, stored.digest, stored.keyids, pending=pending))


def _put_in_force(turn: Turn, slot: Slot, stored: Stored) -> None:
    """From now on this is what counts in its slot."""
    cache.touch(turn, turn.state.documents.get(slot), turn.state.waiting.get(slot))
    waiting = {other: held for other, held in turn.state.waiting.items() if other != slot}
    turn.set(documents={**turn.state.documents, slot: stored}, waiting=waiting, plan_stale=True)
    if isinstance(stored.payload, Root | Grant | Placement):
        turn.set(trust=turn.state.trust.with_document(stored.payload))
        end_disempowered(turn)


def _is_ready(turn: Turn, stored: Stored) -> bool:
    """Authority counts at once; rules and programmes from their day on, and when all that they name is here.

    Under a clock that cannot be trusted their day has come only if it lies before the floor: tomorrow's programme would
    otherwise take today's place for good.
    """
    document = stored.payload
    if not isinstance(document, Programme | Station | Network):
        return True
    latest_ms = turn.now.wall_ms if turn.state.clock_usable else turn.state.floor_ms
    return document.valid_from_ms <= latest_ms and stored.media <= turn.state.media.keys()


def promote(turn: Turn) -> None:
    """Whatever was waiting and is now whole comes into force."""
    ready = [(slot, stored) for slot, stored in turn.state.waiting.items() if _is_ready(turn, stored)]
    for slot, stored in ready:
        _put_in_force(turn, slot, stored)
        turn.save(put(slot, stored, pending=False))
    if ready:
        turn.set(supply_stale=True)
        turn.ask_hello(delay_ms=500)


def end_disempowered(turn: Turn) -> None:
    """After a change of authority: what its signers may no longer say ends now, by a newer version, never by absence."""
    for name, pending in (("documents", False), ("waiting", True)):
        table: dict[Slot, Stored] = dict(getattr(turn.state, name))
        ended = [slot for slot, stored in table.items() if _is_over(turn, stored)]
        if ended:
            cache.touch(turn, *(table[slot] for slot in ended))
            turn.set(
                supply_stale=True,
                **{name: {slot: stored for slot, stored in table.items() if slot not in ended}},
                plan_stale=True,
            )
            turn.save(*(DropDocument(slot, pending) for slot in ended))
            turn.set(seen=_without_marks(turn, ended))
            turn.ask_hello(delay_ms=500)
    alarms.end_disempowered(turn)


def _without_marks(turn: Turn, ended: list[Slot]) -> Seen:
    """What ended is no measure any more: the highest by those who still may comes in again, now as after a restart."""
    seen = turn.state.seen
    for slot in ended:
        left = [table[slot] for table in (turn.state.documents, turn.state.waiting) if slot in table]
        seen = seen.without_document(slot)
        if left:
            newest = max(left, key=lambda stored: (stored.payload.seq, stored.digest))
            seen = seen.with_document(slot, document_mark(newest.payload, newest.digest))
    return seen


def _is_over(turn: Turn, stored: Stored) -> bool:
    """Authority itself ends only by a newer one."""
    document = stored.payload
    return isinstance(document, Programme | Station | Network) and authority.why_not(turn, document, stored.keyids) is not None


def _clips_wanted(turn: Turn) -> dict[str, int]:
    starts = [alarm.start for alarm in turn.state.alarms.values()]
    clips = [clip for start in starts for clip in start.clips if clip.purpose == start.purpose]
    return {clip.sha256: clip.bytes for clip in clips if clip.sha256 not in turn.state.media}


def media_stored(turn: Turn, sha256: str) -> None:
    """A file came whole: a waiting set may now be complete."""
    cache.stored(turn, sha256)
    turn.set(wants=tuple(want for want in turn.state.wants if want.sha256 != sha256), supply_stale=True)
    turn.trouble("media-failed", there=False)


def lend_link(turn: Turn) -> None:
    """While an emergency stands the link belongs to it, and to the recordings that it names."""
    clips = _clips_wanted(turn)
    if clips != turn.state.clips_wanted:
        turn.set(clips_wanted=clips, supply_stale=True)
    hold = bool(turn.state.alarms) and not clips
    if hold != turn.state.fetch_held:
        turn.set(fetch_held=hold)
        turn.tell(HoldFetch(hold))
