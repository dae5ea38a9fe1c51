"""The table of plays: what sounds now, what is being begun, what is fading out."""

from msgspec import structs

from edge_agent.commands import Hush
from edge_agent.core import plan, reports
from edge_agent.core.state import Playing, Turn
from protocol.reports import Ending


def current(turn: Turn) -> Playing | None:
    """What sounds, or is about to; what fades out is not it any more."""
    state = turn.state
    return state.plays.get(state.current) if state.current is not None else None


def enter(turn: Turn, playing: Playing) -> None:
    """From now on this is what sounds."""
    turn.set(next_play_id=playing.play_id + 1, plays={**turn.state.plays, playing.play_id: playing}, current=playing.play_id)


def put(turn: Turn, playing: Playing) -> None:
    """Keep what changed in a play."""
    turn.set(plays={**turn.state.plays, playing.play_id: playing})


def leave(turn: Turn, play_id: int) -> None:
    """Forget a play that is over."""
    plays = {number: playing for number, playing in turn.state.plays.items() if number != play_id}
    turn.set(plays=plays, current=None if turn.state.current == play_id else turn.state.current)


def drop(turn: Turn, playing: Playing, ending: Ending, reason: str) -> None:
    """A play that the player was never told of is over: its record says why."""
    leave(turn, playing.play_id)
    reports.close_record(turn, playing.record, ending, reason=reason)


def hush(turn: Turn, playing: Playing, ending: Ending, why: str) -> None:
    """End a play before its time; its record closes when the player says how it was."""
    if ending == "interrupted":
        plan.keep_interrupted(turn, playing)
    if playing.phase == "saving":
        drop(turn, playing, ending, why)
        return
    why = "; ".join(text for text in (playing.why, why) if text)
    put(turn, structs.replace(playing, phase="ending", ending=ending, why=why))
    turn.set(current=None)
    turn.tell(Hush(playing.play_id))
