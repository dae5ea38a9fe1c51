"""What can be measured: one row a group, in the order in which they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from tests.bench import confirm
from tests.bench.measure import Figure
from tests.bench.place import MOBILE, Need, Options

Run = Callable[[Options], Awaitable[list[Figure]]]


class Group(Struct, frozen=True):
    """A name for ONLY=, what it does, how long it takes (full and quick), and the link it needs."""

    name: str
    about: str
    full_s: int
    quick_s: int
    run: Run
    need: Need | None = None


GROUPS = (
    Group("confirm", "confirmed request to first sample on loopback, 504 orders, 8 nodes", 350, 45, confirm.loopback),
    Group("confirm-3g", "the same over an emulated 3G link, beside a bare TLS peer", 280, 80, confirm.mobile, MOBILE),
)
