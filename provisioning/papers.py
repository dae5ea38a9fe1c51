"""A paper is a file with a document in it: first a draft to be read, then sealed, signed by one person after the other."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from protocol.documents import Root
from protocol.envelope import add_signature, digest_of, open_pinned_root, seal
from protocol.errors import ProtocolError
from protocol.messages import KIND_OF_TYPE, TYPES, Sealed
from provisioning.errors import InputRefused
from provisioning.files import read_bytes, write_whole
from provisioning.hands import Hand

MAX_BYTES: Final = 1 << 20
Shape = TypeVar("Shape")


class _Signature(Struct, frozen=True):
    keyid: str
    sig: str


class _Envelope(Struct, frozen=True, rename="camel"):
    payload: bytes
    payload_type: str
    signatures: tuple[_Signature, ...]


class Paper(Struct, frozen=True, kw_only=True):
    """A document as it lies in a file; nothing in it is verified. `raw` is None for a draft that nobody signed yet."""

    path: Path
    payload: Sealed
    kind: str
    digest: str
    raw: bytes | None
    keyids: tuple[str, ...] = ()


def _payload(path: Path, kind: str, encoded: bytes) -> Sealed:
    try:
        payload: Sealed = msgspec.json.decode(encoded, type=TYPES[kind])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputRefused(f"{path}: this {kind} breaks the protocol: {error}") from error
    return payload


def read_paper(path: Path) -> Paper:
    """Read a draft or a sealed document. Raises InputRefused for anything else."""
    content = read_bytes(path, "document")
    if len(content) > MAX_BYTES:
        raise InputRefused(f"{path} has {len(content)} bytes: no document is that large")
    try:
        outer = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputRefused(f"{path} is no document of Loa: {error}") from error
    if isinstance(outer, dict) and "payloadType" in outer:
        return _sealed(path, content)
    kind = outer.get("draft") if isinstance(outer, dict) else None
    if not isinstance(kind, str) or kind not in TYPES or "payload" not in outer:
        raise InputRefused(f"{path} is no document of Loa: neither sealed nor a draft of a known kind")
    payload = _payload(path, kind, msgspec.json.encode(outer["payload"]))
    return Paper(path=path, payload=payload, kind=kind, digest=digest_of(kind, msgspec.json.encode(payload)), raw=None)


def _sealed(path: Path, content: bytes) -> Paper:
    try:
        envelope = msgspec.json.decode(content, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRefused(f"{path}: its envelope is broken: {error}") from error
    kind = KIND_OF_TYPE.get(envelope.payload_type)
    if kind is None:
        raise InputRefused(f"{path}: unknown payload type {envelope.payload_type[:80]!r}")
    return Paper(
        path=path,
        payload=_payload(path, kind, envelope.payload),
        kind=kind,
        digest=digest_of(kind, envelope.payload),
        raw=content.strip(),
        keyids=tuple(signature.keyid for signature in envelope.signatures),
    )


def paper_of(path: Path, raw: bytes) -> Paper:
    """Sealed bytes as the paper that they will be in this file. Raises InputRefused."""
    return _sealed(path, raw)


def unwrapped(raw: bytes, shape: type[Shape]) -> Shape:
    """What stands in sealed bytes from a source that verified them already. Raises InputRefused."""
    try:
        return msgspec.json.decode(msgspec.json.decode(raw, type=_Envelope).payload, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRefused(f"the document in force cannot be read ({error}): are `loa` and serve of one version?") from error


def payload_in(raw: bytes) -> Sealed:
    """The payload in sealed bytes from a source that verified them already. Raises InputRefused."""
    return _sealed(Path("document"), raw).payload


def write_draft(path: Path, payload: Sealed, *, new: bool = True) -> None:
    """Write an unsigned document, indented for people to read."""
    draft = {"draft": payload.kind, "payload": payload}
    write_whole(path, msgspec.json.format(msgspec.json.encode(draft)) + b"\n", new=new)


def signed(paper: Paper, hands: Iterable[Hand]) -> bytes:
    """The bytes of a paper with these signatures added. Raises InputRefused for a second signature by one key, or too many."""
    raw = paper.raw
    present = set(paper.keyids)
    try:
        for hand in hands:
            if hand.keyid in present:
                raise InputRefused(f"{paper.path} already carries this key's signature: another person signs next")
            present.add(hand.keyid)
            raw = seal(paper.payload, [hand.sealer]) if raw is None else add_signature(raw, hand.sealer)
    except ProtocolError as error:
        raise InputRefused(f"{paper.path} cannot be signed: {error}") from error
    if raw is None:
        raise InputRefused(f"{paper.path} is a draft and no key was given: name one with --key")
    return raw


def open_root(path: Path, pin: str | None) -> Root:
    """The root of a file, checked against the pinned digest (without one, against its own persons). Raises InputRefused."""
    paper = read_paper(path)
    if paper.kind != "root":
        raise InputRefused(f"{path} is a {paper.kind}, not a root: name the root's file with --root")
    if paper.raw is None:
        raise InputRefused(f"root {path} is still a draft: sign it with `loa-provision root sign {path} --key YOUR.key`")
    try:
        return open_pinned_root(paper.raw, pin or paper.digest)
    except ProtocolError as error:
        raise InputRefused(f"root {path} is not to be trusted: {error}") from error
