"""Bulletins in time: what is due, what waits, what is late; hours and STOPs that keep everything but an emergency silent."""

from itertools import takewhile

from msgspec import structs

from edge_agent.core import authority, reports
from edge_agent.core.cache import is_past
from edge_agent.core.state import MS_NS, Due, OccurrenceKey, Playing, Stored, Turn
from edge_agent.events import PlayEnded
from protocol.bulletins import Item, Programme
from protocol.documents import Station, StationBody
from protocol.errors import Malformed
from protocol.hours import NO_RULES, Admission, Aired, Rules, StationHeld, station_of
from protocol.orders import ExerciseStart
from protocol.programme import (
    LATE,
    LEAD_MS,
    LONGEST_GRACE_MS,
    MUTE,
    Order,
    goes_on,
    grace_ms,
    interrupts,
    length_ms,
    rank,
    written_order,
)
from protocol.reports import PlayRecord
from protocol.rules import lifts
from protocol.seen import Slot
from protocol.trust import covers

HORIZON_MS = 21_600_000
REPLAN_BEFORE_MS = 300_000
"""Plans are made anew this long before what was planned ends, at every change, and when a document or a grant ends."""
PLAYED_KEPT = 4_096
"""By number, not by age: after a clock was years ahead for a minute, today's bulletins must still be known as played."""
JUMP_MS = 120_000
"""A clock in holdover is off by a minute at the most; put right, it may be off by another's minute the other way."""


# --- what may sound ---


def station(turn: Turn) -> StationBody | None:
    """The operating rules that hold here: those of the placement's station, else of the narrowest area that has any."""
    state = turn.state
    placement = state.trust.placement
    if placement is None:
        return None
    held = [
        StationHeld(stored.digest, stored.payload)
        for stored in state.documents.values()
        if isinstance(stored.payload, Station) and not is_past(turn, stored)
    ]
    chosen = station_of(held, placement.body.station, [link.area for link in state.trust.chain])
    return chosen.body if chosen is not None else None


def rules_here(turn: Turn) -> Rules | None:
    """The same as they hold for this very node; made once, as long as neither they nor its place change."""
    body, areas = station(turn), frozenset(link.area for link in turn.state.trust.chain)
    if body is None:
        return None
    known = turn.state.rules
    if known is None or known.body is not body or known.areas != areas:
        turn.set(rules=Rules(body, areas))
    return turn.state.rules


def closes_ms(turn: Turn, at_ms: int) -> int | None:
    """When the open hours around an instant end; None when the station is closed, or has no rules."""
    rules = rules_here(turn)
    return None if rules is None else rules.open_until(at_ms)


def is_hushed(turn: Turn, by_authority: str) -> bool:
    """A STOP of everything keeps what an authority says silent until a LIFT; a narrower authority cannot silence a wider one."""
    orders = authority.standing_orders(turn).orders.values()
    stops = [mark for mark in orders if mark.op == "STOP" and mark.incident is None and mark.kind == "order"]
    trust = turn.state.trust
    return any(
        covers(trust.chain, stop.authority, by_authority) and not any(lifts(mark, stop, trust) for mark in orders)
        for stop in stops
    )


def why_silent(turn: Turn, by_authority: str, at_ms: int) -> str | None:
    """Why nothing but an emergency may sound at an instant; None when it may."""
    if not turn.state.clock_usable:
        return "the clock cannot be trusted: nothing timed sounds"
    if is_hushed(turn, by_authority):
        return "stopped: a STOP keeps everything but emergencies silent"
    rules = rules_here(turn)
    return NO_RULES if rules is None else rules.why_quiet(at_ms) or None


def why_no_exercise(turn: Turn, start: ExerciseStart) -> str | None:
    """An exercise is no emergency: it keeps the station's hours and the silence that a STOP left."""
    return why_silent(turn, start.authority, turn.now.wall_ms)


def admit(turn: Turn, due: Due, at_ms: int) -> Admission:
    """Until when a bulletin may sound that begins at an instant: hours, sessions, and the rule for what is half inside."""
    why, rules = why_silent(turn, due.key[1], at_ms), rules_here(turn)
    if why is not None or rules is None:
        return Admission(None, why or NO_RULES)
    whole_ms = length_ms(due.item)
    if not whole_ms:
        return Admission(None, MUTE)
    return rules.admit(at_ms, max(1, whole_ms - due.gone_ms), _aired_until(turn, rules, at_ms))


def _aired_until(turn: Turn, rules: Rules, at_ms: int) -> Aired:
    """What counts towards sessions, with what sounds at present."""
    aired = turn.state.aired
    for playing in turn.state.plays.values():
        if playing.due is not None and playing.record.started_ms is not None:
            aired = rules.heard(aired, playing.record.started_ms, at_ms)
    return aired


