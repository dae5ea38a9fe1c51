"""Emergencies and exercises: kept whole before they act, heard in their order, stopped by those who may."""

from typing import Final, Literal

from msgspec import structs

from edge_agent.commands import Play, PutOrder, Speak
from edge_agent.core import authority, flood, plan, plays, reports, score
from edge_agent.core.state import MS_NS, Alarm, Playing, Turn
from protocol.emergency import rank, repeat_period_ms, timeline_origin_ms
from protocol.orders import ExerciseStart
from protocol.reports import PlayRecord
from protocol.rules import silences
from protocol.seen import OrderMark

TRIES: Final = 3
"""So many plays in a row that could not begin, and the emergency counts as ended; one that is heard begins the count anew."""
SPENT: Final = "its sound time is over"


def top(turn: Turn) -> Alarm | None:
    """The one that is to be heard: live before exercise, higher risk, wider authority, newer."""
    return max(turn.state.alarms.values(), key=lambda alarm: _rank(turn, alarm), default=None)


def _rank(turn: Turn, alarm: Alarm) -> tuple[tuple[bool, int, int, int], str]:
    return rank(alarm.start, turn.state.trust.chain), alarm.start.incident


def take(turn: Turn, alarm: Alarm, ref: int) -> None:
    """A START (or an update) that was accepted goes to disk whole; if it is to sound, its record in the same transaction.

    Nothing changes before it is there: what sounds goes on, and if the disk fails everything stays as it is.
    """
    others = {key: other for key, other in turn.state.alarms.items() if key != alarm.start.incident}
    writes = [alarm.put("accepted")]
    under_way = [after.alarm for after in turn.state.after.values() if after.alarm is not None]
    older = (*turn.state.alarms.values(), *under_way)
    writes += [old.put("ended") for old in older if old.start.incident == alarm.start.incident]
    record = None
    if max([*others.values(), alarm], key=lambda other: _rank(turn, other)) is alarm:
        record = _open_record(turn, alarm)
    turn.save(
        *writes,
        *(reports.opening(turn, record) if record else ()),
        digest=alarm.mark.digest,
        acknowledge=(ref,),
        order=alarm.mark,
        alarm=alarm,
        record=record,
    )


def is_being_updated(turn: Turn, alarm: Alarm) -> bool:
    """Whether a newer version is on its way to the disk: its transaction closes this one, and nothing may open it again."""
    under_way = [after.alarm.start.incident for after in turn.state.after.values() if after.alarm is not None]
    return alarm.start.incident in under_way


def take_effect(turn: Turn, alarm: Alarm, record: PlayRecord | None) -> None:
    """It is on disk: it takes the place of what it updates, and sounds unless something higher does."""
    stops = authority.standing_orders(turn).stops()
    if any(silences(stop, alarm.mark, turn.state.trust) for stop in stops):
        _over_before_begun(turn, alarm, record, "stopped by order")
        return
    old = turn.state.alarms.get(alarm.start.incident)
    if old is not None:
        reports.note(turn, old.mark, "ended", reason=f"updated at {alarm.start.seq}")
    turn.set(alarms={**turn.state.alarms, alarm.start.incident: alarm})
    for surplus in flood.surplus(turn, alarm):
        end(turn, surplus, "ended", why=flood.PUSHED_OUT)
    if record is None:
        return
    if top(turn) is not alarm:
        reports.close_record(turn, record, "skipped", reason="another emergency goes before it")
        return
    make_way(turn, alarm)
    playing = Playing(play_id=turn.state.next_play_id, phase="saving", record=record, alarm=alarm.start.incident)
    plays.enter(turn, playing)
    speak(turn, playing)


def _over_before_begun(turn: Turn, alarm: Alarm, record: PlayRecord | None, why: str) -> None:
    """What it was to update goes on, if the STOP did not reach that too."""
    old = turn.state.alarms.get(alarm.start.incident)
    goes_on = () if old is None else (old.put("accepted" if old.sounded_ns is None else "sounding"),)
    turn.save(alarm.put("stopped"), *goes_on)
    reports.note(turn, alarm.mark, "stopped", reason=why)
    if record is not None:
        reports.close_record(turn, record, "stopped", reason=why)


