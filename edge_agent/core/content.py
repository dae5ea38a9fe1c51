"""Documents and their media: newer only; a set replaces the old one only when all of it is on disk."""

from edge_agent.commands import DropDocument, Fetch, HoldFetch, PutDocument, Want
from edge_agent.core import clock
from edge_agent.core.state import After, Stored, Turn
from edge_agent.events import KeptDocument
from protocol.documents import Grant, Placement, Programme, Root, Station
from protocol.envelope import Opened
from protocol.errors import ProtocolError
from protocol.rules import authorise, document_mark, slot_of
from protocol.seen import Slot

FLOOR_PERSONS = 2


def media_of(programme: Programme) -> dict[str, int]:
    """The set of a programme: digest and size of every file it names."""
    files = [variant.media for item in programme.body.items for variant in item.variants if variant.media]
    return {media.sha256: media.bytes for media in files}


def take_document(turn: Turn, opened: Opened, ref: int) -> None:
    """Keep a new document; it is in force at once, or waits until its content is whole and its time has come."""
    document = opened.payload
    assert isinstance(document, Root | Grant | Placement | Station | Programme)  # noqa: S101  the inbox sorted it
    slot = slot_of(document)
    stored = Stored(document, opened.digest, opened.raw, opened.keyids)
    waits = isinstance(document, Programme) and not _is_ready(turn, document)
    turn.set(seen=turn.state.seen.with_document(slot, document_mark(document, opened.digest)))
    if waits:
        turn.set(waiting={**turn.state.waiting, slot: stored})
    else:
        put_in_force(turn, slot, stored)
    kept = KeptDocument(opened.raw, opened.kind, opened.digest, opened.keyids, pending=waits)
    turn.save(PutDocument(slot, kept), after=After(acknowledge=ref))
    if isinstance(document, Root | Grant) and len(opened.persons) >= FLOOR_PERSONS:
        if isinstance(document, Root) and document.body.floor_reset_ms is not None:
            clock.reset_floor(turn, document.body.floor_reset_ms)
        else:
            clock.raise_floor(turn, document.seq)
    turn.ask_hello(delay_ms=500)
    refresh_wants(turn)


def put_in_force(turn: Turn, slot: Slot, stored: Stored) -> None:
    """From now on this is what counts in its slot."""
    waiting = {other: doc for other, doc in turn.state.waiting.items() if other != slot}
    turn.set(documents={**turn.state.documents, slot: stored}, waiting=waiting, planned_to_ms=0)
    if isinstance(stored.payload, Root | Grant | Placement):
        turn.set(trust=turn.state.trust.with_document(stored.payload))
        end_disempowered(turn)


def _is_ready(turn: Turn, programme: Programme) -> bool:
    begun = not turn.state.clock_usable or programme.valid_from_ms <= turn.now.wall_ms
    return begun and set(media_of(programme)) <= turn.state.media


def promote(turn: Turn) -> None:
    """Whatever was waiting and is now whole comes into force."""
    for slot, stored in list(turn.state.waiting.items()):
        if isinstance(stored.payload, Programme) and _is_ready(turn, stored.payload):
            put_in_force(turn, slot, stored)
            kept = KeptDocument(stored.raw, slot.kind, stored.digest, stored.keyids, pending=False)
            turn.save(PutDocument(slot, kept))
            turn.ask_hello(delay_ms=500)


def end_disempowered(turn: Turn) -> None:
    """After a change of grants: what its signers may no longer say ends now, by a newer version, never by absence."""
    state = turn.state
    for pending, table in ((False, state.documents), (True, state.waiting)):
        for slot, stored in list(table.items()):
            if isinstance(stored.payload, Programme | Station) and not still_empowered(turn, stored):
                turn.save(DropDocument(slot, pending))
                turn.set(
                    **{
                        "waiting" if pending else "documents": {
                            other: doc for other, doc in table.items() if other != slot and doc is not stored
                        }
                    },
                    planned_to_ms=0,
                )


def still_empowered(turn: Turn, stored: Stored) -> bool:
    """Whether those who signed a held document may still say it."""
    state = turn.state
    try:
        authorise(stored.payload, stored.keyids, trust=state.trust, me=state.me, now=turn.wall, held=True)
    except ProtocolError:
        return False
    return True


def refresh_wants(turn: Turn) -> None:
    """Which files are needed and not there: clips of emergencies first, then what is in force, then what waits."""
    state = turn.state
    wanted: dict[str, int] = {}
    for alarm in state.alarms.values():
        wanted |= {clip.sha256: clip.bytes for clip in alarm.start.clips if clip.purpose == alarm.start.purpose}
    for table in (state.documents, state.waiting):
        for stored in table.values():
            if isinstance(stored.payload, Programme):
                wanted |= media_of(stored.payload)
    wants = tuple(Want(sha256, size) for sha256, size in wanted.items() if sha256 not in state.media)
    if wants != state.wants:
        turn.set(wants=wants)
        turn.tell(Fetch(wants))


def media_stored(turn: Turn, sha256: str) -> None:
    """A file came whole: a waiting set may now be complete."""
    turn.set(media=turn.state.media | {sha256}, wants=tuple(want for want in turn.state.wants if want.sha256 != sha256))
    promote(turn)
    turn.trouble("media-failed", there=False)
    if not turn.state.wants:
        turn.ask_hello(delay_ms=500)


def hold_fetch(turn: Turn) -> None:
    """While an emergency stands the link belongs to it."""
    hold = bool(turn.state.alarms)
    if hold != turn.state.fetch_held:
        turn.set(fetch_held=hold)
        turn.tell(HoldFetch(hold))
