"""From a card to a node that obeys: with real agents, a real serve and a real mosquitto."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from tests.commune import AgentProcess
from tests.enrol.field import Field, Stranger, certified, code, wait


def status(card) -> str:
    words = [sys.executable, "-m", "edge_agent", "status", "--config", str(card.folder / "node.toml")]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout


def test_a_node_makes_its_keys_enrols_and_obeys_once_its_placement_is_signed(field: Field, agents):
    card = field.card()
    assert field.enrolment(card.node).state == "expected"
    agents(field.agent(card))
    came = field.until(card.node, "pending")
    home = card.folder / "state"
    assert {(home / name).stat().st_mode & 0o777 for name in ("node.key", "report.key")} == {0o600}
    assert came.digits in status(card)
    assert "pending" in status(card)
    wait(lambda: not (card.folder / "claim").exists(), "the claim is wiped")
    wait(lambda: f"as {card.node} (" in field.hq.log("broker"), "it is linked to the broker")
    field.approve(card.node)
    assert field.enrolment(card.node).state == "placed"
    wait(lambda: field.is_online(card.node) and field.hq.node(card.node).holds_current, "it holds what it should")
    wait(lambda: "placed" in status(card), "the node knows its place")
    refusals = field.hq.http.get("/v1/refusals").json()
    assert not [each for each in refusals if card.node in each["topic"]], "what it said while it waited is no alarm"


def test_enrolment_waits_for_a_controller_that_is_not_there_yet(field: Field, agents):
    card = field.card(enrol_url="https://127.0.0.1:9")
    agent = agents(field.agent(card))
    wait(lambda: "no certificate yet" in agent.log.read_text(), "it says that nobody answers")
    agent.kill()
    toml = card.folder / "node.toml"
    toml.write_text(toml.read_text().replace("https://127.0.0.1:9", f"https://127.0.0.1:{field.enrol_port}"))
    agents(field.agent(card))
    assert field.until(card.node, "pending").digits


def test_a_node_of_another_ca_gets_nothing_and_gives_nothing(field: Field, agents, tmp_path):
    from controller.roots import create_roots

    card = field.card(ca_pem=create_roots(tmp_path / "other", "another").bundle_pem)
    agent = agents(field.agent(card))
    wait(lambda: "no certificate yet" in agent.log.read_text(), "it refuses the server")
    assert field.enrolment(card.node).state == "expected"
    assert "CERTIFICATE_VERIFY_FAILED" in agent.log.read_text()


@pytest.mark.parametrize("after_s", [0.02, 0.3, 0.6, 0.9, 1.2, 1.6])
def test_killed_at_any_time_it_enrols_with_the_keys_it_made_first(field: Field, agents, after_s: float):
    card = field.card()
    agent = field.agent(card)
    with contextlib.suppress(subprocess.TimeoutExpired):
        agent.child.wait(after_s)
    agent.kill()
    made = {name: (card.folder / "state" / name) for name in ("node.key", "report.key")}
    before = {name: path.read_bytes() for name, path in made.items() if path.exists()}
    agents(field.agent(card))
    field.until(card.node, "pending")
    wait(lambda: field.certificate(card).exists(), "it has its certificate")
    assert {name: made[name].read_bytes() for name in before} == before
    assert field.enrolment(card.node).twice == 0
    assert not list((card.folder / "state").glob(".half-*"))


def test_a_cut_between_request_and_certificate_gives_the_same_certificate_again(field: Field, agents):
    """The controller answered, and the power went before the answer was on the card."""
    card = field.card()
    first = agents(field.agent(card))
    field.until(card.node, "pending")
    wait(lambda: field.certificate(card).exists(), "it has its certificate")
    first.kill()
    given = field.certificate(card).read_bytes()
    field.certificate(card).unlink()
    (card.folder / "claim").write_text(card.claim)
    agents(field.agent(card))
    wait(lambda: field.certificate(card).exists(), "it has its certificate again")
    assert field.certificate(card).read_bytes() == given
    assert field.enrolment(card.node).twice == 0


def test_another_key_with_a_used_claim_is_refused_and_alarmed(field: Field):
    card = field.card()
    first, second = Stranger(), Stranger()
    given = certified(field.ask("/enrol", first.enrols(card.node, card.claim)))
    assert code(field.ask("/enrol", second.enrols(card.node, card.claim))) == (409, "claim-used")
    assert certified(field.ask("/enrol", first.enrols(card.node, card.claim))) == given
    seen = field.enrolment(card.node)
    assert (seen.twice, seen.twice_source, seen.digits) == (1, "127.0.0.1", given.digits)
    refusals = field.hq.http.get("/v1/refusals").json()
    assert any(each["node"] == card.node and each["reason"] == "claim-used-twice" for each in refusals)


def test_a_claim_opens_its_own_label_only(field: Field):
    mine, other = field.card(), field.card()
    assert code(field.ask("/enrol", Stranger().enrols(other.node, mine.claim))) == (403, "wrong-claim")
    assert field.enrolment(other.node).state == "expected"
    unknown = field.card(expected=False)
    assert code(field.ask("/enrol", Stranger().enrols(unknown.node, unknown.claim), source="127.0.7.1")) == (403, "wrong-claim")


def test_a_copied_card_cannot_bring_the_keys_of_another_node(field: Field):
    first, second, who = field.card(), field.card(), Stranger()
    certified(field.ask("/enrol", who.enrols(first.node, first.claim)))
    assert code(field.ask("/enrol", who.enrols(second.node, second.claim))) == (409, "copied-key")
    assert field.enrolment(second.node).state == "expected"


def test_a_wrong_clock_at_boot_does_not_hinder_enrolment(field: Field, agents):
    card = field.card()
    toml = card.folder / "node.toml"
    toml.write_text(toml.read_text().replace("in-step", "never-in-step"))
    words = ("faketime", "-f", "-3y")
    agents(AgentProcess(toml, prefix=words))
    assert field.until(card.node, "pending").digits
