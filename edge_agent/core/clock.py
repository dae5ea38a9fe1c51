"""How far the clock is trusted, the floor that it never runs below, and the nonce for when it cannot be trusted."""

from typing import Final

from msgspec import structs

from edge_agent.commands import PutNumber
from edge_agent.core.state import MS_NS, Turn
from protocol.units import ClockState

FLOOR_BUILD_MS: Final = 1_793_491_200_000
"""01/11/2026 00:00 UTC: this program cannot run before it was written."""
STEP_MS: Final = 100
FLOOR_EVERY_MS: Final = 3_600_000
NONCE_LIFE_NS: Final = 600_000_000_000


def watch(turn: Turn) -> None:
    """Judge the clock at this instant: a step or a new trust lets everything timed be planned anew."""
    state, now = turn.state, turn.now
    clock: ClockState = now.clock if now.wall_ms >= max(state.floor_ms, FLOOR_BUILD_MS) else "unknown"
    offset_ms = now.wall_ms - now.mono_ns // MS_NS
    changed = clock != state.clock
    if changed or abs(offset_ms - state.offset_ms) > STEP_MS:
        turn.set(clock=clock, offset_ms=offset_ms, plan_stale=True)
    _renew_nonce(turn)
    if not state.booted:
        return
    if changed:
        turn.ask_hello(delay_ms=0)
    usable = turn.state.clock_usable
    turn.trouble("clock-unknown", there=not usable)
    if usable and now.wall_ms - state.floor_ms > FLOOR_EVERY_MS:
        raise_floor(turn, now.wall_ms)
    if usable and state.seen.amnesia_since_ms is None:
        _date_memory(turn)


def raise_floor(turn: Turn, to_ms: int) -> None:
    """The floor rises with our own good clock and with documents that several persons signed; it is kept on disk.

    Never above a clock that is good: a signer whose clock is a minute ahead would take our own from us for that minute.
    """
    if turn.state.clock_usable:
        to_ms = min(to_ms, turn.now.wall_ms)
    if to_ms > turn.state.floor_ms:
        turn.set(floor_ms=to_ms)
        turn.save(PutNumber("floor_ms", to_ms))


def reset_floor(turn: Turn, to_ms: int) -> None:
    """Only a root lowers it."""
    turn.set(floor_ms=to_ms)
    turn.save(PutNumber("floor_ms", to_ms))


def _date_memory(turn: Turn) -> None:
    """The store was made while the clock was unusable: from now on STARTs older than this instant are replays to us."""
    turn.set(seen=structs.replace(turn.state.seen, amnesia_since_ms=turn.now.wall_ms))
    turn.save(PutNumber("created_ms", turn.now.wall_ms))


def _renew_nonce(turn: Turn) -> None:
    """A nonce lives ten minutes and its predecessor stays valid: an order that answers one cannot be withheld for long.

    It is renewed under a good clock too (else a START sealed for it could be kept back for days); only then nobody is told.
    """
    state, now = turn.state, turn.now
    age_ns = now.mono_ns - state.nonce_drawn_ns
    if state.nonces and age_ns < NONCE_LIFE_NS:
        return
    previous = state.nonces[:1] if age_ns < 2 * NONCE_LIFE_NS else ()
    turn.set(nonces=(now.dice, *previous), nonce_drawn_ns=now.mono_ns)
    if state.booted and not state.clock_usable:
        turn.ask_hello(delay_ms=0)


def next_wake_ns(turn: Turn) -> list[int]:
    """When a new nonce is to be told, or a clock that is in step comes above the floor.

    Under a good clock nobody is told: the nonce is renewed before anything that arrives is judged by it.
    """
    state, now = turn.state, turn.now
    if state.clock_usable:
        return []
    wakes = [state.nonce_drawn_ns + NONCE_LIFE_NS]
    if now.clock != state.clock:
        wakes.append(turn.mono_ns_of(max(state.floor_ms, FLOOR_BUILD_MS)))
    return wakes
