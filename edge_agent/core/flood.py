"""One hand that floods: how often it may begin something, how much of it may stand; so nobody else waits for it. Pure."""

from typing import Final

from edge_agent.core.state import MS_NS, Alarm, Turn
from protocol.pace import Pace
from protocol.seen import OrderMark

TOO_OFTEN: Final = "too-often"
PACE: Final = Pace(burst=20, every_ms=200)
"""A key may begin twenty at once and then five a second: more than any commune said in an hour, and little work."""
STANDING: Final = 16
"""So many emergencies of the same hands stand at once; one more, and the oldest of them is over."""
PUSHED_OUT: Final = f"over {STANDING} of the same hands stand"


def too_often(turn: Turn, mark: OrderMark) -> bool:
    """Whether every key that signed began too much of late; if not, this one is counted. Told by CLOCK_MONOTONIC.

    It is refused and not remembered: the controller goes on offering it, so that it is taken in when the flood is over.
    """
    begun_ms = PACE.counted(turn.state.begun_ms, mark.keyids, turn.now.mono_ns // MS_NS)
    if begun_ms is None:
        return True
    turn.set(begun_ms=begun_ms)
    return False


def surplus(turn: Turn, new: Alarm) -> list[Alarm]:
    """What the same hands, or fewer of them, have standing beyond what may stand beside this one: the oldest."""
    hands = set(new.mark.keyids)
    theirs = [alarm for alarm in turn.state.alarms.values() if alarm is not new and hands.issuperset(alarm.mark.keyids)]
    return sorted(theirs, key=lambda alarm: alarm.start.seq)[: max(0, len(theirs) + 1 - STANDING)]
