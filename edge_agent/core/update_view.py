"""Which release is meant for this node, and what health tells of it."""

from typing import Final

from msgspec import Struct

from edge_agent.core.state import Turn
from protocol.release import Release
from protocol.reports import UpdateState

UNDER_WAY: Final = frozenset({"fetching", "installing", "installed", "trial"})
"""States in which a newer release waits until this one has come to its end."""


class Candidate(Struct, frozen=True):
    """A release that is held, with what its signers are judged by again."""

    release: Release
    digest: str
    keyids: tuple[str, ...]


def candidate(turn: Turn) -> Candidate | None:
    """The release in force for this kind of machine; if there is none, the newest for another kind (which is refused)."""
    held = [
        Candidate(stored.payload, stored.digest, stored.keyids)
        for stored in turn.state.documents.values()
        if isinstance(stored.payload, Release)
    ]
    slots = turn.state.slots
    mine = [each for each in held if slots is not None and each.release.subject == slots.compatible]
    return max(mine or held, key=lambda each: (each.release.seq, each.digest), default=None)


def floor(turn: Turn) -> int:
    """The lowest build that may still be installed here: that of the releases that were taken in for this kind of machine."""
    slots = turn.state.slots
    marks = turn.state.seen.documents.items()
    return max((mark.floor for slot, mark in marks if slots is not None and slot.subject == slots.compatible), default=0)


def of(turn: Turn) -> UpdateState | None:
    """How far the node is with its release; None without one."""
    state, found = turn.state, candidate(turn)
    kept = state.update
    if kept is not None and (found is None or kept.release == found.digest or kept.state in UNDER_WAY):
        told = kept.state
        if told == "trial" and state.slots is not None and state.slots.booted == kept.from_slot:
            told = "installed"  # the new build does not run yet
        size = found.release.body.bundle.bytes if found is not None and found.digest == kept.release else 0
        return UpdateState(
            release=kept.release,
            build=kept.build,
            state=told,
            bytes_done=min(state.update_bytes, size),
            bytes_of=size,
            reason=(state.update_waits or kept.reason)[:300],
        )
    if found is None:
        return None
    body = found.release.body
    why = state.update_waits
    return UpdateState(release=found.digest, build=body.build, state="waiting", bytes_of=body.bundle.bytes, reason=why)
