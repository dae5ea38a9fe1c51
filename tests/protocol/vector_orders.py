"""The cases about orders: who may, in which sequence, who stops whom, and what is fresh."""

from typing import Final

from protocol.orders import Clip, Text
from tests.protocol.vector_cases import NONCE, OLDER_NONCE, WARNING, Case, Step, case, good_orders, step, twice
from tests.protocol.vector_forgeries import forged_envelopes, forged_payloads
from tests.protocol.vector_world import (
    COMMUNE,
    DAY_MS,
    HAMLET,
    LISTED,
    NODE,
    NOW,
    OTHER,
    PROVINCE,
    T0,
    drill,
    drill_stop,
    grant,
    grant_body,
    lift,
    owned,
    person,
    placement,
    power,
    programme,
    province_body,
    relayed,
    signed,
    start,
    station,
    stop,
)

UNTIL_PAST: Final = T0 + 401 * DAY_MS


def who_may() -> list[Case]:
    wide = start(PROVINCE, PROVINCE)
    late = UNTIL_PAST
    over = start(HAMLET, COMMUNE, late)
    return [
        case("wrong-area", "a commune that this node is not in", step(signed(start(OTHER, OTHER), "d1"), "bad-signature")),
        case("not-mine", "the neighbouring hamlet", step(signed(start("52.24076.002", COMMUNE), "c1"), "not-mine")),
        case(
            "above-own-area", "the hamlet's head calls the commune", step(signed(start(COMMUNE, HAMLET), "h1"), "not-empowered")
        ),
        case("not-in-that-grant", "a commune's key under the province's name", step(signed(wide, "c1", "c2"), "not-empowered")),
        case("province-by-one", "province-wide asks two persons", step(signed(wide, "p1"), "too-few-persons")),
        case("province-by-one-with-two-keys", "two keys, one person", step(signed(wide, "p1", "p1b"), "too-few-persons")),
        case(
            "service-too-long",
            "a service key for over 600 s",
            step(signed(relayed(COMMUNE, COMMUNE, sound_max_s=601), "page"), "not-empowered"),
        ),
        *_service(),
        case("service-too-wide", "a service key for the province", *_service_province()),
        case("service-programme", "a service key approves nothing", step(signed(programme(NOW), "page"), "not-empowered")),
        case(
            "too-long",
            "over the grant's longest sound",
            step(signed(start(HAMLET, COMMUNE, sound_max_s=3_601), "c1"), "not-empowered"),
        ),
        case(
            "drill-power-only-drills",
            "no power to exercise in the station's name",
            step(signed(drill(HAMLET, "root"), "r1", "r2"), "not-empowered"),
        ),
        case(
            "after-until-one", "after the grant's end one person is too few", step(signed(over, "c1"), "too-few-persons", at=late)
        ),
        case("after-until-two", "one person more, and the warning goes on", step(signed(over, "c1", "c2"), at=late)),
        case("after-until-stop", "so does its STOP", step(signed(stop(HAMLET, COMMUNE, late), "c1", "c2"), at=late)),
        case(
            "after-until-drill",
            "an exercise does not",
            step(signed(drill(HAMLET, COMMUNE, late), "c1", "c2"), "expired", at=late),
        ),
        case(
            "after-until-programme",
            "nor a programme",
            step(signed(programme(late, valid_until_ms=late + DAY_MS, valid_from_ms=late), "c1"), "expired", at=late),
        ),
        case("after-until-station", "nor a station", step(signed(station(late), "c1", "c2"), "expired", at=late)),
    ]


