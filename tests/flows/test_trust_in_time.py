"""A real agent, a real broker: a suspended key falls silent and its neighbour does not; a timekeeper gives a clock for STARTs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import msgspec
import pytest
from msgspec import structs

from protocol import keys, topics
from protocol.documents import Key, Person, Role
from protocol.envelope import digest_of, payload_of, seal
from protocol.passing import Suspend
from tests.commune import NUMBERS, AgentProcess, Commune, now_ms
from tests.flows.conftest import FIRST
from tests.flows.hearing import heard
from tests.office import Office
from tests.waiting import until

COMMUNE = "52.24076"


def suspend(commune: Commune, person: str = "officer", *, hours: int = 24) -> tuple[str, bytes]:
    seq, key_id = commune.seq(), commune.sealer(person).public_key.keyid
    what = Suspend(
        authority="root",
        area=COMMUNE,
        area_no=NUMBERS[COMMUNE],
        seq=seq,
        purpose="routine",
        key_id=key_id,
        until_ms=seq + hours * 3_600_000,
    )
    return topics.topic("suspend", area=COMMUNE, key=key_id), commune.seal_as(what, "chair")


async def test_a_suspended_key_is_cut_off_and_stays_so_over_a_power_cut(commune, office, agents, node):
    agent = agents(node)
    await office.up(node)
    start = commune.start(FIRST, sound_max_s=60, repeats=5)
    await office.say(start)
    await office.came_to(node, start.incident, "sounding")
    await office.publish(*suspend(commune), retain=True)
    told = await office.came_to(node, start.incident, "stopped", within_s=3)
    assert told.reason == "suspended"
    agent.kill()
    before = len(office.hellos)
    agents(node)
    await office.up(node, after=before)
    hello = await until(lambda: (said := office.hello(node)) and said.boot_count == 2 and said, 20, "the second start")
    assert any(held.kind == "suspend" for held in hello.holds)
    again = commune.start(FIRST)
    await office.say(again)
    refused = await office.came_to(node, again.incident, "refused")
    assert refused.reason.startswith("suspended:")
    other = commune.start(FIRST)
    await office.say(other, "second")
    await office.came_to(node, other.incident, "sounding")
    assert heard(commune.wav(node))


# --- a timekeeper ---


class Timed(Commune):
    """The same commune; its root has a timekeeper."""

    def _make_trust(self) -> None:
        self.people["clock"] = keys.new_key()
        super()._make_trust()
        root = payload_of(self.root)
        body = structs.replace(
            root.body,
            persons=(*root.body.persons, Person(id="clock", name="Máy báo giờ", service=True)),
            keys=(*root.body.keys, Key(public=keys.public_hex(self.people["clock"]), person="clock")),
            time=Role(persons=("clock",), threshold=1),
        )
        made = structs.replace(root, body=body)
        self.root = seal(made, [self.sealer("chair"), self.sealer("deputy")])
        self.root_digest = digest_of("root", msgspec.json.encode(made))

    def timekeeper(self, chronyc: str) -> None:
        """Its folder, with the real certificate."""
        home = self.folder / "timekeeper"
        home.mkdir(exist_ok=True)
        cert, key = self.issue("timekeeper")
        (home / "time.key").write_bytes(keys.to_pem(self.people["clock"], "thử máy báo giờ"))
        (home / "pass").write_text("thử máy báo giờ\n")
        (home / "pass").chmod(0o600)
        (home / "chronyc").write_text(f"#!/bin/sh\necho '{chronyc}'\n")
        (home / "chronyc").chmod(0o755)
        (home / "timekeeper.toml").write_text(
            f'broker_host = "{self.host}"\nbroker_port = {self.port}\nca = "{self.ca_file}"\ncertificate = "{cert}"\n'
            f'tls_key = "{key}"\npassphrase_file = "pass"\nchronyc = ["{home}/chronyc"]\n'
        )


@pytest.fixture
async def timed(tmp_path):
    made = Timed(tmp_path / "commune")
    await made.broker.start()
    yield made
    await made.broker.kill()


@contextlib.asynccontextmanager
async def timekeeper(commune: Timed, *, good: bool = True):
    """The real program, with chronyd's words put into its mouth."""
    now_s = now_ms() / 1000
    leap = "Normal" if good else "Not synchronised"
    commune.timekeeper(f"A9FEA97B,10.0.0.1,3,{now_s:.6f},0.000010,0.000005,0.000020,1.2,0.001,0.05,0.010000,0.000500,64.2,{leap}")
    log = commune.folder / "timekeeper.log"
    words = [sys.executable, "-c", "from controller.cli import main; main()", "timekeeper", "run"]
    with log.open("ab") as out:
        child = await asyncio.create_subprocess_exec(
            *words,
            "--config",
            str(commune.folder / "timekeeper" / "timekeeper.toml"),
            stdout=out,
            stderr=out,
            env=dict(os.environ),
        )
    try:
        await until(lambda: "linked to the broker" in log.read_text(), 30, "the timekeeper is linked")
        yield log
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        await child.wait()


async def test_a_node_without_a_clock_is_told_the_time_and_takes_a_start(timed):
    node = timed.add_node(FIRST)
    timed.clock_file(node).unlink()
    async with Office(timed, acknowledges=True) as office, timekeeper(timed):
        with AgentProcess(timed.nodes[node]):
            await until(lambda: (said := office.hello(node)) and said.clock_state == "attested", 30, "its clock is attested")
            start = timed.start(FIRST)
            await office.say(start)
            await office.came_to(node, start.incident, "sounding")


async def test_a_timekeeper_without_a_good_clock_tells_nobody_the_time(timed):
    node = timed.add_node(FIRST)
    timed.clock_file(node).unlink()
    async with Office(timed, acknowledges=True) as office, timekeeper(timed, good=False) as log:
        with AgentProcess(timed.nodes[node]):
            await office.up(node)
            start = timed.start(FIRST)
            await office.say(start)
            refused = await office.came_to(node, start.incident, "refused")
            assert refused.reason.startswith("clock-unusable")
            assert office.hello(node).clock_state == "unknown"
        assert "not in step" in log.read_text()
