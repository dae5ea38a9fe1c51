"""Health, what the node says of its machine: on change, and then not again for a while."""

from typing import Final

from edge_agent.commands import Publish
from edge_agent.core import update_view
from edge_agent.core.state import MS_NS, Turn
from protocol.reports import Health

QUIET_NS: Final = 600_000 * MS_NS
STEP_QUIET_NS: Final = 60_000 * MS_NS
"""Somebody watches an upgrade, and it takes six steps: two kilobytes."""
DELAY_NS: Final = 5_000 * MS_NS
"""What changes seldom changes alone."""
ERROR_NOTICE_MS: Final = 1_000
"""Below a good clock's bound it comes and goes with every measurement."""


def ask(turn: Turn, *, delay_ns: int = 0) -> None:
    """Something changed that health tells; an earlier change's instant stands."""
    if turn.state.health_due_ns is None:
        turn.set(health_due_ns=turn.now.mono_ns + delay_ns)


def tell_clock(turn: Turn, *, changed: bool) -> None:
    """How far the clock can be off goes with the health, when it is judged anew or that is twice what was told: few words."""
    state = turn.state
    error_ms, told_ms = state.clock_error_ms, state.health_error_ms
    grew = error_ms is not None and error_ms > ERROR_NOTICE_MS and error_ms >= 2 * max(told_ms or 0, 1)
    if (changed or grew) and state.health_sent_ns is not None:
        ask(turn, delay_ns=DELAY_NS)


def say(turn: Turn) -> None:
    """Send it when it is due; the link stands."""
    state = turn.state
    if state.health_due_ns is None or turn.now.mono_ns < max(state.health_due_ns, _quiet_ends_ns(turn)):
        return
    turn.set(health_due_ns=None, health_sent_ns=turn.now.mono_ns, health_error_ms=state.clock_error_ms)
    turn.set(update_told=state.update_said)
    turn.tell(Publish(_health(turn)))


def next_wake_ns(turn: Turn) -> list[int]:
    """When it may go, if it is due."""
    due_ns = turn.state.health_due_ns
    return [] if due_ns is None else [max(due_ns, _quiet_ends_ns(turn))]


def _quiet_ends_ns(turn: Turn) -> int:
    """Until when the next one waits: ten minutes after the last, one where an update has taken a step since."""
    state = turn.state
    if state.health_sent_ns is None:
        return 0
    return state.health_sent_ns + (STEP_QUIET_NS if state.update_said != state.update_told else QUIET_NS)


def _health(turn: Turn) -> Health:
    """How the machine is, as last seen."""
    state = turn.state
    return Health(
        node=state.node,
        at_ms=max(0, turn.now.wall_ms),
        clock_state=state.clock,
        clock_error_ms=state.clock_error_ms,
        disk_free_bytes=state.disk_free_bytes,
        temperature_cc=state.temperature_cc,
        uptime_s=state.uptime_s,
        troubles=tuple(sorted(state.troubles)),
        refused=dict(state.refused),
        restarts=dict(state.restarts),
        update=update_view.of(turn),
    )
