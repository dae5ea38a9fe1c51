"""What sounds now: emergencies in their order, then bulletins at their times, inside the station's hours."""

from typing import Literal

from msgspec import structs

from edge_agent.commands import Hush, Play, PutOrder, PutRecord, Speak
from edge_agent.core import content, plan, reports, score
from edge_agent.core.state import MS_NS, After, Alarm, Due, Playing, Turn
from edge_agent.events import KeptOrder, PartSounding, PlayEnded, Sounding
from protocol.emergency import rank, repeat_period_ms, timeline_origin_ms
from protocol.errors import ProtocolError
from protocol.reports import Ending
from protocol.rules import authorise, silences
from protocol.seen import OrderMark

SILENT_CDB = -6_000


def settle(turn: Turn) -> None:
    """Make what sounds agree with what should sound; called at the end of every turn."""
    if not turn.state.booted or turn.state.collect_until_ns is not None:
        return
    _drop_spent(turn)
    top = _top(turn)
    current = _current(turn)
    if top is not None:
        if not _is_of(current, top):
            _make_way(turn, top)
            begin_alarm(turn, top)
    elif current is not None and current.alarm is not None:
        hush(turn, current, "stopped")
    elif current is None:
        due = plan.next_due(turn)
        if due is not None:
            _begin_item(turn, due)
    content.hold_fetch(turn)


def _top(turn: Turn) -> Alarm | None:
    return max(turn.state.alarms.values(), key=lambda alarm: rank(alarm.start), default=None)


def _current(turn: Turn) -> Playing | None:
    return turn.state.plays.get(turn.state.current) if turn.state.current is not None else None


def _is_of(playing: Playing | None, alarm: Alarm) -> bool:
    return playing is not None and playing.alarm == alarm.start.incident and playing.record.digest == alarm.mark.digest


def _make_way(turn: Turn, alarm: Alarm) -> None:
    current = _current(turn)
    if current is not None:
        hush(turn, current, "interrupted", why=f"emergency {alarm.start.incident}")


def take_alarm(turn: Turn, alarm: Alarm, ref: int) -> None:
    """A new START (or an update): kept whole, and when it is what should sound, its record goes into the same transaction."""
    old = turn.state.alarms.get(alarm.start.incident)
    if old is not None:
        reports.note(turn, old.mark, "ended", reason=f"updated at {alarm.start.seq}")
    turn.set(alarms={**turn.state.alarms, alarm.start.incident: alarm})
    if _top(turn) is alarm:
        _make_way(turn, alarm)
        begin_alarm(turn, alarm, acknowledge=ref, order=True)
    else:
        kept = KeptOrder(alarm.raw, alarm.mark, alarm.accepted_ms, "accepted")
        turn.save(PutOrder(kept), after=After(acknowledge=ref, order=alarm.mark))


def _drop_spent(turn: Turn) -> None:
    """Emergencies whose sound time is over, or whose signers lost their power, end."""
    for alarm in list(turn.state.alarms.values()):
        try:
            authorise(alarm.start, alarm.mark.keyids, trust=turn.state.trust, me=turn.state.me, now=turn.wall, held=True)
        except ProtocolError as error:
            end_alarm(turn, alarm, "stopped", why=error.code)
            continue
        if alarm.sounded_ns and turn.now.mono_ns - alarm.sounded_ns >= alarm.start.sound_max_s * 1_000 * MS_NS:
            end_alarm(turn, alarm, "ended", why="its sound time is over")


def end_alarm(turn: Turn, alarm: Alarm, state: Literal["ended", "stopped"], why: str = "") -> None:
    """An emergency is over on this node: stopped, or ended by itself."""
    incident = alarm.start.incident
    if incident not in turn.state.alarms:
        return
    turn.set(alarms={key: other for key, other in turn.state.alarms.items() if key != incident})
    turn.save(PutOrder(KeptOrder(alarm.raw, alarm.mark, alarm.accepted_ms, state)))
    reports.note(turn, alarm.mark, state, reason=why)
    content.refresh_wants(turn)


def stop(turn: Turn, mark: OrderMark) -> None:
    """A STOP was accepted: everything that it may silence ends now."""
    for alarm in list(turn.state.alarms.values()):
        if silences(mark, alarm.mark, turn.state.trust):
            end_alarm(turn, alarm, "stopped", why="stopped by order")
    current = _current(turn)
    if current is None:
        return
    is_over = plan.is_hushed(turn) if current.alarm is None else current.alarm not in turn.state.alarms
    if is_over:
        hush(turn, current, "stopped", why="stopped by order")


