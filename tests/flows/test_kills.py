"""Agents and their players killed with -9 at random instants: counters, records, content and an accepted emergency stand.

LOA_KILLS sets the number of kills (40; the bench takes 200); several nodes share them at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import time
from dataclasses import dataclass, field

import msgspec
import psutil
import pytest

from protocol.orders import Start
from protocol.reports import PlayRecord
from tests.commune import AgentProcess, Commune, order_topic
from tests.flows.conftest import FIRST
from tests.flows.hearing import SHORT, heard, in_s, is_silent, item, keep_media, media, on_the_card, sounds, tone
from tests.office import Office
from tests.waiting import until

KILLS = int(os.environ.get("LOA_KILLS", "40"))
NODES = 4
SEED = int(os.environ.get("LOA_SEED", "20261123"))
LASTING = {**SHORT, "repeats": 40}


@dataclass
class Victim:
    """One node, its agent of the moment, and what was asked of it."""

    commune: Commune
    office: Office
    settlement: str
    node: str
    chance: random.Random
    agent: AgentProcess | None = None
    starts: int = 0
    asked: list[Start] = field(default_factory=list)

    def begin(self) -> None:
        self.agent = AgentProcess(self.commune.nodes[self.node])
        self.starts += 1

    async def order(self) -> None:
        """Sometimes a new emergency, sometimes the end of the last one, sometimes nothing."""
        what = self.chance.random()
        if what < 0.5:
            start = self.commune.start(self.settlement, **SHORT)
            self.asked.append(start)
            await self.office.say(start)
        elif what < 0.7 and self.asked:
            await self.office.say(self.commune.stop(self.settlement, self.asked[-1].incident))

    async def suffer(self) -> None:
        """One round: something is asked, then the agent or its player is killed somewhere in the middle."""
        assert self.agent is not None
        await asyncio.sleep(self.chance.uniform(0.0, 1.6))
        await self.order()
        await asyncio.sleep(self.chance.uniform(0.0, 1.2))
        if self.chance.random() < 0.3:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(self.agent.child.pid).children():
                    child.kill()
            return
        self.agent.kill()
        await asyncio.sleep(self.chance.uniform(0.0, 0.2))
        self.begin()

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.commune.nodes[self.node].parent / "state" / "node.db")


@pytest.mark.timeout(60 + 6 * KILLS)
async def test_kills_at_random_instants_lose_nothing_and_double_nothing(commune, office, tmp_path):
    content = tone(tmp_path)
    victims = []
    for index in range(NODES):
        settlement = f"{FIRST[:-3]}{index + 1:03}"
        node = commune.add_node(settlement)
        keep_media(commune, node, content)
        programme = commune.programme(item("tin", media(content), in_s(3_600)), area=settlement)
        on_the_card(commune, node, commune.station(), programme)
        victims.append(Victim(commune, office, settlement, node, random.Random(SEED + index)))
    try:
        for victim in victims:
            victim.begin()
        for victim in victims:
            await office.up(victim.node)
        held = {victim.node: content_of(office, victim.node) for victim in victims}

        async def rounds(victim: Victim) -> None:
            for _ in range(-(-KILLS // NODES)):
                await victim.suffer()

        await asyncio.gather(*(rounds(victim) for victim in victims))
        await asyncio.gather(*(finish(victim, held[victim.node]) for victim in victims))
    finally:
        for victim in victims:
            if victim.agent is not None and victim.agent.child.poll() is None:
                victim.agent.kill()
    for victim in victims:
        judge(victim)


def content_of(office: Office, node: str) -> set[tuple[str, str]]:
    hello = office.hello(node)
    assert hello is not None
    return {(kept.kind, kept.digest) for kept in hello.holds if not kept.pending}


async def finish(victim: Victim, held: set[tuple[str, str]]) -> None:
    """The last life: a lasting emergency is accepted, the agent is killed, and it sounds again until its STOP."""
    office, node = victim.office, victim.node
    await office.say(victim.commune.stop(victim.settlement))
    last = victim.commune.start(victim.settlement, **LASTING)
    await office.say(last)
    await office.came_to(node, last.incident, "sounding", within_s=40)
    assert victim.agent is not None
    victim.agent.kill()
    hellos = sum(hello.node == node for hello in office.hellos)
    killed_s = time.monotonic()
    victim.begin()
    await sounds(victim.commune.wav(node), killed_s + 0.2)
    hello = await office.up(node, after=hellos)
    assert held <= content_of(office, node)
    counts = [told.boot_count for told in office.hellos if told.node == node]
    assert counts == sorted(counts)
    assert hello.boot_count <= victim.starts, "a life may end before it is counted, and none is counted twice"
    births = [alive.birth for alive in office.alive if alive.node == node and alive.online]
    assert births == sorted(set(births))
    assert not hello.amnesia
    await office.say(victim.commune.stop(victim.settlement, last.incident))
    await office.came_to(node, last.incident, "stopped")
    for start in victim.asked:
        await office.publish(order_topic(start), victim.commune.seal_as(start))
    await is_silent(victim.commune.wav(node), 2)

    def all_told() -> bool:
        told = office.hello(node)
        return told is not None and set(office.records.get(node, {})) >= set(range(1, told.last_record_id + 1))

    await until(all_told, 30, "every record at the office")
    assert victim.agent.stop() == 0


def judge(victim: Victim) -> None:
    """The node's own memory and what the office was told, one by one, are the same."""
    with contextlib.closing(victim.database()) as db:
        kept = {
            number: msgspec.json.decode(record, type=PlayRecord)
            for number, record in db.execute("SELECT record_id, record FROM records")
        }
        open_ones = db.execute("SELECT count(*) FROM records WHERE is_open = 1").fetchone()[0]
        orders = dict(db.execute("SELECT digest, state FROM orders"))
    told = victim.office.records[victim.node]
    assert sorted(kept) == list(range(1, len(kept) + 1))
    assert told == kept
    assert open_ones == 0
    said: dict[int, set[PlayRecord]] = {}
    for record in victim.office.plays(victim.node):
        said.setdefault(record.record_id, set()).add(record)
    assert all(len(versions) == 1 for versions in said.values()), "a record never changes once it was told"
    assert {record.digest for record in kept.values()} <= set(orders)
    assert set(orders.values()) <= {"ended", "stopped"}
    accepted = {told.incident for told in victim.office.results(victim.node) if told.result in ("received", "sounding")}
    assert {start.incident for start in victim.asked if start.incident in accepted} <= {
        record.incident for record in kept.values()
    }
    assert heard(victim.commune.wav(victim.node))
