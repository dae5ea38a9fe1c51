"""The cases about suspended keys, and about the time told to a node without one."""

from msgspec import structs

from tests.protocol.vector_cases import NONCE, OLDER_NONCE, WARNING, Case, Step, case, step, twice
from tests.protocol.vector_world import (
    COMMUNE,
    HAMLET,
    NEIGHBOUR,
    NODE,
    NOW,
    PROVINCE,
    changed,
    commune_body,
    grant,
    keyid_of,
    owned,
    person,
    placement,
    power,
    programme,
    province_body,
    signed,
    start,
    station,
    stop,
    suspend,
    time_token,
)

HOUR_MS = 3_600_000


def passing_cases() -> list[Case]:
    return [*_who_suspends(), *_what_it_voids(), *_when_it_ends(), *_times()]


def _who_suspends() -> list[Case]:
    one = suspend("c1")
    root_by_one = suspend("p1", area=PROVINCE, authority="root")
    ended = signed(grant(PROVINCE, "root", _ended_province(), NOW - 1), "r1", "r2")
    return [
        case("good-suspend", "one delegate of the province, at once", *twice(signed(one, "p1"))),
        case("good-suspend-by-root", "one delegate of the root reaches the province's keys", *twice(signed(root_by_one, "r2"))),
        case("good-suspend-file", "from a stick", *twice(signed(one, "p1"), topic=None)),
        case("good-suspend-resent", "alone to a node that lags", *twice(signed(one, "p1"), topic=f"loa/1/node/{NODE}/document")),
        case("good-suspend-no-clock", "it needs no clock", step(signed(one, "p1"), at=0, clock="unknown")),
        case("suspend-by-stranger", "a key that nobody named", step(signed(one, "stranger"), "bad-signature")),
        case("suspend-by-peer", "a commune has no say over its own keys", step(signed(_own(), "c2"), "not-empowered")),
        case(
            "suspend-upwards",
            "the hamlet's head suspends the commune",
            step(signed(suspend("c1", authority=HAMLET), "h1"), "not-empowered"),
        ),
        case(
            "suspend-upwards-as-own-area",
            "nor by naming his own hamlet: its grant has no such key, and he is no delegate",
            step(signed(suspend("c1", area=HAMLET, authority=COMMUNE), "c2"), "not-empowered"),
        ),
        case("suspend-peer-of-province", "a province's delegate and his peer", step(signed(_peers(), "p1"), "not-empowered")),
        case("suspend-of-root", "nobody suspends the root's keys", step(signed(_of_root(), "r1"), "not-mine")),
        case("suspend-unknown-key", "a key that the area's grant does not name", step(signed(_unknown(), "p1"), "not-mine")),
        case("suspend-elsewhere", "another commune's", step(signed(suspend("d1", area="52.24100"), "p1"), "not-mine")),
        case("suspend-too-long", "over 72 hours", step(signed(_long(), "p1"), "malformed")),
        case("suspend-backwards", "until before it was signed", step(signed(_before(), "p1"), "malformed")),
        case("suspend-from-future", "dated ahead", step(signed(suspend("c1", NOW + HOUR_MS), "p1"), "from-future")),
        case("suspend-after-grants-end", "who may grant no more may not suspend", step(ended), step(_late(one), "expired")),
        case("suspend-wrong-topic", "on the topic of another key", step(signed(one, "p1"), "wrong-type", topic=_topic_of("c2"))),
        case(
            "suspend-wrong-area", "on the topic of another area", step(signed(one, "p1"), "wrong-type", topic=_topic_in(HAMLET))
        ),
        case("suspend-with-more", "an unknown field", step(changed(one, "p1", threshold=0), "malformed")),
        case("suspend-live", "with the purpose of an order", step(changed(one, "p1", purpose="live"), "wrong-type")),
    ]


def _own():
    return suspend("c1", authority=COMMUNE)


def _peers():
    return suspend("p2", area=PROVINCE)


def _of_root():
    return suspend("r2", area=PROVINCE, authority="root")


def _unknown():
    return suspend("h1")


def _long():
    return suspend("c1", until_ms=NOW + 72 * HOUR_MS + 1)


def _before():
    return suspend("c1", until_ms=NOW - 1)


def _late(one):
    return signed(one, "p1")


def _ended_province():
    return province_body(until_ms=NOW - 60_000)


def _topic_of(name: str) -> str:
    return f"loa/1/area/{COMMUNE}/suspend/{keyid_of(name)}"


def _topic_in(area: str) -> str:
    return f"loa/1/area/{area}/suspend/{keyid_of('c1')}"


