"""From an officer's key to the loudspeaker and back, with real parts: judged from the samples and from sealed receipts."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import time

import psutil

from edge_agent.drivers.system import SILENT, SOUNDING
from protocol.envelope import digest_of
from protocol.reports import OrderResult
from tests.commune import order_topic
from tests.flows.conftest import ELSEWHERE, FIRST, SECOND
from tests.flows.hearing import LONG, SHORT, heard, heard_s, is_silent, on_the_card, sounds
from tests.waiting import until


def outcomes(told: list[OrderResult]) -> list[str]:
    """The results in order, repeats left out."""
    return [one.result for index, one in enumerate(told) if not index or told[index - 1].result != one.result]


async def test_a_start_sounds_with_chime_and_words_in_its_hamlet_and_nowhere_else(commune, office, agents):
    here, next_door, far = (commune.add_node(area) for area in (FIRST, SECOND, ELSEWHERE))
    for node in (here, next_door, far):
        agents(node)
    for node in (here, next_door, far):
        await office.up(node)
    began_s = time.monotonic()
    start = commune.start(FIRST, **SHORT)
    raw = await office.say(start)
    await office.came_to(here, start.incident, "ended")
    told = list(office.results(here, start.incident))
    assert outcomes(told) == ["received", "sounding", "ended"]
    assert {one.digest for one in told} == {digest_of("order", base64.b64decode(json.loads(raw)["payload"]))}
    runs = heard(commune.wav(here))
    assert runs
    assert began_s < runs[0][0] < began_s + 5
    assert heard_s(commune.wav(here)) > 2, "two chimes, the words, the call sign"
    spoken = next(one for one in told if one.spoken_at_ms)
    assert spoken.spoken_at_ms is not None
    assert spoken.spoken_at_ms - spoken.at_ms >= 500, "the chime goes before the words"
    (record,) = await office.played(here)
    assert (record.ending, record.incident, record.purpose, record.clock_state) == ("played", start.incident, "live", "good")
    assert record.rms_cdb is not None
    assert record.rms_cdb > -4_000
    assert record.started_ms is not None
    assert record.ended_ms is not None
    assert abs((record.ended_ms - record.started_ms) / 1000 - (runs[-1][1] - runs[0][0])) < 1
    for other in (next_door, far):
        assert heard(commune.wav(other)) == []
        assert list(office.results(other)) == []


async def test_a_stop_is_silence_and_what_was_stopped_stays_stopped(commune, office, agents, node):
    agent = agents(node)
    await office.up(node)
    start = commune.start(FIRST, **LONG)
    raw = await office.say(start)
    await office.came_to(node, start.incident, "sounding")
    await sounds(commune.wav(node), 0)
    await asyncio.sleep(1)
    said_s = time.monotonic()
    await office.say(commune.stop(FIRST, start.incident))
    await office.came_to(node, start.incident, "stopped")
    (record,) = await office.played(node)
    assert record.ending == "stopped"
    assert heard(commune.wav(node))[-1][1] < said_s + 3
    await office.publish(order_topic(start), raw)  # a hostile broker plays it again
    await is_silent(commune.wav(node), 1.5)
    assert agent.stop() == 0
    agents(node)
    await office.up(node, after=len(office.hellos))
    await office.publish(order_topic(start), raw)
    await is_silent(commune.wav(node), 2)


async def test_a_replayed_order_never_sounds_again_also_after_a_restart(commune, office, agents, node):
    agent = agents(node)
    await office.up(node)
    start = commune.start(FIRST, **SHORT)
    raw = await office.say(start)
    await office.came_to(node, start.incident, "ended")
    receipts = len(office.receipts)
    await office.publish(order_topic(start), raw)
    await until(lambda: len(office.receipts) > receipts, what="the answer is said again")
    await is_silent(commune.wav(node), 1)
    agent.kill()
    agents(node)
    await office.up(node, after=len(office.hellos))
    receipts = len(office.receipts)
    await office.publish(order_topic(start), raw)
    await until(lambda: len(office.receipts) > receipts, what="the answer is said again")
    await is_silent(commune.wav(node), 1.5)
    assert len(await office.played(node)) == 1


async def test_an_older_start_for_another_hamlet_that_comes_later_still_counts(commune, office, agents):
    first, second = commune.add_node(FIRST), commune.add_node(SECOND)
    for node in (first, second):
        agents(node)
        await office.up(node)
    older = commune.start(SECOND, **(LONG | {"risk": 5}))
    newer = commune.start("52.24076", **LONG)
    for start in (newer, older):
        await office.say(start)
    await office.came_to(first, newer.incident, "sounding")
    await office.came_to(second, older.incident, "sounding")
    assert list(office.results(first, older.incident)) == []
    assert "received" in [told.result for told in office.results(second, newer.incident)]
    await office.say(commune.stop("52.24076"))
    for node, start in ((first, newer), (second, newer), (second, older)):
        await office.came_to(node, start.incident, "stopped")


async def test_a_stop_that_was_kept_for_it_silences_a_start_that_comes_late(commune, office, agents, node):
    start = commune.start(FIRST, **SHORT)
    await office.say(commune.stop(FIRST, start.incident))
    agents(node)
    await office.up(node)
    await until(lambda: office.hello(node) and office.hello(node).stops, what="the retained STOP")
    await office.say(start)
    refused = await office.came_to(node, start.incident, "refused")
    assert refused.reason.partition(":")[0] in ("stopped", "superseded")
    await is_silent(commune.wav(node), 1)
    assert heard(commune.wav(node)) == []


async def test_an_exercise_is_announced_and_its_stop_is_its_own(commune, office, agents, node):
    on_the_card(commune, node, commune.station())  # without its hours nothing but a live emergency sounds
    agents(node)
    await office.up(node)
    drill = commune.start(FIRST, exercise=True, **LONG)
    await office.say(drill)
    await office.came_to(node, drill.incident, "sounding")
    await sounds(commune.wav(node), 0)
    await office.say(commune.stop(FIRST, drill.incident, exercise=True))
    await office.came_to(node, drill.incident, "stopped")
    (record,) = await office.played(node)
    assert (record.purpose, record.ending) == ("exercise", "stopped")


async def test_the_player_killed_in_the_middle_goes_on_where_it_was(commune, office, agents, node):
    agent = agents(node)
    await office.up(node)
    start = commune.start(FIRST, **LONG)
    await office.say(start)
    await sounds(commune.wav(node), 0)
    await asyncio.sleep(1.5)
    (child,) = psutil.Process(agent.child.pid).children()
    killed_s = time.monotonic()
    child.kill()
    again_s = await sounds(commune.wav(node), killed_s + 0.15)
    assert again_s < killed_s + 3
    await asyncio.sleep(1)
    assert [told.result for told in office.results(node, start.incident)][-1] == "sounding"
    await office.say(commune.stop(FIRST, start.incident))
    (record,) = await office.played(node)
    assert record.ending == "stopped"
    assert "replaced" in record.reason


async def test_a_sigterm_leaves_nothing_behind(commune, office, agents, node):
    agent = agents(node)
    await office.up(node)
    start = commune.start(FIRST, **LONG)
    await office.say(start)
    await sounds(commune.wav(node), 0)
    children = psutil.Process(agent.child.pid).children(recursive=True)
    assert children
    assert agent.stop() == 0
    assert not any(child.is_running() for child in children)
    await until(lambda: not office.alive[-1].online, what="goodbye")


async def test_systemd_hears_when_it_sounds_and_when_it_is_silent_again(commune, office, agents, node, tmp_path):
    """What `systemctl status` shows, and the technician's check goes by."""
    said: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)

        def told() -> list[str]:
            with contextlib.suppress(BlockingIOError):
                while word := systemd.recv(1000).decode():
                    said.extend([word] if word.startswith("STATUS=") else [])
            return said

        agents(node, environment=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        await office.up(node)
        assert told() == [f"STATUS={SILENT}"]
        start = commune.start(FIRST, **LONG)
        await office.say(start)
        await office.came_to(node, start.incident, "sounding")
        assert told()[1:] == [f"STATUS={SOUNDING}"]
        await office.say(commune.stop(FIRST, start.incident))
        await until(lambda: told()[2:] == [f"STATUS={SILENT}"], what="the word that it is silent")
