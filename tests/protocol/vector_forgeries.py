"""The forged cases: bytes that are not what they claim, and payloads that do not agree with their type or topic."""

import base64

import msgspec

from protocol.orders import Clip, Text
from protocol.reports import Hello
from tests.protocol.vector_cases import FETCH, HELLO, NONCE, REPORTER, WARNING, Case, case, report, step
from tests.protocol.vector_world import (
    COMMUNE,
    DAY_MS,
    HAMLET,
    NEIGHBOUR,
    NODE,
    NOW,
    PROVINCE,
    Sent,
    changed,
    drill,
    forged,
    payload_of,
    programme,
    rewritten,
    signatures,
    signed,
    start,
    stop,
)


def forged_envelopes() -> list[Case]:
    wide = signed(start(PROVINCE, PROVINCE), "p1")
    own = signatures(wide)[0]
    huge = start(HAMLET, COMMUNE, text=tuple(Text(lang="vi", text="lũ " * 660) for _ in range(4)))
    payload = base64.b64encode(payload_of(WARNING)).decode()
    spare = next(letter for letter in "BCD" if payload.endswith("="))
    bent = payload.rstrip("=")[:-1] + chr(ord(payload.rstrip("=")[-1]) + 1) + "=" * payload.count("=")
    stranger = signed(start(HAMLET, COMMUNE), "stranger")
    borrowed = rewritten(stranger, signatures=[{"keyid": signatures(WARNING)[0]["keyid"], "sig": signatures(stranger)[0]["sig"]}])
    five = forged("order", payload_of(wide), wide.topic, "p1", "p2", "p3", "p1b", "c1")
    return [
        case("wrong-key", "signed by nobody known", step(stranger, "bad-signature")),
        case("borrowed-keyid", "a stranger's signature under a known keyid", step(borrowed, "bad-signature")),
        case("changed-payload", "one word changed after signing", step(_reworded(), "bad-signature")),
        case("changed-type", "an exercise's bytes called an order", step(_renamed(), "bad-signature")),
        case("truncated", "the end is missing", step(Sent(WARNING.raw[:-20], WARNING.topic), "malformed")),
        case("empty", "no bytes at all", step(Sent(b"", WARNING.topic), "malformed")),
        case("oversized", "over 8 kB", step(forged("order", msgspec.json.encode(huge), WARNING.topic, "c1"), "malformed")),
        case("five-signatures", "at most four", step(five, "malformed")),
        case("same-keyid-twice", "one signature doubled", step(rewritten(wide, signatures=[own, own]), "malformed")),
        case(
            "one-key-under-two-ids",
            "the second name of the same key counts for nothing",
            step(rewritten(wide, signatures=[own, {"keyid": spare.lower() * 64, "sig": own["sig"]}]), "too-few-persons"),
        ),
        case("short-signature", "63 bytes", step(_with_sig(base64.b64encode(b"\0" * 63).decode()), "malformed")),
        case("malleable-base64", "unused bits set in the last letter", step(rewritten(WARNING, payload=bent), "malformed")),
        case(
            "base64-with-newline",
            "a line break inside",
            step(rewritten(WARNING, payload=payload[:8] + "\n" + payload[8:]), "malformed"),
        ),
        case("unsigned", "no signature", step(rewritten(WARNING, signatures=[]), "malformed")),
        case("outer-unknown-field", "something beside the envelope", step(rewritten(WARNING, hint="x"), "malformed")),
        case(
            "unknown-type",
            "a version nobody reads yet",
            step(rewritten(WARNING, payloadType="application/vnd.loa.order.v2+json"), "wrong-type"),
        ),
        case("not-json", "signed, but no JSON", step(forged("order", b"\xff\xfe", WARNING.topic, "c1"), "malformed")),
    ]


def _with_sig(sig: str) -> Sent:
    return rewritten(WARNING, signatures=[{"keyid": signatures(WARNING)[0]["keyid"], "sig": sig}])


def _reworded() -> Sent:
    other = payload_of(WARNING).replace("Lũ".encode(), "Lữ".encode())
    return rewritten(WARNING, payload=base64.b64encode(other).decode())


def _renamed() -> Sent:
    exercise = signed(drill(HAMLET, COMMUNE, incident="00000000000000a1"), "c1")
    return Sent(rewritten(exercise, payloadType="application/vnd.loa.order.v1+json").raw, WARNING.topic)


