"""Whether a document can be meant at all: what holds between its fields, beyond what their types say."""

import re
from ipaddress import IPv4Address
from typing import Final

from protocol.bulletins import Programme, Variant
from protocol.documents import Grant, Network, Person, Placement, Reach, Root, Station
from protocol.emergency import speaks
from protocol.errors import Malformed
from protocol.node_id import is_valid
from protocol.recurrence import check as check_rules
from protocol.recurrence import zone
from protocol.release import Release
from protocol.release_rules import check_release
from protocol.trust import check_keys, public_key
from protocol.units import Document

RELAY_URL: Final = re.compile(r"https?://[^\s/]+(/\S*)?")
LABEL: Final = re.compile(r"[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?")
PORTS: Final = 65_536
PROGRAMME_MAX_MS: Final = 45 * 86_400_000
LONGEST_OPEN_S: Final = 6 * 3_600
LEVELS: Final = ("province", "commune", "settlement", "node")


def check_shape(document: Document) -> None:  # noqa: C901  one arm a kind
    """Refuse what no reader could obey. Raises Malformed saying what does not fit."""
    match document:
        case Root():
            body = document.body
            check_keys(body.persons, body.keys, "root")
            for role in (body.root, body.delegate, body.placement, body.release, body.time):
                if role is not None:
                    _check_reach(role.persons, role.threshold, body.persons, "a role of the root")
        case Grant():
            check_keys(document.body.persons, document.body.keys, f"grant of {document.subject}")
            for power in document.body.powers:
                _check_reach(power.persons, power.threshold, document.body.persons, f"power {power.power!r}")
        case Placement():
            _check_chain(document)
        case Network():
            _check_network(document)
        case Station():
            if any(hours.from_min >= hours.to_min for hours in document.body.hours):
                raise Malformed("hours of a station begin before they end")
            zone(document.body.tz)
        case Programme():
            _check_items(document)
        case Release():
            check_release(document)
        case _:
            pass


def _check_reach(named: tuple[str, ...], threshold: int, persons: tuple[Person, ...], what: str) -> None:
    if not set(named) <= {person.id for person in persons}:
        raise Malformed(f"{what} names somebody who is not listed")
    if threshold > len(set(named)):
        raise Malformed(f"{what} asks for {threshold} persons and names {len(set(named))}")


def _check_chain(placement: Placement) -> None:
    chain = placement.body.chain
    areas = [link.area for link in chain]
    if len(set(areas)) != len(areas) or areas[-1] != placement.body.node or placement.subject != placement.body.node:
        raise Malformed("a placement's chain names each area once and ends with its node")
    ranks = [LEVELS.index(link.level) for link in chain]
    if ranks != sorted(ranks) or [link.area for link in chain if link.level == "node"] != [placement.body.node]:
        raise Malformed("a placement's chain goes from the widest level down to one node")
    public_key(placement.body.report_key)


def _check_network(network: Network) -> None:
    if not is_valid(network.subject):
        raise Malformed("budgets are one node's: its id is the subject")
    if network.body.fetch_from_min == network.body.fetch_to_min:
        raise Malformed("a fetch window has an end: 0 to 1440 is the whole day")
    zone(network.body.tz)
    if network.body.reach is not None:
        check_reach(network.body.reach)


def check_reach(reach: Reach) -> None:
    """Refuse addresses that nobody can go to. Raises Malformed."""
    if reach == Reach():
        raise Malformed("a reach that says nothing is left out")
    hosts = [*(each.host for each in reach.brokers), *(each.host for each in reach.time_sources)]
    for url in (reach.media_url, reach.enrol_url):
        host, _, port = (url or "").removeprefix("https://").partition(":")
        hosts += [host] if url else []
        if port and not 0 < int(port) < PORTS:
            raise Malformed(f"there is no port {port}: {url!r}")
    for host in hosts:
        if not _can_be_host(host):
            raise Malformed(f"{host!r} is neither a name nor an IPv4 address")
    for ways in (reach.brokers, [each.host for each in reach.time_sources]):
        if len(set(ways)) != len(ways):
            raise Malformed("a broker or a time source is named twice")


def _can_be_host(host: str) -> bool:
    """By the rules of names (RFC 1123); what ends in digits alone is meant as an address, and must be one."""
    labels = host.split(".")
    if not labels[-1].isdecimal():
        return all(LABEL.fullmatch(label) for label in labels)
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def _check_items(programme: Programme) -> None:
    items = programme.body.items
    if programme.valid_until_ms - programme.valid_from_ms > PROGRAMME_MAX_MS:
        raise Malformed("a programme is valid for at most 45 days")
    if any(item.class_ == "emergency" for item in items):
        raise Malformed("an emergency is an order, never an item of a programme")
    if len({item.id for item in items}) != len(items):
        raise Malformed("two items of a programme share an id")
    for item in items:
        for variant in item.variants:
            _check_variant(item.id, variant)
    check_rules(programme)


def _check_variant(item_id: str, variant: Variant) -> None:
    ways = (variant.media, variant.spoken, variant.relay, variant.line, variant.shown)
    if sum(way is not None for way in ways) != 1:
        raise Malformed(f"item {item_id!r}: each variant is one of a file, a spoken text, a relay, an input, or something shown")
    if variant.spoken is not None and variant.spoken.fallback is None and not speaks(variant.lang):
        raise Malformed(f"item {item_id!r}: no node speaks {variant.lang}: record it, or give its text a recording as fallback")
    if variant.relay is not None and not RELAY_URL.fullmatch(variant.relay.url):
        raise Malformed(f"item {item_id!r}: a relay is a stream over http or https, not {variant.relay.url[:60]!r}")
    open_for = variant.relay or variant.line
    if open_for is not None and not 1 <= open_for.max_s <= LONGEST_OPEN_S:
        raise Malformed(f"item {item_id!r}: open for 1 s to {LONGEST_OPEN_S // 3_600} h at a time")
    if variant.shown is not None and not (variant.shown.text or variant.shown.picture):
        raise Malformed(f"item {item_id!r}: it shows neither text nor picture")
