"""What a report of plan against plays says (đối chiếu kế hoạch): every planned bulletin on every node, and what became of it."""

from typing import Literal

from msgspec import Struct

Outcome = Literal[
    "missing",
    "silent",
    "failed",
    "unknown",
    "cut",
    "outdated",
    "interrupted",
    "stopped",
    "skipped",
    "late",
    "played",
    "pending",
]
"""From the worst on. `missing`: the node is back, its records are complete, and there is none. `unknown`: nobody can tell yet.
`outdated`: it still held an older programme. `pending`: its time is not over."""
WhyExtra = Literal["older-version", "version-came-later", "other-place", "not-planned", "unknown-document"]
"""It still held an older one; a newer one came within the grace; it stood elsewhere by then; nothing says why; unknown here."""


class TallyView(Struct, frozen=True, kw_only=True):
    """Planned bulletins and what became of them; `expected` leaves out those whose time is not over.

    `played` counts the late too. `share` is None when nothing was expected. `heard_ms` is sound that could be heard.
    """

    expected: int = 0
    played: int = 0
    share: float | None = None
    heard_ms: int = 0
    outcomes: dict[str, int] = {}
    clock_doubted: int = 0


class NodeTally(Struct, frozen=True, kw_only=True):
    """One loudspeaker: planned bulletins, and apart from them emergencies, exercises, and plays that no plan explains."""

    node: str
    name: str
    settlement: str
    settlement_name: str
    tally: TallyView
    emergencies: int = 0
    emergency_ms: int = 0
    exercises: int = 0
    exercise_ms: int = 0
    extra: int = 0
    extra_ms: int = 0


class SettlementTally(Struct, frozen=True, kw_only=True):
    """Everything that was planned for the nodes while they stood in one settlement."""

    area: str
    name: str
    tally: TallyView


class BulletinTally(Struct, frozen=True, kw_only=True):
    """One bulletin on every node."""

    area: str
    authority: str
    item: str
    title: str
    tally: TallyView


class LineView(Struct, frozen=True, kw_only=True, gc=False):
    """One planned bulletin on one node. `tries`: records of it (more than one: interrupted and taken up again).

    `clock_state` is the worst under which it played; `version_differs`: played out of another version than the one that counted.
    """

    node: str
    node_name: str
    settlement: str
    settlement_name: str
    area: str
    authority: str
    item: str
    title: str
    planned_ms: int
    outcome: Outcome
    started_ms: int | None = None
    ended_ms: int | None = None
    heard_ms: int = 0
    tries: int = 0
    why: str = ""
    rms_cdb: int | None = None
    clock_state: str = ""
    version_differs: bool = False


class ExtraView(Struct, frozen=True, kw_only=True):
    """A routine play that no plan explains (ngoài kế hoạch)."""

    node: str
    node_name: str
    area: str
    authority: str
    item: str
    title: str
    planned_ms: int
    started_ms: int | None
    ended_ms: int | None
    ending: str
    heard_ms: int
    why: WhyExtra
    clock_state: str


class PlanReport(Struct, frozen=True, kw_only=True):
    """Plan against plays of one area from `from_ms` to `to_ms` (cut off at now), local days.

    `lines` are what went wrong, worst first, `extras` what no plan explains; both at most as many as was asked, `wrong` and
    `extra` say how many there are.
    """

    area: str
    area_name: str
    from_ms: int
    to_ms: int
    now_ms: int
    total: TallyView
    emergencies: int
    emergency_ms: int
    exercises: int
    exercise_ms: int
    wrong: int
    extra: int
    nodes: tuple[NodeTally, ...]
    settlements: tuple[SettlementTally, ...]
    bulletins: tuple[BulletinTally, ...]
    lines: tuple[LineView, ...]
    extras: tuple[ExtraView, ...]


class LinesView(Struct, frozen=True, kw_only=True):
    """What is streamed node by node: `done` of `of` nodes are through, with all lines of this one; at the end the report."""

    done: int
    of: int
    lines: tuple[LineView, ...] = ()
    extras: tuple[ExtraView, ...] = ()
    report: PlanReport | None = None
