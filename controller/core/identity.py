"""Is this the node that we know, or a copy of it? A card that was restored, a clone beside it, two that hold one name. Pure.

A node counts its starts on the card and draws a nonce at each. One count with two nonces is two lives; a lower count, fewer
play records or fewer orders than it told before is an older card. A reboot raises the count and forgets nothing; honest amnesia
says so. Nothing is refused to a node in doubt: its warnings are as urgent as anybody's.
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from protocol.reports import Hello

LIVES_KEPT: Final = 16
ORDERS_COMPARED: Final = 256
"""Beyond what is kept of one key a node forgets by rule."""
TURNS_WITHIN_MS: Final = 600_000
TURNS: Final = 3
"""So many births within ten minutes that are not after the one before: two that throw each other out. Once may be a message that
came twice; a link that flaps has ever higher births."""
UNSURE: Final = frozenset({"storage-failed", "memory-unreadable"})
"""A node whose card takes nothing, or gives not all back, counts and remembers less than it should, and says so."""

Doubt = Literal["identity-doubled", "identity-restored"]


class Life(Struct, frozen=True, array_like=True):
    """One start of a node."""

    boot_count: int
    nonce: str


class Known(Struct, frozen=True, kw_only=True):
    """What was known before a hello came. `last_record`: the highest play record that was stored of its present memory."""

    lives: tuple[Life, ...]
    boot_count: int
    device_at_ms: int
    last_record: int
    orders_held: int
    troubles: tuple[str, ...]


class Finding(Struct, frozen=True, kw_only=True):
    """What a hello shows. `stale`: an old one that came again; nothing in it is news. `why` has the figures, in English."""

    lives: tuple[Life, ...]
    stale: bool = False
    doubt: Doubt | None = None
    why: str = ""


def judge(known: Known, hello: Hello) -> Finding:
    """Compare a hello with what its node told before."""
    if hello.boot is None:
        return Finding(lives=known.lives, stale=hello.boot_count < known.boot_count and not hello.amnesia)
    life = Life(hello.boot_count, hello.boot)
    if life in known.lives:
        stale = life != known.lives[-1] and hello.at_ms <= known.device_at_ms
        return Finding(lives=known.lives if stale else _moved_up(known.lives, life), stale=stale)
    lives = (*known.lives, life)[-LIVES_KEPT:]
    if hello.amnesia or not known.lives:
        return Finding(lives=(life,))
    newest = max(each.boot_count for each in known.lives)
    if life.boot_count < newest and hello.at_ms <= known.device_at_ms and hello.clock_state != "unknown":
        return Finding(lives=known.lives, stale=True)
    doubt, why = _compared(known, hello, newest)
    return Finding(lives=lives, doubt=doubt, why=why)


def _moved_up(lives: tuple[Life, ...], life: Life) -> tuple[Life, ...]:
    return (*(each for each in lives if each != life), life)


def _compared(known: Known, hello: Hello, newest: int) -> tuple[Doubt | None, str]:
    if UNSURE & {*known.troubles, *hello.troubles}:
        return None, ""
    if hello.boot_count == newest:
        return "identity-doubled", f"start {newest} was told by two"
    if hello.boot_count < newest:
        return "identity-restored", f"start {hello.boot_count} after start {newest}"
    if hello.last_record_id < known.last_record:
        return "identity-restored", f"{hello.last_record_id} play records after {known.last_record}"
    if hello.orders < known.orders_held <= ORDERS_COMPARED:
        return "identity-restored", f"{hello.orders} orders held after {known.orders_held}"
    return None, ""


def taken_over(turns: Sequence[int], now_ms: int) -> tuple[tuple[int, ...], bool]:
    """A birth that is not after the one before came now. Returns the recent ones, and whether they are too many."""
    recent = (*(at_ms for at_ms in turns if now_ms - at_ms <= TURNS_WITHIN_MS), now_ms)[-TURNS:]
    return recent, len(recent) >= TURNS
