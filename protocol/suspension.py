"""What a suspension does to what was said before it, and when suspensions and time tokens are taken in. Pure."""

from typing import Final

from msgspec import structs

from protocol.errors import Expired, Malformed, NotMine, Superseded
from protocol.passing import SUSPEND_MAX_MS, Suspend, TimeToken
from protocol.reader import Clock, Me
from protocol.seen import Mark, OrderMark, Seen, Slot
from protocol.trust import WIDE_LEVELS, WIDE_PERSONS, Trust, level_of

POWER_OF: Final = {("order", "START"): "emergency", ("order", "STOP"): "stop", ("order", "LIFT"): "stop"}


def slot_of_suspend(suspend: Suspend) -> Slot:
    """One a key, area and authority counts."""
    return Slot("suspend", f"{suspend.area}/{suspend.key_id}", suspend.authority)


def stands(mark: OrderMark, trust: Trust, now: Clock) -> bool:
    """Whether an order that was taken in still counts: without keys that are suspended or stolen, enough persons are left."""
    void = set(mark.keyids) & (trust.suspended(mark.authority, now) | trust.stolen(mark.authority))
    if not void:
        return True
    left = trust.signers(mark.authority, [keyid for keyid in mark.keyids if keyid not in void], held=True)
    powers = trust.powers(mark.authority, POWER_OF.get((mark.kind, mark.op), mark.kind))
    wide = level_of(trust.chain, mark.area) in WIDE_LEVELS
    needed = max(min((power.threshold for power in powers), default=1), WIDE_PERSONS if wide else 1)
    return len({signer.person for signer in left}) >= needed


def standing(seen: Seen, trust: Trust, now: Clock) -> Seen:
    """The same memory without the orders that count no more. To weigh by, never to be kept: void keys may come back."""
    if not trust.has_void:
        return seen
    return structs.replace(seen, orders={key: mark for key, mark in seen.orders.items() if stands(mark, trust, now)})


def judge_passing(what: Suspend | TimeToken, digest: str, *, trust: Trust, me: Me, now: Clock, seen: Seen) -> bool:
    """Checks 9 and 10 of what stands in no slot of documents. Returns whether it is new."""
    if isinstance(what, Suspend):
        return _judge_suspend(what, digest, trust, now, seen)
    _judge_time(what, me)
    return True


def _judge_suspend(suspend: Suspend, digest: str, trust: Trust, now: Clock, seen: Seen) -> bool:
    """No clock is asked for; one that is usable refuses what is over."""
    held = seen.document(slot_of_suspend(suspend))
    if held is not None and held.digest == digest:
        return False
    if held is not None and (suspend.seq, digest) < (held.seq, held.digest):
        raise Superseded(f"seq {suspend.seq}, {held.seq} counts for this key")
    if not suspend.seq <= suspend.until_ms <= suspend.seq + SUSPEND_MAX_MS:
        raise Malformed(f"a key is suspended for at most {SUSPEND_MAX_MS // 3_600_000} h, from when it is signed")
    if not trust.names(suspend.area, suspend.key_id):
        raise NotMine(f"the grant of {suspend.area} names no key {suspend.key_id[:16]}…")
    if now.is_past(suspend.forgotten_ms):
        raise Expired(f"it was for until {suspend.until_ms}")
    return True


def mark_of_suspend(suspend: Suspend, digest: str) -> Mark:
    """What is remembered of it."""
    return Mark(suspend.seq, digest)


def _judge_time(token: TimeToken, me: Me) -> None:
    """A time is for the node that asked, and for what it asked with. Raises NotMine, Malformed or Expired."""
    if me.node != token.node:
        raise NotMine(f"the time for {token.node}")
    if token.seq != token.at_ms:
        raise Malformed("a time token is issued at the time that it tells")
    if token.nonce not in me.nonces:
        raise Expired("it answers no nonce that is out")
