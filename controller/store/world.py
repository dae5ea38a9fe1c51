"""Reading the picture of areas, nodes and documents in force out of the tables, and storing changes of areas and nodes."""

from typing import Final

import msgspec
from sqlalchemy import delete, func, insert, select, update

from controller.core.peek import stored
from controller.core.suspends import SuspendHeld
from controller.core.world import AreaKnown, NodeKnown, Standing, World
from controller.store.database import Transaction
from controller.store.schema import area_groups, areas, documents, node_areas, nodes
from protocol.bulletins import Programme
from protocol.documents import AnyDocument, Grant, Network, Placement, Root, Station
from protocol.passing import Suspend

FIRST_NODE_NO: Final = 2_000_000_000
"""Node numbers begin above every number that a settlement's code can give."""
_NAMES: Final = msgspec.json.Decoder(tuple[str, ...])


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A grouping of communes."""

    id: str
    name: str
    communes: tuple[str, ...]
    old_names: tuple[str, ...] = ()


def load(tx: Transaction) -> World:
    """Everything that acts ask the world about."""
    found_areas = [
        AreaKnown(
            id=row.id,
            no=row.no,
            level=row.level,
            name=row.name,
            name_en=row.name_en,
            parent=row.parent,
            official_code=row.official_code,
            old_names=_NAMES.decode(row.old_names),
        )
        for row in tx.execute(select(areas))
    ]
    found_nodes = [
        NodeKnown(
            id=row.id,
            area_no=row.area_no,
            name=row.name,
            settlement=row.settlement,
            report_key=row.report_key,
            retired=row.retired_ms is not None,
        )
        for row in tx.execute(select(nodes))
    ]
    rows = list(tx.execute(select(documents).where(documents.c.in_force)))
    standing = [standing_of(row.digest, row.raw) for row in rows if row.kind not in ("suspend", "release")]
    suspends = [_suspend_of(row.digest, row.raw, row.keyids) for row in rows if row.kind == "suspend"]
    return World(found_areas, found_nodes, standing, suspends)


def _suspend_of(digest: str, raw: bytes, keyids: str) -> SuspendHeld:
    what = stored(raw)
    if not isinstance(what, Suspend):
        raise TypeError(f"{digest} is stored as a suspension and is a {type(what).__name__}")
    return SuspendHeld(digest=digest, what=what, raw=raw, keyids=_NAMES.decode(keyids))


def standing_of(digest: str, raw: bytes) -> Standing:
    """A stored document, opened without asking again who signed it."""
    document = stored(raw)
    if not isinstance(document, Root | Grant | Placement | Network | Station | Programme):
        raise TypeError(f"{digest} is stored as a document and is a {type(document).__name__}")
    held: AnyDocument = document
    return Standing(digest=digest, document=held, raw=raw)


def add_area(tx: Transaction, area: AreaKnown) -> None:
    """Store a new area, or a new name for a known one (its old name stays searchable)."""
    known = tx.execute(select(areas.c.name, areas.c.old_names).where(areas.c.id == area.id)).first()
    if known is None:
        tx.execute(
            insert(areas).values(
                id=area.id,
                no=area.no,
                level=area.level,
                name=area.name,
                name_en=area.name_en,
                parent=area.parent,
                official_code=area.official_code,
                old_names=msgspec.json.encode(area.old_names).decode(),
            )
        )
        return
    old_names = dict.fromkeys(_NAMES.decode(known.old_names))
    if known.name != area.name:
        old_names[known.name] = None
    values = {"name": area.name, "name_en": area.name_en, "old_names": msgspec.json.encode(tuple(old_names)).decode()}
    tx.execute(update(areas).where(areas.c.id == area.id).values(values))


def add_group(tx: Transaction, group: Group) -> None:
    """Store a grouping of communes, replacing one of its id."""
    tx.execute(delete(area_groups).where(area_groups.c.id == group.id))
    values = {
        "id": group.id,
        "name": group.name,
        "communes": msgspec.json.encode(group.communes).decode(),
        "old_names": msgspec.json.encode(group.old_names).decode(),
    }
    tx.execute(insert(area_groups).values(values))


def groups(tx: Transaction) -> list[Group]:
    """All groupings."""
    return [
        Group(id=row.id, name=row.name, communes=_NAMES.decode(row.communes), old_names=_NAMES.decode(row.old_names))
        for row in tx.execute(select(area_groups).order_by(area_groups.c.name))
    ]


def enrol(tx: Transaction, node: NodeKnown, now_ms: int) -> NodeKnown:
    """Store a new node with a number of its own, or the new name, settlement or report key of a known one."""
    known = tx.execute(select(nodes.c.area_no).where(nodes.c.id == node.id)).scalar()
    values = {"name": node.name, "settlement": node.settlement, "report_key": node.report_key, "retired_ms": None}
    if known is not None:
        tx.execute(update(nodes).where(nodes.c.id == node.id).values(values))
        return msgspec.structs.replace(node, area_no=known)
    last = tx.execute(select(func.max(nodes.c.area_no))).scalar()
    number = FIRST_NODE_NO if last is None else last + 1
    tx.execute(insert(nodes).values(values | {"id": node.id, "area_no": number, "enrolled_ms": now_ms}))
    return msgspec.structs.replace(node, area_no=number)


def retire(tx: Transaction, node: str, now_ms: int) -> None:
    """A node that is taken down: it keeps its history and is asked for nothing any more."""
    tx.execute(update(nodes).where(nodes.c.id == node).values(retired_ms=now_ms))
    tx.execute(delete(node_areas).where(node_areas.c.node == node))


def place(tx: Transaction, placement: Placement) -> None:
    """Remember the areas that a node stands in, for orders to reach it by."""
    node = placement.body.node
    tx.execute(delete(node_areas).where(node_areas.c.node == node))
    tx.execute(insert(node_areas), [{"area": link.area, "node": node} for link in placement.body.chain])
