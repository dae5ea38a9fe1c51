"""Why a sealed document was refused; each error carries the code that a receipt repeats to the controller."""

from typing import ClassVar


class ProtocolError(Exception):
    """A document is refused and nothing changes; `code` is the reason a receipt carries, the text says what and where."""

    code: ClassVar[str] = "refused"


class Malformed(ProtocolError):
    """The bytes are not what they claim: too large, truncated, an unknown field, a value out of bounds."""

    code = "malformed"


class WrongType(ProtocolError):
    """The payload type is unknown, or not the one that this topic carries, or disagrees with the payload or topic."""

    code = "wrong-type"


class BadSignature(ProtocolError):
    """No signature is by a key that the trust documents name, or none of those verifies over these bytes."""

    code = "bad-signature"


class NotMine(ProtocolError):
    """The document is for an area that is not in this node's placement chain."""

    code = "not-mine"


class NotEmpowered(ProtocolError):
    """The signers may not do this: no grant gives them this kind, class, duration or area."""

    code = "not-empowered"


class Suspended(ProtocolError):
    """Enough persons signed, but a key among theirs is suspended, and without it they are too few."""

    code = "suspended"


class TooFewPersons(ProtocolError):
    """Fewer different persons signed than the threshold asks."""

    code = "too-few-persons"


class FromFuture(ProtocolError):
    """The issue time lies over 120 s ahead of a usable clock."""

    code = "from-future"


class Superseded(ProtocolError):
    """A newer one is already held, or this one is older than anything still remembered of its key."""

    code = "superseded"


class Equivocation(ProtocolError):
    """The same identity was signed with two different contents: an alarm, never an act."""

    code = "equivocation"


class Stopped(ProtocolError):
    """A stored STOP covers this START."""

    code = "stopped"


class Expired(ProtocolError):
    """Its time is over, or has not begun."""

    code = "expired"


class ClockUnusable(ProtocolError):
    """The clock cannot say whether this START is fresh and the order does not answer this node's nonce."""

    code = "clock-unusable"


class NotRead(ProtocolError):
    """The kind is known but this program does not read it (a newer version speaks)."""

    code = "not-read"
