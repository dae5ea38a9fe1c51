"""What unverified bytes claim to be: only to choose which trust to judge them with, never to act upon."""

import base64
import binascii
from typing import Any, Final

import msgspec
from msgspec import Struct

from protocol.errors import Malformed
from protocol.messages import KIND_OF_TYPE


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
    """Kind and place that the bytes claim."""

    kind: str
    area: str
    authority: str
    subject: str
    node: str
    incident: str | None
    seq: int
    op: str


_OUTER: Final = msgspec.json.Decoder(_Outer)
_CLAIMS: Final = msgspec.json.Decoder(_Claims)
MAX_BYTES: Final = 140_000


def peek(raw: bytes) -> Claim:
    """Read the claims of a sealed document. Raises Malformed."""
    if len(raw) > MAX_BYTES:
        raise Malformed(f"{len(raw)} bytes: larger than any sealed document")
    try:
        outer = _OUTER.decode(raw)
        kind = KIND_OF_TYPE.get(outer.payload_type, "")
        claims = _CLAIMS.decode(base64.b64decode(outer.payload, validate=True))
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, RecursionError, ValueError) as error:
        raise Malformed(f"not a sealed document: {error}") from error
    node = claims.node or (str(claims.body.get("node", "")) if kind == "placement" else "")
    return Claim(
        kind=kind,
        area=claims.area,
        authority=claims.authority,
        subject=claims.subject,
        node=node,
        incident=claims.incident,
        seq=claims.seq,
        op=claims.op,
    )
