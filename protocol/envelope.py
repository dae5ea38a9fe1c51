"""The one door for bytes: `seal` closes a document, `unseal` opens one after ten checks in the contract's order."""

import binascii
import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta, Struct
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signature

from protocol import rules
from protocol.documents import Network, Placement, Root
from protocol.errors import BadSignature, Malformed, NotRead, ProtocolError, TooFewPersons, WrongType
from protocol.messages import CAP_BYTES, KIND_OF_TYPE, TYPES, Sealed, payload_type
from protocol.orders import ExerciseStart, ExerciseStop, Lift, Start, Stop
from protocol.passing import Suspend, TimeToken
from protocol.release import Release
from protocol.reports import FetchStatement, Hello, Receipt
from protocol.seen import Seen
from protocol.topics import WHOLE_AREA, Address, parse
from protocol.trust import Signer, Trust, Verifier, check_keys
from protocol.units import Document

MAX_SIGNATURES: Final = 4
SIGNATURE_BYTES: Final = 64


class _Signature(Struct, frozen=True, forbid_unknown_fields=True):
    keyid: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    sig: Annotated[str, Meta(max_length=88)]


class _Outer(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: Annotated[tuple[_Signature, ...], Meta(min_length=1, max_length=MAX_SIGNATURES)]


_OUTER: Final = msgspec.json.Decoder(_Outer)
_INNER: Final[dict[str, msgspec.json.Decoder[Any]]] = {kind: msgspec.json.Decoder(shape) for kind, shape in TYPES.items()}
_ENCODER: Final = msgspec.json.Encoder()
CAP_ANY_BYTES: Final = max(CAP_BYTES.values())


class Sealer(Protocol):
    """Whatever holds a private key: a passphrase-protected file, the signer's process, a browser."""

    def sign(self, payload: bytes) -> Signature:
        """Sign the pre-authentication encoding."""


class Opened(Struct, frozen=True, kw_only=True):
    """A document that passed all checks. `fresh` is False for one that is already held: acknowledge it, and do nothing else."""

    payload: Sealed
    kind: str
    digest: str
    raw: bytes
    signers: tuple[Signer, ...]
    fresh: bool = True

    @property
    def persons(self) -> tuple[str, ...]:
        """The different persons who signed, in order."""
        return tuple(sorted({signer.person for signer in self.signers}))

    @property
    def keyids(self) -> tuple[str, ...]:
        """The keys that signed and count."""
        return tuple(signer.keyid for signer in self.signers)


def digest_of(kind: str, payload: bytes) -> str:
    """The identity of a document: SHA-256 over payload type and payload, lower-case hex."""
    return hashlib.sha256(payload_type(kind).encode() + payload).hexdigest()


def seal(payload: Sealed, sealers: Iterable[Sealer]) -> bytes:
    """Sign a payload with each sealer and return the envelope's bytes. Raises Malformed when it breaks its own limits."""
    kind = payload.kind
    try:
        encoded = _ENCODER.encode(payload)
        _INNER[kind].decode(encoded)
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError) as error:
        raise Malformed(f"this {kind} cannot be sealed: {error}") from error
    envelope = Envelope(encoded, payload_type(kind), {})
    for sealer in sealers:
        _sign(envelope, sealer)
    return _close(envelope, kind)


def add_signature(raw: bytes, sealer: Sealer) -> bytes:
    """Add one more person's signature to a sealed document. Raises Malformed for bytes that are no envelope."""
    outer, envelope = _open_outer(raw, CAP_ANY_BYTES)
    _sign(envelope, sealer)
    return _close(envelope, KIND_OF_TYPE[outer.payload_type])


def _sign(envelope: Envelope, sealer: Sealer) -> None:
    signature = sealer.sign(envelope.pae())
    envelope.signatures[signature.keyid] = signature


def _close(envelope: Envelope, kind: str) -> bytes:
    if not 1 <= len(envelope.signatures) <= MAX_SIGNATURES:
        raise Malformed(f"a document carries 1 to {MAX_SIGNATURES} signatures, this one has {len(envelope.signatures)}")
    raw = _ENCODER.encode(envelope.to_dict())
    if len(raw) > CAP_BYTES[kind]:
        raise Malformed(f"sealed {kind} of {len(raw)} bytes is over its cap of {CAP_BYTES[kind]}: say less, or split it")
    return raw


def _decode64(text: str, what: str) -> bytes:
    try:
        decoded = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"{what} is not base64") from error
    if binascii.b2a_base64(decoded, newline=False).decode() != text:
        raise Malformed(f"{what} is not canonical base64")
    return decoded


