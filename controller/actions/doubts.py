"""Nodes whose identity is in doubt, settled by somebody who looked at them."""

from controller.actions import nodes as node_actions
from controller.actions.asking import ask
from controller.actions.views import NodeView
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import identity, notes
from controller.store.database import Transaction


async def settle(parts: Parts, who: Actor, node: str) -> NodeView:
    """The card was put right, or the copy taken away: the alarm goes, and comes again if it happens again. Raises Refused."""
    ask(parts, who, "node.enrol", node)
    if node not in parts.world.nodes:
        raise Refused(f"node {node} is not enrolled here: see `loa node list`", code="unknown-node", status=404)
    now_ms = parts.now_ms()

    def store(tx: Transaction) -> None:
        why = identity.settle(tx, node)
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="node.settled", what=node, detail=why)

    await parts.database.run(store)
    parts.live.changed("node", node)
    return await node_actions.one(parts, who, node)
