"""What a simulated node of the province says to the real controller: alive, hello, receipt, sealed with its own report key."""

from __future__ import annotations

import secrets

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from protocol import keys, topics
from protocol.envelope import Opened, Sealer, seal
from protocol.orders import Start
from protocol.reports import Alive, Held, Hello, OrderResult, Receipt
from tests.commune import now_ms

READS = ("exercise", "grant", "order", "placement", "programme", "root", "station")


class Identity(Struct, frozen=True):
    """Who a simulated node is: id, the seed of its report key, its number, its sealed placement and what it holds."""

    node: str
    seed: str
    area_no: int
    placement: str
    holds: tuple[Held, ...]

    def sealer(self) -> Sealer:
        """Its report key."""
        return keys.sealer(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.seed)))


def alive(who: Identity) -> tuple[str, bytes]:
    """Topic and bytes of its birth."""
    said = Alive(node=who.node, birth=1, online=True)
    return topics.topic("alive", node=who.node), msgspec.json.encode(said)


def hello(who: Identity, sealer: Sealer) -> tuple[str, bytes]:
    """Topic and bytes of its hello."""
    at_ms = now_ms()
    said = Hello(
        authority="placement",
        area=who.node,
        area_no=0,
        seq=at_ms,
        purpose="routine",
        node=who.node,
        boot_count=1,
        clock_state="good",
        at_ms=at_ms,
        nonce=secrets.token_hex(8),
        version="bench",
        reads=READS,
        holds=who.holds,
    )
    return topics.topic("hello", node=who.node), seal(said, [sealer])


def receipt(who: Identity, sealer: Sealer, opened: Opened) -> tuple[str, bytes]:
    """Topic and bytes of its word that it received an order."""
    at_ms = now_ms()
    order = opened.payload
    result = OrderResult(
        incident=order.incident if isinstance(order, Start) else None,
        order_seq=order.seq,
        result="received",
        digest=opened.digest,
        at_ms=at_ms,
    )
    said = Receipt(
        authority="placement",
        area=who.node,
        area_no=0,
        seq=at_ms,
        purpose="routine",
        node=who.node,
        boot_count=1,
        clock_state="good",
        at_ms=at_ms,
        results=(result,),
    )
    return topics.topic("receipt", node=who.node), seal(said, [sealer])
