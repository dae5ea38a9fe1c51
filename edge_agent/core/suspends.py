"""Keys that are suspended: kept like an order, in force at once, over by the clock or after as long without one."""

from typing import Final

from msgspec import structs

from edge_agent.commands import DropDocument, PutDocument, PutNumber
from edge_agent.core import alarms
from edge_agent.core.state import MS_NS, Suspended, Turn
from edge_agent.events import KeptDocument, Memory
from protocol.envelope import Opened, payload_of
from protocol.errors import ProtocolError
from protocol.passing import Suspend
from protocol.rules import FUTURE_SLACK_MS
from protocol.suspension import mark_of_suspend, slot_of_suspend
from protocol.trust import Suspension

NOTED_EVERY_MS: Final = 3_600_000
"""How long one has run is written every hour, so that a node without a clock, that loses power every day, comes to its end."""


def take(turn: Turn, opened: Opened, what: Suspend, ref: int) -> None:
    """It acts in this turn; what it voids is over before it is on disk, for that can only make things quieter."""
    slot = slot_of_suspend(what)
    held = Suspended(what=what, digest=opened.digest, keyids=opened.keyids, since_ns=turn.now.mono_ns)
    turn.set(
        seen=turn.state.seen.with_document(slot, mark_of_suspend(what, opened.digest)),
        suspends={**turn.state.suspends, slot: held},
    )
    kept = KeptDocument(opened.raw, slot.kind, opened.digest, opened.keyids, pending=False)
    turn.save(PutDocument(slot, kept), digest=opened.digest, acknowledge=(ref,))
    _renew(turn)


def recall(turn: Turn, memory: Memory) -> None:
    """What a power cut left of them; those that lie below the floor are over for good."""
    for kept in memory.documents:
        if kept.kind != "suspend":
            continue
        try:
            what = payload_of(kept.raw)
        except ProtocolError:
            turn.trouble("memory-unreadable", there=True)
            continue
        if not isinstance(what, Suspend):
            continue
        slot = slot_of_suspend(what)
        if what.forgotten_ms <= turn.state.floor_ms:
            turn.save(DropDocument(slot, pending=False))
            continue
        ran_ms = memory.suspends_ran_ms.get(kept.digest, 0)
        held = Suspended(what=what, digest=kept.digest, keyids=kept.keyids, since_ns=turn.now.mono_ns, ran_ms=ran_ms)
        turn.set(
            seen=turn.state.seen.with_document(slot, mark_of_suspend(what, kept.digest)),
            suspends={**turn.state.suspends, slot: held},
        )
    _renew(turn)


def keep_up(turn: Turn) -> None:
    """Time passed, or authority changed: find what is in force now."""
    if not turn.state.suspends:
        return
    _note_time(turn)
    _renew(turn)


def _note_time(turn: Turn) -> None:
    for slot, held in turn.state.suspends.items():
        most_ms = held.what.until_ms - held.what.seq
        if held.what.lifts or held.ran_ms >= most_ms:
            continue
        # what a usable clock called over stays over: it does not come back when the clock is lost
        ran_ms = most_ms if turn.wall.usable and turn.wall.is_past(held.what.until_ms) else _ran_ms(turn, held)
        if ran_ms >= most_ms or ran_ms - held.ran_ms >= NOTED_EVERY_MS:
            noted = structs.replace(held, ran_ms=ran_ms, since_ns=turn.now.mono_ns)
            turn.set(suspends={**turn.state.suspends, slot: noted})
            turn.save(PutNumber(f"suspend {held.digest}", ran_ms))


def _ran_ms(turn: Turn, held: Suspended) -> int:
    return held.ran_ms + (turn.now.mono_ns - held.since_ns) // MS_NS


def _counts(turn: Turn, held: Suspended) -> bool:
    """One from the future, or that ran for all its time, never counts; the rest is the trust's own question."""
    if turn.wall.usable and held.what.seq > turn.wall.wall_ms + FUTURE_SLACK_MS:
        return False
    return held.what.lifts or turn.wall.usable or _ran_ms(turn, held) < held.what.until_ms - held.what.seq


def _renew(turn: Turn) -> None:
    """Put into the trust what counts; where that changes who is void, what their keys began ends and all is planned anew."""
    counting = [held for held in turn.state.suspends.values() if _counts(turn, held)]
    suspensions = tuple(Suspension(held.what, held.keyids) for held in counting)
    if suspensions != turn.state.trust.suspensions:
        turn.set(trust=turn.state.trust.with_suspensions(suspensions))
    trust, now = turn.state.trust, turn.wall
    in_force = frozenset(held.digest for held in counting if held.what.key_id in trust.suspended(held.what.area, now))
    if in_force == turn.state.suspends_in_force:
        return
    turn.set(suspends_in_force=in_force, plan_stale=True)
    turn.ask_hello(delay_ms=0)
    alarms.end_disempowered(turn)


def next_wake_ns(turn: Turn) -> list[int]:
    """When the next one ends."""
    state = turn.state
    wakes = []
    for held in state.suspends.values():
        if held.digest not in state.suspends_in_force:
            continue
        if state.clock_usable:
            wakes.append(turn.mono_ns_of(held.what.until_ms))
        left_ms = held.what.until_ms - held.what.seq - held.ran_ms
        if left_ms > 0:
            wakes.append(held.since_ns + min(left_ms, NOTED_EVERY_MS) * MS_NS)
    return [max(wake, turn.now.mono_ns + MS_NS) for wake in wakes]
