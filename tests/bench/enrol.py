"""How soon a new node stands at the controller as «pending», and how soon a revoked one is off the broker."""

from __future__ import annotations

import asyncio
import time

from tests.bench.measure import NS_A_MS, Figure, judge
from tests.bench.place import Options, say
from tests.commune import AgentProcess
from tests.controller.headquarters import Headquarters
from tests.enrol.field import Field

PENDING_MS = 5_000
REVOKED_MS = 10_000
DEADLINE_S = 30.0
LOOK_S = 0.05


async def run(options: Options) -> list[Figure]:
    """New cards one after the other, each with an agent of its own; every sixth is placed and then revoked while it is online."""
    count = options.count(120, 8)
    hq = Headquarters(options.folder / "hq")
    try:
        hq.start()
        hq.trust()
        return await asyncio.to_thread(_measure, Field(hq), count)
    finally:
        hq.close()


def _measure(field: Field, count: int) -> list[Figure]:
    pending_ms: list[float] = []
    revoked_ms: list[float] = []
    tried = 0
    for number in range(count):
        card = field.card()
        began_ns = time.monotonic_ns()
        with field.agent(card) as agent:
            if _until(lambda node=card.node: field.enrolment(node).state == "pending"):
                pending_ms.append((time.monotonic_ns() - began_ns) / NS_A_MS)
            if number % 6 == 0:
                tried += 1
                revoked_ms.extend(_revoke(field, card.node, agent))
        if (number + 1) % 20 == 0:
            say(f"{number + 1} of {count} cards")
    return [
        judge(
            "power-on of a new node to «pending» at the controller",
            pending_ms,
            goal=PENDING_MS,
            lost=count - len(pending_ms),
            note="exec of the agent on a fresh card: both keys made and synced, TLS, the certificate, the broker's ACL",
        ),
        judge(
            "revoked to off the broker, connection and certificate in hand",
            revoked_ms,
            goal=REVOKED_MS,
            lost=tried - len(revoked_ms),
            note="from the operator's request to the end of the node's standing connection, as the node sees it",
        ),
    ]


def _revoke(field: Field, node: str, agent: AgentProcess) -> list[float]:
    field.approve(node)
    if not _until(lambda: field.is_online(node)):
        return []
    began_ns = time.monotonic_ns()
    field.revoke(node)
    if not _until(lambda: b"link down" in agent.log.read_bytes()):
        return []
    return [(time.monotonic_ns() - began_ns) / NS_A_MS]


def _until(condition) -> bool:
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(LOOK_S)
    return True
