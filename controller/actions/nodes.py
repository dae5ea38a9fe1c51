"""Nodes: enrolled, retired, and how each of them is."""

import msgspec
from msgspec import structs

from controller.actions.asking import allowed, ask
from controller.actions.views import NodeView
from controller.core import fleet
from controller.core.world import NodeKnown
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import enrolments, nodes, notes, orders
from controller.store import world as stored_world
from controller.store.database import Transaction
from protocol import node_id
from protocol.errors import Malformed
from protocol.release import Compatible
from protocol.trust import public_key

SOUNDING_SINCE_MS = 7 * 3_600_000
"""No emergency sounds longer than six hours after its request."""


async def overview(parts: Parts, who: Actor, area: str | None = None) -> list[NodeView]:
    """Every node that is one's own, in an area or in all, worst first, then by name."""
    world, now_ms = parts.world, parts.now_ms()

    def read(tx: Transaction) -> list[NodeView]:
        sounding = orders.sounding_now(tx, now_ms - SOUNDING_SINCE_MS)
        refused = notes.refusals_by_node(tx)
        views = [
            fleet.view_of(world, state, sounding=sounding.get(state.id), refused=refused.get(state.id, 0), now_ms=now_ms)
            for state in nodes.all_states(tx).values()
            if state.id in world.nodes and allowed(parts, who, "see", state.id)
        ]
        wanted = views if area is None else [view for view in views if area in view.chain]
        return sorted(wanted, key=lambda view: (-view.severity, view.settlement_name, view.name, view.id))

    return await parts.database.read(read)


async def one(parts: Parts, who: Actor, node: str) -> NodeView:
    """One node. Raises Refused for one that nobody knows."""
    for view in await overview(parts, who):
        if view.id == node:
            return view
    raise Refused(f"node {node} is not enrolled here: see `loa node list`", code="unknown-node", status=404)


async def enrol(parts: Parts, who: Actor, node: str, name: str, settlement: str, report_key: str) -> NodeView:
    """Take in a new node, or the new name, place or report key of a known one; its placement is signed elsewhere."""
    world, now_ms = parts.world, parts.now_ms()
    ask(parts, who, "node.enrol", settlement, *([node] if node in world.nodes else []))
    if not node_id.is_valid(node):
        raise Refused(f"`{node}` is no node id: ten letters and digits as on the label; look for a typing error", code="node-id")
    known = world.areas.get(settlement)
    if known is None or known.level == "province":
        raise Refused(f"{settlement} is no settlement or commune here: see `loa area list`", code="unknown-area", status=404)
    if not name.strip():
        raise Refused("a node needs a name that people call it by", code="name")
    try:
        public_key(report_key)
    except (Malformed, ValueError) as error:
        raise Refused(f"the report key of {node} is no Ed25519 public key: {error}", code="report-key") from error
    wanted = NodeKnown(id=node, area_no=0, name=name.strip(), settlement=settlement, report_key=report_key)

    def store(tx: Transaction) -> NodeKnown:
        came = enrolments.one(tx, node)
        if came is not None and came.report_key not in (None, report_key):
            raise Refused(f"node {node} came with another report key ({came.digits}): see `loa node pending`", code="report-key")
        enrolled = stored_world.enrol(tx, wanted, now_ms)
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="node.enrol", what=node, detail=f"{name} in {settlement}")
        return enrolled

    world.take_node(await parts.database.run(store))
    parts.live.changed("node", node)
    return await one(parts, who, node)


async def set_model(parts: Parts, who: Actor, node: str, model: str) -> NodeView:
    """What kind of machine a node is: only releases for that kind are for it. Raises Refused."""
    ask(parts, who, "node.enrol", node)
    if node not in parts.world.nodes:
        raise Refused(f"node {node} is not enrolled here: see `loa node list`", code="unknown-node", status=404)
    try:
        wanted = msgspec.convert(model, Compatible)
    except msgspec.ValidationError as error:
        raise Refused(f"{model!r} is no kind of machine: small letters and digits, as `loa-node`", code="model") from error
    now_ms = parts.now_ms()

    def store(tx: Transaction) -> None:
        nodes.set_model(tx, node, wanted)
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="node.model", what=node, detail=wanted)

    await parts.database.run(store)
    return await one(parts, who, node)


async def retire(parts: Parts, who: Actor, node: str) -> None:
    """A node is taken down; it keeps its history. Raises Refused for one that nobody knows."""
    world, now_ms = parts.world, parts.now_ms()
    ask(parts, who, "node.retire", node)
    known = world.nodes.get(node)
    if known is None:
        raise Refused(f"node {node} is not enrolled here: see `loa node list`", code="unknown-node", status=404)

    def store(tx: Transaction) -> None:
        stored_world.retire(tx, node, now_ms)
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="node.retire", what=node)

    await parts.database.run(store)
    world.take_node(structs.replace(known, retired=True))
    await parts.tell_broker(())
    parts.live.changed("reload")
