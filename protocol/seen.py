"""What a verifier remembers, so that nothing takes effect twice or out of order. Immutable: the caller stores it with the act."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, structs

from protocol.orders import AnyOrder, ExerciseStart, ExerciseStop, Lift, Start, Stop

KEPT_PER_KEY: Final = 256


class Slot(Struct, frozen=True):
    """Where a document stands: only one of a slot is in force."""

    kind: str
    subject: str
    authority: str


class Mark(Struct, frozen=True):
    """A document that is held: the highest (seq, digest) of its slot; of a release also the build that is its floor."""

    seq: int
    digest: str
    floor: int = 0


class OrderMark(Struct, frozen=True, kw_only=True):
    """An order that was taken in, with all that later orders are weighed against."""

    kind: str
    op: str
    incident: str | None
    area: str
    authority: str
    seq: int
    digest: str
    keyids: tuple[str, ...]
    persons: tuple[str, ...]

    @property
    def identity(self) -> "OrderId":
        """What makes two orders the same one: with two contents it is an equivocation.

        Kind, area and authority belong to it: an exercise, another area's order of one incident, or another authority's STOP
        of the same millisecond must not hide this one.
        """
        return (self.kind, self.op, self.area, self.authority, self.incident, self.seq)


OrderId = tuple[str, str, str, str, str | None, int]


def op_of(order: AnyOrder) -> str:
    """START, STOP or LIFT."""
    match order:
        case Start() | ExerciseStart():
            return "START"
        case Stop() | ExerciseStop():
            return "STOP"
        case Lift():
            return "LIFT"


class Seen(Struct, frozen=True):
    """Documents in force by slot, orders by identity, and per key the newest seq that was ever evicted."""

    documents: Mapping[Slot, Mark] = {}
    orders: Mapping[OrderId, OrderMark] = {}
    evicted_seq: Mapping[str, int] = {}
    amnesia_since_ms: int | None = None
    elsewhere: tuple[OrderMark, ...] = ()
    """Orders that were not for here: they only count toward a service key's day (the controller's side)."""

    def document(self, slot: Slot) -> Mark | None:
        """What is held in a slot."""
        return self.documents.get(slot)

    def order(self, like: OrderMark) -> OrderMark | None:
        """The order with the identity of this one."""
        return self.orders.get(like.identity)

    def starts_of(self, incident: str) -> tuple[OrderMark, ...]:
        """Every START of an incident, oldest first."""
        marks = [mark for mark in self.orders.values() if mark.incident == incident and mark.op == "START"]
        return tuple(sorted(marks, key=lambda mark: mark.seq))

    def stops(self) -> tuple[OrderMark, ...]:
        """Every STOP that is remembered, oldest first."""
        return tuple(sorted((mark for mark in self.orders.values() if mark.op == "STOP"), key=lambda mark: mark.seq))

    def with_document(self, slot: Slot, mark: Mark) -> "Seen":
        """The same memory with this document in force."""
        return structs.replace(self, documents={**self.documents, slot: mark})

    def without_document(self, slot: Slot) -> "Seen":
        """The same memory with nothing in this slot: what stood there ended with its signers' powers."""
        return structs.replace(self, documents={other: mark for other, mark in self.documents.items() if other != slot})

    def with_order(self, mark: OrderMark) -> "Seen":
        """The same memory with this order in it; beyond 256 of a key its oldest are forgotten, and older ones never again new."""
        orders = {**self.orders, mark.identity: mark}
        evicted = dict(self.evicted_seq)
        for keyid in mark.keyids:
            of_key = sorted((held for held in orders.values() if keyid in held.keyids), key=lambda held: held.seq)
            for old in of_key[: max(0, len(of_key) - KEPT_PER_KEY)]:
                orders.pop(old.identity, None)
                for signer in old.keyids:
                    evicted[signer] = max(evicted.get(signer, -1), old.seq)
        return structs.replace(self, orders=orders, evicted_seq=evicted)