# --- the end ---


def stop(turn: Turn, mark: OrderMark) -> list[PutOrder]:
    """A STOP was accepted: what it may silence is over now. Returns what goes into its own transaction."""
    silenced = [alarm for alarm in turn.state.alarms.values() if silences(mark, alarm.mark, turn.state.trust)]
    for alarm in silenced:
        _forget(turn, alarm, "stopped", "stopped by order")
    return [alarm.put("stopped") for alarm in silenced]


def end(turn: Turn, alarm: Alarm, state: Literal["ended", "stopped"], why: str = "") -> None:
    """It is over on this node: by itself, or because its signers lost their power."""
    _forget(turn, alarm, state, why)
    turn.save(alarm.put(state))


def _forget(turn: Turn, alarm: Alarm, state: Literal["ended", "stopped"], why: str) -> None:
    incident = alarm.start.incident
    turn.set(alarms={key: other for key, other in turn.state.alarms.items() if key != incident})
    reports.note(turn, alarm.mark, state, reason=why)


def end_disempowered(turn: Turn) -> None:
    """Authority changed: what its signers may no longer say ends."""
    for alarm in list(turn.state.alarms.values()):
        code = authority.why_not(turn, alarm.start, alarm.mark.keyids)
        if code is not None:
            end(turn, alarm, "stopped", why=code)


def review_exercises(turn: Turn) -> None:
    """The clock or the rules changed: an exercise goes on only inside the station's hours."""
    for alarm in list(turn.state.alarms.values()):
        why = plan.why_no_exercise(turn, alarm.start) if isinstance(alarm.start, ExerciseStart) else None
        if why is not None:
            end(turn, alarm, "stopped", why=why)


def drop_spent(turn: Turn) -> None:
    """What was heard for as long as it may be, or as often as it was to be, ends."""
    sounding = {playing.alarm for playing in turn.state.plays.values() if playing.phase != "ending"}
    for alarm in list(turn.state.alarms.values()):
        if _left_ms(turn, alarm) <= 0:
            end(turn, alarm, "ended", why=SPENT)
        elif alarm.repeats_done >= alarm.start.repeats and alarm.start.incident not in sounding:
            end(turn, alarm, "ended")


def _left_ms(turn: Turn, alarm: Alarm) -> int:
    """What is left of its sound time, which runs in monotonic time from its first sample on."""
    most_ms = alarm.start.sound_max_s * 1_000
    return most_ms if alarm.sounded_ns is None else most_ms - (turn.now.mono_ns - alarm.sounded_ns) // MS_NS


def ends_ns(alarm: Alarm) -> int | None:
    """The CLOCK_MONOTONIC instant at which its sound time is over."""
    return None if alarm.sounded_ns is None else alarm.sounded_ns + alarm.start.sound_max_s * 1_000 * MS_NS


# --- the sound ---


def is_of(playing: Playing | None, alarm: Alarm) -> bool:
    """Whether this play is of this very version of the emergency."""
    return playing is not None and playing.alarm == alarm.start.incident and playing.record.digest == alarm.mark.digest


def make_way(turn: Turn, alarm: Alarm) -> None:
    """Whatever sounds is interrupted."""
    sounding = plays.current(turn)
    if sounding is not None:
        plays.hush(turn, sounding, "interrupted", why=f"emergency {alarm.start.incident}")


def begin(turn: Turn, alarm: Alarm) -> None:
    """One that is on disk already sounds (again): its record first."""
    record = _open_record(turn, alarm)
    playing = Playing(play_id=turn.state.next_play_id, phase="saving", record=record, alarm=alarm.start.incident)
    plays.enter(turn, playing)
    turn.save(*reports.opening(turn, record), play_id=playing.play_id)