def _service() -> list[Case]:
    """What a stolen service key cannot do."""
    later, next_day = "00000000000000a2", NOW + 15 * 3_600_000
    words = (Text(lang="vi", text="Mời bà con ra đường."),)
    first, second = (signed(relayed(COMMUNE, COMMUNE, NOW + n, f"00000000000000b{n}"), "page") for n in (1, 2))
    third = relayed(COMMUNE, COMMUNE, NOW + 3, "00000000000000b3")
    drilled = drill(COMMUNE, COMMUNE, NOW + 3, text=(), clips=_clips("exercise"), issuing_body="Người thử page", sound_max_s=600)
    refused = {
        "service-text": ("words of its own", relayed(COMMUNE, COMMUNE, text=words)),
        "service-only-text": ("words alone", relayed(COMMUNE, COMMUNE, text=words, clips=())),
        "service-silent": ("nothing at all", relayed(COMMUNE, COMMUNE, clips=())),
        "service-unlisted": ("a recording that its grant does not list", relayed(COMMUNE, COMMUNE, sha256="6c" * 32)),
        "service-other-name": ("the name of another body", relayed(COMMUNE, COMMUNE, issuing_body="UBND tỉnh Gia Lai")),
    }
    ends = {
        "service-stop": ("a STOP", stop(COMMUNE, COMMUNE, NOW + 1, None)),
        "service-stop-own": ("a STOP of what it began", stop(COMMUNE, COMMUNE, NOW + 1)),
        "service-lift": ("a LIFT", lift(COMMUNE, COMMUNE, NOW + 1, None)),
        "service-drill-stop": ("a STOP of an exercise", drill_stop(COMMUNE, COMMUNE, NOW + 1)),
    }
    begun = signed(relayed(COMMUNE, COMMUNE), "page")
    return [
        *(case(name, claim, step(signed(order, "page"), "not-empowered")) for name, (claim, order) in refused.items()),
        *(case(name, claim, step(begun), step(signed(order, "page"), "not-empowered")) for name, (claim, order) in ends.items()),
        case(
            "service-update-of-a-person",
            "a service rewrites no warning of a person",
            step(WARNING),
            step(signed(relayed(HAMLET, COMMUNE, NOW + 5), "page"), "not-empowered"),
        ),
        case(
            "service-updated-by-a-person",
            "a person rewrites a service's",
            step(begun),
            step(signed(start(COMMUNE, COMMUNE, NOW + 5), "c1")),
        ),
        case("service-per-day", "the third of a day", step(first), step(second), step(signed(third, "page"), "not-empowered")),
        case("service-per-day-again", "a copy of the last is a duplicate", step(first), step(second), step(second, "duplicate")),
        case(
            "service-per-day-drill",
            "exercises count in the same day",
            step(first),
            step(second),
            step(signed(drilled, "page"), "not-empowered"),
        ),
        case(
            "service-per-day-with-a-person",
            "a person who signs too needs no service",
            step(first),
            step(second),
            step(signed(third, "page", "c1")),
        ),
        case(
            "service-next-day",
            "a new day in Viet Nam",
            step(first),
            step(second),
            step(signed(relayed(COMMUNE, COMMUNE, next_day, later), "page"), at=next_day),
        ),
    ]


def _clips(purpose: str) -> tuple[Clip, ...]:
    return (Clip(lang="vi", sha256=LISTED, bytes=24_000, duration_ms=8_000, purpose=purpose),)


def _service_province() -> tuple[Step, ...]:
    body = province_body()
    wider = grant_body(
        (*body.persons, person("page", service=True)),
        (*body.keys, owned("page")),
        *(each for each in body.powers if each.power != "emergency"),
        power("emergency", "p1 p2 p3 page", 1, "emergency"),
    )
    named = signed(grant(PROVINCE, "root", wider, NOW), "r1", "r2")
    return step(named), step(signed(start(PROVINCE, PROVINCE), "page", "p1"), "too-few-persons")


def sequences() -> list[Case]:
    first, second = "00000000000000a1", "00000000000000a2"
    hamlets = signed(start("52.24076.002", COMMUNE, NOW + 5), "c1")
    update = start(HAMLET, COMMUNE, NOW + 10, text=(Text(lang="vi", text="Đã rút."),))
    return [
        case(
            "replay",
            "the same bytes again",
            step(WARNING),
            step(WARNING, "duplicate"),
            step(WARNING, "duplicate", at=NOW + 9_000),
        ),
        case(
            "equivocation",
            "one identity, two contents",
            step(WARNING),
            step(signed(start(HAMLET, COMMUNE, risk=1), "c1"), "equivocation"),
        ),
        case("update", "a higher seq of the incident", step(WARNING), *twice(signed(update, "c2"))),
        case("older-in-incident", "a lower seq of the incident", step(signed(update, "c1")), step(WARNING, "superseded")),
        case(
            "out-of-order-two-hamlets",
            "a later order for the other hamlet does not use up the earlier one for this",
            step(hamlets, "not-mine"),
            step(WARNING),
        ),
        case(
            "out-of-order-two-incidents",
            "an older warning that comes later still counts",
            step(signed(start(COMMUNE, COMMUNE, NOW + 5, second), "c1")),
            step(signed(start(HAMLET, COMMUNE, NOW, first), "c1")),
        ),
        case(
            "update-by-narrower",
            "the hamlet's head rewrites the commune's warning",
            step(WARNING),
            step(signed(start(HAMLET, HAMLET, NOW + 9), "h1"), "not-empowered"),
        ),
        case("update-by-wider", "the province may", step(WARNING), step(signed(start(HAMLET, PROVINCE, NOW + 9), "p1"))),
        case(
            "incident-taken-by-narrower",
            "who came first does not shut out those above",
            step(signed(start(HAMLET, HAMLET, NOW + 9), "h1")),
            step(WARNING),
        ),
        case(
            "incident-taken-by-drill",
            "an exercise does not shut out the live warning",
            step(signed(drill(HAMLET, COMMUNE, NOW + 1, first), "c1")),
            step(WARNING),
        ),
        case(
            "drill-in-live-incident",
            "an exercise cannot rewrite a live warning",
            step(WARNING),
            step(signed(drill(HAMLET, COMMUNE, NOW + 1, first), "c1"), "not-empowered"),
        ),
    ]