def count_session(turn: Turn, record: PlayRecord) -> None:
    """A bulletin was heard: it counts towards its session. One that a power cut ended counts with its begin."""
    rules, begun_ms = rules_here(turn), record.started_ms
    if rules is not None and begun_ms is not None:
        turn.set(aired=rules.heard(turn.state.aired, begun_ms, max(begun_ms, record.ended_ms or 0)))


# --- what is due ---


def keep_up(turn: Turn) -> bool:
    """Expand what comes, move what has come into the queue, record what cannot be any more. True when plans were made anew."""
    changed = _refresh(turn)
    if not turn.state.clock_usable:
        return changed
    edge_ms = turn.now.wall_ms + LEAD_MS
    come = tuple(takewhile(lambda due: due.planned_ms <= edge_ms, turn.state.upcoming))
    if come:
        turn.set(upcoming=turn.state.upcoming[len(come) :], queue=turn.state.queue + come)
    for due in turn.state.queue:
        reason = _cannot(turn, due)
        if reason is not None:
            _skip(turn, due, reason)
    return changed


def take(turn: Turn, sounding: Due | None) -> Due | None:
    """Take the bulletin that should begin now out of the queue; one that may not begin is recorded, and the next is looked at.

    When nothing sounds it is taken within the lead; when something does, at its very time, and only one of a higher class.
    """
    while turn.state.queue:
        first = max(turn.state.queue, key=lambda due: rank(due.item, due.key[1], due.planned_ms, turn.state.order))
        if sounding is not None and not _may_interrupt(turn, first, sounding):
            return None
        admission = admit(turn, first, max(first.planned_ms, turn.now.wall_ms))
        if admission.until_ms is not None:
            turn.set(queue=tuple(due for due in turn.state.queue if due is not first))
            return first
        _skip(turn, first, admission.why)
    return None


def _may_interrupt(turn: Turn, due: Due, sounding: Due) -> bool:
    return interrupts(due.item, sounding.item) and due.planned_ms <= turn.now.wall_ms


def item_in_force(turn: Turn, due: Due) -> str | None:
    """The digest of the programme that has this very item now; None when it was withdrawn or changed."""
    stored = turn.state.documents.get(due.slot)
    if stored is None or not isinstance(stored.payload, Programme) or is_past(turn, stored):
        return None
    return stored.digest if due.item in stored.payload.body.items else None


def _refresh(turn: Turn) -> bool:
    """Expand the programmes in force for the next six hours: at every change, at every end, and before the horizon is reached.

    Returns whether what sounds is to be judged anew too.
    """
    state, now_ms = turn.state, turn.now.wall_ms
    if not state.clock_usable:
        if state.plan_stale:
            turn.set(upcoming=(), queue=(), planned_to_ms=0, plan_stale=False)
        return state.plan_stale
    anew = state.plan_stale or now_ms >= state.plan_ends_ms
    if not anew and state.planned_to_ms - now_ms > REPLAN_BEFORE_MS:
        return False
    dues: list[Due] = []
    for slot, stored in state.documents.items():
        if isinstance(stored.payload, Programme) and authority.why_not(turn, stored.payload, stored.keyids) is None:
            dues += _expand(turn, slot, stored, stored.payload)
    turn.set(
        order=_order(turn),
        upcoming=tuple(sorted((due for due in dues if due.key not in state.played), key=lambda due: (due.planned_ms, due.key))),
        queue=tuple(due for due in state.queue if _stays(turn, due)) + tuple(due for due in state.upcoming if _jumped(turn, due)),
        planned_to_ms=now_ms + HORIZON_MS,
        plan_ends_ms=_next_end_ms(turn),
        plan_stale=False,
    )
    return anew


def _next_end_ms(turn: Turn) -> int:
    """When the next document or grant ends: what sounds is judged anew then."""
    now_ms, state = turn.now.wall_ms, turn.state
    timed = [held.payload for held in state.documents.values() if isinstance(held.payload, Programme | Station)]
    ends = [document.valid_until_ms for document in timed]
    ends += [grant.body.until_ms + 1 for grant in state.trust.grants.values()]
    closes = closes_ms(turn, now_ms)
    if closes is not None and any(_outlasts(turn, playing, closes) for playing in state.plays.values()):
        ends.append(closes)
    return min((end_ms for end_ms in ends if end_ms > now_ms), default=now_ms + HORIZON_MS)


def _outlasts(turn: Turn, playing: Playing, closes_at_ms: int) -> bool:
    """Whether the player was told a later end: new rules close sooner than those under which it began, or the clock was set."""
    ceiling_ns = playing.ceiling_ns
    return ceiling_ns is not None and turn.mono_ns_of(closes_at_ms) < ceiling_ns - MS_NS


