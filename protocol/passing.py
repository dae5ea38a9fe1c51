"""What passes: the suspension of a key, and the time told to a node that has none. Neither is ever in a slot of documents."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from protocol.units import AreaId, KeyId, Ms, NodeId, Nonce, Payload

SUSPEND_MAX_MS: Final = 72 * 3_600_000
"""Lasting removal is a grant, by two persons."""


class Suspend(Payload, frozen=True, kw_only=True):
    """Void a key that the grant of `area` names, in that area and below, until an instant at most 72 h after `seq`.

    With `until_ms` equal to `seq` it suspends nothing and lifts what is older.
    """

    kind: Literal["suspend"] = "suspend"
    area: AreaId
    key_id: KeyId
    until_ms: Ms
    reason: Annotated[str, Meta(max_length=300)] = ""

    @property
    def lifts(self) -> bool:
        """Whether it ends a suspension instead of beginning one."""
        return self.until_ms == self.seq

    @property
    def forgotten_ms(self) -> int:
        """From when on it means nothing any more: a lift outlives whatever it lifts."""
        return self.seq + SUSPEND_MAX_MS if self.lifts else self.until_ms


class TimeToken(Payload, frozen=True, kw_only=True):
    """What time it is, for the one node that asked with this nonce."""

    kind: Literal["time"] = "time"
    node: NodeId
    nonce: Nonce
    at_ms: Ms
