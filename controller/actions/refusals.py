"""What was refused, by nodes and by the controller."""

from controller.actions.asking import allowed, ask_somewhere, sees_all
from controller.actions.views import RefusalView
from controller.parts import Actor, Parts
from controller.store import notes


async def list_all(parts: Parts, who: Actor, node: str | None = None, limit: int = 500) -> list[RefusalView]:
    """What one's own nodes refused, newest first; what the controller refused, for who sees the whole province."""
    ask_somewhere(who, "see")
    found = await parts.database.read(lambda tx: notes.list_refusals(tx, node, limit))
    if sees_all(parts, who):
        return found
    return [one for one in found if one.node in parts.world.nodes and allowed(parts, who, "see", one.node)]
