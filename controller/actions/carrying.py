"""What is carried to a node or all nodes of an area by stick or HTTPS: every root, what is in force, what is suspended."""

from controller.actions.asking import ask
from controller.actions.media import NONCES_KEPT_MS, who_asks
from controller.core.world import DUE_ORDER, Standing
from controller.errors import Refused
from controller.parts import SYSTEM, Actor, Parts
from controller.store import carrying, media
from protocol.carrying import DOCUMENTS_SHA256


async def carried(parts: Parts, who: Actor, place: str) -> list[str]:
    """Sealed documents (each is JSON text), in the order in which a node can take them. Raises Refused."""
    world, now_ms = parts.world, parts.now_ms()
    chain = world.chain_of(place)
    ask(parts, who, "see", place)
    if not chain:
        raise Refused(f"{place} is neither a node nor an area here: see `loa node list`", code="unknown-area", status=404)
    held: dict[str, Standing] = {}
    for root in await parts.database.read(lambda tx: carrying.roots(tx, world)):
        held[root.digest] = root
    nodes = [place] if place in world.nodes else sorted(world.nodes_in(place))
    found = [standing for node in nodes for standing in world.due(node, now_ms)]
    for area in [*(link.area for link in chain), *(each for each in sorted(world.areas) if each.startswith(f"{place}."))]:
        found.extend(standing for standing in world.held_at(area) if standing.document.kind != "root")
    for standing in sorted(found, key=lambda each: (DUE_ORDER[each.document.kind], each.document.area.count("."))):
        held.setdefault(standing.digest, standing)
    void = {each.digest: each.raw for node in nodes for each in world.suspends_due(node, now_ms)}
    return [raw.decode() for raw in (*(standing.raw for standing in held.values()), *void.values())]


async def for_node(parts: Parts, statement: bytes) -> list[str]:
    """The same for the node whose sealed statement asks for its documents. Raises Refused."""
    fetch = who_asks(parts, statement, DOCUMENTS_SHA256)
    now_ms = parts.now_ms()
    fresh = await parts.database.run(lambda tx: media.use_nonce(tx, fetch.node, fetch.nonce, now_ms, NONCES_KEPT_MS))
    if not fresh:
        raise Refused("this permission to fetch was used before: sign a new one", code="nonce", status=401)
    return await carried(parts, SYSTEM, fetch.node)
