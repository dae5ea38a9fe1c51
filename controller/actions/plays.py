"""Proof of play: every play counted once."""

from controller.actions.views import PlayView
from controller.parts import Parts
from controller.store import nodes


async def list_all(
    parts: Parts, node: str | None = None, since_ms: int = 0, until_ms: int | None = None, limit: int = 500
) -> list[PlayView]:
    """Plays planned in a span of time, newest first."""
    return await parts.database.read(lambda tx: nodes.list_plays(tx, node, since_ms, until_ms, limit))
