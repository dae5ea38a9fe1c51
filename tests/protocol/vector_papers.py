"""The cases of the golden vectors that concern documents: root, grant, placement, network, station, programme."""

import json

import msgspec

from protocol import keys
from protocol.documents import Apn, Endpoint, NetworkBody, Reach, TimeSource
from protocol.envelope import digest_of
from tests.protocol.vector_cases import Case, case, step, twice
from tests.protocol.vector_world import (
    COMMUNE,
    DAY_MS,
    ELSEWHERE,
    HAMLET,
    NEIGHBOUR,
    NODE,
    NOW,
    OTHER,
    PROVINCE,
    T0,
    Sent,
    changed,
    commune_body,
    grant,
    grant_body,
    item,
    network,
    owned,
    payload_of,
    person,
    placement,
    power,
    programme,
    province_body,
    root,
    signed,
    small_body,
    start,
    station,
    stop,
)
from tests.vectors import key

SMALL_ORDER = "00" * 32


def documents() -> list[Case]:
    again = signed(programme(), "c1")
    return [
        case("good-grant", "a newer grant", *twice(signed(grant(COMMUNE, PROVINCE, commune_body(), NOW), "p1", "p2"))),
        case(
            "good-placement", "the root moves a node", *twice(signed(placement(NODE, seq=NOW, place="52.24100.001"), "r1", "r2"))
        ),
        case("good-placement-by-province", "so may the province", *twice(signed(placement(NODE, PROVINCE, NOW), "p1", "p2"))),
        case("good-station", "new hours", *twice(signed(station(NOW), "c2"))),
        case("good-programme", "the approver's programme", *twice(signed(programme(NOW, item("tin-moi")), "c1"))),
        case(
            "good-document-topic",
            "a lagging node is sent what it lacks",
            *twice(signed(programme(NOW), "c1"), topic=f"loa/1/node/{NODE}/document"),
        ),
        case("empty-programme", "withdrawn by a newer empty one", step(changed(programme(NOW), "c1", body={"items": []}))),
        case(
            "held-programme",
            "the retained one at every connect",
            step(again, "duplicate"),
            step(again, "duplicate", at=T0 + 50 * DAY_MS),
        ),
        case(
            "older-programme",
            "older than the one in force",
            step(signed(programme(NOW), "c1")),
            step(signed(programme(NOW - 1), "c2"), "superseded"),
        ),
        case("racing-approvers", "the same instant: both readers end with the higher digest", *_race()),
        case(
            "programme-46-days",
            "longer than 45 days",
            step(signed(programme(NOW, valid_until_ms=T0 + 45 * DAY_MS + 1), "c1"), "malformed"),
        ),
        case("programme-over", "already over", step(signed(programme(NOW, valid_until_ms=NOW), "c1"), "expired")),
        case(
            "programme-backwards", "ends before it begins", step(signed(programme(NOW, valid_until_ms=T0 - 1), "c1"), "malformed")
        ),
        case(
            "programme-emergency",
            "an emergency as an item",
            step(signed(programme(NOW, item(class_="emergency")), "c1"), "not-empowered"),
        ),
        case(
            "programme-endless-rule",
            "a rule that never comes",
            step(signed(programme(NOW, item(rrule="FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYHOUR=8;BYMINUTE=0")), "c1"), "malformed"),
        ),
        case(
            "programme-interval-0",
            "a rule that never moves on",
            step(signed(programme(NOW, item(rrule="FREQ=DAILY;INTERVAL=0;BYHOUR=8;BYMINUTE=0")), "c1"), "malformed"),
        ),
        case("programme-twin-items", "two items of one name", step(signed(programme(NOW, item(), item()), "c1"), "malformed")),
        case(
            "station-hours-backwards",
            "hours that end before they begin",
            step(signed(station(NOW, ((600, 600),)), "c1"), "malformed"),
        ),
        case(
            "station-by-province",
            "no power over stations",
            step(signed(station(NOW, authority=PROVINCE), "p1", "p2"), "not-empowered"),
        ),
    ]


def _race() -> list[dict[str, object]]:
    pair = [signed(programme(NOW, item("a")), "c1"), signed(programme(NOW, item("b")), "c2")]
    low, high = sorted(pair, key=lambda sent: digest_of("programme", payload_of(sent)))
    return [step(low), step(high), step(low, "superseded"), step(high, "duplicate")]


