"""What sounds now: emergencies in their order, then bulletins at their times; and what the player says of it."""

from typing import Final

from msgspec import structs

from edge_agent.commands import PutOrder, PutRecord
from edge_agent.core import alarms, bulletins, plan, plays, reports
from edge_agent.core.state import Turn
from edge_agent.events import PartSounding, PlayEnded, Sounding
from protocol.reports import Ending
from protocol.seen import OrderMark

SILENT_CDB: Final = -6_000


def settle(turn: Turn) -> None:
    """Make what sounds agree with what should sound; called at the end of every turn."""
    alarms.drop_spent(turn)
    planned_anew = plan.keep_up(turn)
    if planned_anew:
        alarms.review_exercises(turn)
    top, current = alarms.top(turn), plays.current(turn)
    if top is not None:
        if not alarms.is_of(current, top):
            alarms.make_way(turn, top)
            alarms.begin(turn, top)
        return
    if current is not None and current.alarm is not None:
        why = _told_why(turn, current.record.digest)
        plays.hush(turn, current, "max" if why == alarms.SPENT else "stopped", why=why)
    elif current is not None and current.due is not None and planned_anew:
        bulletins.review(turn, current, current.due)
    sounding = plays.current(turn)
    due = plan.take(turn, sounding.due if sounding is not None else None)
    if due is not None:
        if sounding is not None:
            plays.hush(turn, sounding, "interrupted", why=f"{due.item.id} is of a higher class")
        bulletins.begin(turn, due)


def _told_why(turn: Turn, digest: str) -> str:
    told = turn.state.results.get(digest)
    return told.result.reason if told is not None else ""


def stop(turn: Turn, mark: OrderMark) -> list[PutOrder]:
    """A STOP was accepted: everything that it may silence ends in this turn. Returns what belongs into its transaction."""
    writes = alarms.stop(turn, mark)
    current = plays.current(turn)
    if current is not None and current.due is not None and plan.is_hushed(turn, current.due.key[1]):
        plays.hush(turn, current, "stopped", why="stopped by order")
    return writes


# --- records ---


def recorded(turn: Turn, play_id: int) -> None:
    """The record of a play is on disk: let it sound."""
    playing = turn.state.plays.get(play_id)
    if playing is None or playing.phase != "saving":
        return
    if playing.due is not None:
        bulletins.speak(turn, playing, playing.due)
    else:
        alarms.speak(turn, playing)


def unrecorded(turn: Turn, play_id: int, reason: str) -> bool:
    """The record of a play could not be kept: a bulletin is not begun; an emergency that is on disk sounds all the same.

    Returns whether the record is still to be written as it was.
    """
    playing = turn.state.plays.get(play_id)
    if playing is None:
        return False
    if playing.due is not None:
        plays.drop(turn, playing, "skipped", reason)
        return False
    recorded(turn, play_id)
    return True


# --- what the player says ---


def sounding(turn: Turn, event: Sounding) -> None:
    """The first sample is heard."""
    playing = turn.state.plays.get(event.play_id)
    if playing is None or playing.begun_ns is not None:
        return
    at_ms = turn.wall_ms_of(event.at_mono_ns)
    told_by = {"clock_state": turn.state.clock, "clock_error_ms": turn.state.clock_error_ms}
    record = structs.replace(playing.record, started_ms=at_ms, **told_by)
    plays.put(turn, structs.replace(playing, record=record, begun_ns=event.at_mono_ns))
    writes: list[PutRecord | PutOrder] = [PutRecord(record, is_open=True)]
    alarm = turn.state.alarms.get(playing.alarm or "")
    if alarm is not None and playing.phase == "told":
        if alarm.failures:
            alarm = structs.replace(alarm, failures=0)
            turn.set(alarms={**turn.state.alarms, alarm.start.incident: alarm})
        if alarm.sounded_ns is None:
            begun_ms = at_ms if turn.state.clock_usable else alarm.accepted_ms
            alarm = structs.replace(alarm, sounded_ns=event.at_mono_ns, accepted_ms=begun_ms)
            turn.set(alarms={**turn.state.alarms, alarm.start.incident: alarm})
            if not alarms.is_being_updated(turn, alarm):
                writes.append(alarm.put("sounding"))
        reports.note(turn, alarm.mark, "sounding", reason=playing.why, at_ms=at_ms)
    turn.save(*writes)


def part_sounding(turn: Turn, event: PartSounding) -> None:
    """Another part is heard: of an emergency the first word, or the end of a repeat."""
    playing = turn.state.plays.get(event.play_id)
    alarm = turn.state.alarms.get(playing.alarm or "") if playing is not None else None
    if playing is None or alarm is None or playing.phase != "told":
        return
    if event.part == playing.spoken_part:
        spoken_ms = turn.wall_ms_of(event.at_mono_ns)
        at_ms = spoken_ms if playing.record.started_ms is None else playing.record.started_ms
        reports.note(turn, alarm.mark, "sounding", reason=playing.why, at_ms=at_ms, spoken_at_ms=spoken_ms)
    alarms.part_sounding(turn, playing, alarm, event.part)


def ended(turn: Turn, event: PlayEnded) -> None:
    """A play is over: close its record with the measured levels, and end or resume what it belonged to."""
    playing = turn.state.plays.get(event.play_id)
    if playing is None:
        return
    plays.leave(turn, event.play_id)
    record = structs.replace(playing.record, rms_cdb=event.rms_cdb, peak_cdb=event.peak_cdb, silent_ms=max(0, event.silent_ms))
    by_itself: dict[str, Ending] = {"ended": "played", "max": "max", "failed": "failed", "stopped": "stopped"}
    ending = playing.ending or by_itself[event.how]
    reason = "; ".join(text for text in (playing.why, event.reason) if text)
    ended_ms = turn.wall_ms_of(event.at_mono_ns)
    reports.close_record(turn, record, ending, reason=reason, ended_ms=ended_ms)
    if playing.due is not None:
        plan.count_session(turn, structs.replace(record, ended_ms=ended_ms))
    if event.how == "ended":
        turn.trouble("silent", there=event.rms_cdb <= SILENT_CDB)
    if playing.due is not None and playing.ending == "interrupted":
        plan.resume_where(turn, playing.due, event)
    alarm = turn.state.alarms.get(playing.alarm or "")
    if alarm is not None and playing.ending is None and alarms.is_of(playing, alarm):
        alarms.ended(turn, alarm, event.how, event.reason)
