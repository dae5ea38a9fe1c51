"""What unverified bytes claim to be: only to choose which trust to judge them with, never to act upon."""

import base64
import binascii
from typing import Any, Final

import msgspec
from msgspec import Struct

from protocol.envelope import digest_of
from protocol.errors import Malformed
from protocol.messages import KIND_OF_TYPE, TYPES, Sealed


class _Outer(Struct, rename="camel"):
    payload: str
    payload_type: str


class _Claims(Struct):
    area: str = ""
    authority: str = ""
    subject: str = ""
    node: str = ""
    incident: str | None = None
    seq: int = 0
    op: str = ""
    body: dict[str, Any] = {}


class Claim(Struct, frozen=True, kw_only=True):
    """Kind and place that the bytes claim, and the digest that they have."""

    digest: str
    kind: str
    area: str
    authority: str
    subject: str
    node: str
    incident: str | None
    seq: int
    op: str


_OUTER: Final = msgspec.json.Decoder(_Outer)
_SHAPES: Final[dict[str, msgspec.json.Decoder[Any]]] = {kind: msgspec.json.Decoder(shape) for kind, shape in TYPES.items()}
_CLAIMS: Final = msgspec.json.Decoder(_Claims)
MAX_BYTES: Final = 140_000


def peek(raw: bytes) -> Claim:
    """Read the claims of a sealed document. Raises Malformed."""
    if len(raw) > MAX_BYTES:
        raise Malformed(f"{len(raw)} bytes: larger than any sealed document")
    try:
        outer = _OUTER.decode(raw)
        kind = KIND_OF_TYPE.get(outer.payload_type, "")
        payload = base64.b64decode(outer.payload, validate=True)
        claims = _CLAIMS.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, RecursionError, ValueError) as error:
        raise Malformed(f"not a sealed document: {error}") from error
    node = claims.node or (str(claims.body.get("node", "")) if kind == "placement" else "")
    return Claim(
        digest=digest_of(kind, payload),
        kind=kind,
        area=claims.area,
        authority=claims.authority,
        subject=claims.subject,
        node=node,
        incident=claims.incident,
        seq=claims.seq,
        op=claims.op,
    )


def stored(raw: bytes) -> Sealed:
    """Open bytes of our own database, which `unseal` let in when they came. Raises Malformed if they were damaged since."""
    try:
        outer = _OUTER.decode(raw)
        payload: Sealed = _SHAPES[KIND_OF_TYPE[outer.payload_type]].decode(base64.b64decode(outer.payload))
    except (msgspec.MsgspecError, KeyError, binascii.Error) as error:
        raise Malformed(f"the database holds damaged bytes: {error}") from error
    return payload
