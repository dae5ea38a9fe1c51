"""What benches let officers say, and what is known of a confirmed request."""

from __future__ import annotations

from msgspec import Struct

from edge_agent.player import tones
from tests.bench.ear import RATE

ISSUING_BODY = "Ủy ban nhân dân xã Phú Túc"
CHIME_SAMPLES = 3 * int(tones.NOTE_S * RATE) + int(tones.RING_S * RATE)
"""The opening chime: what is loud after it is speech."""


def words(number: int) -> str:
    """New words each time, so that their speech is in no cache."""
    return f"Nước sông Ba dâng cao, đề nghị bà con chuyển đến trường học ngay. Thông báo số {number}."


class Asked(Struct, frozen=True):
    """A confirmed request: when it arrived, and what it is called."""

    at_ns: int
    incident: str
