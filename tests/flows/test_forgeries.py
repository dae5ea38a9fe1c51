"""Every forged vector over a real broker to a real agent that stands in the vectors' world and at their time.

Each must be refused with the right reason in a sealed receipt, be counted in health, and never sound.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.client import topic_matches_sub

from controller import ca
from protocol import keys, topics
from protocol.envelope import claimed
from protocol.reports import OrderResult
from tests import vectors
from tests.commune import AgentProcess, Commune
from tests.faked import environment
from tests.flows.conftest import FIRST
from tests.flows.hearing import heard, is_silent
from tests.office import Office
from tests.vectors import Case
from tests.waiting import until

QUIET = ("fresh", "duplicate")
HOUR_MS = 3_600_000
LANES = 2
UNREACHABLE = {
    "future-attested": "no timekeeper is here",
    "suspend-over-attested": "nor here, and the clock would have to jump between the steps",
    "suspend-over-no-clock": "the clock would have to be lost between the steps",
    "unknown-clock-other-nonce": "a real node draws its nonces; clock-unusable is in unknown-clock",
    "expired-not-remembered": "it turns the clock back between its steps",
    "time-no-nonce": "the instant after, without a clock: tests/core has it",
    "empty": "an empty MQTT payload clears a retained message and is ignored",
}
NOT_READ = {
    "out-of-order-two-hamlets",
    "no-such-topic",
    "unsealed-topic",
    "wrong-area",
    "not-mine",
    "grant-elsewhere",
    "placement-of-another",
    "placement-wrong-topic",
    "network-of-another",
    "network-wrong-topic",
    "release-other-node",
    "suspend-elsewhere",
}
"""On topics that this node does not read: over an honest broker they never come to it, and nothing follows."""
PATCHED = (
    "edge_agent.core.clock:FLOOR_BUILD_MS=0",  # the vectors were signed before this program was built
    "edge_agent.core.reports:REFUSAL_QUIET_NS=0",  # tell each refusal, also the tenth on one topic
    "edge_agent.core.health:QUIET_NS=0",
    "edge_agent.core.health:DELAY_NS=500000000",
)


def refused(case: Case) -> bool:
    return case.reader == "node" and case.name not in UNREACHABLE and any(step.expect not in QUIET for step in case.steps)


SINGLE = [case for case in vectors.cases() if refused(case) and len(case.steps) == 1 and case.amnesia_since_ms is None]
MULTIPLE = [case for case in vectors.cases() if refused(case) and len(case.steps) > 1]


class Lane:
    """The vectors' node at a broker of its own."""

    def __init__(self, folder: Path) -> None:
        world = vectors.document()["world"]
        self.commune = Commune(folder, certified=datetime.fromtimestamp(world["at_ms"] / 1000, UTC))
        self.node = self.commune.add_node(FIRST, node=world["readers"]["node"]["node"])
        self.home = self.commune.nodes[self.node].parent
        self.state = self.home / "state"
        self.base = self.home / "base"
        (self.home / "root.json").write_bytes(base64.b64decode(world["root"]["sealed"]))
        (self.home / "report.key").write_bytes(keys.to_pem(vectors.key(f"report {self.node}"), None))
        names = []
        for index, sent in enumerate(world["readers"]["node"]["documents"]):
            names.append(f"world-{index}.json")
            (self.home / names[-1]).write_bytes(base64.b64decode(sent["sealed"]))
        toml = self.commune.nodes[self.node]
        lines = [
            line
            if not line.startswith(("documents = ", "root_digest = "))
            else f"documents = {names}"
            if line.startswith("documents")
            else f'root_digest = "{world["root"]["digest"]}"'
            for line in toml.read_text().splitlines()
        ]
        toml.write_text("\n".join(lines))
        self.documents = len(names)

    @asynccontextmanager
    async def awake(
        self, office: Office, at_ms: int, *, clock_good: bool = True, fresh: bool = False
    ) -> AsyncIterator[AgentProcess]:
        """An agent that remembers the world and no more, with its clock at this instant."""
        await self._end_session()
        shutil.rmtree(self.state, ignore_errors=True)
        if not fresh:
            shutil.copytree(self.base, self.state, dirs_exist_ok=True)  # a player that was just killed may still write there
        clock_file = self.commune.clock_file(self.node)
        clock_file.unlink(missing_ok=True)
        if clock_good:
            clock_file.touch()
            os.utime(clock_file, (at_ms / 1000, at_ms / 1000))  # synchronised then, not now
        when = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        words = [word for patch in PATCHED for word in ("--set", patch)]
        hellos = len(office.hellos)
        agent = AgentProcess(
            self.commune.nodes[self.node], *words, environment=os.environ | environment(when), module="tests.flows.launch"
        )
        try:
            await office.up(self.node, after=hellos)
            await asyncio.sleep(0.4)  # what comes while it still collects is taken by age, not as it was sent
            yield agent
        finally:
            agent.kill()

    async def _end_session(self) -> None:
        """What the last agent left unacknowledged at the broker belongs to the last case, and would come to this one's."""
        async with aiomqtt.Client(
            self.commune.host,
            self.commune.port,
            identifier=self.node,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            tls_context=ca.client_context(self.commune.ca_file, self.home / "node.crt", self.home / "node.key"),
            timeout=5,
        ):
            pass

    async def prepare(self, office: Office) -> None:
        """The world, learned an hour before anything of the cases was signed."""
        async with self.awake(office, vectors.cases()[0].steps[0].now_ms - HOUR_MS, fresh=True) as agent:

            def learned() -> bool:
                hello = office.hello(self.node)
                return hello is not None and len(hello.holds) >= self.documents

            await until(learned, what="the world")
            assert agent.stop() == 0
        shutil.copytree(self.state, self.base)

    def reads(self, topic: str | None) -> bool:
        """Whether the node reads this topic at all: what it does not subscribe to never arrives over an honest broker."""
        chain = tuple(link.area for link in vectors.reader("node").trust.chain)
        filters = (*topics.node_filters(self.node), *topics.area_filters(chain))
        return topic is None or any(topic_matches_sub(name, topic) for name in filters)

    async def meets(self, office: Office, case: Case) -> int:
        """Send a case; every refusal must come back sealed, with its reason. Returns how many there were."""
        waited = []
        for step in case.steps:
            if step.topic is None:
                continue
            seen = len(office.receipts)
            await office.publish(step.topic, step.sealed)
            if step.expect not in QUIET and self.reads(step.topic):
                waited.append((step, seen))
        for step, seen in waited:
            digests = {hashlib.sha256(step.sealed).hexdigest(), *(claimed(step.sealed) or ())}

            def look(digests: set[str | int] = digests, topic: str = step.topic, seen: int = seen) -> OrderResult | None:
                told = (one for receipt in office.receipts[seen:] for one in receipt.results if one.result == "refused")
                return next((one for one in told if one.topic == topic and one.digest in digests), None)

            told = await until(look, 10, f"the refusal of {case.name} ({step.expect})")
            assert told.reason.partition(":")[0] == step.expect, f"{case.name}: {told.reason}"
        return len(waited)


