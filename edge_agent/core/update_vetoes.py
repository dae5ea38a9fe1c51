"""Why an update may not go on at this instant: the words that health carries, most pressing first."""

from typing import Final

from edge_agent.core import authority, supply, update_view
from edge_agent.core.night import night_at
from edge_agent.core.state import Turn
from edge_agent.core.update_view import Candidate
from protocol.bulletins import Programme
from protocol.errors import Malformed

INSTALL_MS: Final = 20 * 60_000
"""An adaptive install took 190 s on an emulated Pi; 46 MB at 0.5 Mbit/s take 12 minutes."""
RESTART_MS: Final = 10 * 60_000
"""One restart, and three starts that fail before the boot loader goes back, at 20 to 60 s each, with room."""


def why_refused(turn: Turn, found: Candidate) -> str:
    """Why this release never goes onto this machine; "" when it may."""
    slots = turn.state.slots
    if slots is not None and found.release.subject != slots.compatible:
        return f"other-machine: it is for {found.release.subject}, this is {slots.compatible}"
    lowest = update_view.floor(turn)
    if found.release.body.build < lowest:
        return f"below-floor: build {found.release.body.build}, the floor is {lowest}"
    return ""


def why_loud(turn: Turn) -> str:
    """Something sounds, stands, or is on its way from disk to sound; "" when it is quiet."""
    state = turn.state
    if state.alarms or any(after.alarm is not None for after in (*state.after.values(), *state.unwritten)):
        return "emergency"
    if state.current is not None or state.plays:
        return "sounding"
    if state.queue:
        return "programme-soon"
    return "listening" if state.collected else ""


def why_not_restart(turn: Turn, found: Candidate | None) -> str:
    """Why the machine is not to be restarted into the new build now; "" when it may."""
    return why_loud(turn) or _why_not(turn, found, RESTART_MS)


def why_not_install(turn: Turn, found: Candidate) -> str:
    """Why nothing is to be fetched and written now; "" when it may."""
    return why_loud(turn) or _why_no_budget(turn, found) or _why_not(turn, found, INSTALL_MS + RESTART_MS)


def _is_brought(turn: Turn, found: Candidate | None) -> bool:
    """Whether somebody stands at the node who handed this bundle in: it costs the SIM nothing, and he waits for no night."""
    meant = found or update_view.candidate(turn)
    return meant is not None and meant.release.body.bundle.sha256 == turn.state.bundle_brought


def _why_not(turn: Turn, found: Candidate | None, span_ms: int) -> str:
    state = turn.state
    if state.power_low:
        return "power-low"
    if found is not None and (why := authority.why_not(turn, found.release, found.keyids)) is not None:
        return f"authority: {why}"
    if not state.clock_usable:
        return "" if _is_brought(turn, found) else "clock"
    try:
        is_open = night_at(supply.budgets(turn), state.node, turn.now.wall_ms).is_open(turn.now.wall_ms)
    except Malformed:  # a clock beyond the calendar is as good as none
        return "clock"
    if not is_open and not _is_brought(turn, found):
        return "window"
    return "programme-soon" if _due_within(turn, span_ms) else ""


def _why_no_budget(turn: Turn, found: Candidate) -> str:
    """The whole bundle must fit: what an adaptive install spares is known only afterwards."""
    left = None if _is_brought(turn, found) else budget_bytes(turn)
    return "budget" if left is not None and left < found.release.body.bundle.bytes else ""


def budget_bytes(turn: Turn) -> int | None:
    """What the SIM may still carry this month for content and firmware; None without a limit."""
    limit = supply.budgets(turn).month_bytes
    return None if limit is None else max(0, limit - turn.state.spent_bytes)


def _due_within(turn: Turn, span_ms: int) -> bool:
    """Whether a programme in force has an item in that time; the plan itself may look only five minutes ahead."""
    now_ms = turn.now.wall_ms
    if any(due.planned_ms <= now_ms + span_ms for due in turn.state.upcoming):
        return True
    for stored in turn.state.documents.values():
        if not isinstance(stored.payload, Programme) or stored.calendar is None:
            continue
        try:
            found = list(stored.calendar.between(now_ms, now_ms + span_ms))
        except Malformed:
            continue
        if found and authority.why_not(turn, stored.payload, stored.keyids) is None:
            return True
    return False
