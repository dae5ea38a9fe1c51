"""How far the clock is trusted, the floor that it never runs below, and the nonce for when it cannot be trusted."""

from typing import Final

from edge_agent.commands import PutNumber
from edge_agent.core.state import MS_NS, Turn
from protocol.units import ClockState

FLOOR_BUILD_MS: Final = 1_793_491_200_000
"""01/11/2026 00:00 UTC: this program cannot run before it was written."""
STEP_MS: Final = 100
FLOOR_EVERY_MS: Final = 3_600_000
NONCE_LIFE_NS: Final = 600_000_000_000


def watch(turn: Turn) -> bool:
    """Judge the clock at this instant. Returns whether what was planned by it must be planned again (a step, a new trust)."""
    state, now = turn.state, turn.now
    clock: ClockState = now.clock if now.wall_ms >= max(state.floor_ms, FLOOR_BUILD_MS) else "unknown"
    offset_ms = now.wall_ms - now.mono_ns // MS_NS
    changed = clock != state.clock
    stepped = abs(offset_ms - state.offset_ms) > STEP_MS
    if changed or stepped:
        turn.set(clock=clock, offset_ms=offset_ms)
    if changed and state.booted:
        turn.ask_hello(delay_ms=0)
    turn.trouble("clock-unknown", there=not turn.state.clock_usable)
    if turn.state.clock_usable and now.wall_ms - state.floor_ms > FLOOR_EVERY_MS and state.booted:
        raise_floor(turn, now.wall_ms)
    if turn.state.clock_usable and state.booted and state.seen.amnesia_since_ms is None:
        _date_memory(turn)
    _renew_nonce(turn)
    return changed or stepped


def raise_floor(turn: Turn, to_ms: int) -> None:
    """The floor rises with our own good clock and with documents that several persons signed; it is kept on disk."""
    if to_ms > turn.state.floor_ms:
        turn.set(floor_ms=to_ms)
        turn.save(PutNumber("floor_ms", to_ms))


def reset_floor(turn: Turn, to_ms: int) -> None:
    """Only a root lowers it."""
    turn.set(floor_ms=to_ms)
    turn.save(PutNumber("floor_ms", to_ms))


def _date_memory(turn: Turn) -> None:
    """The store was made while the clock was unusable: from now on STARTs older than this instant are replays to us."""
    seen = turn.state.seen
    turn.set(seen=type(seen)(seen.documents, seen.orders, seen.evicted_seq, turn.now.wall_ms))
    turn.save(PutNumber("created_ms", turn.now.wall_ms))


def _renew_nonce(turn: Turn) -> None:
    """A nonce lives ten minutes and its predecessor stays valid; nobody needs new ones while the clock is good."""
    state, now = turn.state, turn.now
    if state.nonces and (state.clock_usable or now.mono_ns - state.nonce_drawn_ns < NONCE_LIFE_NS):
        return
    turn.set(nonces=(now.dice, *state.nonces[:1]), nonce_drawn_ns=now.mono_ns)
    if state.booted:
        turn.ask_hello(delay_ms=0)
