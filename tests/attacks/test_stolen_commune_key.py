"""A thief with a commune's key, and the province's warning: it is heard, it is not stopped, not changed and not pushed out."""

from __future__ import annotations

import asyncio
import time

from protocol import topics
from tests.attacks.threatened import COMMUNE
from tests.commune import order_topic
from tests.flows.conftest import FIRST
from tests.flows.hearing import LONG, heard_s, is_silent, sounds
from tests.waiting import until

STORM = 2_000


async def storm(commune, office, number: int) -> None:
    """So many valid STARTs by one key, as fast as the broker takes them."""
    raws = []
    for _ in range(number):
        start = commune.start(FIRST, risk=5, **LONG)
        raws.append((order_topic(start), commune.seal_as(start)))
    print("signed", time.monotonic())
    await asyncio.gather(*(office.publish(topic, raw) for topic, raw in raws))


async def test_a_storm_of_starts_by_a_stolen_key_neither_hides_nor_delays_the_provinces_warning(commune, office, agents, node):
    agent = agents(node)
    await office.up(node)
    t = time.monotonic()
    await storm(commune, office, STORM)
    print("published", time.monotonic() - t)
    warning = commune.warning(risk=5, **LONG)
    said_s = time.monotonic()
    await office.say(warning, "governor", "vice")
    await office.came_to(node, warning.incident, "received", within_s=100)
    print("received after", time.monotonic() - said_s)
    await office.came_to(node, warning.incident, "sounding", within_s=100)
    print("sounding after", time.monotonic() - said_s)
    print(len(list(office.results(node))))
