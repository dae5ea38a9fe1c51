"""What trust costs a node's SIM in a quiet month: grants renewed, a key suspended and freed, a reconnect a day; no polling."""

from __future__ import annotations

import asyncio
import time

from protocol import keys
from protocol.envelope import seal
from protocol.passing import Suspend
from tests.bench.idle import link_bytes
from tests.bench.measure import Figure, judge
from tests.bench.office import Office
from tests.bench.place import Options, say
from tests.bench.town import Town, office_town
from tests.controller.headquarters import PHU_TUC, Headquarters, number

MONTH_MB = 0.5
SETTLE_S = 8.0
RECONNECTS, GRANTS, SUSPENDS = 30, 4, 2
"""A month in which nothing happens: a reconnect a day, root and grants of the chain renewed once each, two mistakes."""


def suspended(quarters: Headquarters, person: str, *, hours: int) -> Suspend:
    """A commune officer's key, suspended by the root's delegates (no hours: freed)."""
    common = quarters.common(PHU_TUC, "root", "routine") | {"area_no": number(PHU_TUC)}
    key_id = keys.sealer(quarters.people[person]).public_key.keyid
    return Suspend(**common, key_id=key_id, until_ms=common["seq"] + hours * 3_600_000)


async def _cost(what: str, act) -> int:
    """Bytes on the link, headers counted, from an act until all is quiet again."""
    before = link_bytes()
    await act()
    await asyncio.sleep(SETTLE_S)
    cost = link_bytes() - before
    say(f"{what}: {cost} B")
    return cost


async def _renewed_grant(there: Town[Office]) -> None:
    quarters = there.site.headquarters
    context = await there.site.document_context("grant", PHU_TUC, "root")
    raw = seal(quarters.grant(PHU_TUC, prev=context.prev), quarters.sealers("chair", "deputy"))
    await there.site.hand_in(raw)


async def _suspend(there: Town[Office], hours: int, by: str) -> None:
    quarters = there.site.headquarters
    await there.site.suspend(quarters.sealed(suspended(quarters, "second", hours=hours), by))


async def _reconnect(there: Town[Office]) -> None:
    since_ms = time.time_ns() // 1_000_000
    await asyncio.to_thread(there.site.restart_broker)
    await there.site.until_up(there.nodes[0], since_ms, 120)


async def run(options: Options) -> list[Figure]:
    """Count each once or a few times, and what passes while nothing happens."""
    times = options.count(3, 1)
    grants, suspends, reconnects = [], [], []
    async with office_town(options, 1) as there:
        await there.start_all()
        await asyncio.sleep(SETTLE_S)
        for _ in range(times):
            grants.append(await _cost("a grant renewed", lambda: _renewed_grant(there)))
            suspends.append(
                await _cost("a key suspended", lambda: _suspend(there, 1, "chair"))
                + await _cost("and freed", lambda: _suspend(there, 0, "deputy"))
            )
            reconnects.append(await _cost("a reconnect", lambda: _reconnect(there)))
    month = RECONNECTS * max(reconnects) + GRANTS * max(grants) + SUSPENDS * max(suspends)
    note = (
        f"{RECONNECTS} reconnects {max(reconnects)} B each (TCP, TLS, hello and its answer), {GRANTS} documents of authority "
        f"{max(grants)} B, {SUSPENDS} suspensions with their lifts {max(suspends)} B; headers counted; nothing is polled"
    )
    return [judge("trust traffic of a quiet month", [month / 1e6], unit="MB", goal=MONTH_MB, percent=100, note=note)]