def _suspended(*more: Step) -> tuple[Step, ...]:
    return (step(signed(suspend("c1"), "p1")), *more)


def _what_it_voids() -> list[Case]:
    later = NOW + 500
    wide = start(PROVINCE, PROVINCE)
    return [
        case("suspended-start", "its START", *_suspended(step(WARNING, "suspended"))),
        case("suspended-stop", "its STOP", *_suspended(step(signed(stop(HAMLET, COMMUNE, later), "c1"), "suspended"))),
        case("suspended-programme", "nothing new is taken", *_suspended(step(signed(programme(later), "c1"), "suspended"))),
        case("suspended-station", "no rules either", *_suspended(step(signed(station(later), "c1"), "suspended"))),
        case("suspended-held-programme", "what is held stays", *_suspended(step(signed(programme(), "c1"), "duplicate"))),
        case("suspended-and-another", "the other hand alone is enough", *_suspended(step(signed(_both(), "c1", "c2")))),
        case("suspended-other-key", "nobody else is silenced", *_suspended(step(signed(start(HAMLET, COMMUNE), "c2")))),
        case("suspended-other-authority", "nor the hamlet's head", *_suspended(step(signed(start(HAMLET, HAMLET), "h1")))),
        case(
            "suspended-one-of-two",
            "province-wide the second person is missing",
            step(signed(_of_p2(), "r1")),
            step(signed(wide, "p1", "p2"), "suspended"),
            step(signed(wide, "p1", "p3")),
        ),
        case(
            "suspended-below-only",
            "the same person's key in a wider grant still counts there",
            step(signed(grant(COMMUNE, PROVINCE, _with_p1(), NOW - 1), "p1", "p2")),
            step(signed(suspend("p1"), "p2")),
            step(signed(start(HAMLET, COMMUNE), "p1"), "suspended"),
            step(signed(start(HAMLET, PROVINCE, NOW + 1), "p1")),
        ),
        case(
            "suspended-stop-frees-start",
            "what a void STOP held back is taken in, if it comes again while fresh",
            step(signed(stop(HAMLET, COMMUNE, NOW, None), "c1")),
            step(_by_c2(), "stopped"),
            *_suspended(step(_by_c2())),
        ),
        case(
            "suspended-start-closes-nothing",
            "a void START does not close its incident",
            step(signed(start(HAMLET, COMMUNE, NOW + 1_000), "c1")),
            step(_by_c2(), "superseded"),
            *_suspended(step(_by_c2())),
        ),
        case(
            "suspended-start-comes-never-again",
            "a void START is known, and stays void",
            step(WARNING),
            *_suspended(step(WARNING, "suspended")),
        ),
        case(
            "suspended-delegate",
            "a suspended delegate suspends nobody",
            step(signed(_of_p1(), "r1")),
            step(signed(suspend("c1"), "p1"), "suspended"),
        ),
        case(
            "suspended-delegate-frees-himself-not",
            "nor lifts his own suspension: that is above him",
            step(signed(_of_p1(), "r1")),
            step(signed(suspend("p1", NOW + 1, PROVINCE, PROVINCE, NOW + 1), "p1"), "not-empowered"),
        ),
        case(
            "suspended-delegates-suspensions-end",
            "what a thief suspended is free again when he is suspended",
            step(signed(suspend("c1"), "p1")),
            step(WARNING, "suspended"),
            step(signed(_of_p1(), "r1")),
            step(WARNING),
        ),
        case(
            "suspended-delegate-placement",
            "and places no node",
            step(signed(_of_p1(), "r1")),
            step(signed(placement(NODE, PROVINCE, NOW + 1), "p1", "p2"), "suspended"),
        ),
    ]


def _both():
    return start(HAMLET, COMMUNE)


def _by_c2():
    return signed(start(HAMLET, COMMUNE), "c2")


def _of_p1():
    return suspend("p1", area=PROVINCE, authority="root")


def _of_p2():
    return suspend("p2", area=PROVINCE, authority="root")


def _with_p1():
    body = commune_body()
    powers = tuple(each for each in body.powers if each.power != "emergency")
    return structs.replace(
        body,
        persons=(*body.persons, person("p1")),
        keys=(*body.keys, owned("p1")),
        powers=(*powers, power("emergency", "c1 c2 page p1", 1, "emergency", 3_600)),
    )


