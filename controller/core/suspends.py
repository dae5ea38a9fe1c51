"""Suspended keys as the controller keeps them: what is out, where it is retained, and which one stands in a topic. Pure."""

from collections.abc import Iterable

from msgspec import Struct

from protocol.passing import Suspend
from protocol.seen import Slot
from protocol.suspension import slot_of_suspend
from protocol.topics import topic
from protocol.trust import Suspension


class SuspendHeld(Struct, frozen=True, kw_only=True):
    """A suspension that was taken in, with its bytes."""

    digest: str
    what: Suspend
    raw: bytes
    keyids: tuple[str, ...]

    @property
    def slot(self) -> Slot:
        """One a key, area and authority counts."""
        return slot_of_suspend(self.what)

    @property
    def topic(self) -> str:
        """Where it is retained."""
        return topic("suspend", area=self.what.area, key=self.what.key_id)

    @property
    def suspension(self) -> Suspension:
        """As the trust wants it."""
        return Suspension(self.what, self.keyids)


def retained(held: Iterable[SuspendHeld], now_ms: int) -> dict[str, SuspendHeld]:
    """What the broker should hold, by topic: the newest of a key and area, until it means nothing any more."""
    living = [each for each in held if now_ms < each.what.forgotten_ms]
    return {each.topic: each for each in sorted(living, key=lambda each: (each.what.seq, each.digest))}
