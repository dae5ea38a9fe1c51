"""What a service key may say: recordings that its grant lists, under the name that its grant gives it, so often a day. Pure.

A service is a machine that relays (bulletins of the province, CAP). Whoever steals its key can repeat what the commune once
chose for it, and nothing else: no word of their own, no STOP, no document. A timekeeper tells the time, and that alone.
"""

from typing import Final

from protocol.documents import Power
from protocol.errors import NotEmpowered
from protocol.messages import Sealed
from protocol.orders import AnyStart, ExerciseStart, Start
from protocol.passing import TimeToken
from protocol.seen import OrderMark, Seen
from protocol.trust import Signer, Trust

SOUND_MAX_S: Final = 600
DAY_MS: Final = 86_400_000
HERE_MS: Final = 7 * 3_600_000
"""A day is a calendar day in Viet Nam (UTC+7, no summer time), that in which the order was issued (`seq`)."""


def day_of(seq: int) -> tuple[int, int]:
    """The first instant of the day of an order, and that of the next (UTC ms)."""
    begin = (seq + HERE_MS) // DAY_MS * DAY_MS - HERE_MS
    return begin, begin + DAY_MS


def may(payload: Sealed, power: Power, called: str, *, wide: bool) -> bool:
    """Whether a service may say this by this power: the time, or recordings of its list, in a commune, for ten minutes.

    `called` is the service's name in the grant. Nodes speak the issuing body aloud, so it can be no other.
    """
    if isinstance(payload, TimeToken):
        return True
    if not isinstance(payload, Start | ExerciseStart) or wide or payload.text or not payload.clips:
        return False
    listed = all(clip.sha256 in power.contents for clip in payload.clips)
    return listed and power.per_day is not None and payload.sound_max_s <= SOUND_MAX_S and payload.issuing_body == called


def empowered(signer: Signer, payload: Sealed, power: Power, trust: Trust, *, wide: bool) -> bool:
    """Whether this signer counts for this power: a person whom it names, and a service only for what it may say."""
    if signer.person not in power.persons:
        return False
    return not signer.service or may(payload, power, called(trust, payload.authority, signer.person), wide=wide)


def humans(order: OrderMark, trust: Trust) -> int:
    """How many of an order's persons are no services: a machine never ends or rewrites what somebody else began."""
    grant = trust.grants.get(order.authority)
    machines = {person.id for person in grant.body.persons if person.service} if grant else set()
    return sum(person not in machines for person in order.persons)


def called(trust: Trust, authority: str, person: str) -> str:
    """The name that a grant gives to a person."""
    grant = trust.grants.get(authority)
    return next((each.name for each in grant.body.persons if each.id == person), "") if grant else ""


def started(seen: Seen, keyid: str, start: AnyStart, *, resaid: bool = False) -> int:
    """How many STARTs of a key are stored of the day of this one. `resaid`: those of its own incident do not count."""
    begin, end = day_of(start.seq)

    def counts(mark: OrderMark) -> bool:
        return mark.op == "START" and keyid in mark.keyids and begin <= mark.seq < end

    marks = {mark.identity: mark for mark in (*seen.orders.values(), *seen.elsewhere) if counts(mark)}
    return sum(not (resaid and mark.incident == start.incident) for mark in marks.values())


def within_day(
    payload: Sealed, keyids: tuple[str, ...], power: str, trust: Trust, seen: Seen, *, controller: bool
) -> tuple[str, ...]:
    """The keys without those services that have used up their day. Raises NotEmpowered when none is left.

    A node counts every START that it took. A controller that says one again to a node without a clock (it answers a nonce) does
    not count that incident: the node refused the first, and a warning must not fall silent for the count of its own repetition.
    """
    if not isinstance(payload, Start | ExerciseStart):
        return keyids
    resaid = controller and bool(payload.answers)
    spent: dict[str, int] = {}
    for signer in trust.signers(payload.authority, keyids):
        allowed = [each.per_day or 0 for each in trust.powers(payload.authority, power) if signer.person in each.persons]
        if signer.service and started(seen, signer.keyid, payload, resaid=resaid) >= max(allowed, default=0):
            spent[signer.keyid] = max(allowed, default=0)
    left = tuple(keyid for keyid in keyids if keyid not in spent)
    if spent and not left:
        raise NotEmpowered(f"this service key has used the {max(spent.values())} starts that its grant allows it a day")
    return left
