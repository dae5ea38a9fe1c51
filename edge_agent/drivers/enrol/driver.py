"""Asks for the certificate until it comes, then keeps it young; the swap costs no session, for the key stays the same."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

from edge_agent.core import enrolment
from edge_agent.drivers.enrol.door import Denied, Door, Unanswered
from edge_agent.drivers.enrol.files import IdentityBroken, forget_claim, open_tls_key, put_certificate, read_dates
from protocol.enrolment import (
    ENROL_PATH,
    RENEW_PATH,
    Certified,
    EnrolRequest,
    RenewRequest,
    digits_of,
    make_request,
    proof_of,
    public_bytes,
    read_claim,
    verifier_of,
)
from protocol.errors import Malformed

log = logging.getLogger("loa-agent.enrol")


class Names(Struct, frozen=True, kw_only=True):
    """Who this node is, and where the files of its identity lie. `claim` is None on a node that enrolled elsewhere."""

    node: str
    tls_key: Path
    certificate: Path
    roots: Path
    report_public: str
    claim: Path | None = None


def digits(names: Names) -> str:
    """The six digits that a technician compares. Raises IdentityBroken."""
    return digits_of(public_bytes(open_tls_key(names.tls_key).public_key()), names.report_public)


class Enrolment:
    """`certified` is set once there is a certificate; `linked` tells whether the broker knows us just now."""

    def __init__(
        self,
        names: Names,
        door: Door,
        *,
        clock_usable: Callable[[], bool],
        linked: Callable[[], bool],
        chance: random.Random,
    ) -> None:
        self._names = names
        self._door = door
        self._clock_usable = clock_usable
        self._linked = linked
        self._chance = chance
        self._linked_s = time.monotonic()
        self.certified = asyncio.Event()
        if names.certificate.exists():
            self.certified.set()

    async def run(self) -> None:
        """Enrol, then renew, until cancelled. Raises IdentityBroken."""
        if not self.certified.is_set():
            log.info("node %s is not enrolled yet; compare these digits with the controller's: %s", *self._shown())
            await self._until_answered(self._enrol)
            self.certified.set()
        if self._names.claim is not None:
            await asyncio.to_thread(forget_claim, self._names.claim)
        while True:
            dates = await asyncio.to_thread(read_dates, self._names.certificate)
            usable = self._clock_usable()
            if enrolment.wants_renewal(dates, _now_ms(), clock_usable=usable, unlinked_s=self._unlinked_s()):
                await self._until_answered(self._renew)
                self._linked_s = time.monotonic()
            else:
                await asyncio.sleep(enrolment.next_look_s(dates, _now_ms(), clock_usable=usable, dice=self._chance.random()))

    def _shown(self) -> tuple[str, str]:
        return self._names.node, digits(self._names)

    def _unlinked_s(self) -> float:
        if self._linked():
            self._linked_s = time.monotonic()
        return time.monotonic() - self._linked_s

    async def _until_answered(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask again and again, ever more rarely; a no is no reason to stop, for somebody may put right what is wrong."""
        failures = 0
        while True:
            try:
                await ask()
            except (Unanswered, Denied) as error:
                failures += 1
                asked_s = error.wait_s if isinstance(error, Denied) else 0.0
                pause_s = enrolment.wait_s(failures, self._chance.random(), asked_s)
                log.warning("no certificate yet (%s): %s; next try in %.0f s", _code(error), error, pause_s)
                await asyncio.sleep(pause_s)
            else:
                return

    async def _enrol(self) -> None:
        names = self._names
        if names.claim is None:
            raise IdentityBroken(f"{names.certificate} is missing, and so is a claim: enrol this node anew, with a new label")
        try:
            claim = read_claim(names.claim.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, Malformed) as error:
            raise IdentityBroken(f"{names.claim} holds no claim ({error}): copy it from the label") from error
        request = make_request(names.node, open_tls_key(names.tls_key))
        proof = proof_of(verifier_of(names.node, claim), request, names.report_public)
        asked = EnrolRequest(node=names.node, request_pem=request, report_key=names.report_public, proof=proof)
        await self._take(await self._door.ask(ENROL_PATH, asked))
        log.info("node %s has its certificate; until its placement is signed it obeys nobody. Digits: %s", *self._shown())

    async def _renew(self) -> None:
        names = self._names
        asked = RenewRequest(node=names.node, request_pem=make_request(names.node, open_tls_key(names.tls_key)))
        await self._take(await self._door.ask(RENEW_PATH, asked))
        log.info("the certificate was renewed")

    async def _take(self, answer: bytes) -> None:
        """Keep the certificate if it is ours. Raises Unanswered for one that is not."""
        try:
            pem = msgspec.json.decode(answer, type=Certified).certificate_pem
            self._check(x509.load_pem_x509_certificate(pem.encode()))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, InvalidSignature, TypeError) as error:
            raise Unanswered(f"the answer is no certificate for this node: {error or type(error).__name__}") from error
        try:
            await asyncio.to_thread(put_certificate, self._names.certificate, pem)
        except OSError as error:
            raise IdentityBroken(f"{self._names.certificate} cannot be written: {error}") from error

    def _check(self, found: x509.Certificate) -> None:
        """Raises ValueError unless it is for our name and key, by a root that we pin."""
        names = [str(each.value) for each in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        public = found.public_key()
        ours = public_bytes(open_tls_key(self._names.tls_key).public_key())
        if names != [self._names.node] or not isinstance(public, ec.EllipticCurvePublicKey) or public_bytes(public) != ours:
            raise ValueError("it is for another name or key")
        for root in x509.load_pem_x509_certificates(self._names.roots.read_bytes()):
            if root.subject == found.issuer:
                found.verify_directly_issued_by(root)
                return
        raise ValueError("it is by a root that this node does not pin")


def _code(error: Unanswered | Denied) -> str:
    return error.code if isinstance(error, Denied) else "no answer"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
