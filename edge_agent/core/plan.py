"""Bulletins in time: what is due, what waits, what is late; hours and STOPs that keep routine silent."""

from msgspec import structs

from edge_agent.core import content, reports
from edge_agent.core.state import Due, OccurrenceKey, Playing, Turn
from edge_agent.events import PlayEnded
from protocol.documents import Programme, Station, StationBody
from protocol.errors import Malformed
from protocol.programme import occurrences, open_until, precedence
from protocol.rules import may_stop
from protocol.seen import Slot

HORIZON_MS = 1_200_000
REPLAN_BEFORE_MS = 300_000
LEAD_MS = 1_500
"""An item is prepared this long before its time: its record is on disk and its decoder runs when the instant comes."""
PLAYED_KEPT_MS = 2 * 86_400_000
LONGEST_GRACE_MS = 3_600_000


def station(turn: Turn) -> StationBody | None:
    """The operating rules that hold here: those of the placement's station, else of the narrowest area that has any."""
    state = turn.state
    placement = state.trust.placement
    found = {slot.subject: doc.payload.body for slot, doc in state.documents.items() if isinstance(doc.payload, Station)}
    if placement is None or not found:
        return None
    wanted = [placement.body.station, *(link.area for link in reversed(state.trust.chain))]
    return next((found[area] for area in wanted if area in found), None)


def closes_ms(turn: Turn, at_ms: int) -> int | None:
    """When the open hours around an instant end; None when the station is closed, or has no rules."""
    rules = station(turn)
    return None if rules is None else open_until(rules, at_ms)


def is_hushed(turn: Turn) -> bool:
    """A STOP of everything keeps routine silent until a LIFT by those who may end it."""
    orders = turn.state.seen.orders.values()
    stops = [mark for mark in orders if mark.op == "STOP" and mark.incident is None and mark.kind == "order"]
    lifts = [mark for mark in orders if mark.op == "LIFT" and mark.incident is None]
    trust = turn.state.trust
    return any(not any(lift.seq > mark.seq and may_stop(lift, mark, trust) for lift in lifts) for mark in stops)


def refresh(turn: Turn) -> None:
    """Expand the programmes in force for the next 20 minutes, once per change or step of the clock."""
    state, now_ms = turn.state, turn.now.wall_ms
    if not state.clock_usable:
        turn.set(upcoming=(), queue=(), planned_to_ms=0)
        return
    if state.planned_to_ms - now_ms >= REPLAN_BEFORE_MS:
        return
    dues: list[Due] = []
    for slot, stored in state.documents.items():
        if isinstance(stored.payload, Programme) and content.still_empowered(turn, stored):
            dues += _expand(turn, slot, stored.payload, stored.digest, now_ms)
    waiting = {due.key for due in state.queue}
    dues = [due for due in dues if due.key not in state.played and due.key not in waiting]
    played = {key: planned for key, planned in state.played.items() if planned > now_ms - PLAYED_KEPT_MS}
    in_force = {slot for slot, doc in state.documents.items() if isinstance(doc.payload, Programme)}
    queue = tuple(due for due in state.queue if Slot("programme", due.key[0], due.key[1]) in in_force)
    turn.set(
        upcoming=tuple(sorted(dues, key=lambda due: due.planned_ms)),
        queue=queue,
        planned_to_ms=now_ms + HORIZON_MS,
        played=played,
    )


def _expand(turn: Turn, slot: Slot, programme: Programme, digest: str, now_ms: int) -> list[Due]:
    items = {item.id: item for item in programme.body.items}
    try:
        found = list(occurrences(programme, digest, now_ms - LONGEST_GRACE_MS, now_ms + HORIZON_MS))
    except Malformed:
        turn.trouble("programme-unreadable", there=True)
        return []
    dues = []
    for occurrence in found:
        item = items[occurrence.item_id]
        until_ms = occurrence.planned_ms + min(item.grace_s * 1_000, LONGEST_GRACE_MS)
        if until_ms < now_ms:
            continue
        key: OccurrenceKey = (slot.subject, slot.authority, item.id, occurrence.planned_ms)
        dues.append(Due(key=key, digest=digest, item=item, planned_ms=occurrence.planned_ms, until_ms=until_ms))
    return dues


def next_due(turn: Turn) -> Due | None:
    """Take the item that should begin now (or within the lead), and record those that cannot any more."""
    refresh(turn)
    if not turn.state.clock_usable:
        return None
    edge_ms = turn.now.wall_ms + LEAD_MS
    come = tuple(due for due in turn.state.upcoming if due.planned_ms <= edge_ms)
    if come:
        turn.set(upcoming=turn.state.upcoming[len(come) :], queue=turn.state.queue + come)
    queue: list[Due] = []
    for due in turn.state.queue:
        reason = _cannot(turn, due)
        if reason is None:
            queue.append(due)
        else:
            _skip(turn, due, reason)
    queue.sort(key=lambda due: (-precedence(due.item)[0], -precedence(due.item)[1], due.planned_ms))
    turn.set(queue=tuple(queue[1:]))
    return queue[0] if queue else None


def _cannot(turn: Turn, due: Due) -> str | None:
    """Why an item may not begin now, or None. One that is merely early or waiting is not asked."""
    if turn.now.wall_ms > due.until_ms:
        return "late: its grace is over"
    if is_hushed(turn):
        return "stopped: a STOP keeps routine silent"
    if station(turn) is None:
        return "no operating rules: without hours nothing routine sounds"
    if closes_ms(turn, max(due.planned_ms, turn.now.wall_ms)) is None:
        return "quiet hours"
    return None


def _skip(turn: Turn, due: Due, reason: str) -> None:
    subject, authority, item_id, planned_ms = due.key
    record = reports.open_record(turn, digest=due.digest, area=subject, authority=authority, planned_ms=planned_ms, item=item_id)
    turn.set(played={**turn.state.played, due.key: planned_ms})
    reports.close_record(turn, record, "skipped", reason=reason)


def keep_interrupted(turn: Turn, playing: Playing) -> None:
    """The item's own rule for an interruption: drop it, or begin again (or go on) within its grace from now."""
    due = playing.due
    if due is None or due.item.on_interrupt == "drop":
        return
    grace_ms = min(due.item.grace_s * 1_000, LONGEST_GRACE_MS)
    turn.set(queue=(*turn.state.queue, structs.replace(due, until_ms=turn.now.wall_ms + grace_ms)))


def resume_where(turn: Turn, due: Due, event: PlayEnded) -> None:
    """An interrupted item that resumes goes on where the last sample was heard."""
    if due.item.on_interrupt != "resume":
        return
    queue = tuple(
        structs.replace(waiting, from_part=event.part, skip_samples=event.played_samples) if waiting.key == due.key else waiting
        for waiting in turn.state.queue
    )
    turn.set(queue=queue)


def next_wake_ns(turn: Turn) -> list[int]:
    """When something will be due, or must be planned anew."""
    state = turn.state
    if not state.clock_usable:
        return []
    wakes = [state.planned_to_ms - REPLAN_BEFORE_MS]
    if state.upcoming:
        wakes.append(state.upcoming[0].planned_ms - LEAD_MS)
    wakes += [due.until_ms + 1 for due in state.queue]
    wakes += [doc.payload.valid_from_ms for doc in state.waiting.values() if doc.payload.valid_from_ms > turn.now.wall_ms]
    return [turn.mono_ns_of(wake) for wake in wakes]