def _when_it_ends() -> list[Case]:
    short = suspend("c1", NOW, until_ms=NOW + HOUR_MS)
    over = NOW + 2 * HOUR_MS
    again = start(HAMLET, COMMUNE, over)
    lifted = suspend("c1", NOW + 1_000, until_ms=NOW + 1_000)
    by_root = suspend("c1", NOW + 1_000, authority="root", until_ms=NOW + 1_000)
    return [
        case("suspend-over", "over by a usable clock", step(signed(short, "p1")), step(signed(again, "c1"), at=over)),
        case(
            "suspend-over-replayed",
            "and then never new",
            step(signed(suspend("c1", NOW - 2 * HOUR_MS, until_ms=NOW - HOUR_MS), "p1"), "expired"),
        ),
        case(
            "suspend-over-no-clock",
            "without a clock it goes on",
            step(signed(short, "p1")),
            step(
                signed(start(HAMLET, COMMUNE, over, answers=(NONCE,)), "c1"), "suspended", at=0, clock="unknown", nonces=(NONCE,)
            ),
        ),
        case(
            "suspend-over-attested",
            "an attested clock ends nothing",
            step(signed(short, "p1")),
            step(signed(again, "c1"), "suspended", at=over, clock="attested"),
        ),
        case(
            "suspend-lifted",
            "lifted by a delegate of the same authority",
            *_suspended(*twice(signed(lifted, "p2")), step(_fresh())),
        ),
        case("suspend-lifted-above", "or by one above", *_suspended(step(signed(by_root, "r3")), step(_fresh()))),
        case(
            "suspend-lifted-below",
            "never by one below",
            step(signed(suspend("c1", authority="root"), "r1")),
            step(signed(lifted, "p1")),
            step(_fresh(), "suspended"),
        ),
        case(
            "suspend-lift-replayed-before",
            "an older lift lifts nothing newer",
            step(signed(suspend("c1", NOW - 10, until_ms=NOW - 10), "p1")),
            *_suspended(step(WARNING, "suspended")),
        ),
        case(
            "suspend-older",
            "an older one does not come back",
            step(signed(lifted, "p1")),
            step(signed(suspend("c1"), "p1"), "superseded"),
        ),
        case(
            "suspend-stolen-delegate",
            "what a stolen delegate suspended is free",
            step(signed(suspend("c1"), "p1")),
            step(signed(grant(PROVINCE, "root", _p1_stolen(), NOW + 1), "r1", "r2")),
            step(WARNING),
        ),
    ]


def _fresh():
    return signed(start(HAMLET, COMMUNE, NOW + 1_500), "c1")


def _p1_stolen():
    body = province_body()
    return structs.replace(body, keys=(owned("p1", state="stolen"), *(key for key in body.keys if key != owned("p1"))))


def _times() -> list[Case]:
    token = signed(time_token(), "t1")
    asked = {"clock": "unknown", "at": NOW + 2_000, "nonces": (NONCE,)}
    topic = f"loa/1/node/{NODE}/time"
    return [
        case("good-time", "for this node and its nonce", step(token, **asked)),
        case("time-attested-again", "under an attested clock too", step(token, **asked | {"clock": "attested"})),
        case("time-previous-nonce", "the previous nonce is still out", step(token, **asked | {"nonces": (OLDER_NONCE, NONCE)})),
        case("time-no-nonce", "nobody asked", step(token, "expired", **asked | {"nonces": (OLDER_NONCE,)})),
        case("time-by-officer", "an officer is no timekeeper", step(signed(time_token(), "c1"), "not-empowered", **asked)),
        case("time-by-root", "nor are the root's other persons", step(signed(time_token(), "r1"), "not-empowered", **asked)),
        case("time-by-stranger", "nor anybody else", step(signed(time_token(), "stranger"), "bad-signature", **asked)),
        case(
            "time-in-a-commune", "no grant makes one", step(signed(time_token(authority=COMMUNE), "c1"), "not-empowered", **asked)
        ),
        case(
            "time-for-neighbour",
            "a sibling's time, under its own name",
            step(signed(time_token(NEIGHBOUR), "t1"), "wrong-type", topic=topic, **asked),
        ),
        case(
            "time-for-neighbour-file",
            "and without a topic",
            step(signed(time_token(NEIGHBOUR, area=NODE), "t1"), "wrong-type", topic=topic, **asked),
        ),
        case(
            "time-other-seq",
            "told at another time than it was signed",
            step(signed(time_token(seq=NOW - 1), "t1"), "malformed", **asked),
        ),
        case(
            "timekeeper-start",
            "the timekeeper orders nothing",
            step(signed(start(HAMLET, "root"), "t1"), "not-empowered", **asked),
        ),
        case("timekeeper-suspends", "nor suspends", step(signed(suspend("c1", authority="root"), "t1"), "not-empowered")),
    ]