def hush(turn: Turn, playing: Playing, ending: Ending, why: str = "") -> None:
    """End a play before its time; its record closes when the player says how it was."""
    if playing.due is not None and ending == "interrupted":
        plan.keep_interrupted(turn, playing)
    if playing.phase == "saving":
        plays = {key: other for key, other in turn.state.plays.items() if key != playing.play_id}
        turn.set(plays=plays, current=None)
        reports.close_record(turn, playing.record, ending, reason=why)
        return
    turn.set(
        plays={**turn.state.plays, playing.play_id: structs.replace(playing, phase="ending", ending=ending, why=why)},
        current=None,
    )
    turn.tell(Hush(playing.play_id))


# --- beginning ---


def begin_alarm(turn: Turn, alarm: Alarm, *, acknowledge: int | None = None, order: bool = False) -> None:
    """Open the record (in the transaction that keeps the order, when it is new); the sound follows when that is on disk."""
    start = alarm.start
    record = reports.open_record(
        turn, digest=alarm.mark.digest, area=start.area, authority=start.authority, planned_ms=start.seq, start=start
    )
    playing = Playing(play_id=turn.state.next_play_id, phase="saving", record=record, alarm=start.incident)
    _enter(turn, playing)
    writes = [PutRecord(record, is_open=True)]
    if order:
        kept = KeptOrder(alarm.raw, alarm.mark, alarm.accepted_ms, "accepted")
        turn.save(PutOrder(kept), *writes, after=After(acknowledge=acknowledge, play_id=playing.play_id, order=alarm.mark))
    else:
        turn.save(*writes, after=After(play_id=playing.play_id))


def _begin_item(turn: Turn, due: Due) -> None:
    digest = due.digest
    subject, authority, item_id, planned_ms = due.key
    record = reports.open_record(turn, digest=digest, area=subject, authority=authority, planned_ms=planned_ms, item=item_id)
    playing = Playing(play_id=turn.state.next_play_id, phase="saving", record=record, due=due)
    turn.set(played={**turn.state.played, due.key: planned_ms})
    _enter(turn, playing)
    turn.save(PutRecord(record, is_open=True), after=After(play_id=playing.play_id))


def _enter(turn: Turn, playing: Playing) -> None:
    turn.set(next_play_id=playing.play_id + 1, plays={**turn.state.plays, playing.play_id: playing}, current=playing.play_id)


def recorded(turn: Turn, play_id: int) -> None:
    """The record of a play is on disk: let it sound."""
    playing = turn.state.plays.get(play_id)
    if playing is None or playing.phase != "saving":
        return
    if playing.alarm is not None:
        alarm = turn.state.alarms.get(playing.alarm)
        if alarm is not None:
            _speak_alarm(turn, playing, alarm)
    elif playing.due is not None:
        _speak_item(turn, playing, playing.due)


def _speak_alarm(turn: Turn, playing: Playing, alarm: Alarm) -> None:
    state, start = turn.state, alarm.start
    origin_ms = timeline_origin_ms(start)
    heard_before = alarm.repeats_done > 0 or alarm.replays > 0
    late = turn.now.wall_ms > origin_ms + repeat_period_ms(start)
    scored = score.of_emergency(
        start,
        repeats=max(1, start.repeats - alarm.repeats_done),
        media=state.media,
        media_root=state.media_root,
        origin_mono_ns=turn.mono_ns_of(origin_ms) if state.clock_usable else None,
        aligned=heard_before or late,
    )
    left_ms = start.sound_max_s * 1_000
    if alarm.sounded_ns:
        left_ms -= (turn.now.mono_ns - alarm.sounded_ns) // MS_NS
    station = plan.station(turn)
    level_cdb = station.emergency_volume_cdb if station else 0
    turn.set(
        plays={
            **state.plays,
            playing.play_id: structs.replace(
                playing,
                phase="told",
                repeat_parts=scored.repeat_parts,
                spoken_part=scored.spoken_part,
                closing_part=scored.closing_part,
                why=f"no voice for {', '.join(scored.unsaid)}" if scored.unsaid else "",
            ),
        },
        alarms={**state.alarms, start.incident: structs.replace(alarm, replays=alarm.replays + 1)},
    )
    turn.tell(Speak(Play(playing.play_id, scored.parts, level_cdb=level_cdb, max_ms=max(1, left_ms))))


