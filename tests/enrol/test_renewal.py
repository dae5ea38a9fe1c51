"""Certificates stay young by themselves, come back after their end, and the roots behind them change: with short lives."""

from __future__ import annotations

import socket
import ssl
import time
from datetime import UTC, datetime

from cryptography import x509

from controller import ca
from controller.actions.trust_views import RootView
from controller.roots import load_roots
from tests.enrol.field import Field, Stranger, certified, code, wait


def until(field: Field, card) -> datetime:
    return x509.load_pem_x509_certificate(field.certificate(card).read_bytes()).not_valid_after_utc


def connects(field: Field, node: str) -> int:
    return field.hq.log("broker").count(f"as {node} (")


def test_a_node_renews_before_the_end_and_keeps_its_connection(brief: Field, agents):
    card = brief.card()
    agents(brief.agent(card))
    brief.until(card.node, "pending")
    brief.approve(card.node)
    wait(lambda: brief.is_online(card.node), "it is online")
    first, key = brief.certificate(card).read_bytes(), (card.folder / "state" / "node.key").read_bytes()
    wait(lambda: brief.certificate(card).read_bytes() != first, "it has a new certificate", 60)
    wait(lambda: datetime.now(UTC) > x509.load_pem_x509_certificate(first).not_valid_after_utc, "the first one is over", 60)
    assert (card.folder / "state" / "node.key").read_bytes() == key
    assert connects(brief, card.node) == 1
    assert brief.is_online(card.node)


def test_an_expired_certificate_reaches_the_enrol_address_and_comes_back(brief: Field, agents):
    card = brief.card()
    first = agents(brief.agent(card))
    brief.until(card.node, "pending")
    brief.approve(card.node)
    wait(lambda: brief.is_online(card.node), "it is online")
    first.kill()
    old = brief.certificate(card).read_bytes()
    wait(lambda: datetime.now(UTC) > until(brief, card), "its certificate is over", 60)
    context = ca.client_context(brief.roots, brief.certificate(card), card.folder / "state" / "node.key")
    assert not _lets_in(brief, context)
    agents(brief.agent(card))
    wait(lambda: brief.certificate(card).read_bytes() != old, "it renewed", 60)
    wait(lambda: connects(brief, card.node) >= 2 and brief.is_online(card.node), "it is back", 60)


def _lets_in(field: Field, context: ssl.SSLContext) -> bool:
    """Whether the broker goes on after the handshake: in TLS 1.3 the client learns of a no with its first read."""
    plain = socket.create_connection(("127.0.0.1", field.hq.port), 5)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
        tls.settimeout(1)
        try:
            return tls.recv(1) != b""
        except TimeoutError:
            return True
        except (ssl.SSLError, OSError):
            return False


def test_killed_again_and_again_while_it_renews_it_keeps_a_pair_that_works(brief: Field, agents):
    card = brief.card()
    agents(brief.agent(card))
    brief.until(card.node, "pending")
    brief.approve(card.node)
    for turn in range(6):
        agent = agents(brief.agent(card)) if turn else None
        time.sleep(1.0 + turn * 0.7)
        if agent:
            agent.kill()
        key = card.folder / "state" / "node.key"
        if brief.certificate(card).exists():
            ssl.create_default_context().load_cert_chain(brief.certificate(card), key)
    wait(lambda: brief.is_online(card.node), "it is online", 60)


def test_only_the_key_that_enrolled_renews(field: Field):
    card, mine, other = field.card(), Stranger(), Stranger()
    given = certified(field.ask("/enrol", mine.enrols(card.node, card.claim)))
    assert code(field.ask("/renew", other.renews(card.node), source="127.0.6.1")) == (403, "another-key")
    assert certified(field.ask("/renew", mine.renews(card.node))).certificate_pem == given.certificate_pem


def test_the_roots_change_and_no_node_is_visited(brief: Field, agents):
    card = brief.card()
    agents(brief.agent(card))
    brief.until(card.node, "pending")
    brief.approve(card.node)
    wait(lambda: brief.is_online(card.node), "it is online")
    before = brief.hq.get("/v1/ca", list[RootView])
    assert [each.signs for each in before] == [True, False]
    pinned = (card.folder / "ca.pem").read_bytes()
    after = brief.hq.post("/v1/ca/rotate", {}, list[RootView])
    assert after[0].fingerprint == before[1].fingerprint
    active = load_roots(brief.hq.state / "ca").active.certificate

    def is_by_the_new_one(pem: bytes) -> bool:
        return ca.issued_by(x509.load_pem_x509_certificate(pem), active)

    for name in ("broker", "https", "controller", "operator-1"):
        assert is_by_the_new_one((brief.hq.state / "tls" / f"{name}.crt").read_bytes())
    wait(lambda: is_by_the_new_one(brief.certificate(card).read_bytes()), "the node renewed by the new root", 60)
    wait(lambda: all(each.signs or not each.living for each in brief.hq.get("/v1/ca", list[RootView])), "none needs the old", 60)
    assert len(brief.hq.post("/v1/ca/retire-other", {}, list[RootView])) == 1
    brief.hq.kill("broker")
    brief.hq.start_broker()
    wait(lambda: connects(brief, card.node) >= 2 and brief.is_online(card.node), "the node is back under the new root", 90)
    assert (card.folder / "ca.pem").read_bytes() == pinned
    fresh = brief.card(ca_pem=pinned)
    agents(brief.agent(fresh))
    assert brief.until(fresh.node, "pending").digits