def stops() -> list[Case]:
    later = NOW + 5
    wide = signed(start(PROVINCE, PROVINCE), "p1", "p2")
    all_gone = signed(stop(COMMUNE, COMMUNE, later, None), "c1")
    return [
        case(
            "stop-before-start",
            "the older START stays silent",
            step(signed(stop(HAMLET, COMMUNE, later), "c1")),
            step(WARNING, "superseded"),
        ),
        case("stop-all-before-start", "everything older stays silent", step(all_gone), step(WARNING, "stopped")),
        case(
            "stop-tie", "at the same instant the STOP wins", step(signed(stop(HAMLET, COMMUNE), "c1")), step(WARNING, "stopped")
        ),
        case("stop-all-tie", "also for all", step(signed(stop(HAMLET, COMMUNE, NOW, None), "c1")), step(WARNING, "stopped")),
        case(
            "start-after-stop",
            "a later START breaks through",
            step(signed(stop(COMMUNE, COMMUNE, NOW - 1, None), "c1")),
            step(WARNING),
        ),
        case(
            "stop-narrower",
            "the hamlet's head cannot stop the commune",
            step(WARNING),
            step(signed(stop(HAMLET, HAMLET, later), "h1"), "not-empowered"),
        ),
        case(
            "stop-narrower-all",
            "taken in, but it silences nothing from above",
            step(signed(stop(HAMLET, HAMLET, later, None), "h1")),
            step(WARNING),
        ),
        case("stop-narrower-first", "nor by being first", step(signed(stop(HAMLET, HAMLET, later), "h1")), step(WARNING)),
        case(
            "stop-narrower-authority",
            "the commune cannot stop the province, not even in a hamlet",
            step(signed(start(HAMLET, PROVINCE), "p1")),
            step(signed(stop(HAMLET, COMMUNE, later), "c1"), "not-empowered"),
        ),
        case("stop-wider", "the province may stop the commune", step(WARNING), step(signed(stop(HAMLET, PROVINCE, later), "p1"))),
        case(
            "stop-fewer-persons",
            "another person alone cannot stop what two began",
            step(wide),
            step(signed(stop(HAMLET, PROVINCE, later), "p3"), "not-empowered"),
        ),
        case(
            "stop-by-one-signer", "one of the two who began can", step(wide), step(signed(stop(HAMLET, PROVINCE, later), "p1b"))
        ),
        case(
            "stop-old-clock",
            "a STOP asks for no clock",
            step(WARNING),
            step(signed(stop(HAMLET, COMMUNE, later), "c1"), clock="unknown", at=0),
        ),
        case("stop-late", "nor for haste", step(WARNING), step(signed(stop(HAMLET, COMMUNE, later), "c1"), at=NOW + 30 * DAY_MS)),
        case(
            "drill-stop-live",
            "the end of an exercise ends nothing live",
            step(WARNING),
            step(signed(drill_stop(HAMLET, COMMUNE, later, "00000000000000a1"), "c1"), "not-empowered"),
        ),
        case(
            "drill-stop-all",
            "nor does the end of all exercises",
            step(signed(drill_stop(COMMUNE, COMMUNE, later, None), "c1")),
            step(WARNING),
        ),
        case(
            "lift-before-start",
            "a LIFT that overtook it holds no START back",
            step(signed(lift(HAMLET, COMMUNE, later), "c1")),
            step(WARNING),
        ),
        case(
            "lift-revives-nothing",
            "after a LIFT the stopped START stays stopped",
            step(all_gone),
            step(signed(lift(COMMUNE, COMMUNE, NOW + 6, None), "c1")),
            step(WARNING, "stopped"),
        ),
    ]


