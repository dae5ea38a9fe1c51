"""The way to the controller: a new one is tried, kept once the controller answered on it, and left for the last that worked.

Nobody climbs a pole because an address was mistyped: whatever a document says, the node goes on looking among the ways that it
knows, and what its card says is always one of them.
"""

from typing import Final

from msgspec import structs

from edge_agent.commands import GoBy, PutReach
from edge_agent.core.state import MS_NS, Turn
from edge_agent.events import KeptReach
from protocol.documents import Network, Reach
from protocol.reports import NetworkState
from protocol.seen import Slot

S_NS: Final = 1_000 * MS_NS
CARD: Final = Reach()
STOOD_S: Final = 60
"""When a link stood so long a hello is said, and its answer counts: what came before may have gone by the way that is left.

An access point that is changed cuts a connection without a word: it is noticed only after a minute and a half.
"""
TRIAL_S: Final = 600
"""Ten minutes: a modem finds another access point in one or two, and the broker's longest pause between tries is 45 s."""
HOUR_S: Final = 3_600
LONG_H: Final = 24
SHORTLY_S: Final = 3_600
STARTS: Final = 3


def recall(turn: Turn, memory: KeptReach | None) -> None:
    """After a start: a trial goes on, a few starts long; else the last good one. Without memory it is as the card says."""
    turn.set(reach_silent_ns=turn.now.mono_ns)
    if memory is None:
        return
    kept, used = memory, memory.good
    if kept.state == "trial" and kept.starts < STARTS:
        kept, used = structs.replace(kept, starts=kept.starts + 1), kept.wanted
    elif kept.state == "trial":
        kept = structs.replace(kept, state="returned")
    turn.set(reach=kept, reach_used=used)
    if kept != memory:
        turn.save(PutReach(kept))
    turn.tell(GoBy(used))


def keep_up(turn: Turn) -> None:
    """Weigh a new document, hold what proved good, leave what stays silent."""
    state = turn.state
    digest, wanted = _asked(turn)
    if (asks_ns := _asks_ns(turn)) is not None and turn.now.mono_ns >= asks_ns:
        turn.ask_hello(delay_ms=0)
    if digest != state.reach.digest and (wanted != CARD or state.reach != KeptReach()):
        _weigh(turn, digest, wanted)
    elif state.answered and not (_is_held(turn) and not state.reach.silent_h):
        _hold(turn)
    elif (due_ns := _patience_ends_ns(turn)) is not None and turn.now.mono_ns >= due_ns:
        _leave(turn)
    elif _counts_hours(turn) and turn.now.mono_ns >= state.reach_silent_ns + HOUR_S * S_NS:
        turn.set(reach_silent_ns=state.reach_silent_ns + HOUR_S * S_NS)
        _keep(turn, silent_h=state.reach.silent_h + 1)
    turn.trouble("network-returned", there=turn.state.reach.state == "returned")


def next_wake_ns(turn: Turn) -> list[int]:
    """When a link has stood long enough, or nobody answered for too long."""
    hour_ns = turn.state.reach_silent_ns + HOUR_S * S_NS if _counts_hours(turn) else None
    return [due_ns for due_ns in (_asks_ns(turn), _patience_ends_ns(turn), hour_ns) if due_ns is not None]


def kept(turn: Turn, reach: KeptReach) -> None:
    """The trial is on disk: now the new way is gone by, unless something newer was weighed meanwhile."""
    if reach == turn.state.reach:
        _go(turn, reach.wanted)


def answered(turn: Turn) -> None:
    """The controller answered a hello. What lay in the broker from before, or came on a link that is left, proves nothing."""
    state = turn.state
    if not state.link_up or state.linked_ns is None or state.hello_sent_ns is None:
        return
    turn.set(answered_ns=turn.now.mono_ns)
    if state.hello_sent_ns >= state.linked_ns + STOOD_S * S_NS:
        turn.set(answered=True)


def link_lost(turn: Turn) -> None:
    """From now on it is silent; a link that fell at once never counted."""
    state = turn.state
    if _is_held(turn) and state.linked_ns is not None and turn.now.mono_ns - state.linked_ns >= STOOD_S * S_NS:
        turn.set(reach_silent_ns=turn.now.mono_ns)
    turn.set(linked_ns=None, answered=False)


def told(turn: Turn) -> NetworkState | None:
    """What the hello says of it; nothing as long as no document said how to reach anybody."""
    kept = turn.state.reach
    if kept == KeptReach():
        return None
    return NetworkState(digest=kept.digest or None, state=kept.state)


