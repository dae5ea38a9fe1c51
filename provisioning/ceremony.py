"""Builds the payloads of root, grant and placement, refuses those that no node could obey. Pure: no file, clock or key."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from protocol import node_id
from protocol.documents import (
    ChainLink,
    Grant,
    GrantBody,
    Key,
    Person,
    Placement,
    PlacementBody,
    Power,
    Role,
    Root,
    RootBody,
)
from protocol.envelope import MAX_SIGNATURES
from protocol.errors import Malformed
from protocol.services import SOUND_MAX_S
from protocol.trust import check_keys
from protocol.units import MAX_MS, AreaLevel, BulletinClass

ROOT: Final = "root"
LEVELS: Final[tuple[AreaLevel, ...]] = ("province", "commune", "settlement")
SERVICE_POWERS: Final = ("emergency", "exercise")
PUBLIC_KEY: Final = re.compile(r"[0-9a-f]{64}")
DEFAULT_CLASSES: Final[dict[str, tuple[BulletinClass, ...]]] = {
    "programme": ("normal", "priority"),
    "emergency": ("emergency",),
}
"""Without a class these two powers would reach nothing."""


def next_seq(now_ms: int, highest_known: int = -1) -> int:
    """The issue time that a new document or order carries: now, and never at or below what its slot has seen."""
    return max(now_ms, highest_known + 1)


def links(area: str, numbers: Mapping[str, int]) -> tuple[ChainLink, ...]:
    """The chain from the province down to an area with a dotted official id. Raises Malformed for an area without a number."""
    parts = area.split(".")
    if len(parts) > len(LEVELS):
        raise Malformed(f"area {area!r} has {len(parts)} parts, at most {len(LEVELS)} are known: province.commune.settlement")
    chain = []
    for depth, level in enumerate(LEVELS[: len(parts)]):
        each = ".".join(parts[: depth + 1])
        if each not in numbers:
            raise Malformed(f"area {each!r} has no number here: look it up with `loa area search`")
        chain.append(ChainLink(area=each, area_no=numbers[each], level=level))
    return tuple(chain)


def is_above(authority: str, area: str) -> bool:
    """Whether an authority stands above an area with a dotted official id (the root above all)."""
    return authority == ROOT or area.startswith(f"{authority}.")


def _reachable(what: str, persons: Iterable[str], threshold: int, all_persons: Iterable[Person], keys: Iterable[Key]) -> None:
    """Refuse a threshold that the listed persons' active keys can never reach. Raises Malformed."""
    known = {person.id for person in all_persons}
    asked = tuple(persons)
    for person in asked:
        if person not in known:
            raise Malformed(f"{what} names {person!r}, who is not among the persons")
    if len(set(asked)) != len(asked):
        raise Malformed(f"{what} names a person twice")
    able = {key.person for key in keys if key.state == "active"} & set(asked)
    if len(able) < threshold:
        raise Malformed(f"{what} asks for {threshold} persons, but only {len(able)} of those named have an active key")
    if threshold > MAX_SIGNATURES:
        raise Malformed(f"{what} asks for {threshold} persons, but a document carries at most {MAX_SIGNATURES} signatures")


def build_root(
    *,
    area: str,
    area_no: int,
    persons: tuple[Person, ...],
    keys: tuple[Key, ...],
    root: Role,
    delegate: Role,
    placement: Role,
    now_ms: int,
    release: Role | None = None,
    time: Role | None = None,
    version: int = 1,
    prev: str | None = None,
    highest_known: int = -1,
    floor_reset_ms: int | None = None,
) -> Root:
    """A root of all authority over `area`. Raises Malformed when its own persons could never sign it or use it."""
    check_keys(persons, keys, "root")
    for name, role in (("root", root), ("delegate", delegate), ("placement", placement), ("release", release), ("time", time)):
        if role is not None:
            _reachable(f"role {name!r}", role.persons, role.threshold, persons, keys)
    if any(person.service for person in persons):
        raise Malformed("a service cannot be a person of the root")
    if version > 1 and prev is None:
        raise Malformed(f"root version {version} must name the digest of version {version - 1}")
    body = RootBody(
        version=version,
        persons=persons,
        keys=keys,
        root=root,
        delegate=delegate,
        placement=placement,
        release=release,
        time=time,
        floor_reset_ms=floor_reset_ms,
    )
    return Root(
        authority=ROOT,
        area=area,
        area_no=area_no,
        seq=next_seq(now_ms, highest_known),
        purpose="routine",
        subject=area,
        prev=prev,
        valid_from_ms=now_ms,
        valid_until_ms=MAX_MS,
        body=body,
    )