def forged_payloads() -> list[Case]:
    drilled = signed(drill(HAMLET, COMMUNE, incident="00000000000000a1"), "c1")
    live_clip = Clip(lang="vi", sha256="5a" * 32, bytes=10, duration_ms=10, purpose="live")
    order = start(HAMLET, COMMUNE)
    other = f"loa/1/area/{HAMLET}/order/00000000000000a2"
    return [
        case(
            "unknown-field", "signed, but with a field of another version", step(changed(order, "c1", loudly=True), "malformed")
        ),
        case(
            "missing-field",
            "signed, but without its time of acceptance",
            step(changed(order, "c1", drop=("accept_until_ms",)), "malformed"),
        ),
        case(
            "newline-in-area", "an area with a line break at its end", step(changed(order, "c1", area=HAMLET + "\n"), "malformed")
        ),
        case("not-nfc", "a text that is not NFC", step(changed(order, "c1", issuing_body="U\u031b"), "malformed")),
        case("number-as-text", "seq as a string", step(changed(order, "c1", seq=str(NOW)), "malformed")),
        case("huge-number", "seq of 2^53", step(changed(order, "c1", seq=2**53), "malformed")),
        case(
            "drill-as-order",
            "an exercise's payload under the type of an order",
            step(changed(drill(HAMLET, COMMUNE), "c1", kind="order"), "wrong-type"),
        ),
        case(
            "drill-bytes-as-order",
            "the very bytes of an exercise, signed as an order",
            step(forged("order", payload_of(drilled), drilled.topic, "c1"), "wrong-type"),
        ),
        case(
            "order-as-drill",
            "an order with the purpose of an exercise",
            step(changed(order, "c1", purpose="exercise"), "wrong-type"),
        ),
        case(
            "live-clip-in-drill",
            "a live recording inside an exercise",
            step(signed(drill(HAMLET, COMMUNE, clips=(live_clip,)), "c1"), "wrong-type"),
        ),
        case(
            "wrong-topic",
            "an order on a programme's topic",
            step(WARNING, "wrong-type", topic=f"loa/1/area/{COMMUNE}/programme/{COMMUNE}"),
        ),
        case("no-such-topic", "a topic of no contract", step(WARNING, "wrong-type", topic="loa/1/area/52/secret")),
        case("unsealed-topic", "sealed bytes where none travel", step(WARNING, "wrong-type", topic=f"loa/1/node/{NODE}/alive")),
        case(
            "wrong-topic-area",
            "another area's topic",
            step(WARNING, "wrong-type", topic=f"loa/1/area/{COMMUNE}/order/00000000000000a1"),
        ),
        case("wrong-topic-incident", "another incident's topic", step(WARNING, "wrong-type", topic=other)),
        case(
            "wrong-topic-authority",
            "another authority's topic",
            step(signed(programme(NOW), "c1"), "wrong-type", topic=f"loa/1/area/{COMMUNE}/programme/{PROVINCE}"),
        ),
        case(
            "stop-all-on-incident-topic",
            "STOP of all on one incident's topic",
            step(signed(stop(HAMLET, COMMUNE, NOW, None), "c1"), "wrong-type", topic=other),
        ),
        case(
            "hello-of-another",
            "one node's hello on another's topic",
            step(signed(HELLO, REPORTER), "bad-signature", topic=f"loa/1/node/{NEIGHBOUR}/hello"),
            reader="controller",
        ),
        case(
            "hello-by-officer", "an officer's key is no node's", step(signed(HELLO, "c1"), "bad-signature"), reader="controller"
        ),
        case("hello-for-another", "a node signs for its neighbour", step(_lying_hello(), "wrong-type"), reader="controller"),
        case(
            "fetch-too-old",
            "a permission of yesterday",
            step(signed(FETCH, REPORTER), "expired", at=NOW + DAY_MS),
            reader="controller",
        ),
    ]


def _lying_hello() -> Sent:
    lie = signed(Hello(**report(node=NEIGHBOUR, area=NEIGHBOUR), nonce=NONCE, version="0.1.0", reads=()), REPORTER)
    return Sent(lie.raw, f"loa/1/node/{NODE}/hello")