def _asked(turn: Turn) -> tuple[str, Reach]:
    """The document that is in force, and its way. Its last day does not end it: that would cut the node off."""
    held = turn.state.documents.get(Slot("network", turn.state.node, "-"))
    if held is None or not isinstance(held.payload, Network):
        return "", CARD
    return held.digest, held.payload.body.reach or CARD


def _weigh(turn: Turn, digest: str, wanted: Reach) -> None:
    """A document that was not tried yet: on disk first, unless it asks for what is proven."""
    state = turn.state
    if wanted == state.reach.good:
        _keep(turn, digest=digest, wanted=wanted, state="confirmed")
        _go(turn, wanted)
    else:
        brief = state.answered_ns is not None and turn.now.mono_ns - state.answered_ns < SHORTLY_S * S_NS
        trial = structs.replace(
            state.reach, digest=digest, wanted=wanted, state="trial", brief=brief or state.link_up, starts=1, silent_h=0
        )
        turn.set(reach=trial)
        turn.save(PutReach(trial), reach=trial)
    turn.ask_hello(delay_ms=500)


def _hold(turn: Turn) -> None:
    """The controller answers here: this is what the node comes back to from now on."""
    kept, used = turn.state.reach, turn.state.reach_used
    if used == kept.good:
        _keep(turn, silent_h=0)
        return
    _keep(turn, good=used, before=kept.good, state="confirmed" if used == kept.wanted else "returned", silent_h=0)
    turn.ask_hello(delay_ms=500)


def _leave(turn: Turn) -> None:
    """Go on to the next one that is known. Back from a trial at once: nothing waits for a card that may have failed."""
    kept, used = turn.state.reach, turn.state.reach_used
    ways = _ways(turn)
    if _on_trial(turn):
        _keep(turn, state="returned")
        _go(turn, kept.good)
        turn.ask_hello(delay_ms=500)
        return
    following = ways[(ways.index(used) + 1) % len(ways)] if used in ways else kept.good
    if following == kept.good and kept.silent_h:
        _keep(turn, silent_h=0)
    _go(turn, following)


def _ways(turn: Turn) -> list[Reach]:
    """Each way once, the good one first."""
    kept = turn.state.reach
    return list(dict.fromkeys((kept.good, kept.before, CARD, kept.wanted)))


def _go(turn: Turn, reach: Reach) -> None:
    if reach != turn.state.reach_used:
        turn.set(reach_used=reach, reach_silent_ns=turn.now.mono_ns, linked_ns=None, answered=False)
        turn.tell(GoBy(reach))


def _keep(turn: Turn, **changes: object) -> None:
    kept = structs.replace(turn.state.reach, **changes)
    turn.set(reach=kept)
    turn.save(PutReach(kept))


def _on_trial(turn: Turn) -> bool:
    """Whether the document's way is the one gone by, and not proven yet."""
    kept = turn.state.reach
    return kept.state == "trial" and turn.state.reach_used == kept.wanted


def _is_held(turn: Turn) -> bool:
    """Whether what is gone by is the last good one."""
    return turn.state.reach_used == turn.state.reach.good


def _asks_ns(turn: Turn) -> int | None:
    """When the hello is to be said whose answer proves this way; None when it was, or when there is nothing to prove."""
    state = turn.state
    if not state.link_up or state.linked_ns is None or (_is_held(turn) and not state.reach.silent_h):
        return None
    stood_ns = state.linked_ns + STOOD_S * S_NS
    is_said = state.hello_sent_ns is not None and state.hello_sent_ns >= stood_ns
    is_due = state.hello_due_ns is not None and state.hello_due_ns <= turn.now.mono_ns
    return None if is_said or is_due else stood_ns


def _patience_ends_ns(turn: Turn) -> int | None:
    """When the way gone by is left; None for one that works, and for a node that knows no other."""
    state = turn.state
    if len(_ways(turn)) == 1 or (_is_held(turn) and state.link_up):
        return None
    long_s = LONG_H * HOUR_S
    if _on_trial(turn):
        patience_s = TRIAL_S if state.reach.brief else long_s
    elif _is_held(turn):
        patience_s = long_s - state.reach.silent_h * HOUR_S
    else:
        patience_s = long_s if state.link_up else TRIAL_S
    return state.reach_silent_ns + patience_s * S_NS


def _counts_hours(turn: Turn) -> bool:
    """Whether hours without a link are noted, so that a daily power cut does not begin the day anew."""
    state = turn.state
    return _is_held(turn) and not state.link_up and state.reach.state != "trial" and len(_ways(turn)) > 1
