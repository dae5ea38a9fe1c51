"""A real node, real brokers: a network document that leads nowhere is left, one that leads to the controller is kept."""

from __future__ import annotations

from msgspec import structs

from edge_agent.__main__ import Agent
from edge_agent.config import load
from protocol.documents import Endpoint, Reach
from tests.commune import AgentProcess, Commune, free_port
from tests.flows.test_stick import hand_in, write
from tests.office import Office
from tests.waiting import until

FAST = ("TRIAL_S=8", "STOOD_S=2")
"""In seconds what takes minutes."""


def fast_agent(commune: Commune, node: str) -> AgentProcess:
    words = [word for each in FAST for word in ("--set", f"edge_agent.core.reach:{each}")]
    return AgentProcess(commune.nodes[node], *words, module="tests.flows.launch")


def towards(commune: Commune, port: int) -> Reach:
    return Reach(brokers=(Endpoint(host=commune.host, port=port),))


async def said(office: Office, node: str, state: str) -> None:
    """Wait until the node's last hello says so of its network."""

    def look() -> bool:
        hello = office.hello(node)
        return hello is not None and hello.network is not None and hello.network.state == state

    await until(look, 60, state)


async def test_a_document_that_names_a_dead_port_cuts_the_node_off_and_it_comes_back_by_itself(commune, office, node):
    with fast_agent(commune, node):
        await office.up(node)
        dead = commune.network(node, reach=towards(commune, free_port()))
        await office.say(dead, "officer", "second")
        await until(lambda: not office.alive[-1].online, what="the node's going")
        await said(office, node, "returned")
        hello = office.hello(node)
        assert "network-returned" in hello.troubles
        assert any(held.kind == "network" and held.digest == hello.network.digest for held in hello.holds)


async def test_a_document_that_names_a_good_broker_is_kept_and_survives_a_power_cut(commune, office, node):
    other = commune.another_broker()
    await other.start()
    try:
        async with Office(commune, acknowledges=True, port=other.config.port) as there:
            with fast_agent(commune, node) as agent:
                await office.up(node)
                good = commune.network(node, reach=towards(commune, other.config.port))
                await office.say(good, "officer", "second")
                await said(there, node, "confirmed")
                agent.kill()
            before, heard = len(office.hellos), len(there.hellos)
            with fast_agent(commune, node):
                await there.up(node, after=heard)
                assert there.hello(node).network.state == "confirmed"
                assert len(office.hellos) == before, "the old broker heard nothing more"
    finally:
        await other.kill()


async def test_a_document_on_a_stick_shows_a_node_the_way_that_reaches_nobody(commune, office, node, tmp_path):
    toml = commune.nodes[node]
    toml.write_text(toml.read_text().replace(f"port = {commune.port}", f"port = {free_port()}"))
    way = commune.seal_as(commune.network(node, reach=towards(commune, commune.port)), "officer", "second")
    with fast_agent(commune, node):
        taken = hand_in(commune, node, write(tmp_path / "stick", [way]))
        assert taken.returncode == 0, taken.stderr
        await said(office, node, "confirmed")


async def test_what_is_gone_by_names_the_doors_of_media_and_certificates_and_else_the_card_does(commune, node):
    toml = commune.nodes[node]
    toml.write_text(toml.read_text() + '[enrol]\nurl = "https://card.vn:8446"\n')
    agent = Agent(load(toml))
    assert agent.enrolment is not None
    try:
        assert (agent.media_url(), agent.enrol_url()) == (commune.media_url, "https://card.vn:8446")
        there = Reach(media_url="https://new.vn:1", enrol_url="https://new.vn:2")
        agent.desk.state = structs.replace(agent.desk.state, reach_used=there)
        assert (agent.media_url(), agent.enrol_url()) == ("https://new.vn:1", "https://new.vn:2")
    finally:
        agent.store._opened.close()
