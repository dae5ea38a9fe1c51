"""What a rollout would do: whom it reaches in which wave, whom it leaves out, what it costs. Nothing is stored here."""

from msgspec import Struct

from controller.actions import releases
from controller.actions.asking import ask
from controller.actions.releases import ReleaseHeld
from controller.actions.rollout_views import LeftOut, PlannedNode, PlannedWave, PlanView, RolloutWish
from controller.core.fleet import NodeState
from controller.core.rollout_plan import WORDS, Picture, picture_of, why_not
from controller.core.rollout_waves import order_of, waves_of
from controller.core.rollout_windows import ends_of
from controller.core.world import World
from controller.errors import Refused
from controller.media import path_of
from controller.parts import Actor, Parts
from controller.store import nodes, rollouts
from controller.store.database import Transaction
from protocol.rules import Clock


class Weighed(Struct, frozen=True, kw_only=True):
    """A wish held against what is known."""

    held: ReleaseHeld
    area: str
    waves: tuple[tuple[str, ...], ...]
    left_out: tuple[LeftOut, ...]
    states: dict[str, NodeState]
    selected: int


def area_of(parts: Parts, who: Actor, wish: RolloutWish) -> str:
    """The area that the wish is about, once whoever asks may upgrade there. Raises Refused."""
    area = wish.area or parts.config.settings.province
    ask(parts, who, "rollout.manage", *(wish.nodes if wish.nodes and wish.area is None else (area,)))
    if not parts.world.chain_of(area):
        raise Refused(f"area {area} is not in the controller's tree: see `loa area list`", code="unknown-area", status=404)
    named = dict.fromkeys((*wish.nodes, *wish.canaries))
    for node in named:
        if node not in parts.world.nodes:
            raise Refused(f"node {node} is not enrolled here: see `loa node list`", code="unknown-node", status=404)
    return area


def weigh(tx: Transaction, world: World, picture: Picture, clock: Clock, wish: RolloutWish, area: str) -> Weighed:
    """Whom a wish reaches. Raises Refused for what cannot be rolled out."""
    held = releases.named(tx, wish.release)
    releases.check_counts(world, clock, held)
    states = nodes.all_states(tx)
    chosen = [state for node, state in sorted(states.items()) if node in picture.chains and _wanted(state, picture, wish, area)]
    reasons = {state.id: why_not(state, picture, held.digest, held.document) for state in chosen}
    ready = [node for node, why in reasons.items() if why is None]
    left_out = tuple(_left_out(node, picture, *why) for node, why in reasons.items() if why is not None)
    if not ready:
        raise Refused(_nobody(chosen, left_out, area), code="nobody", status=422)
    if busy := rollouts.busy_with(tx, ready):
        node, number = min(busy.items())
        others = f" and {len(busy) - 1} more" if len(busy) > 1 else ""
        raise Refused(f"rollout {number} is not over for node {node}{others}: wait for it or abort it", code="busy", status=409)
    if strange := [node for node in wish.canaries if node not in ready]:
        raise Refused(f"canary {strange[0]} is not among the nodes that would get it", code="canary", status=422)
    reachable = {node for node in ready if states[node].online == "online"}
    order = order_of(held.digest, ready, reachable, tuple(dict.fromkeys(wish.canaries)))
    waves = waves_of(order, picture.neighbours, wish.bounds, len(wish.canaries) or None)
    return Weighed(held=held, area=area, waves=waves, left_out=left_out, states=states, selected=len(chosen))


def _wanted(state: NodeState, picture: Picture, wish: RolloutWish, area: str) -> bool:
    return (
        area in picture.chains[state.id]
        and (not wish.nodes or state.id in wish.nodes)
        and wish.model in (None, state.model)
        and wish.runs in (None, state.version, state.version.rpartition("+")[0])
    )


def _left_out(node: str, picture: Picture, code: str, about: str) -> LeftOut:
    vi, en = WORDS[code]
    return LeftOut(node=node, name=picture.names[node], code=code, vi=vi.format(about), en=en.format(about))


def _nobody(chosen: list[NodeState], left_out: tuple[LeftOut, ...], area: str) -> str:
    if not chosen:
        return f"nobody is selected: no node in {area} fits; see `loa node list --area {area}`"
    return f"nobody is left of {len(chosen)} selected: {left_out[0].name}: {left_out[0].en}"


async def plan(parts: Parts, who: Actor, wish: RolloutWish) -> PlanView:
    """A dry run: what `start` would do with the same words. Raises Refused."""
    area, world, clock = area_of(parts, who, wish), parts.world, parts.clock
    picture = picture_of(world)
    weighed = await parts.database.read(lambda tx: weigh(tx, world, picture, clock, wish, area))
    return _view(parts, picture, wish, weighed)


def _view(parts: Parts, picture: Picture, wish: RolloutWish, weighed: Weighed) -> PlanView:
    release, now_ms = weighed.held.document, parts.now_ms()
    bundle = release.body.bundle
    ends = ends_of(weighed.waves, picture.networks, now_ms)
    everyone = [node for wave in weighed.waves for node in wave]
    return PlanView(
        release=weighed.held.digest,
        compatible=release.subject,
        version=release.body.version,
        build=release.body.build,
        bundle_bytes=bundle.bytes,
        bundle_here=path_of(parts.config.library, bundle.sha256).is_file(),
        area=weighed.area,
        area_name=parts.world.name_of(weighed.area),
        waves=tuple(
            PlannedWave(nodes=tuple(_node(node, picture, weighed) for node in wave), by_ms=by_ms)
            for wave, by_ms in zip(weighed.waves, ends, strict=True)
        ),
        left_out=weighed.left_out,
        selected=weighed.selected,
        unreachable=sum(weighed.states[node].online != "online" for node in everyone),
        bytes_most=bundle.bytes * len(everyone),
        deadline_ms=now_ms + wish.bounds.deadline_s * 1000,
        bounds=wish.bounds,
    )


def _node(node: str, picture: Picture, weighed: Weighed) -> PlannedNode:
    state = weighed.states[node]
    return PlannedNode(
        node=node,
        name=picture.names[node],
        settlement_name=picture.settlements[node],
        version=state.version,
        reachable=state.online == "online",
    )
