"""What the cases of the golden vectors are made of, and the good ones among orders and reports."""

import base64
from typing import Any, Final

from protocol.reports import FetchStatement, Held, Hello, OrderResult, Receipt
from tests.protocol.vector_world import (
    COMMUNE,
    HAMLET,
    NODE,
    NOW,
    PROVINCE,
    T0,
    Sent,
    drill,
    drill_stop,
    lift,
    relayed,
    signed,
    start,
    stop,
)

NONCE: Final = "0123456789abcdef"
OLDER_NONCE: Final = "fedcba9876543210"
REPORTER: Final = f"report {NODE}"

Step = dict[str, Any]
Case = dict[str, Any]


def step(
    sent: Sent, expect: str = "fresh", *, at: int = NOW + 2_000, clock: str = "good", nonces: tuple[str, ...] = (), **where: Any
) -> Step:
    return {
        "topic": where.get("topic", sent.topic),
        "sealed": base64.b64encode(sent.raw).decode(),
        "now_ms": at,
        "clock": clock,
        "nonces": list(nonces),
        "expect": expect,
    }


def case(name: str, claim: str, *steps: Step, reader: str = "node", **more: Any) -> Case:
    return {"name": name, "claim": claim, "reader": reader, **more, "steps": list(steps)}


def twice(sent: Sent, **more: Any) -> tuple[Step, Step]:
    """Something good, and the same again."""
    return step(sent, **more), step(sent, "duplicate", **more)


def report(**more: Any) -> dict[str, Any]:
    fields = {"authority": "report", "area": NODE, "area_no": 7, "seq": NOW, "purpose": "routine"}
    return fields | {"node": NODE, "boot_count": 3, "clock_state": "good", "at_ms": NOW} | more


HELLO: Final = Hello(
    **report(),
    nonce=NONCE,
    version="0.1.0",
    reads=("root", "grant"),
    holds=(Held(kind="station", subject=COMMUNE, authority=COMMUNE, seq=T0, digest="ab" * 32),),
)
RECEIPT: Final = Receipt(
    **report(),
    results=(
        OrderResult(incident="00000000000000a1", order_seq=NOW, result="sounding", at_ms=NOW + 40, spoken_at_ms=NOW + 2_050),
    ),
)
FETCH: Final = FetchStatement(**report(), sha256="5a" * 32, nonce=NONCE)
WARNING: Final = signed(start(HAMLET, COMMUNE), "c1")


def good_orders() -> list[Case]:
    wide = start(PROVINCE, PROVINCE, issuing_body="UBND tỉnh Gia Lai")
    return [
        case("good-start", "an emergency of the commune for its hamlet", *twice(WARNING)),
        case("good-start-by-hamlet", "the hamlet's head in the hamlet", *twice(signed(start(HAMLET, HAMLET), "h1"))),
        case(
            "good-start-by-service",
            "a service key with its listed recording, ten minutes",
            *twice(signed(relayed(COMMUNE, COMMUNE), "page")),
        ),
        case("good-start-province", "two persons reach the whole province", *twice(signed(wide, "p1", "p2"))),
        case("good-offer", "on the node's own topic", *twice(WARNING, topic=f"loa/1/node/{NODE}/order/00000000000000a1")),
        case("good-file", "from a stick: no topic at all", *twice(WARNING, topic=None)),
        case("good-stop", "stopped", step(WARNING), *twice(signed(stop(HAMLET, COMMUNE, NOW + 1), "c2"))),
        case("good-stop-all", "no incident: all in the area", *twice(signed(stop(COMMUNE, COMMUNE, NOW + 1, None), "c2"))),
        case("good-lift", "the silence lifted", *twice(signed(lift(COMMUNE, COMMUNE, NOW + 2, None), "c1"))),
        case("good-drill", "an exercise", *twice(signed(drill(HAMLET, COMMUNE), "c1"))),
        case(
            "good-drill-stop",
            "an exercise ended",
            step(signed(drill(HAMLET, COMMUNE), "c1")),
            *twice(signed(drill_stop(HAMLET, COMMUNE, NOW + 1), "c2")),
        ),
        case("good-hello", "a node's birth", step(signed(HELLO, REPORTER)), reader="controller"),
        case("good-receipt", "what became of an order", step(signed(RECEIPT, REPORTER)), reader="controller"),
        case("good-fetch", "a permission to fetch, from a header", step(signed(FETCH, REPORTER)), reader="controller"),
    ]
