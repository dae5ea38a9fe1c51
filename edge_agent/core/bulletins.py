"""Bulletins that begin, go on, and end: one at a time, inside the station's hours, only while their programme says so."""

from msgspec import structs

from edge_agent.commands import Play, Speak
from edge_agent.core import authority, plan, plays, reports, score
from edge_agent.core.state import Due, Playing, Turn
from protocol.programme import MUTE


def begin(turn: Turn, due: Due) -> None:
    """Its record goes to disk; the sound follows when that is there. From now on this occurrence is played."""
    record = plan.open_record(turn, due)
    playing = Playing(play_id=turn.state.next_play_id, phase="saving", record=record, due=due)
    plan.mark_played(turn, due)
    plays.enter(turn, playing)
    turn.save(*reports.opening(turn, record), play_id=playing.play_id)


def speak(turn: Turn, playing: Playing, due: Due) -> None:
    """Tell the player, if everything still allows it."""
    at_ms = max(due.planned_ms, turn.now.wall_ms)
    why_not = why_over(turn, due, at_ms)
    scored = score.of_item(due.item, turn.state.media_root)
    if why_not is None and not scored.parts:
        why_not = MUTE
    rules, admission = plan.rules_here(turn), plan.admit(turn, due, at_ms)
    if why_not is not None or rules is None or admission.until_ms is None:
        plays.drop(turn, playing, "skipped", why_not or admission.why)
        return
    play = Play(
        playing.play_id,
        scored.parts,
        at_mono_ns=turn.mono_ns_of(at_ms),
        level_cdb=due.item.volume_cdb + rules.volume_cdb,
        max_ms=max(1, admission.until_ms - at_ms),
        from_part=due.from_part,
        skip_samples=due.skip_samples,
    )
    ceiling_ns = turn.mono_ns_of(admission.until_ms)
    plays.put(turn, structs.replace(playing, phase="told", ceiling_ns=ceiling_ns))
    turn.tell(Speak(play))


def why_over(turn: Turn, due: Due, at_ms: int) -> str | None:
    """Why an item that begins or sounds may not (any more)."""
    stored = turn.state.documents.get(due.slot)
    if stored is None or plan.item_in_force(turn, due) is None:
        return "withdrawn: its programme no longer has it"
    lost = authority.why_not(turn, stored.payload, stored.keyids)
    return lost if lost is not None else plan.why_silent(turn, due.key[1], at_ms)


def review(turn: Turn, playing: Playing, due: Due) -> None:
    """Plans were made anew (a document, the clock): what sounds goes on only if it still may."""
    if playing.begun_ns is not None and not turn.state.clock_usable:
        return  # the player's own ceiling keeps the hours of what was begun under a good clock
    why = why_over(turn, due, max(due.planned_ms if playing.begun_ns is None else 0, turn.now.wall_ms))
    if why is not None:
        plays.hush(turn, playing, "stopped", why=why)
