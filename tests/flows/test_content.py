"""Programmes on a real node: at their second, whole or not at all, never in quiet hours, whatever the media server does."""

from __future__ import annotations

import asyncio
import hashlib
import time

from protocol.documents import Hours
from tests.commune import EVERY_DAY
from tests.flows.conftest import FIRST
from tests.flows.hearing import (
    SHORT,
    heard,
    heard_s,
    in_s,
    is_silent,
    item,
    keep_media,
    media,
    media_server,
    mono_of,
    on_the_card,
    sounds,
    tone,
)
from tests.media_server import Manner
from tests.waiting import until


async def in_force(office, node: str, seq: int) -> None:
    def look() -> bool:
        hello = office.hello(node)
        return hello is not None and any(held.seq == seq and not held.pending for held in hello.holds)

    await until(look, 30, "in force")


async def test_an_item_comes_over_https_and_starts_at_its_second(commune, office, agents, node, tmp_path):
    content = tone(tmp_path)
    with media_server(commune) as server:
        server.add(content)
        server.manners.append(Manner(cut_after=1_000))
        agents(node)
        await office.up(node)
        await office.say(commune.station())
        at = in_s(7)
        programme = commune.programme(item("sang", media(content), at))
        await office.say(programme)
        await in_force(office, node, programme.seq)
        assert server.asked[0].authorization.startswith("Loa ")
        due_s = mono_of(at)
        began_s = await sounds(commune.wav(node), 0)
        assert abs(began_s - due_s) < 0.2
        (record,) = await office.played(node)
    assert (record.ending, record.item, record.planned_ms) == ("played", "sang", int(at.timestamp() * 1000))
    assert record.started_ms is not None
    assert abs(record.started_ms - record.planned_ms) < 200
    assert abs(heard_s(commune.wav(node)) - 2) < 0.3


async def test_due_items_play_with_neither_broker_nor_controller(commune, agents, node, tmp_path):
    await commune.broker.kill()
    content = tone(tmp_path)
    keep_media(commune, node, content)
    at = in_s(5)
    on_the_card(commune, node, commune.station(), commune.programme(item("sang", media(content), at)))
    agents(node)
    due_s = mono_of(at)
    assert abs(await sounds(commune.wav(node), 0) - due_s) < 0.2


async def test_quiet_hours_are_silent_for_all_but_an_emergency(commune, office, agents, node, tmp_path):
    content = tone(tmp_path)
    keep_media(commune, node, content)
    at = in_s(5)
    minute = at.hour * 60 + at.minute
    closed = (minute + 120) % 1380
    station = commune.station(hours=(Hours(days=EVERY_DAY, from_min=closed, to_min=closed + 30),))
    on_the_card(commune, node, station, commune.programme(item("sang", media(content), at)))
    agents(node)
    await office.up(node)
    (record,) = await office.played(node)
    assert (record.ending, record.reason) == ("skipped", "quiet hours")
    await asyncio.sleep(max(0.0, mono_of(at) - time.monotonic()) + 1)
    assert heard(commune.wav(node)) == []
    await office.say(commune.start(FIRST, **SHORT))
    await sounds(commune.wav(node), 0)


FAULTS = {
    "nothing": lambda server, name, content: None,
    "empty": lambda server, name, content: server.add(b"", name),
    "other": lambda server, name, content: server.add(content[::-1], name),
    "endless": lambda server, name, content: (
        server.add(content[::-1], name),
        server.always.update({name: Manner(endless=True)}),
    ),
    "short": lambda server, name, content: server.add(content[:-700], name),
}


async def test_media_that_are_not_as_signed_never_play_and_the_old_set_stands(commune, office, agents, tmp_path):
    old = tone(tmp_path)
    at = in_s(12)
    nodes = {}
    with media_server(commune) as server:
        for index, (fault, arrange) in enumerate(FAULTS.items()):
            settlement = f"{FIRST[:-3]}{index + 1:03}"
            node = commune.add_node(settlement)
            new = tone(tmp_path, 880 + 100 * index, 4.0)
            arrange(server, hashlib.sha256(new).hexdigest(), new)
            keep_media(commune, node, old)
            first = commune.programme(item("sang", media(old), at), area=settlement)
            second = commune.programme(item("moi", media(new, 4.0), at), area=settlement)
            on_the_card(commune, node, commune.station(), first)
            nodes[fault] = (node, first, second)
            agents(node)
        for node, _first, second in nodes.values():
            await office.up(node)
            await office.say(second)
        for fault, (node, first, second) in nodes.items():
            await until(lambda node=node: "media-failed" in office.hello(node).troubles, what=f"trouble with {fault}")
            (record,) = await office.played(node)
            assert (record.item, record.ending) == ("sang", "played"), fault
            assert abs(heard_s(commune.wav(node)) - 2) < 0.3, fault
            held = {(one.seq, one.pending) for one in office.hello(node).holds if one.kind == "programme"}
            assert held == {(first.seq, False), (second.seq, True)}, fault
            assert office.hello(node).missing_media == 1, fault


async def test_a_file_that_is_as_signed_and_holds_no_sound_fails_and_is_reported(commune, office, agents, node, tmp_path):
    rubbish, good = b"no sound in here " * 2_000, tone(tmp_path)
    for content in (rubbish, good):
        keep_media(commune, node, content)
    at = in_s(5)
    items = (item("hong", media(rubbish), at), item("tot", media(good), at, volume_cdb=-100))
    on_the_card(commune, node, commune.station(), commune.programme(*items))
    agents(node)
    await office.up(node)
    records = {record.item: record for record in await office.played(node, 2)}
    assert records["hong"].ending == "failed"
    assert records["hong"].reason
    assert records["tot"].ending == "played"


async def test_a_set_is_taken_over_when_the_last_of_it_is_whole(commune, office, agents, node, tmp_path):
    contents = [tone(tmp_path, hertz) for hertz in (300, 400, 500)]
    with media_server(commune) as server:
        agents(node)
        await office.up(node)
        at = in_s(3_600)
        items = [item(f"tin-{index}", media(content), at) for index, content in enumerate(contents)]
        programme = commune.programme(*items)
        for content in contents[:2]:
            server.add(content)
        await office.say(programme)
        await until(lambda: office.hello(node).missing_media == 1, 20, "two of three")
        assert all(held.pending for held in office.hello(node).holds if held.kind == "programme")
        server.add(contents[2])
        await in_force(office, node, programme.seq)
    assert office.hello(node).missing_media == 0


async def test_an_unknown_clock_plays_nothing_timed_and_says_so(commune, office, agents, node, tmp_path):
    content = tone(tmp_path)
    keep_media(commune, node, content)
    at = in_s(4)
    on_the_card(commune, node, commune.station(), commune.programme(item("sang", media(content), at)))
    commune.clock_file(node).unlink()
    agents(node)
    hello = await office.up(node)
    assert hello.clock_state == "unknown"
    assert "clock-unknown" in hello.troubles
    await asyncio.sleep(max(0.0, mono_of(at) - time.monotonic()))
    await is_silent(commune.wav(node), 1.5)
    assert heard(commune.wav(node)) == []
    commune.clock_file(node).touch()
    await until(lambda: office.hello(node).clock_state == "good", what="a good clock")
    began_s = await sounds(commune.wav(node), 0)
    assert began_s > mono_of(at) + 1, "late, but within its grace"
