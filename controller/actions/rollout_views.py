"""What actions on rollouts take and return. Times are UTC milliseconds."""

from msgspec import Struct

from controller.core.rollout import Bounds, Phase, Stand


class RolloutWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which release (its version or digest), for whom, how carefully. Every selector that is given narrows the others."""

    release: str
    area: str | None = None
    nodes: tuple[str, ...] = ()
    model: str | None = None
    runs: str | None = None
    canaries: tuple[str, ...] = ()
    bounds: Bounds = Bounds()


class PlannedNode(Struct, frozen=True, kw_only=True):
    """One node of a wave; `reachable`: it is there now, else it stays open until the deadline."""

    node: str
    name: str
    settlement_name: str
    version: str
    reachable: bool


class PlannedWave(Struct, frozen=True, kw_only=True):
    """One wave; `by_ms`: when it is over if each wave takes the nodes' next night window whole."""

    nodes: tuple[PlannedNode, ...]
    by_ms: int


class LeftOut(Struct, frozen=True, kw_only=True):
    """A selected node that is not part of it, and why."""

    node: str
    name: str
    code: str
    vi: str
    en: str


class PlanView(Struct, frozen=True, kw_only=True):
    """What a rollout would do. `bytes_most`: if every node fetches the whole bundle; `bundle_here`: nodes can fetch it."""

    release: str
    compatible: str
    version: str
    build: int
    bundle_bytes: int
    bundle_here: bool
    area: str
    area_name: str
    waves: tuple[PlannedWave, ...]
    left_out: tuple[LeftOut, ...]
    selected: int
    unreachable: int
    bytes_most: int
    deadline_ms: int
    bounds: Bounds


class RolloutNode(Struct, frozen=True, kw_only=True):
    """Where a node stands in a rollout, and what it said last of the release."""

    node: str
    name: str
    settlement_name: str
    wave: int
    online: str
    stand: Stand
    since_ms: int
    state: str
    reason: str
    bytes_done: int
    bytes_of: int


class RolloutView(Struct, frozen=True, kw_only=True):
    """A rollout. `counts`: nodes by where they stand; `eta_ms`: when it may be over, None when nothing goes on or it is."""

    id: int
    release: str
    compatible: str
    version: str
    build: int
    area: str
    area_name: str
    phase: Phase
    why: str
    wave: int
    waves: int
    counts: dict[str, int]
    bytes_done: int
    bytes_most: int
    started_ms: int
    started_by: str
    ended_ms: int | None
    deadline_ms: int
    eta_ms: int | None
    bounds: Bounds
    nodes: tuple[RolloutNode, ...] = ()