def freshness() -> list[Case]:
    answering = signed(start(HAMLET, COMMUNE, answers=(NONCE,)), "c1")
    future = NOW + 400_000
    return [
        case("future", "over 120 s ahead", step(signed(start(HAMLET, COMMUNE, future), "c1"), "from-future")),
        case(
            "future-attested",
            "an attested clock sees it too",
            step(signed(start(HAMLET, COMMUNE, future), "c1"), "from-future", clock="attested"),
        ),
        case("future-within-slack", "119 s ahead is drift", step(signed(start(HAMLET, COMMUNE, NOW + 121_000), "c1"))),
        case(
            "future-stop", "a STOP neither, under a good clock", step(signed(stop(HAMLET, COMMUNE, future), "c1"), "from-future")
        ),
        case("future-document", "nor a document", step(signed(station(future), "c1"), "from-future")),
        case("expired", "its time of acceptance is over", step(WARNING, "expired", at=NOW + 600_001)),
        case("last-moment", "the last millisecond counts", step(WARNING, at=NOW + 600_000)),
        case(
            "expired-not-remembered",
            "a refusal leaves no mark",
            step(WARNING, "expired", at=NOW + 600_001),
            step(WARNING, at=NOW + 600_000),
        ),
        case(
            "duplicate-after-expiry",
            "a duplicate is acknowledged all the same",
            step(WARNING),
            step(WARNING, "duplicate", at=NOW + DAY_MS),
        ),
        case(
            "acceptable-too-long",
            "over six hours",
            step(signed(start(HAMLET, COMMUNE, accept_until_ms=NOW + 6 * 3_600_000 + 1), "c1"), "malformed"),
        ),
        case(
            "acceptable-six-hours",
            "a node that was off still warns",
            step(signed(start(HAMLET, COMMUNE, accept_until_ms=NOW + 6 * 3_600_000), "c1"), at=NOW + 5 * 3_600_000),
        ),
        case(
            "drill-acceptable-too-long",
            "an exercise over ten minutes",
            step(signed(drill(HAMLET, COMMUNE, accept_until_ms=NOW + 600_001), "c1"), "malformed"),
        ),
        case(
            "acceptable-never",
            "acceptable only before it was issued",
            step(signed(start(HAMLET, COMMUNE, accept_until_ms=NOW - 1), "c1"), "malformed"),
        ),
        case("unknown-clock", "no clock, no nonce", step(WARNING, "clock-unusable", clock="unknown")),
        case("unknown-clock-nonce", "no clock, but its nonce", *twice(answering, clock="unknown", at=0, nonces=(NONCE,))),
        case(
            "unknown-clock-previous-nonce",
            "the nonce before still counts",
            step(answering, clock="unknown", at=0, nonces=(OLDER_NONCE, NONCE)),
        ),
        case(
            "unknown-clock-other-nonce",
            "another node's nonce",
            step(answering, "clock-unusable", clock="unknown", nonces=(OLDER_NONCE,)),
        ),
        case("attested-clock", "an attested clock is enough for a START", step(WARNING, clock="attested")),
        case("holdover-clock", "so is holdover", step(WARNING, clock="holdover")),
        case("amnesia", "older than the lost memory", step(WARNING, "superseded"), amnesia_since_ms=NOW + 1_000),
        case("amnesia-newer", "newer than the lost memory", step(WARNING), amnesia_since_ms=NOW - 1),
        case("amnesia-nonce", "or it answers the nonce", step(answering, nonces=(NONCE,)), amnesia_since_ms=NOW + 1_000),
        case(
            "amnesia-stop", "a STOP is always taken in", step(signed(stop(HAMLET, COMMUNE), "c1")), amnesia_since_ms=NOW + 1_000
        ),
    ]


def order_cases() -> list[Case]:
    """All of them."""
    return [
        *good_orders(),
        *forged_envelopes(),
        *forged_payloads(),
        *who_may(),
        *sequences(),
        *stops(),
        *freshness(),
        case("lost-placement", "without a place nobody is obeyed", step(WARNING, "bad-signature"), reader="unplaced"),
        case("first-placement", "the root gives a node its place", step(signed(placement(NODE), "r1", "r2")), reader="unplaced"),
    ]
