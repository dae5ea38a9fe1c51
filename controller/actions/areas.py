"""The tree of areas, as people search it and add settlements to it."""

from msgspec import structs

from controller import area_tree
from controller.actions.asking import allowed, ask
from controller.actions.views import Added, AreaView, GroupView, LinkView
from controller.core.world import AreaKnown, World
from controller.errors import Refused
from controller.init import write_areas
from controller.parts import Actor, Parts
from controller.store import notes
from controller.store import world as stored_world
from controller.store.database import Transaction


def view_of(world: World, area: AreaKnown) -> AreaView:
    """An area as people see it."""
    return AreaView(
        id=area.id,
        no=area.no,
        level=area.level,
        name=area.name,
        name_en=area.name_en,
        parent=area.parent,
        old_names=area.old_names,
        nodes=len(world.nodes_in(area.id)),
    )


def area_or_node(world: World, area: str) -> AreaView:
    """An area, or a node as the narrowest area of all."""
    node = world.nodes.get(area)
    if node is None:
        return view_of(world, world.areas[area])
    return AreaView(id=node.id, no=node.area_no, level="node", name=node.name, parent=node.settlement, nodes=1)


async def tree(parts: Parts, who: Actor) -> list[AreaView]:
    """All areas that are one's own, parents before children."""
    ordered = sorted(parts.world.areas.values(), key=lambda area: area.id)
    return [view_of(parts.world, area) for area in ordered if allowed(parts, who, "see", area.id)]


async def search(parts: Parts, who: Actor, text: str) -> list[AreaView]:
    """One's own areas by name, old name or id, whatever the accents; the old district's name finds its communes."""
    seeds = [_seed(area) for area in parts.world.areas.values()]
    found = [seed.id for seed in area_tree.search(seeds, text)]
    words = area_tree.fold(text).split()
    for group in await parts.database.read(stored_world.groups):
        names = " ".join(area_tree.fold(name) for name in (group.name, group.id, *group.old_names))
        if words and all(word in names for word in words):
            found += [commune for commune in group.communes if commune not in found]
    own = (area for area in found if area in parts.world.areas and allowed(parts, who, "see", area))
    return [view_of(parts.world, parts.world.areas[area]) for area in own]


def _seed(area: AreaKnown) -> area_tree.AreaSeed:
    return area_tree.AreaSeed(
        id=area.id,
        no=area.no,
        level="settlement" if area.level == "node" else area.level,
        name=area.name,
        name_en=area.name_en,
        parent=area.parent,
        official_code=area.official_code or None,
        old_names=area.old_names,
    )


async def groups(parts: Parts, who: Actor) -> list[GroupView]:
    """The groupings of communes (old districts) that lie wholly in one's own areas."""
    found = await parts.database.read(stored_world.groups)
    own = (group for group in found if all(allowed(parts, who, "see", commune) for commune in group.communes))
    return [GroupView(id=group.id, name=group.name, communes=group.communes) for group in own]


async def chain(parts: Parts, who: Actor, area: str) -> list[LinkView]:
    """The areas from the province down to this one. Raises Refused for one that nobody knows."""
    ask(parts, who, "see", area)
    links = parts.world.chain_of(area)
    if not links:
        raise Refused(f"area {area} is not in the controller's tree: see `loa area list`", code="unknown-area", status=404)
    return [LinkView(area=link.area, area_no=link.area_no, level=link.level) for link in links]


async def add_settlements(parts: Parts, who: Actor, text: str, *, dry_run: bool = False) -> Added:
    """Take settlements from a CSV table; a known id with another name is renamed. Raises Refused with every wrong line."""
    ask(parts, who, "areas.add")
    world, now_ms = parts.world, parts.now_ms()
    communes = [area.id for area in world.areas.values() if area.level == "commune"]
    try:
        seeds = area_tree.parse_settlements_csv(text, communes=communes)
    except area_tree.SettlementsWrong as error:
        raise Refused(f"the list of settlements is wrong: {error}", code="csv") from error
    wanted = [
        AreaKnown(id=seed.id, no=seed.no, level=seed.level, name=seed.name, name_en=seed.name_en, parent=seed.parent)
        for seed in seeds
    ]
    fresh = [area for area in wanted if area.id not in world.areas]
    renamed = [area for area in wanted if area.id in world.areas and world.areas[area.id].name != area.name]
    if dry_run:
        return Added(added=len(fresh), changed=len(renamed))

    def store(tx: Transaction) -> None:
        for area in (*fresh, *renamed):
            stored_world.add_area(tx, area)
        what = f"{len(fresh)} added, {len(renamed)} renamed"
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="areas.add", what=what)

    await parts.database.run(store)
    for area in fresh:
        world.take_area(area)
    for area in renamed:
        before = world.areas[area.id]
        world.take_area(structs.replace(area, old_names=tuple(dict.fromkeys((*before.old_names, before.name)))))
    write_areas(parts.config.state / "areas.json", sorted(world.areas.values(), key=lambda area: area.id))
    parts.live.changed("reload")
    return Added(added=len(fresh), changed=len(renamed))
