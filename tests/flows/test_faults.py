"""Broker, power, card and clock fail around real agents; what was accepted is heard, what is due plays, the link heals."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from protocol import topics
from protocol.orders import Text
from tests.commune import AgentProcess, order_topic
from tests.faked import environment
from tests.flows.conftest import FIRST
from tests.flows.hearing import LONG, SHORT, heard, heard_s, in_s, is_silent, item, keep_media, media, on_the_card, sounds, tone
from tests.waiting import until


async def test_a_broker_killed_in_the_middle_and_come_back_empty_costs_no_word_and_no_order(commune, office, agents, node):
    agents(node)
    await office.up(node)
    start = commune.start(FIRST, **LONG)
    await office.say(start)
    await sounds(commune.wav(node), 0)
    await commune.broker.kill()
    gone_s = time.monotonic()
    await asyncio.sleep(2)
    assert heard_s(commune.wav(node), gone_s) > 1, "the sound does not need the broker"
    hellos = len(office.hellos)
    await commune.broker.restart_empty()
    await office.up(node, after=hellos)
    stop = commune.stop(FIRST, start.incident)
    await office.say(stop)
    await office.came_to(node, start.incident, "stopped")
    (record,) = await office.played(node)
    assert record.ending == "stopped"
    again = commune.start(FIRST, **SHORT)
    await office.say(again)
    await office.came_to(node, again.incident, "sounding")


async def test_an_order_given_while_the_node_was_away_arrives_when_it_is_offered_again(commune, office, agents, node):
    await commune.broker.kill()
    agents(node)
    await asyncio.sleep(1)
    start = commune.start(FIRST, **SHORT)
    raw = commune.seal_as(start)
    office.offers.append((topics.topic("offer", node=node, incident=start.incident), raw))
    await commune.broker.restart_empty()
    await office.came_to(node, start.incident, "ended", within_s=40)
    office.offers.clear()
    assert [record.ending for record in await office.played(node)] == ["played"]


async def test_an_accepted_emergency_stands_through_a_power_cut_and_its_record_says_cut(commune, office, agents, node):
    agent = agents(node)
    await office.up(node)
    start = commune.start(FIRST, **LONG)
    await office.say(start)
    await sounds(commune.wav(node), 0)
    await asyncio.sleep(1)
    agent.kill()
    back_s = time.monotonic()
    agents(node)
    await sounds(commune.wav(node), back_s + 0.3)
    await until(lambda: len(office.records.get(node, {})) >= 1, what="the cut record")
    assert office.records[node][1].ending == "cut"
    await office.say(commune.stop(FIRST, start.incident))
    first, second = await office.played(node, 2)
    assert (first.ending, second.ending) == ("cut", "stopped")
    assert first.incident == second.incident == start.incident
    assert first.boot_count + 1 == second.boot_count


async def test_a_lost_memory_is_said_and_old_orders_are_not_new_again(commune, office, agents, node):
    agent = agents(node)
    await office.up(node)
    start = commune.start(FIRST, **SHORT)
    raw = await office.say(start)
    await office.came_to(node, start.incident, "ended")
    assert agent.stop() == 0
    database = commune.nodes[node].parent / "state" / "node.db"
    database.write_bytes(b"\xff" * database.stat().st_size)
    agents(node)
    hello = await office.up(node, after=len(office.hellos))
    assert hello.amnesia
    births = [alive.birth for alive in office.alive if alive.online]
    assert births == sorted(births), "a node without memory is not mistaken for an older birth"
    await office.publish(order_topic(start), raw)
    refused = await office.came_to(node, start.incident, "refused")
    assert refused.reason.startswith("superseded:")
    await is_silent(commune.wav(node), 1.5)
    newer = commune.start(FIRST, **SHORT)
    await office.say(newer)
    await office.came_to(node, newer.incident, "sounding")


WRONG_CLOCKS = {"1970": "1970-01-02 00:00:00", "in twenty years": "2046-11-23 12:00:00"}


@pytest.mark.parametrize("when", WRONG_CLOCKS)
async def test_a_clock_decades_off_connects_plays_nothing_timed_and_starts_only_by_its_nonce(
    commune, office, agents, node, tmp_path, when
):
    commune.clock_file(node).unlink()
    content = tone(tmp_path)
    keep_media(commune, node, content)
    begin = datetime.fromisoformat(WRONG_CLOCKS[when]).replace(tzinfo=UTC)
    due = [item(f"tin-{n}", media(content), begin.astimezone() + timedelta(seconds=n), tz="UTC") for n in (3, 5, 7)]
    on_the_card(commune, node, commune.station(), commune.programme(*due))
    agents(node, environment=os.environ | environment(WRONG_CLOCKS[when]), module="tests.flows.launch")
    hello = await office.up(node)
    assert hello.clock_state == "unknown"
    assert "clock-unknown" in hello.troubles
    assert abs(hello.at_ms - begin.timestamp() * 1000) < 60_000
    assert {held.kind for held in hello.holds} >= {"grant", "placement", "station"}
    start = commune.start(FIRST, **SHORT)
    await office.say(start)
    refused = await office.came_to(node, start.incident, "refused")
    assert refused.reason.startswith("clock-unusable:")
    assert heard(commune.wav(node)) == []
    resealed = commune.start(FIRST, incident=start.incident, answers=(hello.nonce,), **SHORT)
    await office.say(resealed)
    await office.came_to(node, start.incident, "ended", within_s=30)
    (record,) = await office.played(node)
    assert (record.ending, record.clock_state) == ("played", "unknown")
    assert heard(commune.wav(node))
    await office.say(commune.stop(FIRST))
    await until(
        lambda: any(told.incident is None for told in office.results(node)), what="the answer to a STOP, which needs no clock"
    )


def _fill(filler: Path) -> None:
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], check=False, capture_output=True)


@pytest.mark.root
async def test_a_full_card_refuses_documents_and_still_keeps_and_sounds_an_emergency(commune, office, node):
    if os.geteuid() != 0:
        pytest.skip("needs root for a mount namespace")
    toml = commune.nodes[node]
    state = toml.parent / "state"
    words = f"mount -t tmpfs -o size=24m card {state} && exec {sys.executable} -m edge_agent --config {toml}"
    with AgentProcess(toml, prefix=("unshare", "-m", "sh", "-c", words, "sh")) as agent:
        hello = await office.up(node)
        await until(lambda: "disk-low" in office.hello(node).troubles, what="the trouble")
        here = Path(f"/proc/{agent.child.pid}/root{state}")
        warm = commune.start(FIRST, **SHORT)
        await office.say(warm)
        await office.came_to(node, warm.incident, "ended")
        await asyncio.to_thread(_fill, here / "filler")
        many = [item(f"tin-{n}", media(b"x" * n, sha256=f"{n:064x}"), in_s(3_600)) for n in range(1, 300)]
        large = commune.programme(*many)
        await office.say(large)
        await until(lambda: "storage-failed" in office.hello(node).troubles, 20, "the trouble")
        assert (here / "ballast").exists()
        start = commune.start(FIRST, **(SHORT | {"text": (Text(lang="vi", text="Nước lên."),)}))
        await office.say(start)
        ended = await office.came_to(node, start.incident, "ended")
        assert "sounding" in [told.result for told in office.results(node, start.incident)]
        assert ended.spoken_at_ms is not None
        _first, record = await office.played(node, 2)
        assert (record.ending, record.reason) == ("played", ""), "its words too were said: the ballast left room for them"
        assert hello.boot_count == 1
