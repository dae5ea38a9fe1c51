"""What was refused, by nodes and by the controller."""

from controller.actions.views import RefusalView
from controller.parts import Parts
from controller.store import notes


async def list_all(parts: Parts, node: str | None = None, limit: int = 500) -> list[RefusalView]:
    """Refusals, newest first."""
    return await parts.database.read(lambda tx: notes.list_refusals(tx, node, limit))
