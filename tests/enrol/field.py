"""The field: cards made as the technician makes them, real agents on them, a real serve and mosquitto at the other end."""

from __future__ import annotations

import http.client
import os
import secrets
import ssl
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from controller.actions.trust_views import EnrolmentView
from controller.actions.views import NodeView
from controller.roots import bundle_file
from protocol import keys
from protocol.documents import ChainLink
from protocol.enrolment import CLAIM_BYTES, Certified, EnrolRequest, RenewRequest, make_request, proof_of, read_claim, verifier_of
from protocol.envelope import seal
from provisioning import ceremony, enrol
from provisioning.enrol import Board, Card, Links
from tests.commune import AgentProcess
from tests.controller.headquarters import NUMBERS, SETTLEMENT, Headquarters, now_ms, number, wait


class Field:
    """Cards and what becomes of them."""

    def __init__(self, hq: Headquarters) -> None:
        self.hq = hq
        self.folder = hq.folder / "cards"

    @property
    def enrol_port(self) -> int:
        return self.hq.made.enrol_port

    @property
    def roots(self) -> Path:
        return bundle_file(self.hq.state / "ca")

    # --- the technician's desk ---

    def links(self, **more) -> Links:
        fields = {
            "ca_pem": self.roots.read_bytes(),
            "root": self.hq.root_raw,
            "root_digest": self.hq.root_digest,
            "broker_host": "127.0.0.1",
            "broker_port": self.hq.port,
            "media_url": f"https://127.0.0.1:{self.hq.made.https_port}",
            "enrol_url": f"https://127.0.0.1:{self.enrol_port}",
        }
        return Links(**(fields | more))

    def card(self, *, node: str | None = None, expected: bool = True, replace: bool = False, **more) -> Card:
        node = node or enrol.draw_node_id(secrets.token_bytes)
        home = self.folder / f"{node}-{secrets.token_hex(2)}"
        home.parent.mkdir(exist_ok=True)
        clock = self.folder / "in-step"
        clock.touch()
        board = Board(sink=f"wav:{self.folder / f'{node}.wav'}", clock=str(clock))
        card = enrol.make_card(home, node, os.urandom(CLAIM_BYTES), links=self.links(**more), board=board, state="state")
        if expected:
            self.expect(card, replace=replace)
        return card

    def expect(self, card: Card, *, replace: bool = False) -> EnrolmentView:
        body = {"node": card.node, "verifier": card.verifier, "replace": replace}
        return self.hq.post("/v1/enrolments", body, EnrolmentView)

    # --- the controller ---

    def enrolment(self, node: str) -> EnrolmentView:
        return next(each for each in self.hq.get("/v1/enrolments", list[EnrolmentView]) if each.node == node)

    def until(self, node: str, state: str, deadline_s: float = 40.0) -> EnrolmentView:
        wait(lambda: self.enrolment(node).state == state, f"{node} is {state}", deadline_s)
        return self.enrolment(node)

    def approve(self, node: str, settlement: str = SETTLEMENT) -> NodeView:
        """As `loa node approve` does."""
        came = self.enrolment(node)
        body = {"node": node, "name": f"Cụm loa {node}", "settlement": settlement, "report_key": came.report_key}
        view = self.hq.post("/v1/nodes", body, NodeView)
        areas = ["52", settlement.rpartition(".")[0], settlement]
        levels = ("province", "commune", "settlement")
        links = [ChainLink(area=area, area_no=number(area), level=level) for area, level in zip(areas, levels, strict=True)]
        chain = (*links, ChainLink(area=node, area_no=view.area_no, level="node"))
        made = ceremony.build_placement(chain=chain, report_key=came.report_key, now_ms=self.hq.seq())
        self.hq.post("/v1/documents", seal(made, self.hq.sealers("chair")))
        return view

    def revoke(self, node: str) -> EnrolmentView:
        return self.hq.post(f"/v1/enrolments/{node}/revoke", {"why": "stolen"}, EnrolmentView)

    def is_online(self, node: str) -> bool:
        return self.hq.node(node).online == "online"

    # --- agents and strangers ---

    def agent(self, card: Card, **more) -> AgentProcess:
        return AgentProcess(card.folder / "node.toml", **more)

    def certificate(self, card: Card) -> Path:
        return card.folder / "state" / "node.crt"

    def ask(self, path: str, question, *, source: str = "127.0.0.1") -> tuple[int, bytes]:
        """One question at the enrol address, from an address of the loopback."""
        context = ssl.create_default_context(cafile=str(self.roots))
        door = http.client.HTTPSConnection("127.0.0.1", self.enrol_port, context=context, timeout=15, source_address=(source, 0))
        try:
            body = question if isinstance(question, bytes) else msgspec.json.encode(question)
            door.request("POST", path, body, {"Content-Type": "application/json"})
            answer = door.getresponse()
            return answer.status, answer.read()
        finally:
            door.close()


class Stranger:
    """Keys of one's own, and whatever claim one says."""

    def __init__(self) -> None:
        self.tls_key = ec.generate_private_key(ec.SECP256R1())
        self.report_key = keys.public_hex(keys.new_key())

    def enrols(self, node: str, claim: bytes | str) -> EnrolRequest:
        held = read_claim(claim) if isinstance(claim, str) else claim
        request = make_request(node, self.tls_key)
        proof = proof_of(verifier_of(node, held), request, self.report_key)
        return EnrolRequest(node=node, request_pem=request, report_key=self.report_key, proof=proof)

    def renews(self, node: str) -> RenewRequest:
        return RenewRequest(node=node, request_pem=make_request(node, self.tls_key))


class Machine(Stranger):
    """The keys that a real agent made."""

    def __init__(self, card: Card) -> None:
        home = card.folder / "state"
        self.tls_key = load_pem_private_key((home / "node.key").read_bytes(), None)
        self.report_key = keys.public_hex(keys.from_pem((home / "report.key").read_bytes(), None))


def certified(answer: tuple[int, bytes]) -> Certified:
    status, body = answer
    assert status == 200, body
    return msgspec.json.decode(body, type=Certified)


def code(answer: tuple[int, bytes]) -> tuple[int, str]:
    status, body = answer
    return status, msgspec.json.decode(body)["code"]


__all__ = ["NUMBERS", "Field", "Machine", "Stranger", "certified", "code", "now_ms", "wait"]
