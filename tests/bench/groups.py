"""What can be measured: one row a group, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from tests.bench import (
    body,
    confirm,
    cuts,
    enrol,
    fetch,
    flashing,
    idle,
    kills,
    planning,
    province,
    scale,
    share,
    stop,
    suspend,
    timed,
    timetable,
    trust,
)
from tests.bench.measure import Figure
from tests.bench.place import CLEAN, MOBILE, Need, Options

Run = Callable[[Options], Coroutine[Any, Any, list[Figure]]]


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
    Group("fetch", "the same while nodes fetch over that link, 104 orders", 270, 80, fetch.run, MOBILE),
    Group("share", "bytes in to first sample, with slow cards and a slow amplifier, 4 x 200 orders", 660, 110, share.run),
    Group("stop", "STOP to silence, 200 times", 120, 25, stop.run),
    Group("suspend", "a suspension to the key void on every connected node, 25 times on 8 nodes", 260, 50, suspend.run),
    Group("timed", "bulletins at their second, two nodes, idle and busy; spread beside Snapcast", 860, 110, timed.run),
    Group("ready", "exec of an agent to the first sample of a waiting order, 30 starts", 100, 30, body.ready),
    Group("costs", "memory and processor, playing and idle", 420, 70, body.costs),
    Group("idle", "bytes of an idle node on its link; loss noticed", 1400, 400, idle.run, CLEAN),
    Group("trust", "bytes of trust on the link in a quiet month", 150, 60, trust.run, CLEAN),
    Group("scale", "an order verified by 10,000 simulated nodes, beside the bare broker", 240, 60, scale.run),
    Group("scale-controller", "the real controller with 10,000 nodes connected", 360, 110, province.run),
    Group("flash", "a card of 512 MiB written and read back, beside dd, 10 times", 120, 20, flashing.run),
    Group("preview", "a week of 1,000 nodes laid out ahead, beside bare dateutil, 10 runs", 40, 20, timetable.run),
    Group("plan", "planning with 200 bulletins whose rules are three years old, beside bare dateutil", 90, 25, planning.run),
    Group("cuts", "1,000 power cuts of store and fetcher", 600, 60, cuts.run),
    Group(
        "enrol",
        "power-on of a new node to «pending» at the controller, 120 cards, and revoked to off the broker",
        520,
        90,
        enrol.run,
    ),
    Group("kills", "200 rounds of the kill test", 500, 60, kills.run),
)
