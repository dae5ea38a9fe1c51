"""What the controller knows of areas, nodes and documents in force, kept in memory beside the database that owns it.

Changed only on the event loop, after the transaction that stored the change. Readers in the store's thread see whole values.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, structs

from controller.core.suspends import SuspendHeld
from protocol.bulletins import Item, Programme
from protocol.documents import AnyDocument, ChainLink, Grant, Network, Placement, Root, Station
from protocol.programme import recordings
from protocol.rules import slot_of
from protocol.seen import Mark, Seen, Slot
from protocol.topics import topic
from protocol.trust import Trust, public_key
from protocol.units import AreaLevel

DUE_ORDER: Final = {"root": 0, "grant": 1, "placement": 2, "network": 3, "station": 4, "programme": 5}


class AreaKnown(Struct, frozen=True, kw_only=True):
    """An area of the tree."""

    id: str
    no: int
    level: AreaLevel
    name: str
    name_en: str = ""
    parent: str | None = None
    official_code: str = ""
    old_names: tuple[str, ...] = ()


class NodeKnown(Struct, frozen=True, kw_only=True):
    """A node that was enrolled; `chain` is that of its placement in force."""

    id: str
    area_no: int
    name: str
    settlement: str
    report_key: str
    chain: tuple[ChainLink, ...] | None = None
    retired: bool = False


class Standing(Struct, frozen=True, kw_only=True):
    """A document in force."""

    digest: str
    document: AnyDocument
    raw: bytes

    @property
    def slot(self) -> Slot:
        """Its place."""
        return slot_of(self.document)

    @property
    def topic(self) -> str:
        """Where it is retained."""
        match self.document:
            case Root():
                return topic("root")
            case Grant():
                return topic("grant", area=self.document.subject)
            case Placement():
                return topic("placement", node=self.document.subject)
            case Network():
                return topic("network", node=self.document.subject)
            case Station():
                return topic("station", area=self.document.subject)
            case Programme():
                return topic("programme", area=self.document.subject, authority=self.document.authority)


class World:
    """Areas, nodes and standing documents, with the questions that acts ask of them."""

    def __init__(
        self,
        areas: Iterable[AreaKnown],
        nodes: Iterable[NodeKnown],
        standing: Iterable[Standing],
        suspends: Iterable[SuspendHeld] = (),
    ) -> None:
        self.areas: dict[str, AreaKnown] = {area.id: area for area in areas}
        self.nodes: dict[str, NodeKnown] = {node.id: node for node in nodes}
        self.standing: dict[Slot, Standing] = {}
        self.suspends: dict[Slot, SuspendHeld] = {}
        self.trust = Trust()
        self._nodes_in: dict[str, set[str]] = {}
        self._by_subject: dict[str, set[Slot]] = {}
        for held in sorted(standing, key=lambda held: DUE_ORDER[held.document.kind]):
            self.take_document(held)
        for suspend in suspends:
            self.take_suspend(suspend)

    # --- changes ---

    def take_area(self, area: AreaKnown) -> None:
        """A new or renamed area."""
        self.areas[area.id] = area

    def take_node(self, node: NodeKnown) -> None:
        """A new, moved or retired node; its placement stays what it is."""
        known = self.nodes.get(node.id)
        self.nodes[node.id] = node if known is None else structs.replace(node, chain=known.chain)
        placement = self.standing.get(Slot("placement", node.id, "-"))
        if placement is not None and isinstance(placement.document, Placement):
            self._place(placement.document)

    def take_document(self, held: Standing) -> None:
        """A document that came into force."""
        self.standing[held.slot] = held
        self._by_subject.setdefault(held.slot.subject, set()).add(held.slot)
        match held.document:
            case Placement():
                self._place(held.document)
            case Root() | Grant():
                self.trust = self.trust.with_document(held.document)
            case _:
                pass

    def drop_document(self, slot: Slot) -> None:
        """A document whose signers lost their powers, with nothing to fall back to."""
        if self.standing.pop(slot, None) is not None and slot.kind == "grant":
            self.trust = self.trust.without_grant(slot.subject)
        self._by_subject.get(slot.subject, set()).discard(slot)

    def trust_with(self, held: SuspendHeld) -> Trust:
        """The trust as it will be with this suspension."""
        return self.trust.with_suspensions(each.suspension for each in (self.suspends | {held.slot: held}).values())

    def take_suspend(self, held: SuspendHeld) -> None:
        """A key was suspended, or its suspension lifted."""
        self.trust = self.trust_with(held)
        self.suspends[held.slot] = held

    def _place(self, placement: Placement) -> None:
        node = self.nodes.get(placement.body.node)
        if node is None:
            return
        for link in node.chain or ():
            self._nodes_in.get(link.area, set()).discard(node.id)
        self.nodes[node.id] = structs.replace(node, chain=placement.body.chain)
        if not node.retired:
            for link in placement.body.chain:
                self._nodes_in.setdefault(link.area, set()).add(node.id)

    # --- questions ---

    def chain_of(self, area: str) -> tuple[ChainLink, ...]:
        """The areas from the province down to this one; a node's is its placement's. Empty for an area nobody knows."""
        node = self.nodes.get(area)
        if node is not None:
            return node.chain or (
                *self.chain_of(node.settlement),
                ChainLink(area=node.id, area_no=node.area_no, level="node"),
            )
        links: list[ChainLink] = []
        known = self.areas.get(area)
        while known is not None and len(links) < len(self.areas):
            links.append(ChainLink(area=known.id, area_no=known.no, level=known.level))
            known = self.areas.get(known.parent) if known.parent else None
        return tuple(reversed(links))

    def commune_of(self, area: str) -> str | None:
        """The commune that an area lies in (or is); None for a province."""
        return next((link.area for link in self.chain_of(area) if link.level == "commune"), None)

    def name_of(self, area: str) -> str:
        """An area's or node's name; its id when nobody knows it."""
        if area in self.nodes:
            return self.nodes[area].name
        return self.areas[area].name if area in self.areas else area

    def nodes_in(self, area: str) -> frozenset[str]:
        """The nodes whose placement lies in an area."""
        return frozenset(self._nodes_in.get(area, ()))

    def trust_of_reports(self, node: str) -> Trust:
        """Just the report key of one node: its placement's, or until it has one, that of its enrolment."""
        placement = self.standing.get(Slot("placement", node, "-"))
        if placement is not None and isinstance(placement.document, Placement):
            return Trust(report_keys={node: placement.document.body.report_key})
        known = self.nodes.get(node)
        return Trust(report_keys={node: known.report_key} if known else {})

    def seen_of(self, slot: Slot) -> Seen:
        """The memory that a document of this slot is weighed against."""
        held = self.standing.get(slot)
        return Seen({slot: Mark(held.document.seq, held.digest)} if held else {})

    def due(self, node: str, now_ms: int) -> tuple[Standing, ...]:
        """All that this node should hold: the root, and for each area of its chain grants, station, programmes; its placement."""
        known = self.nodes.get(node)
        if known is None:
            return ()
        areas = [link.area for link in self.chain_of(node)]
        found = [held for held in (self.root_held(),) if held is not None]
        for area in dict.fromkeys([*areas, node]):
            found.extend(self.standing[slot] for slot in self._by_subject.get(area, ()) if slot.kind != "root")
        due = [held for held in found if held.document.kind in ("root", "grant") or now_ms < held.document.valid_until_ms]
        return tuple(sorted(due, key=lambda held: (DUE_ORDER[held.document.kind], self._depth(held), held.slot.authority)))

    def suspends_due(self, node: str, now_ms: int) -> tuple[SuspendHeld, ...]:
        """The suspensions and lifts that this node should hold, the oldest first."""
        if not self.suspends:
            return ()
        areas = {link.area for link in self.chain_of(node)}
        due = [held for held in self.suspends.values() if held.what.area in areas and now_ms < held.what.forgotten_ms]
        return tuple(sorted(due, key=lambda held: held.what.seq))

    def persons_of(self, area: str) -> Mapping[str, str]:
        """Whose each key of an area's grant is."""
        grant = self.trust.grants.get(area)
        return {public_key(key.public).keyid: key.person for key in grant.body.keys} if grant else {}

    def held_at(self, subject: str) -> tuple[Standing, ...]:
        """The documents in force whose subject is this area or node, in a fixed order."""
        slots = sorted(self._by_subject.get(subject, ()), key=lambda slot: (slot.kind, slot.authority))
        return tuple(self.standing[slot] for slot in slots)

    def root_held(self) -> Standing | None:
        """The root in force."""
        return self.standing.get(slot_of(self.trust.root)) if self.trust.root is not None else None

    def _depth(self, held: Standing) -> int:
        return len(self.chain_of(held.document.subject))

    def media_of(self, node: str, now_ms: int) -> frozenset[str]:
        """Every digest of media that the programmes due on this node name."""
        digests: set[str] = set()
        for held in self.due(node, now_ms):
            if isinstance(held.document, Programme):
                digests |= media_named(held.document)
        return frozenset(digests)

    def retained(self, now_ms: int) -> Mapping[str, bytes]:
        """What the broker should hold of documents, by topic."""
        gone = {node.id for node in self.nodes.values() if node.retired}
        return {
            held.topic: held.raw
            for held in self.standing.values()
            if held.document.subject not in gone
            and (held.document.kind in ("root", "grant") or now_ms < held.document.valid_until_ms)
        }


def media_of(item: Item) -> set[str]:
    """The digests of all files of a bulletin: sounds, fallbacks, pictures."""
    pictures = {each.shown.picture.sha256 for each in item.variants if each.shown is not None and each.shown.picture is not None}
    return pictures | {media.sha256 for variant in item.variants for media in recordings(variant)}


def media_named(programme: Programme) -> set[str]:
    """The digests of all files of a programme."""
    return {sha256 for item in programme.body.items for sha256 in media_of(item)}
