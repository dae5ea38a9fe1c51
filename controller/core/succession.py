"""Which order makes which other one pointless to offer, how an order's row may change, and when it is offered again. Pure."""

from typing import Final

from msgspec import Struct

from protocol.documents import ChainLink
from protocol.seen import OrderMark
from protocol.trust import position

RANK: Final = {"none": 0, "sent": 1, "refused": 2, "received": 3, "sounding": 4, "ended": 5, "stopped": 5}
OFFER_AFTER_S: Final = (2, 4, 8, 15, 30)
OFFER_EVERY_S: Final = 60
STOP_KEPT_MS: Final = 30 * 86_400_000
"""How long a STOP stays retained and is offered to nodes that were away: as long as a node keeps its records."""


class Change(Struct, frozen=True, kw_only=True):
    """The new state of an order on a node, and the name of the time that it sets."""

    state: str
    column: str


def advance(old: str, result: str) -> Change | None:
    """What a receipt does to a row: states only go forward; None if it says nothing new."""
    if RANK[result] <= RANK[old]:
        return None
    column = {"sounding": "sounding_ms", "ended": "ended_ms", "stopped": "ended_ms"}.get(result, "received_ms")
    return Change(state=result, column=column)


def replaces(new: OrderMark, old: OrderMark, chain_of_old: tuple[ChainLink, ...]) -> bool:
    """Whether offering `old` is pointless once `new` is out (nodes decide for themselves; this only spares messages)."""
    if new.digest == old.digest or new.seq < old.seq or position(chain_of_old, new.area) is None:
        return False
    same = new.incident == old.incident
    match new.op, old.op:
        case "START", _:
            return same and new.kind == old.kind
        case "STOP", "START":
            return (same or new.incident is None) and not (new.kind == "exercise" and old.kind == "order")
        case "STOP", _:
            return same and new.kind == old.kind
        case _:
            return same and old.op in ("STOP", "LIFT") and new.kind == old.kind


def next_offer_ms(requested_at_ms: int, now_ms: int) -> int:
    """When the same bytes are offered again: 2, 4, 8, 15 and 30 s after the request, then every minute.

    Told by time, not by how often it was offered: hellos offer too, and a node that reconnects five times in ten seconds must not
    wait a minute for the next try.
    """
    for after_s in OFFER_AFTER_S:
        if (at_ms := requested_at_ms + after_s * 1000) >= now_ms + 1000:
            return at_ms
    return now_ms + OFFER_EVERY_S * 1000