def _doubled() -> Sent:
    body = grant_body((person("c1"), person("c2")), (owned("c1"), owned("c1", "c2")), power("emergency", "c1 c2", 2, "emergency"))
    return signed(grant(COMMUNE, PROVINCE, body, NOW), "p1", "p2")


def grants() -> list[Case]:
    fresh = grant(COMMUNE, PROVINCE, commune_body(), NOW)
    weak = changed(fresh, "p1", "p2", body=_with_key(SMALL_ORDER))
    spelled = changed(fresh, "p1", "p2", body=_with_key(keys.public_hex(_other()) + "\n"))
    held = signed(start(HAMLET, COMMUNE), "c1")
    retired = signed(grant(COMMUNE, PROVINCE, commune_body("retired"), NOW), "p1", "p2")
    stolen = signed(grant(COMMUNE, PROVINCE, commune_body("stolen"), NOW), "p1", "p2")
    return [
        case("grant-duplicate-key", "one key under two persons, threshold 2", step(_doubled(), "malformed")),
        case("grant-small-order-key", "a key that signs anything", step(weak, "malformed")),
        case("grant-key-newline", "a key spelled with a line break", step(spelled, "malformed")),
        case("grant-by-one", "one delegate", step(signed(fresh, "p1"), "too-few-persons")),
        case("grant-by-one-with-two-keys", "one delegate with two keys", step(signed(fresh, "p1", "p1b"), "too-few-persons")),
        case(
            "grant-by-itself",
            "a commune empowers itself",
            step(signed(grant(COMMUNE, COMMUNE, commune_body(), NOW), "c1", "c2"), "not-empowered"),
        ),
        case(
            "grant-from-below",
            "a commune empowers the province",
            step(signed(grant(PROVINCE, COMMUNE, province_body(), NOW), "c1", "c2"), "not-empowered"),
        ),
        case(
            "grant-elsewhere",
            "a grant of another commune is not for here",
            step(signed(grant(OTHER, PROVINCE, small_body("d1"), NOW), "p1", "p2"), "not-mine"),
        ),
        case(
            "grant-unreachable",
            "a threshold nobody reaches",
            step(signed(grant(COMMUNE, PROVINCE, _unreachable(), NOW), "p1", "p2"), "malformed"),
        ),
        case(
            "grant-older",
            "an older grant that gives a key back",
            step(stolen),
            step(signed(grant(COMMUNE, PROVINCE, commune_body(), NOW - 1), "p1", "p2"), "superseded"),
        ),
        case("retired-new", "nothing new by a retired key", step(retired), step(held, "bad-signature")),
        case("retired-held", "what it signed before is still held", step(held), step(retired), step(held, "duplicate")),
        case("retired-other", "the other key goes on", step(retired), step(signed(start(HAMLET, COMMUNE), "c2"))),
        case("stolen-new", "nothing by a stolen key", step(stolen), step(held, "bad-signature")),
        case("stolen-held", "not even what was held", step(held), step(stolen), step(held, "bad-signature")),
        case("stolen-programme", "its programme no longer holds", step(stolen), step(signed(programme(), "c1"), "bad-signature")),
        case("stolen-above", "what the province calls stolen is stolen in the commune too", *_stolen_above()),
        case(
            "stolen-stop",
            "nor its STOP",
            step(signed(start(HAMLET, COMMUNE), "c2")),
            step(stolen),
            step(signed(stop(HAMLET, COMMUNE, NOW + 1), "c1"), "bad-signature"),
        ),
    ]


def _other() -> object:
    return key("c9")


def _with_key(public: str) -> dict[str, object]:
    return {
        "persons": [{"id": "c1", "name": "c1"}],
        "keys": [{"public": public, "person": "c1"}],
        "powers": [],
        "until_ms": NOW + DAY_MS,
    }


def _unreachable() -> object:
    return grant_body((person("c1"),), (owned("c1"),), power("emergency", "c1", 2, "emergency"))


def _stolen_above() -> list[dict[str, object]]:
    body = province_body()
    with_c1 = grant_body((*body.persons, person("c1")), (*body.keys, owned("c1", state="stolen")), *body.powers)
    above = signed(grant(PROVINCE, "root", with_c1, NOW), "r1", "r2")
    return [step(above), step(signed(start(HAMLET, COMMUNE), "c1"), "not-empowered")]