def _speak_item(turn: Turn, playing: Playing, due: Due) -> None:
    state = turn.state
    scored = score.of_item(due.item, state.media_root)
    if not scored.parts:
        turn.set(plays={key: other for key, other in state.plays.items() if key != playing.play_id}, current=None)
        reports.close_record(turn, playing.record, "skipped", reason="nothing in it can be played on this node")
        return
    at_ns = max(turn.mono_ns_of(due.planned_ms), turn.now.mono_ns)
    closes_ms = plan.closes_ms(turn, max(due.planned_ms, turn.now.wall_ms))
    max_ms = None if closes_ms is None else max(1, closes_ms - max(due.planned_ms, turn.now.wall_ms))
    station = plan.station(turn)
    play = Play(
        playing.play_id,
        scored.parts,
        at_mono_ns=at_ns,
        level_cdb=due.item.volume_cdb + (station.volume_cdb if station else 0),
        max_ms=max_ms,
        from_part=due.from_part,
        skip_samples=due.skip_samples,
    )
    turn.set(plays={**state.plays, playing.play_id: structs.replace(playing, phase="told")})
    turn.tell(Speak(play))


# --- what the player says ---


def sounding(turn: Turn, event: Sounding) -> None:
    """The first sample is heard."""
    playing = turn.state.plays.get(event.play_id)
    if playing is None or playing.begun_ns is not None:
        return
    at_ms = turn.wall_ms_of(event.at_mono_ns)
    record = structs.replace(playing.record, started_ms=at_ms, clock_state=turn.state.clock)
    turn.set(plays={**turn.state.plays, event.play_id: structs.replace(playing, record=record, begun_ns=event.at_mono_ns)})
    turn.save(PutRecord(record, is_open=True))
    alarm = turn.state.alarms.get(playing.alarm or "")
    if alarm is not None and playing.phase == "told":
        if not alarm.sounded_ns:
            alarm = structs.replace(alarm, sounded_ns=event.at_mono_ns)
            turn.set(alarms={**turn.state.alarms, alarm.start.incident: alarm})
            turn.save(PutOrder(KeptOrder(alarm.raw, alarm.mark, alarm.accepted_ms, "sounding")))
        reports.note(turn, alarm.mark, "sounding", reason=playing.why, at_ms=at_ms)


def part_sounding(turn: Turn, event: PartSounding) -> None:
    """Another part is heard: the first word, or a repeat that begins (so the one before it is done)."""
    playing = turn.state.plays.get(event.play_id)
    alarm = turn.state.alarms.get(playing.alarm or "") if playing is not None else None
    if playing is None or alarm is None or playing.phase != "told":
        return
    if event.part == playing.spoken_part:
        at_ms = playing.record.started_ms or turn.wall_ms_of(event.at_mono_ns)
        spoken_ms = turn.wall_ms_of(event.at_mono_ns)
        reports.note(turn, alarm.mark, "sounding", reason=playing.why, at_ms=at_ms, spoken_at_ms=spoken_ms)
    begun = sum(1 for first in playing.repeat_parts if first <= event.part)
    before = alarm.start.repeats - len(playing.repeat_parts)
    whole = before + begun - (0 if event.part >= playing.closing_part else 1)
    if whole > alarm.repeats_done:
        alarms = {**turn.state.alarms, alarm.start.incident: structs.replace(alarm, repeats_done=whole)}
        turn.set(alarms=alarms)


def ended(turn: Turn, event: PlayEnded) -> None:
    """A play is over: close its record with the measured levels, and end or resume what it belonged to."""
    playing = turn.state.plays.get(event.play_id)
    if playing is None:
        return
    turn.set(plays={key: other for key, other in turn.state.plays.items() if key != event.play_id})
    if turn.state.current == event.play_id:
        turn.set(current=None)
    record = structs.replace(playing.record, rms_cdb=event.rms_cdb, peak_cdb=event.peak_cdb, silent_ms=max(0, event.silent_ms))
    by_itself: dict[str, Ending] = {"ended": "played", "max": "max", "failed": "failed", "stopped": "stopped"}
    ending = playing.ending or by_itself[event.how]
    reason = "; ".join(text for text in (playing.why, event.reason) if text)
    reports.close_record(turn, record, ending, reason=reason, ended_ms=turn.wall_ms_of(event.at_mono_ns))
    turn.trouble("silent", there=event.how == "ended" and event.rms_cdb <= SILENT_CDB)
    if playing.due is not None and playing.ending == "interrupted":
        plan.resume_where(turn, playing.due, event)
    alarm = turn.state.alarms.get(playing.alarm or "")
    if alarm is not None and playing.ending is None:
        end_alarm(turn, alarm, "ended", why=event.reason if event.how != "ended" else "")
