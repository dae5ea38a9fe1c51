"""A thief with a commune's key, and the province's warning: it is heard, not stopped, not changed and not pushed out."""

from __future__ import annotations

import asyncio

import psutil

from edge_agent.core import flood
from tests.attacks.threatened import COMMUNE
from tests.commune import now_ms, order_topic
from tests.flows.conftest import FIRST
from tests.flows.hearing import LONG, heard_s, is_silent, sounds
from tests.waiting import until

STORM = 2_000
TOP = LONG | {"risk": 5, "repeats": 10}


async def storm(commune, office, number: int) -> None:
    """So many valid STARTs by one key, as fast as the broker takes them."""
    starts = [commune.start(FIRST, **TOP) for _ in range(number)]
    raws = [(order_topic(start), commune.seal_as(start)) for start in starts]
    await asyncio.gather(*(office.publish(topic, raw) for topic, raw in raws))


def standing(office, node) -> dict[str, str]:
    return {known.incident: known.result for known in office.hello(node).incidents}


async def test_a_storm_of_starts_neither_hides_the_provinces_warning_nor_pushes_it_out(commune, office, agents, node):
    agent = agents(node)
    await office.up(node)
    first = commune.warning(**TOP)
    await office.say(first, "governor", "vice")
    await office.came_to(node, first.incident, "sounding")
    before = psutil.Process(agent.child.pid).memory_info().rss
    await storm(commune, office, STORM)
    second = commune.warning(**TOP)
    await office.say(second, "governor", "vice")
    await office.came_to(node, second.incident, "sounding", within_s=60)
    told = [one.result for one in office.results(node, first.incident)]
    assert told[-1] == "sounding", "nothing of the storm ended it: only the province's own newer one is heard before it"
    hellos = len(office.hellos)
    await commune.announce(office, COMMUNE, commune.regrant(COMMUNE))
    await office.up(node, after=hellos)
    there = standing(office, node)
    assert {first.incident, second.incident} <= there.keys()
    assert there[second.incident] == "sounding"
    assert len(there) <= 2 + flood.STANDING
    assert psutil.Process(agent.child.pid).memory_info().rss - before < 30_000_000


async def test_while_a_key_floods_as_fast_as_the_controller_lets_it_a_warning_is_not_a_second_later(
    commune, office, agents, node
):
    agents(node)
    await office.up(node)
    await begin_ms(commune, office, node)  # the first one waits for the player's start
    quiet_ms = max([await begin_ms(commune, office, node) for _ in range(3)])
    flooding = asyncio.create_task(_flood(commune, office))
    await until(lambda: any(told.result == "refused" for told in office.results(node)), what="the flood is over its pace")
    flooded_ms = [await begin_ms(commune, office, node) for _ in range(3)]
    flooding.cancel()
    await asyncio.gather(flooding, return_exceptions=True)
    assert max(flooded_ms) - quiet_ms < 1_000, (quiet_ms, flooded_ms)


async def begin_ms(commune, office, node: str) -> int:
    """How long after it was signed the province's warning sounds, as the node itself reckons."""
    warning = commune.warning(**TOP)
    await office.say(warning, "governor", "vice")
    told = await office.came_to(node, warning.incident, "sounding")
    await office.say(commune.stop(COMMUNE, warning.incident, authority="52"), "governor", "vice")
    await office.came_to(node, warning.incident, "stopped")
    return told.at_ms - warning.seq


async def _flood(commune, office) -> None:
    """Forty at once and then ten a second: the controller lets no key begin more."""
    await storm(commune, office, 40)
    while True:
        await storm(commune, office, 1)
        await asyncio.sleep(0.1)


async def test_neither_a_stop_nor_an_update_nor_a_stop_of_everything_ends_the_provinces_warning(commune, office, agents, node):
    agents(node)
    await office.up(node)
    warning = commune.warning(**TOP)
    await office.say(warning, "governor", "vice")
    began_s = await sounds(commune.wav(node), 0)
    forged = [
        commune.stop(COMMUNE, warning.incident),
        commune.stop(FIRST, warning.incident),
        commune.stop(COMMUNE, warning.incident, exercise=True),
        commune.start(FIRST, incident=warning.incident, **TOP),
        commune.start(COMMUNE, incident=warning.incident, **TOP),
    ]
    for order in forged:
        await office.say(order, retain=False)
    await office.say(commune.stop(COMMUNE), retain=False)
    await office.say(commune.stop(FIRST), retain=False)
    refused = [told for told in office.results(node, warning.incident) if told.result == "refused"]
    await until(lambda: any(t.incident is None for t in office.results(node)), what="the STOP of everything is answered")
    refused = [told for told in office.results(node, warning.incident) if told.result == "refused"]
    assert {told.reason.partition(":")[0] for told in refused} == {"not-empowered"}
    assert [told.result for told in office.results(node, warning.incident) if told.result in ("ended", "stopped")] == []
    here_s = heard_s(commune.wav(node), began_s)
    await until(lambda: heard_s(commune.wav(node), began_s) > here_s + 2, what="it goes on")


async def test_the_thiefs_own_false_alarms_end_with_his_key_and_the_honest_hand_is_heard(commune, office, agents, node):
    agents(node)
    await office.up(node)
    false = commune.start(FIRST, **TOP)
    await office.say(false)
    await office.came_to(node, false.incident, "sounding")
    await commune.announce(office, COMMUNE, commune.regrant(COMMUNE, states={"officer": "stolen"}))
    await office.came_to(node, false.incident, "stopped")
    await is_silent(commune.wav(node), 1)
    again = commune.start(FIRST, **TOP)
    await office.say(again)
    true = commune.start(FIRST, **TOP)
    await office.say(true, "second")
    await office.came_to(node, true.incident, "sounding")
    assert (await office.came_to(node, again.incident, "refused")).reason.startswith("bad-signature")
    assert now_ms() > true.seq
