"""Proof of play: every play counted once."""

from controller.actions.asking import allowed, ask, ask_somewhere
from controller.actions.views import PlayView
from controller.parts import Actor, Parts
from controller.store import nodes


async def list_all(
    parts: Parts, who: Actor, node: str | None = None, since_ms: int = 0, until_ms: int | None = None, limit: int = 500
) -> list[PlayView]:
    """Plays of one's own nodes planned in a span of time, newest first."""
    ask_somewhere(who, "see")
    if node is not None:
        ask(parts, who, "see", node)
    found = await parts.database.read(lambda tx: nodes.list_plays(tx, node, since_ms, until_ms, limit))
    return [play for play in found if allowed(parts, who, "see", play.node)]
