"""Sealed documents in a folder (USB stick, HTTPS): in which order they can be taken in, and where each would have come."""

import hashlib
from collections.abc import Iterable
from typing import Final

from protocol import topics
from protocol.documents import Root
from protocol.envelope import payload_of
from protocol.errors import ProtocolError
from protocol.orders import ExerciseStart, ExerciseStop, Lift, Start, Stop

DOCUMENTS_SHA256: Final = hashlib.sha256(b"loa documents").hexdigest()
"""What a node's fetch statement names when it asks over HTTPS for all its documents instead of a file."""
ORDER: Final = {"root": 0, "placement": 1, "grant": 2, "suspend": 3, "order": 4, "exercise": 4}


def _rank(raw: bytes) -> tuple[int, int, int]:
    """Roots by version, whatever their dates; grants from wide to narrow; the rest as it was issued."""
    try:
        payload = payload_of(raw)
    except ProtocolError:
        return len(ORDER) + 1, 0, 0
    if isinstance(payload, Root):
        return ORDER["root"], payload.body.version, payload.seq
    depth = payload.area.count(".") if payload.kind == "grant" else 0
    return ORDER.get(payload.kind, len(ORDER)), depth, payload.seq


def in_order(raws: Iterable[bytes]) -> list[bytes]:
    """Authority first, each root after the one that it follows; rubbish last."""
    return sorted(raws, key=_rank)


def topic_of(raw: bytes, node: str) -> str:
    """The node's own topic by which these bytes would have come from the controller."""
    try:
        payload = payload_of(raw)
    except ProtocolError:
        return topics.topic("document", node=node)
    if isinstance(payload, Start | Stop | Lift | ExerciseStart | ExerciseStop):
        return topics.topic("offer", node=node, incident=payload.incident or topics.WHOLE_AREA)
    return topics.topic("document", node=node)
