"""Whether a document can be meant at all: what holds between its fields, beyond what their types say."""

from typing import Final

from protocol.documents import Grant, Person, Placement, Programme, Root, Station
from protocol.errors import Malformed
from protocol.programme import check as check_rules
from protocol.programme import zone
from protocol.trust import check_keys, public_key
from protocol.units import Document

LEVELS: Final = ("province", "commune", "settlement", "node")


def check_shape(document: Document) -> None:
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
        case Station():
            if any(hours.from_min >= hours.to_min for hours in document.body.hours):
                raise Malformed("hours of a station begin before they end")
            zone(document.body.tz)
        case Programme():
            _check_items(document)
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


def _check_items(programme: Programme) -> None:
    items = programme.body.items
    if len({item.id for item in items}) != len(items):
        raise Malformed("two items of a programme share an id")
    if any((variant.media is None) == (variant.relay is None) for item in items for variant in item.variants):
        raise Malformed("each variant is either a file or a relay")
    check_rules(programme)
