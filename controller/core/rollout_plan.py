"""What a node's last words mean to a rollout: who is selected, who is left out and why, who has it already. Pure."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from controller.core.fleet import NodeState
from controller.core.rollout import BEGUN, FAILED, Rollout, Told
from controller.core.rollout_waves import both_ways
from controller.core.world import World
from protocol.documents import Network, NetworkBody, Placement
from protocol.release import Release
from protocol.reports import UpdateState

WORDS: Final[dict[str, tuple[str, str]]] = {
    "unplaced": ("chưa có vị trí được ký, nên không nhận lệnh từ xa", "it has no signed placement, so it obeys nobody from afar"),
    "model": ("là loại máy khác: {}", "it is another kind of machine: {}"),
    "runs-it": ("đang chạy bản này rồi", "it runs this build already"),
    "failed-it": ("đã thử bản này và bỏ: {}", "it tried this release and gave it up: {}"),
}


class Picture(Struct, frozen=True, kw_only=True):
    """What rollouts ask of the world, taken at one instant."""

    chains: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]
    settlements: Mapping[str, str]
    placed: frozenset[str]
    neighbours: Mapping[str, frozenset[str]]
    networks: Mapping[str, NetworkBody]


def neighbours_of(world: World) -> dict[str, frozenset[str]]:
    """Who covers some of the same place, as the placements in force say."""
    documents = [held.document for held in world.standing.values()]
    return both_ways({each.body.node: each.body.neighbours for each in documents if isinstance(each, Placement)})


def picture_of(world: World) -> Picture:
    """Nodes that are not retired: where they stand, whose neighbours they are, when they fetch."""
    living = [node for node in world.nodes.values() if not node.retired]
    documents = [held.document for held in world.standing.values()]
    return Picture(
        chains={node.id: tuple(link.area for link in world.chain_of(node.id)) for node in living},
        names={node.id: node.name for node in living},
        settlements={node.id: world.name_of(node.settlement) for node in living},
        placed=frozenset(node.id for node in living if node.chain is not None),
        neighbours=neighbours_of(world),
        networks={each.subject: each.body for each in documents if isinstance(each, Network)},
    )


def told_of(state: NodeState | None, digest: str, release: Release) -> Told:
    """What a node said that matters to the rollout of this release. Its sealed hello says what runs, its health how far it is."""
    if state is None:
        return Told(reachable=False)
    update = state.update if state.update is not None and state.update.release == digest else None
    return Told(
        reachable=state.online == "online",
        heard_ms=state.last_heard_ms,
        runs=_runs(state, update, release),
        release=digest if update else "",
        state=update.state if update else "",
        reason=update.reason if update else "",
        bytes_done=update.bytes_done if update else 0,
        bytes_of=update.bytes_of if update else 0,
    )


def is_updating(state: NodeState | None, rollout: Rollout, now_ms: int) -> bool:
    """Whether a node says that it installs, whatever brought it the release; believed for as long as silence is."""
    if state is None or state.update is None or state.update.state not in BEGUN:
        return False
    return now_ms - (state.last_heard_ms or 0) < rollout.bounds.silent_s * 1000


def is_version(said: str, release: Release) -> bool:
    """Whether a hello's `version`, as `2026.11.2+7`, names the build of a release."""
    return said == f"{release.body.version}+{release.body.build}"


def _runs(state: NodeState, update: UpdateState | None, release: Release) -> bool:
    return is_version(state.version, release) and not (update and update.state in BEGUN)


def why_not(state: NodeState, picture: Picture, digest: str, release: Release) -> tuple[str, str] | None:
    """Why a selected node is left out (a word of WORDS and what it is about); None when it is not."""
    told = told_of(state, digest, release)
    if state.id not in picture.placed:
        return "unplaced", ""
    if state.model != release.subject:
        return "model", state.model
    if told.state in FAILED:
        return "failed-it", f"{told.state} {told.reason}".strip()
    if told.runs:
        return "runs-it", ""
    return None