def _open_record(turn: Turn, alarm: Alarm) -> PlayRecord:
    start = alarm.start
    return reports.open_record(
        turn, digest=alarm.mark.digest, area=start.area, authority=start.authority, planned_ms=start.seq, start=start
    )


def speak(turn: Turn, playing: Playing) -> None:
    """Its record is on disk: tell the player, if its signers still may."""
    alarm = turn.state.alarms.get(playing.alarm or "")
    if alarm is None:
        return
    start = alarm.start
    why_not = authority.why_not(turn, start, alarm.mark.keyids)
    if why_not is None and isinstance(start, ExerciseStart):
        why_not = plan.why_no_exercise(turn, start)
    if why_not is not None:
        plays.drop(turn, playing, "stopped", why_not)
        end(turn, alarm, "stopped", why=why_not)
        return
    origin_ms = timeline_origin_ms(start)
    late = turn.now.wall_ms > origin_ms + repeat_period_ms(start)
    scored = score.of_emergency(
        start,
        repeats=max(1, start.repeats - alarm.repeats_done),
        media=turn.state.media,
        media_root=turn.state.media_root,
        origin_mono_ns=turn.mono_ns_of(origin_ms) if turn.state.clock_usable else None,
        aligned=late or alarm.tries > 0 or alarm.repeats_done > 0,
    )
    max_ms = _max_ms(turn, alarm)
    told = structs.replace(
        playing,
        phase="told",
        repeat_parts=scored.repeat_parts,
        spoken_part=scored.spoken_part,
        closing_part=scored.closing_part,
        media=scored.media,
        ceiling_ns=turn.now.mono_ns + max_ms * MS_NS if isinstance(start, ExerciseStart) else None,
        why=f"no voice for {', '.join(scored.unsaid)}" if scored.unsaid else "",
    )
    plays.put(turn, told)
    turn.set(alarms={**turn.state.alarms, start.incident: structs.replace(alarm, tries=alarm.tries + 1)})
    rules = plan.station(turn)
    level_cdb = rules.emergency_volume_cdb if rules else 0
    turn.tell(Speak(Play(playing.play_id, scored.parts, level_cdb=level_cdb, max_ms=max_ms)))


def _max_ms(turn: Turn, alarm: Alarm) -> int:
    left_ms = _left_ms(turn, alarm)
    if isinstance(alarm.start, ExerciseStart):
        closes_ms = plan.closes_ms(turn, turn.now.wall_ms)
        left_ms = left_ms if closes_ms is None else min(left_ms, closes_ms - turn.now.wall_ms)
    return max(1, left_ms)


def part_sounding(turn: Turn, playing: Playing, alarm: Alarm, part: int) -> None:
    """Count the repeats that are whole; in the silence before the next, a recording that came meanwhile takes over."""
    ends = [*(first - 1 for first in playing.repeat_parts[1:]), playing.closing_part]
    whole = alarm.start.repeats - len(playing.repeat_parts) + sum(1 for last in ends if last <= part)
    if whole > alarm.repeats_done:
        alarm = structs.replace(alarm, repeats_done=whole)
        turn.set(alarms={**turn.state.alarms, alarm.start.incident: alarm})
    if part in ends[:-1] and score.clips_of(alarm.start, turn.state.media) != playing.media:
        plays.hush(turn, playing, "interrupted", why="its recording has come")


def ended(turn: Turn, alarm: Alarm, how: str, reason: str) -> None:
    """Its play ended by itself. One that could not sound at all is tried again before it is given up."""
    if how != "failed":
        end(turn, alarm, "ended", why=reason if how == "max" else "")
    elif alarm.failures + 1 >= TRIES:
        end(turn, alarm, "ended", why=f"failed: {reason}")
    else:
        failed = structs.replace(alarm, failures=alarm.failures + 1)
        turn.set(alarms={**turn.state.alarms, alarm.start.incident: failed})