def _open_outer(raw: bytes, cap_bytes: int) -> tuple[_Outer, Envelope]:
    if len(raw) > cap_bytes:
        raise Malformed(f"{len(raw)} bytes, the cap here is {cap_bytes}")
    try:
        outer = _OUTER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"no envelope: {error}") from error
    if len({signature.keyid for signature in outer.signatures}) != len(outer.signatures):
        raise Malformed("two signatures under one keyid")
    signatures = {}
    for signature in outer.signatures:
        value = _decode64(signature.sig, "a signature")
        if len(value) != SIGNATURE_BYTES:
            raise Malformed(f"a signature of {len(value)} bytes, Ed25519 has {SIGNATURE_BYTES}")
        signatures[signature.keyid] = Signature(signature.keyid, value.hex())
    if outer.payload_type not in KIND_OF_TYPE:
        raise WrongType(f"unknown payload type {outer.payload_type[:80]!r}")
    return outer, Envelope(_decode64(outer.payload, "the payload"), outer.payload_type, signatures)


def _verified(envelope: Envelope, kind: str, trust: Trust, address: Address | None, seen: Seen) -> tuple[str, ...]:
    """Checks 3 and 4: the keyids whose signatures hold, out of the keys that the trust documents name."""
    pae = envelope.pae()
    if kind in rules.REPORTS:
        candidates = rules.report_candidates(trust, address)
    else:
        digest = digest_of(kind, envelope.payload)
        candidates = rules.candidates(trust, held=rules.is_held(seen, digest))
    good = _verified_by(envelope, pae, candidates)
    if not good:
        raise BadSignature(f"none of {len(envelope.signatures)} signatures is by a key trusted here for these bytes")
    return good


def _verified_by(envelope: Envelope, pae: bytes, candidates: Mapping[str, Verifier]) -> tuple[str, ...]:
    return tuple(
        keyid
        for keyid, signature in envelope.signatures.items()
        if (verifier := candidates.get(keyid)) is not None and verifier.holds(bytes.fromhex(signature.signature), pae)
    )


def _own_keys(root: Root) -> Mapping[str, Verifier]:
    """The keys that a new root brings: enough of its persons sign it too."""
    check_keys(root.body.persons, root.body.keys, "root")
    return rules.candidates(Trust(root), held=False)


def _decode(kind: str, payload: bytes) -> Any:
    """Check 5, first half: the strict payload of verified bytes."""
    try:
        return _INNER[kind].decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{kind}: {error}") from error


def open_pinned_root(raw: bytes, pinned_digest: str) -> Root:
    """The first root, taken on the word of the image: its digest is the pinned one and enough of its own persons signed it."""
    _outer, envelope = _open_outer(raw, CAP_BYTES["root"])
    digest = digest_of("root", envelope.payload)
    if envelope.payload_type != payload_type("root") or digest != pinned_digest:
        raise BadSignature(f"this root has digest {digest[:16]}…, pinned is {pinned_digest[:16]}…")
    root: Root = _decode("root", envelope.payload)
    check_keys(root.body.persons, root.body.keys, "root")
    view = Trust(root)
    keyids = _verified_by(envelope, envelope.pae(), rules.candidates(view, held=False))
    persons = {signer.person for signer in view.signers("root", keyids) if signer.person in root.body.root.persons}
    if len(persons) < root.body.root.threshold:
        raise TooFewPersons(f"{len(persons)} of {root.body.root.threshold} persons signed this root")
    return root


def _agree(payload: Sealed, kind: str, address: Address | None) -> None:
    """Check 5, second half: kind, area and purpose agree with type and topic."""
    purpose = {"order": "live", "exercise": "exercise"}.get(kind, "routine")
    if payload.purpose != purpose:
        raise WrongType(f"purpose {payload.purpose!r} in a {kind}, which is always {purpose!r}")
    if isinstance(payload, Start | ExerciseStart) and any(clip.purpose != purpose for clip in payload.clips):
        raise WrongType(f"a clip made for another purpose in a {kind}, which is always {purpose!r}")
    if address is None:
        return
    if address.area is not None:
        named = payload.subject if isinstance(payload, Document) else payload.area
        if named != address.area or (kind != "grant" and payload.area != address.area):
            raise WrongType(f"area {payload.area!r} came on the topic of {address.area!r}")
    if address.authority is not None and payload.authority != address.authority:
        raise WrongType(f"authority {payload.authority!r} came on the topic of {address.authority!r}")
    if address.incident is not None:
        incident = payload.incident if isinstance(payload, Start | Stop | Lift | ExerciseStart | ExerciseStop) else None
        if (incident or WHOLE_AREA) != address.incident:
            raise WrongType(f"incident {incident!r} came on the topic of {address.incident!r}")
    if address.key is not None and isinstance(payload, Suspend) and payload.key_id != address.key:
        raise WrongType(f"a suspension of key {payload.key_id[:16]}… came on the topic of {address.key[:16]}…")
    _agree_node(payload, address)