def placements() -> list[Case]:
    here = "52.24100.001"
    away = signed(placement(NODE, PROVINCE, NOW, here), "p1", "p2")
    back = signed(placement(NODE, COMMUNE, NOW + 1), "c1")
    return [
        case("placement-of-another", "another node's place", step(signed(placement(ELSEWHERE, seq=NOW), "r1", "r2"), "not-mine")),
        case(
            "placement-by-one",
            "the root's placement asks for two",
            step(signed(placement(NODE, seq=NOW), "r1"), "too-few-persons"),
        ),
        case(
            "placement-wrong-topic",
            "one node's place on another's topic",
            step(away, "wrong-type", topic=f"loa/1/node/{ELSEWHERE}/placement"),
        ),
        case("placement-drawn-back", "the old commune cannot draw the node back", step(away), step(back, "not-empowered")),
        case("placement-loop", "an area twice in the chain", step(_bent_chain([0, 1, 1, 3]), "malformed")),
        case("placement-upside-down", "the commune above the province", step(_bent_chain([1, 0, 2, 3]), "malformed")),
        case("placement-small-order", "a report key that signs anything", step(_weak_report_key(), "malformed")),
    ]


def _bent_chain(order: list[int]) -> Sent:
    shown = json.loads(msgspec.json.encode(placement(NODE, seq=NOW)))
    links = shown["body"]["chain"]
    shown["body"]["chain"] = [links[index] for index in order]
    return changed(placement(NODE, seq=NOW), "r1", "r2", body=shown["body"])


def _weak_report_key() -> Sent:
    body = json.loads(msgspec.json.encode(placement(NODE, seq=NOW)))["body"]
    return changed(placement(NODE, seq=NOW), "r1", "r2", body=body | {"report_key": SMALL_ORDER})


def networks() -> list[Case]:
    fresh = network(seq=NOW)
    night = NetworkBody(fetch_from_min=1_380, fetch_to_min=240, emergency_reserve_bytes=0, cache_bytes=300_000_000)
    return [
        case("good-network", "two persons of the commune: budget and window", *twice(signed(fresh, "c1", "c2"))),
        case("good-network-night", "another window", *twice(signed(network(seq=NOW, body=night), "c1", "c2"))),
        case("network-by-one", "one person alone", step(signed(fresh, "c1"), "too-few-persons")),
        case("network-by-province", "no power over networks", step(_by_province(), "not-empowered")),
        case("network-by-service", "a service key", step(signed(fresh, "page"), "not-empowered")),
        case("network-of-another", "another node's", step(signed(network(ELSEWHERE, NOW), "c1", "c2"), "not-mine")),
        case("network-of-an-area", "a budget is one node's", step(_of_an_area(), "wrong-type")),
        case("network-of-an-area-file", "nor from a stick", step(Sent(_of_an_area().raw, None), "malformed")),
        case(
            "network-wrong-topic",
            "one node's on another's topic",
            step(signed(fresh, "c1", "c2"), "wrong-type", topic=f"loa/1/node/{NEIGHBOUR}/network"),
        ),
        case(
            "network-older",
            "older than the one in force",
            step(signed(fresh, "c1", "c2")),
            step(signed(network(seq=NOW - 1), "c1", "c2"), "superseded"),
        ),
        case("network-over", "already over", step(signed(network(seq=NOW, valid_until_ms=NOW), "c1", "c2"), "expired")),
        case("network-no-window", "a window without length", step(_with_network(fetch_from_min=300), "malformed")),
        case("network-no-zone", "a zone that is none", step(_with_network(tz="Asia/Nowhere"), "malformed")),
        case("network-negative", "less than nothing", step(_with_network(month_bytes=-1), "malformed")),
        case("network-unknown", "a field of a later program", step(_with_network(apn="m-wap"), "malformed")),
        *reaches(),
    ]


