"""A node without a clock cannot tell a fresh START from an old one: the same incident is sealed again, answering its nonce."""

from collections.abc import Iterable
from typing import Final

from controller.actions import orders as submitting
from controller.core.orders import Offer, OrderStored
from controller.core.peek import stored
from controller.errors import Refused
from controller.parts import SYSTEM, Parts
from controller.signing import Asked
from controller.store import orders
from controller.store.database import Transaction
from protocol.orders import ExerciseStart, Start

BY_SIGNER: Final = "signer"


def _wanting(pairs: Iterable[tuple[Offer, str]]) -> dict[str, list[tuple[Offer, str]]]:
    """By order: the nodes that could not judge it, with their nonces, unless it answers them already."""
    wanting: dict[str, list[tuple[Offer, str]]] = {}
    for offer, nonce in pairs:
        unjudged = offer.state in ("none", "sent") or (offer.state == "refused" and offer.reason.startswith("clock-unusable"))
        if unjudged and nonce not in offer.order.answers and offer.order.sealed_with == BY_SIGNER:
            wanting.setdefault(offer.order.key, []).append((offer, nonce))
    return wanting


async def reseal_without_clock(parts: Parts) -> int:
    """Seal again what the signer sealed, for the nodes that have no clock; give how many nodes that serves.

    What an officer's own key sealed waits for that officer: its rows carry the nonce.
    """
    now_ms = parts.now_ms()

    def read(tx: Transaction) -> list[tuple[OrderStored, list[tuple[Offer, str]]]]:
        found = []
        for key, pairs in _wanting(orders.without_clock(tx, now_ms)).items():
            newest = orders.of_key(tx, key)[-1]
            if newest.mark.op == "START":
                found.append((pairs[-1][0].order, pairs[: submitting.MAX_NONCES]))
        return found

    served = 0
    for order, pairs in await parts.database.read(read):
        served += await _reseal(parts, order, pairs)
    return served


async def _reseal(parts: Parts, order: OrderStored, pairs: list[tuple[Offer, str]]) -> int:
    start = stored(order.raw)
    if not isinstance(start, Start | ExerciseStart):
        return 0
    asked = Asked(
        kind=start.kind,
        authority=start.authority,
        area=start.area,
        area_no=start.area_no,
        incident=start.incident,
        now_ms=parts.now_ms(),
        highest_seq=start.seq,
        risk=start.risk,
        issuing_body=start.issuing_body,
        source_doc=start.source_doc,
        clips=start.clips,
        repeats=start.repeats,
        accept_until_ms=start.accept_until_ms,
        sound_max_s=start.sound_max_s,
        answers=tuple(dict.fromkeys(nonce for _, nonce in pairs)),
    )
    origin = submitting.Origin(
        requested_at_ms=order.requested_at_ms,
        sealed_with=BY_SIGNER,
        only_nodes=tuple(sorted({offer.node for offer, _ in pairs})),
    )
    try:
        raw = await parts.signer.seal(asked)
        await submitting.submit(parts, SYSTEM, raw, origin)
    except Refused as refused:
        parts.broker.trouble = f"re-sealing {order.key} for nodes without a clock failed: {refused.sentence}"
        return 0
    return len(pairs)
