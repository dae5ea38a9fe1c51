"""Enrolment: labels expected, claims used once, certificates given, renewed and taken away; never what a node obeys."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Literal

from cryptography import x509

from controller import ca
from controller.actions import nodes
from controller.actions.asking import ask, ask_somewhere
from controller.actions.trust_views import EnrolmentView
from controller.core.access import may_somewhere
from controller.core.world import World
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.roots import Roots, fingerprint, load_roots
from controller.store import enrolments, notes
from controller.store.database import Transaction
from controller.store.enrolments import Enrolment, Given
from protocol import node_id
from protocol.documents import Placement
from protocol.enrolment import Certified, EnrolRequest, RenewRequest, digits_of, proves, public_of_request
from protocol.errors import Malformed
from protocol.seen import Slot
from protocol.trust import public_key

WRONG_CLAIM: Final = "wrong-claim"
CLAIM_USED: Final = "claim-used"
REVOKED: Final = "revoked"
ALARM: Final = "claim-used-twice"
State = Literal["expected", "pending", "placed", "revoked"]


def is_placed(world: World, node: str, report_key: str | None) -> bool:
    """Whether a placement in force names the key that this node came with."""
    held = world.standing.get(Slot("placement", node, "-"))
    known = world.nodes.get(node)
    if held is None or known is None or known.retired or not isinstance(held.document, Placement):
        return False
    return held.document.body.report_key == report_key


def _is_retired(world: World, found: Enrolment) -> bool:
    """Whether just these keys were taken down; a new machine under the same label comes with others."""
    known = world.nodes.get(found.node)
    return known is not None and known.retired and known.report_key == found.report_key


def state_of(world: World, found: Enrolment) -> State:
    """How far a label is."""
    if found.revoked_ms is not None or _is_retired(world, found):
        return "revoked"
    if found.claimed_ms is None:
        return "expected"
    return "placed" if is_placed(world, found.node, found.report_key) else "pending"


def view_of(world: World, found: Enrolment) -> EnrolmentView:
    """A label as people see it."""
    return EnrolmentView(
        node=found.node,
        state=state_of(world, found),
        waiting=found.waiting_verifier is not None,
        digits=found.digits,
        report_key=found.report_key or "",
        expected_ms=found.expected_ms,
        expected_by=found.expected_by,
        claimed_ms=found.claimed_ms,
        source=found.source,
        certificate_until_ms=_dates_ms(found.certificate)[1] if found.certificate else None,
        revoked_ms=found.revoked_ms,
        revoked_why=found.revoked_why,
        twice=found.twice,
        twice_ms=found.twice_ms,
        twice_source=found.twice_source,
    )


async def overview(parts: Parts, who: Actor) -> list[EnrolmentView]:
    """Every label, the newest first; none for those who enrol nobody: a label has no area yet."""
    if not may_somewhere(who.duties, "node.enrol"):
        return []
    return [view_of(parts.world, found) for found in await parts.database.read(enrolments.all_of_them)]


async def one(parts: Parts, who: Actor, node: str) -> EnrolmentView:
    """One label. Raises Refused for one that nobody announced."""
    ask_somewhere(who, "node.enrol")
    found = await parts.database.read(lambda tx: enrolments.one(tx, node))
    if found is None:
        raise Refused(f"nobody announced node {node}: run `loa node expect` with its file first", code="unknown-node", status=404)
    return view_of(parts.world, found)


async def expect(parts: Parts, who: Actor, node: str, verifier: str, *, replace: bool) -> EnrolmentView:
    """A node with this label will come. `replace`: also where one is known, whose certificates end when that one comes."""
    ask_somewhere(who, "node.enrol")
    if not node_id.is_valid(node):
        raise Refused(f"`{node}` is no node id: ten letters and digits as on the label; look for a typing error", code="node-id")
    now_ms = parts.now_ms()

    def store(tx: Transaction) -> None:
        found = enrolments.one(tx, node)
        if found is not None and verifier in (found.waiting_verifier, found.verifier):
            return
        came = found is not None and found.claimed_ms is not None and found.revoked_ms is None
        if (came or (found is not None and found.waiting_verifier is not None)) and not replace:
            what = "is enrolled" if came else "is expected with another claim"
            raise Refused(f"node {node} {what}: say --replace if its machine or card was replaced", code="known-node", status=409)
        enrolments.expect(tx, node, verifier, now_ms, who.name)
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="node.expect", what=node)

    await parts.database.run(store)
    parts.live.changed("reload")
    return await one(parts, who, node)


async def claim(parts: Parts, asked: EnrolRequest, source: str) -> Certified:
    """The first key that comes with a claim gets the certificate, again and again the same; another key raises an alarm.

    A wrong proof costs the label nothing. Raises Refused.
    """
    try:
        tls_public = public_of_request(asked.node, asked.request_pem)
        public_key(asked.report_key)
    except (Malformed, ValueError) as error:
        raise Refused(f"this request is not understood: {error}", code="malformed", status=400) from error
    held = await parts.database.read(lambda tx: enrolments.one(tx, asked.node))
    if held is None or not _proven(held, asked):  # asked of the reading connection: guessing must not hold up who writes
        raise Refused(f"this is not the claim of {asked.node}, or nobody announced it", code=WRONG_CLAIM, status=403)
    taken = await parts.database.run(partial(_claim, parts=parts, asked=asked, tls_public=tls_public, source=source))
    if taken is None:
        parts.live.changed("reload")
        raise Refused(
            f"the claim of {asked.node} was used by another key before: if this is the right machine, revoke the other one and "
            "make a new label",
            code=CLAIM_USED,
            status=409,
        )
    fresh, certified = taken
    if fresh:
        # before the node has its certificate in hand, the broker must know that it is pending
        await parts.tell_broker(())
        parts.live.changed("reload")
    return certified


def _proven(found: Enrolment, asked: EnrolRequest) -> bool:
    return any(proves(each, asked) for each in (found.waiting_verifier, found.verifier) if each is not None)


def _claim(tx: Transaction, parts: Parts, asked: EnrolRequest, tls_public: bytes, source: str) -> tuple[bool, Certified] | None:
    found, now_ms = enrolments.one(tx, asked.node), parts.now_ms()
    if found is not None and found.waiting_verifier is not None and proves(found.waiting_verifier, asked):
        return True, _admit(tx, parts, found, asked, tls_public, source)
    if found is None or found.verifier is None or not proves(found.verifier, asked):
        raise Refused(f"this is not the claim of {asked.node}, or nobody announced it", code=WRONG_CLAIM, status=403)
    if found.tls_public != tls_public or found.report_key != asked.report_key:
        notes.count_refusal(tx, node=asked.node, reason=ALARM, topic="enrol", digest="", at_ms=now_ms)
        notes.note(tx, at_ms=now_ms, actor=source, via="enrol", act="node.claim-used-twice", what=asked.node)
        enrolments.change(tx, asked.node, twice=found.twice + 1, twice_ms=now_ms, twice_source=source)
        return None
    _refuse_revoked(parts.world, found)
    return False, _answer(parts.world, found, _kept_or_new(tx, parts, found, asked.request_pem))


def _admit(tx: Transaction, parts: Parts, found: Enrolment, asked: EnrolRequest, tls_public: bytes, source: str) -> Certified:
    """The claim's first use: these keys are the node's from now on, and certificates of earlier ones end."""
    other = enrolments.holder_of_key(tx, asked.node, tls_public, asked.report_key)
    if other is not None:
        raise Refused(
            f"node {other} has one of these keys: this card was copied from it; make a new card", code="copied-key", status=409
        )
    now_ms = parts.now_ms()
    enrolments.revoke_certificates(tx, asked.node, now_ms)
    digits = digits_of(tls_public, asked.report_key)
    enrolments.change(
        tx,
        asked.node,
        waiting_verifier=None,
        verifier=found.waiting_verifier,
        tls_public=tls_public,
        report_key=asked.report_key,
        digits=digits,
        claimed_ms=now_ms,
        source=source,
        revoked_ms=None,
        revoked_why="",
        twice=0,
        twice_ms=None,
        twice_source="",
    )
    pem = _give(tx, parts, asked.node, asked.request_pem)
    notes.note(tx, at_ms=now_ms, actor=source, via="enrol", act="node.claim", what=asked.node, detail=f"digits {digits}")
    return Certified(
        node=asked.node, certificate_pem=pem, digits=digits, placed=is_placed(parts.world, asked.node, asked.report_key)
    )


async def renew(parts: Parts, asked: RenewRequest) -> Certified:
    """New dates for the key that a node enrolled with, also after the old dates are over. Raises Refused."""
    try:
        tls_public = public_of_request(asked.node, asked.request_pem)
    except Malformed as error:
        raise Refused(f"this request is not understood: {error}", code="malformed", status=400) from error

    def store(tx: Transaction) -> Certified:
        found = enrolments.one(tx, asked.node)
        if found is None or found.tls_public != tls_public:
            raise Refused(f"node {asked.node} did not enrol with this key", code="another-key", status=403)
        _refuse_revoked(parts.world, found)
        return _answer(parts.world, found, _kept_or_new(tx, parts, found, asked.request_pem))

    return await parts.database.run(store)


def _refuse_revoked(world: World, found: Enrolment) -> None:
    if found.revoked_ms is not None or _is_retired(world, found):
        raise Refused(f"node {found.node} was revoked: it needs a new label", code=REVOKED, status=410)


def _answer(world: World, found: Enrolment, pem: str) -> Certified:
    placed = is_placed(world, found.node, found.report_key)
    return Certified(node=found.node, certificate_pem=pem, digits=found.digits, placed=placed)


def _kept_or_new(tx: Transaction, parts: Parts, found: Enrolment, request_pem: str) -> str:
    """The certificate given before while it is young and by the signing root; so a node may ask as often as it likes."""
    if found.certificate:
        from_ms, until_ms = _dates_ms(found.certificate)
        young = parts.now_ms() < from_ms + (until_ms - from_ms) * 2 // 3
        held = x509.load_pem_x509_certificate(found.certificate.encode())
        if young and ca.issued_by(held, _roots(parts).active.certificate):
            return found.certificate
    return _give(tx, parts, found.node, request_pem)


def _give(tx: Transaction, parts: Parts, node: str, request_pem: str) -> str:
    roots, now_ms = _roots(parts), parts.now_ms()
    life = timedelta(seconds=parts.config.settings.enrol.life_s)
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    try:
        pem = ca.issue_for_request(roots.active, request_pem.encode(), node, life=life, now=now).decode()
    except ca.CaError as error:
        raise Refused(str(error), code="malformed", status=400) from error
    made = x509.load_pem_x509_certificate(pem.encode())
    given = Given(
        serial=f"{made.serial_number:x}",
        node=node,
        issuer=fingerprint(roots.active.certificate),
        issued_ms=now_ms,
        until_ms=_dates_ms(pem)[1],
    )
    enrolments.give(tx, given)
    enrolments.change(tx, node, certificate=pem)
    return pem


def _roots(parts: Parts) -> Roots:
    try:
        return load_roots(parts.config.ca_folder)
    except ca.CaError as error:
        raise Refused(str(error), code="no-ca", status=503) from error


def _dates_ms(pem: str) -> tuple[int, int]:
    found = x509.load_pem_x509_certificate(pem.encode())
    return int(found.not_valid_before_utc.timestamp() * 1000), int(found.not_valid_after_utc.timestamp() * 1000)


async def revoke(parts: Parts, who: Actor, node: str, why: str) -> EnrolmentView:
    """A node counts no more: off the broker, refused at the media door and at the enrol address; it keeps its history."""
    ask(parts, who, "node.retire", node)
    now_ms = parts.now_ms()

    def store(tx: Transaction) -> None:
        if enrolments.one(tx, node) is None:
            raise Refused(f"node {node} has no certificate from here: see `loa node pending`", code="unknown-node", status=404)
        gone = enrolments.revoke_certificates(tx, node, now_ms)
        enrolments.change(tx, node, revoked_ms=now_ms, revoked_why=why[:300], waiting_verifier=None)
        detail = f"{gone} certificates; {why[:300]}"
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="node.revoke", what=node, detail=detail)

    await parts.database.run(store)
    if (known := parts.world.nodes.get(node)) is not None and not known.retired:
        await nodes.retire(parts, who, node)
    await parts.tell_broker((node,))
    parts.live.changed("reload")
    return await one(parts, who, node)
