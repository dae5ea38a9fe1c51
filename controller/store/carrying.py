"""The chain of roots, as it was stored: each version follows the one before it."""

from controller.core.world import Standing, World
from controller.store import documents
from controller.store.database import Transaction
from controller.store.world import standing_of
from protocol.documents import Root


def roots(tx: Transaction, world: World) -> list[Standing]:
    """Every root from the first to the one in force, by version: a wrong date in one must not put it out of its place."""
    newest = world.root_held()
    if newest is None:
        return []
    found = [standing_of(stored.digest, stored.raw) for stored in documents.of_slot(tx, newest.slot)]
    return sorted(found, key=_version)


def _version(held: Standing) -> int:
    return held.document.body.version if isinstance(held.document, Root) else 0