def reaches() -> list[Case]:
    """How the controller is reached."""
    good = Reach(
        brokers=(Endpoint(host="loa.example.vn"), Endpoint(host="203.0.113.7", port=443)),
        media_url="https://loa.example.vn:8444",
        enrol_url="https://loa.example.vn:8446",
        apn=Apn(name="v-internet", user="loa@node"),
        time_sources=(TimeSource(host="time.example.vn", nts=True), TimeSource(host="192.0.2.1")),
    )
    broker = {"host": "loa.example.vn"}
    wrong: dict[str, tuple[str, dict[str, object]]] = {
        "none": ("a reach that says nothing", {}),
        "host": ("a name with a space", {"brokers": [{"host": "loa example"}]}),
        "label": ("a name with an empty part", {"brokers": [{"host": "loa..vn"}]}),
        "address": ("an address that is none", {"brokers": [{"host": "10.0.0.256"}]}),
        "port": ("no such port", {"brokers": [broker | {"port": 65_536}]}),
        "twice": ("one broker twice", {"brokers": [broker, broker]}),
        "many": ("four brokers", {"brokers": [{"host": f"b{number}.vn"} for number in range(4)]}),
        "url": ("media over http", {"media_url": "http://loa.example.vn"}),
        "path": ("media below a path", {"media_url": "https://loa.example.vn/x"}),
        "url-port": ("media on no port", {"media_url": "https://loa.example.vn:0"}),
        "enrol": ("certificates from an address that is none", {"enrol_url": "https://10.0.0.256:8446"}),
        "apn": ("an APN with a line end", {"apn": {"name": "v-internet\npassword=x"}}),
        "password": ("no password in what all may read", {"apn": {"name": "v-internet", "password": "x"}}),
        "time": ("a time source with an option", {"time_sources": [{"host": "time.vn iburst"}]}),
        "times": ("one time source twice", {"time_sources": [{"host": "time.vn"}, {"host": "time.vn", "nts": True}]}),
    }
    return [
        case(
            "good-network-reach",
            "brokers, media, APN, time",
            *twice(signed(network(seq=NOW, body=NetworkBody(reach=good)), "c1", "c2")),
        ),
        *(
            case(f"network-reach-{name}", about, step(_with_network(reach=reach), "malformed"))
            for name, (about, reach) in wrong.items()
        ),
    ]


def _with_network(**fields: object) -> Sent:
    return changed(network(seq=NOW), "c1", "c2", body=fields)


def _by_province() -> Sent:
    return signed(network(seq=NOW, authority=PROVINCE), "p1", "p2")


def _of_an_area() -> Sent:
    return Sent(signed(network(HAMLET, NOW), "c1", "c2").raw, f"loa/1/node/{NODE}/network")


def roots() -> list[Case]:
    renewed = root(2, NOW, "r2 r3 r4")
    return [
        case("good-root", "version +1, by two old and two new", *twice(signed(renewed, "r2", "r3"))),
        case("good-root-four", "some who leave, some who come", *twice(signed(root(2, NOW, "r4 r5"), "r1", "r2", "r4", "r5"))),
        case("root-held", "the root in force, retained", step(signed(root(), "r1", "r2"), "duplicate")),
        case(
            "root-two-steps",
            "one after the other",
            step(signed(renewed, "r2", "r3")),
            step(signed(root(3, NOW + 1, "r3 r4"), "r3", "r4")),
        ),
        case("root-skipped", "a version left out", step(signed(root(3, NOW), "r1", "r2"), "not-empowered")),
        case(
            "root-older",
            "back to version 1",
            step(signed(renewed, "r2", "r3")),
            step(signed(root(1, NOW + 1), "r2", "r3"), "superseded"),
        ),
        case(
            "root-old-quorum-only",
            "the new persons did not agree",
            step(signed(root(2, NOW, "r4 r5 r6"), "r1", "r2"), "too-few-persons"),
        ),
        case(
            "root-new-quorum-only",
            "the old persons did not agree",
            step(signed(root(2, NOW, "r3 r4 r5"), "r3", "r4", "r5"), "too-few-persons"),
        ),
        case("root-strangers", "nobody of the old root", step(signed(root(2, NOW, "r4 r5"), "r4", "r5"), "bad-signature")),
        case(
            "root-other-area",
            "a root of something else",
            step(changed(renewed, "r2", "r3", subject="51", area="51"), "not-empowered"),
        ),
        case(
            "root-wrong-date",
            "a root dated 2^53 - 1 under an unknown clock does not close the door to the next",
            step(signed(root(2, 2**53 - 1), "r1", "r2"), clock="unknown"),
            step(signed(root(3, NOW), "r1", "r2")),
        ),
        case("root-order", "the root's persons order nothing", step(signed(start(HAMLET, "root"), "r1", "r2"), "not-empowered")),
    ]


def paper_cases() -> list[Case]:
    """All of them."""
    return [*documents(), *grants(), *placements(), *networks(), *roots()]