def _check_power(power: Power, persons: tuple[Person, ...], keys: tuple[Key, ...], area: str) -> None:
    where = f"power {power.power!r}"
    _reachable(where, power.persons, power.threshold, persons, keys)
    if power.power in DEFAULT_CLASSES and not power.classes:
        raise Malformed(f"{where} names no class, so it would reach nothing: give classes")
    if power.power == "emergency" and power.classes != ("emergency",):
        raise Malformed(f"{where} has classes {', '.join(power.classes)}: it is for 'emergency' alone")
    if power.power == "programme" and "emergency" in power.classes:
        raise Malformed(f"{where} includes class 'emergency': an emergency is an order, never an item of a programme")
    services = [person.id for person in persons if person.service and person.id in power.persons]
    if not services:
        if power.contents or power.per_day is not None:
            raise Malformed(f"{where} has contents or per_day, which bind services alone, and names no service")
        return
    if power.power not in SERVICE_POWERS:
        raise Malformed(f"{where} names the service {services[0]!r}: a service may only hold {', '.join(SERVICE_POWERS)}")
    if "." not in area:
        raise Malformed(f"{where} names the service {services[0]!r} in {area}: a service acts within one commune only")
    if power.sound_max_s is None or power.sound_max_s > SOUND_MAX_S:
        raise Malformed(f"{where} names the service {services[0]!r}: give it sound_max_s of at most {SOUND_MAX_S}")
    if not power.contents or power.per_day is None:
        raise Malformed(
            f"{where} names the service {services[0]!r}: list its recordings (contents, digests as `loa media list` shows them) "
            "and how many starts a day it has (per_day)"
        )


def build_grant(
    *,
    area: str,
    area_no: int,
    persons: tuple[Person, ...],
    keys: tuple[Key, ...],
    powers: tuple[Power, ...],
    until_ms: int,
    now_ms: int,
    authority: str = ROOT,
    prev: str | None = None,
    highest_known: int = -1,
) -> Grant:
    """A grant: who may do what in `area` until `until_ms`. Raises Malformed when a power could never be used."""
    check_keys(persons, keys, f"grant of {area}")
    if not is_above(authority, area):
        raise Malformed(f"authority {authority!r} does not stand above {area!r}: a grant comes from the root or an area above")
    if until_ms <= now_ms:
        raise Malformed("it would end before it begins: give a later `until`")
    for power in powers:
        _check_power(power, persons, keys, area)
    return Grant(
        authority=authority,
        area=area,
        area_no=area_no,
        seq=next_seq(now_ms, highest_known),
        purpose="routine",
        subject=area,
        prev=prev,
        valid_from_ms=now_ms,
        valid_until_ms=until_ms,
        body=GrantBody(persons=persons, keys=keys, powers=powers, until_ms=until_ms),
    )


def build_placement(
    *,
    chain: tuple[ChainLink, ...],
    report_key: str,
    now_ms: int,
    station: str | None = None,
    neighbours: tuple[str, ...] = (),
    authority: str = ROOT,
    prev: str | None = None,
    highest_known: int = -1,
    valid_until_ms: int = MAX_MS,
) -> Placement:
    """The place of the node that ends `chain`. Raises Malformed for a chain that is none or a station outside it.

    `station` is the area whose operating rules hold here; by default the commune, the second of the chain.
    """
    node = chain[-1]
    if node.level != "node" or not node_id.is_valid(node.area):
        raise Malformed(f"a placement's chain ends with its node, {node.area!r} is no node id")
    areas = [link.area for link in chain]
    if len(set(areas)) != len(areas):
        raise Malformed("a placement's chain names an area twice")
    place = station or areas[min(1, len(areas) - 1)]
    if place not in areas:
        raise Malformed(f"station {place!r} is not in the chain {' > '.join(areas)}")
    for neighbour in neighbours:
        if not node_id.is_valid(neighbour) or neighbour == node.area:
            raise Malformed(f"neighbour {neighbour!r} is no id of another node")
    if not PUBLIC_KEY.fullmatch(report_key):
        raise Malformed("a report key is 64 letters of 0-9 and a-f, as `loa node add` shows it")
    check_keys((Person(id="node", name="node"),), (Key(public=report_key, person="node"),), "report key")
    return Placement(
        authority=authority,
        area=node.area,
        area_no=node.area_no,
        seq=next_seq(now_ms, highest_known),
        purpose="routine",
        subject=node.area,
        prev=prev,
        valid_from_ms=now_ms,
        valid_until_ms=valid_until_ms,
        body=PlacementBody(node=node.area, chain=chain, station=place, neighbours=neighbours, report_key=report_key),
    )