def _agree_node(payload: Sealed, address: Address) -> None:
    """What a node says, what gives a node its place and its budgets, travels under that node's name alone."""
    if isinstance(payload, Hello | Receipt | FetchStatement) and address.node not in (None, payload.node):
        raise WrongType(f"a report of {payload.node} came on the topic of {address.node}")
    if isinstance(payload, TimeToken) and (address.node not in (None, payload.node) or payload.area != payload.node):
        raise WrongType(f"the time for {payload.node} came on the topic of {address.node}")
    if isinstance(payload, Placement) and address.node not in (None, payload.body.node):
        raise WrongType(f"a placement of {payload.body.node} came on the topic of {address.node}")
    if isinstance(payload, Network) and address.node not in (None, payload.subject):
        raise WrongType(f"a network of {payload.subject} came on the topic of {address.node}")


def signed_by(raw: bytes, trust: Trust) -> tuple[tuple[str, ...], int]:
    """The keys that really signed these bytes, out of the active ones known here, and how many signatures there are.

    Whether they may is not asked. Raises Malformed or WrongType.
    """
    _outer, envelope = _open_outer(raw, CAP_ANY_BYTES)
    return _verified_by(envelope, envelope.pae(), rules.candidates(trust, held=False)), len(envelope.signatures)


def peek(raw: bytes) -> tuple[str, int]:
    """The kind and seq that bytes claim, unverified: only to order what came before it is judged. ("", 0) for rubbish."""
    try:
        outer, envelope = _open_outer(raw, CAP_ANY_BYTES)
        payload = _INNER[KIND_OF_TYPE[outer.payload_type]].decode(envelope.payload)
    except (ProtocolError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", 0
    return payload.kind, payload.seq


def claimed(raw: bytes) -> tuple[str, int] | None:
    """The digest and seq of a document that was verified and yet refused; None when its payload cannot be read."""
    try:
        outer, envelope = _open_outer(raw, CAP_ANY_BYTES)
        kind = KIND_OF_TYPE[outer.payload_type]
        return digest_of(kind, envelope.payload), _decode(kind, envelope.payload).seq
    except ProtocolError:
        return None


def payload_of(raw: bytes) -> Sealed:
    """The payload of bytes that passed `unseal` before they were stored. Raises Malformed for anything else."""
    outer, envelope = _open_outer(raw, CAP_ANY_BYTES)
    payload: Sealed = _decode(KIND_OF_TYPE[outer.payload_type], envelope.payload)
    return payload


def unseal(
    raw: bytes,
    *,
    topic: str | None,
    trust: Trust,
    me: rules.Me,
    now: rules.Clock,
    seen: Seen,
    reads: frozenset[str] = frozenset(TYPES),
) -> Opened:
    """Open bytes from anywhere, after checks 1-10 of the contract; 11 and 12 (store, acknowledge, act) are the caller's.

    `topic` is None for bytes from a file. Raises a ProtocolError, and then nothing of the document may be used or remembered.
    """
    address = parse(topic) if topic is not None else None
    if address is not None and not address.row.kinds:
        raise WrongType(f"nothing sealed travels on {topic}")
    cap_bytes = CAP_ANY_BYTES if address is None else max(CAP_BYTES[kind] for kind in address.row.kinds)
    outer, envelope = _open_outer(raw, cap_bytes)
    kind = KIND_OF_TYPE[outer.payload_type]
    if address is not None and kind not in address.row.kinds:
        raise WrongType(f"a {kind} came on the topic of {'/'.join(address.row.kinds)}")
    if len(raw) > CAP_BYTES[kind]:
        raise Malformed(f"{len(raw)} bytes, the cap of a {kind} is {CAP_BYTES[kind]}")
    if kind not in reads:
        raise NotRead(f"this program does not read {kind}")
    keyids = _verified(envelope, kind, trust, address, seen)
    payload: Sealed = _decode(kind, envelope.payload)
    _agree(payload, kind, address)
    if isinstance(payload, Release) and address is not None and me.node not in (None, address.node):
        raise WrongType(f"a release for {address.node} came to {me.node}")
    if isinstance(payload, Root):
        keyids = tuple(dict.fromkeys(keyids + _verified_by(envelope, envelope.pae(), _own_keys(payload))))
    digest = digest_of(kind, envelope.payload)
    signers, fresh = rules.judge(payload, digest, keyids, trust=trust, me=me, now=now, seen=seen)
    return Opened(payload=payload, kind=kind, digest=digest, raw=raw, signers=signers, fresh=fresh)


__all__ = [
    "Opened",
    "ProtocolError",
    "Sealer",
    "add_signature",
    "digest_of",
    "open_pinned_root",
    "payload_of",
    "peek",
    "seal",
    "unseal",
]