def _jumped(turn: Turn, due: Due) -> bool:
    """Whether the clock was just set forward over a whole item: that is told. Only for a step that puts a holdover right.

    Of a longer one nobody knows whether it will stand; what it passed over is found again if the clock comes back.
    """
    return due.until_ms < turn.now.wall_ms <= due.until_ms + JUMP_MS and item_in_force(turn, due) is not None


def _stays(turn: Turn, due: Due) -> bool:
    """What was interrupted stays in the queue, and what is late, to be recorded; all else is found again by expanding."""
    begun = due.key in turn.state.played
    return item_in_force(turn, due) is not None and (begun or due.until_ms < turn.now.wall_ms)


def _order(turn: Turn) -> Order:
    placement = turn.state.trust.placement
    held = [stored.payload for stored in turn.state.documents.values() if isinstance(stored.payload, Programme)]
    return {} if placement is None else written_order(held, placement.body.station)


def _expand(turn: Turn, slot: Slot, stored: Stored, programme: Programme) -> list[Due]:
    now_ms = turn.now.wall_ms
    items: dict[str, Item] = {item.id: item for item in programme.body.items}
    try:
        found = stored.calendar.between(now_ms - LONGEST_GRACE_MS, now_ms + HORIZON_MS) if stored.calendar else []
    except Malformed:
        turn.trouble("programme-unreadable", there=True)
        return []
    dues = []
    for occurrence in found:
        item = items[occurrence.item_id]
        until_ms = occurrence.planned_ms + grace_ms(item)
        if until_ms >= now_ms:
            key: OccurrenceKey = (slot.subject, slot.authority, item.id, occurrence.planned_ms)
            dues.append(Due(key=key, digest=stored.digest, item=item, planned_ms=occurrence.planned_ms, until_ms=until_ms))
    return dues


def _cannot(turn: Turn, due: Due) -> str | None:
    """Why an item may not begin now, or None."""
    if turn.now.wall_ms > due.until_ms:
        return LATE
    return why_silent(turn, due.key[1], max(due.planned_ms, turn.now.wall_ms))


def _skip(turn: Turn, due: Due, reason: str) -> None:
    turn.set(queue=tuple(other for other in turn.state.queue if other is not due))
    reports.close_record(turn, open_record(turn, due), "skipped", reason=reason)
    mark_played(turn, due)


def open_record(turn: Turn, due: Due) -> PlayRecord:
    """The record of an item's play."""
    subject, by_authority, item_id, planned_ms = due.key
    return reports.open_record(turn, digest=due.digest, area=subject, authority=by_authority, planned_ms=planned_ms, item=item_id)


def mark_played(turn: Turn, due: Due) -> None:
    """Such an occurrence never begins again by itself."""
    played = {**turn.state.played, due.key: due.planned_ms}
    for oldest in list(played)[: max(0, len(played) - PLAYED_KEPT)]:
        del played[oldest]
    turn.set(played=played)


# --- interruptions ---


def keep_interrupted(turn: Turn, playing: Playing) -> None:
    """The item's own rule: drop it, or begin again (or go on) when there is silence, within its grace from now."""
    due = playing.due
    if due is None or not turn.state.clock_usable:
        return
    heard_ms = 0 if playing.begun_ns is None else (turn.now.mono_ns - playing.begun_ns) // MS_NS
    if goes_on(due.item, length_ms(due.item) - due.gone_ms - heard_ms):
        until_ms = turn.now.wall_ms + grace_ms(due.item)
        turn.set(queue=(*turn.state.queue, structs.replace(due, until_ms=until_ms)))


def resume_where(turn: Turn, due: Due, event: PlayEnded) -> None:
    """An interrupted item that resumes goes on where its last sample was heard."""
    if due.item.on_interrupt != "resume":
        return
    queue = tuple(
        structs.replace(
            waiting,
            from_part=event.part,
            skip_samples=event.part_samples,
            gone_ms=due.gone_ms + event.played_samples // 48,
        )
        if waiting.key == due.key
        else waiting
        for waiting in turn.state.queue
    )
    turn.set(queue=queue)


def next_wake_ns(turn: Turn) -> list[int]:
    """When something will be due, or must be planned anew."""
    state = turn.state
    if not state.clock_usable:
        return []
    wakes = [state.planned_to_ms - REPLAN_BEFORE_MS, state.plan_ends_ms]
    if state.upcoming:
        wakes.append(state.upcoming[0].planned_ms - LEAD_MS)
    wakes += [due.until_ms + 1 for due in state.queue]
    wakes += [due.planned_ms for due in state.queue if due.planned_ms > turn.now.wall_ms]
    if state.queue and (ends_ms := closes_ms(turn, turn.now.wall_ms)) is not None:
        wakes.append(ends_ms)
    wakes += [doc.payload.valid_from_ms for doc in state.waiting.values() if doc.payload.valid_from_ms > turn.now.wall_ms]
    return [turn.mono_ns_of(wake) for wake in wakes]
