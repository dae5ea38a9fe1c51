"""Where an order may go: settlements and communes with what stands there, and groups of communes, as an officer picks them."""

from collections.abc import Iterable

from msgspec import Struct

from controller.actions import areas
from controller.actions.views import AreaView, GroupView
from controller.parts import Actor, Parts
from controller.web.shown import plain

_KINDS_OF_PLACE = ("Xã", "Phường", "Thôn", "Buôn", "Bôn", "Plei", "Làng", "Tổ", "Thị trấn", "Đặc khu")


class Place(Struct, frozen=True, kw_only=True):
    """One choice. `wide`: more than a commune, so a second officer is needed. `communes`: what a group stands for."""

    id: str
    name: str
    level: str
    inside: str = ""
    nodes: int = 0
    depth: int = 0
    old_names: tuple[str, ...] = ()
    communes: tuple[str, ...] = ()

    @property
    def wide(self) -> bool:
        """Whether it is a group, or the province."""
        return bool(self.communes) or self.level == "province"

    @property
    def areas(self) -> tuple[str, ...]:
        """The areas that an order for this place goes to."""
        return self.communes or (self.id,)


def spoken(name: str) -> str:
    """A place's name inside a sentence: Xã Phú Túc becomes xã Phú Túc."""
    return name[0].lower() + name[1:] if name.startswith(_KINDS_OF_PLACE) else name


def _of_area(area: AreaView, by_id: dict[str, AreaView], depth: int = 0) -> Place:
    above = by_id.get(area.parent or "")
    inside = above.name if above is not None and area.level in {"settlement", "node"} else ""
    return Place(
        id=area.id, name=area.name, level=area.level, inside=inside, nodes=area.nodes, depth=depth, old_names=area.old_names
    )


def _of_group(group: GroupView, by_id: dict[str, AreaView]) -> Place:
    inside = [by_id[commune] for commune in group.communes if commune in by_id]
    return Place(
        id=group.id,
        name=group.name,
        level="group",
        inside=", ".join(commune.name for commune in inside),
        nodes=sum(commune.nodes for commune in inside),
        communes=group.communes,
    )


async def _known(parts: Parts, who: Actor) -> tuple[dict[str, AreaView], list[GroupView]]:
    return {area.id: area for area in await areas.tree(parts, who)}, await areas.groups(parts, who)


async def offered(parts: Parts, who: Actor) -> list[Place]:
    """One's own places that have nodes: communes, each followed by its settlements, then groups."""
    by_id, groups = await _known(parts, who)
    found: list[Place] = []
    for commune in by_id.values():
        if commune.level == "commune" and commune.nodes:
            found.append(_of_area(commune, by_id))
            found.extend(_of_area(area, by_id, 1) for area in by_id.values() if area.parent == commune.id and area.nodes)
        elif commune.level == "settlement" and commune.nodes and commune.parent not in by_id:
            found.append(_of_area(commune, by_id))
    return [*found, *(place for place in (_of_group(group, by_id) for group in groups) if place.nodes)]


async def search(parts: Parts, who: Actor, q: str, limit: int = 40) -> list[Place]:
    """Places whose present or former name holds the words, accents aside."""
    by_id, groups = await _known(parts, who)
    words = plain(q)
    wide = [_of_group(group, by_id) for group in groups if words in plain(f"{group.name} {group.id}")]
    narrow: Iterable[AreaView] = await areas.search(parts, who, q)
    return [*wide, *(_of_area(area, by_id) for area in narrow if area.level != "node")][:limit]


async def find(parts: Parts, who: Actor, area_id: str) -> Place | None:
    """The place with this id, if an order may go there."""
    by_id, groups = await _known(parts, who)
    area = by_id.get(area_id)
    if area is not None:
        return _of_area(area, by_id)
    return next((_of_group(group, by_id) for group in groups if group.id == area_id), None)


async def body_of(parts: Parts, place: Place) -> str:
    """The People's Committee that would sign for a place: of its commune, or nothing where there are several."""
    area = parts.world.areas.get(place.id)
    while area is not None and area.level != "commune":
        area = parts.world.areas.get(area.parent or "")
    return f"Ủy ban nhân dân {spoken(area.name)}" if area is not None else ""