@pytest.fixture
async def lane(tmp_path):
    async with made(tmp_path / "lane") as lane_and_office:
        yield lane_and_office


@asynccontextmanager
async def made(folder: Path) -> AsyncIterator[tuple[Lane, Office]]:
    lane = Lane(folder)
    await lane.commune.broker.start()
    try:
        async with Office(lane.commune) as office:
            await lane.prepare(office)
            yield lane, office
    finally:
        await lane.commune.broker.kill()


def _begin_ms(case: Case) -> int:
    """A little before the case's instant for what is too new, a little after for what is over."""
    return case.steps[0].now_ms + (1_000 if case.steps[0].expect == "expired" else -12_000)


async def in_turn(where: Lane, office: Office, cases: list[Case]) -> int:
    """One document under different signatures: its refusals are told apart by their order alone."""
    return sum([await where.meets(office, case) for case in cases])


@pytest.mark.timeout(300)
async def test_what_is_forged_is_refused_with_its_reason_counted_and_changes_nothing(lane):
    where, office = lane
    groups: dict[tuple[int, bool], list[Case]] = {}
    for case in SINGLE:
        groups.setdefault((_begin_ms(case), case.steps[0].clock == "good"), []).append(case)
    good = next(case for case in vectors.cases() if case.name == "good-start").steps[0]
    for (at_ms, clock_good), cases in groups.items():
        office.health.clear()
        async with where.awake(office, at_ms, clock_good=clock_good):
            alike: dict[object, list[Case]] = {}
            for case in cases:
                alike.setdefault((case.steps[0].topic, claimed(case.steps[0].sealed)), []).append(case)
            count = sum(await asyncio.gather(*(in_turn(where, office, same) for same in alike.values())))
            await until(
                lambda count=count: office.health and sum(office.health[-1].refused.values()) == count, 10, f"{count} counted"
            )
            await is_silent(where.commune.wav(where.node), 0.5)
            assert heard(where.commune.wav(where.node)) == []
            if at_ms < good.now_ms < at_ms + 60_000 and clock_good:
                await office.publish(good.topic, good.sealed)
                await office.came_to(where.node, "00000000000000a1", "sounding")
                where.commune.wav(where.node).unlink()
    assert len(SINGLE) > 80


@pytest.mark.timeout(300)
async def test_what_is_forged_in_steps_is_refused_with_its_reason(tmp_path):
    waiting = list(MULTIPLE)
    said = 0

    async def work(number: int) -> None:
        nonlocal said
        async with made(tmp_path / f"lane{number}") as (where, office):
            with contextlib.suppress(IndexError):
                while True:
                    case = waiting.pop()
                    async with where.awake(office, case.steps[0].now_ms - 10_000):
                        count = await where.meets(office, case)
                    said += count

    await asyncio.gather(*(work(number) for number in range(LANES)))
    assert waiting == []
    assert said == sum(step.expect not in QUIET for case in MULTIPLE for step in case.steps) - 1


async def test_a_node_that_lost_its_memory_takes_no_older_start(lane):
    where, office = lane
    case = next(case for case in vectors.cases() if case.name == "amnesia")
    async with where.awake(office, case.steps[0].now_ms, fresh=True):
        assert await where.meets(office, case) == 1
        assert heard(where.commune.wav(where.node)) == []


def test_no_forged_case_is_left_out_unsaid(tmp_path):
    lane = Lane(tmp_path)
    steps = {case.name: [step.topic for step in case.steps if step.expect not in QUIET] for case in (*SINGLE, *MULTIPLE)}
    assert {name for name, where in steps.items() if not all(map(lane.reads, where))} == NOT_READ
    played = {case.name for case in (*SINGLE, *MULTIPLE)} | {"amnesia"}
    forged = {case.name for case in vectors.cases() if any(step.expect not in QUIET for step in case.steps)}
    others = {case.name for case in vectors.cases() if case.reader in ("controller", "unplaced")}
    assert forged - played - others == set(UNREACHABLE)
