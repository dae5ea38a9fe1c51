"""Orders as the database has them, and how far each got on a node."""

from msgspec import Struct

from controller.core.succession import STOP_KEPT_MS
from protocol.seen import OrderMark
from protocol.topics import WHOLE_AREA, topic


class OrderStored(Struct, frozen=True, kw_only=True):
    """An order as the database has it. `key` groups orders for people: the incident, or `stop-<digest>` without one."""

    mark: OrderMark
    key: str
    raw: bytes
    accept_until_ms: int
    answers: tuple[str, ...]
    created_by: str
    requested_at_ms: int
    sealed_with: str
    reseal: bool = False

    @property
    def offered_until_ms(self) -> int:
        """A START is offered while it may be accepted, a STOP or LIFT for thirty days."""
        return self.accept_until_ms if self.mark.op == "START" else self.mark.seq + STOP_KEPT_MS

    @property
    def topic(self) -> str:
        """Where it reaches its area."""
        return topic("order", area=self.mark.area, incident=self.mark.incident or WHOLE_AREA)

    def topic_of(self, node: str) -> str:
        """Where it is offered to one node."""
        return topic("offer", node=node, incident=self.mark.incident or WHOLE_AREA)

    @property
    def retained(self) -> bool:
        """A START is never retained: it would sound again at a reconnect."""
        return self.mark.op != "START"


class OrderRow(Struct, frozen=True, kw_only=True):
    """How far an order got on a node."""

    digest: str
    node: str
    state: str
    reason: str
    sent_ms: int | None
    received_ms: int | None
    sounding_ms: int | None
    spoken_ms: int | None
    ended_ms: int | None
    offers: int


class Offer(Struct, frozen=True, kw_only=True):
    """An order that a node has not answered."""

    node: str
    order: OrderStored
    offers: int
    state: str
    reason: str
