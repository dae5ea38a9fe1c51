"""The one way in for sealed documents: unseal, weigh against what is in force and in the library, store, publish."""

import asyncio
import logging
from functools import partial
from typing import Final

from msgspec import Struct, structs

from controller.actions import orders, releases
from controller.actions.asking import ask, ask_somewhere, concerns
from controller.actions.views import DocumentContext, DocumentView
from controller.core import peek
from controller.core.objections import objections
from controller.core.world import Standing, World, media_named
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import documents, media, notes, outbox
from controller.store import world as stored_world
from controller.store.database import Transaction
from controller.store.documents import DocumentStored
from protocol import recurrence
from protocol.bulletins import Programme
from protocol.documents import AnyDocument, Grant, Network, Placement, Root, Station
from protocol.envelope import Opened, open_pinned_root, unseal
from protocol.errors import Malformed, ProtocolError, Superseded, WrongType
from protocol.rules import Clock, Me, authorise, slot_of
from protocol.seen import Slot
from protocol.trust import Trust

log = logging.getLogger("loa.documents")
ONE_PLACE: Final = frozenset({"root", "grant", "placement", "network"})
"""Kinds of which one is in force for a subject, whoever signed it."""

UNASSESSED: Final = frozenset({"root", "suspend", "release"})
"""A root goes by its version alone; a suspension and a release are asked for their signers whenever they are used."""


class _Taken(Struct, frozen=True):
    """What a transaction did: what came into force, what fell out of it."""

    digest: str
    standing: tuple[Standing, ...] = ()
    dropped: tuple[Slot, ...] = ()


async def submit(parts: Parts, who: Actor, raw: bytes) -> DocumentView:
    """Take in a sealed document and publish it. Refuses what no node would take, a stale `prev` and unknown media."""
    world, clock = parts.world, parts.clock
    claim: peek.Claim | None = None
    ask_somewhere(who, "document.submit")
    try:
        claim = peek.peek(raw)
        ask(parts, who, "document.submit", claim.subject or claim.area)
        if claim.kind == "release":
            work = partial(releases.take, world=world, clock=clock, who=who, raw=raw, claim=claim)
            return await one(parts, who, await parts.database.run(work))
        taken = await parts.database.run(partial(_take, world=world, clock=clock, who=who, raw=raw, claim=claim))
    except ProtocolError as error:
        await orders.refuse(parts, error, "posted", claim.digest if claim else "")
        raise Refused(f"this document was refused ({error.code}): {error}", code=error.code, status=422) from error
    if not taken.standing:
        return structs.replace(await one(parts, who, taken.digest), fresh=False)
    _apply(parts, taken)
    if claim.kind == "placement":
        await _open_door(parts)
    return await one(parts, who, taken.digest)


async def _open_door(parts: Parts) -> None:
    """A node that got its place may now read its areas; if the broker cannot be told, the document counts all the same."""
    try:
        await parts.tell_broker(())
    except Refused as error:
        log.error("%s", error.sentence)  # noqa: TRY400  the sentence is all there is to know


def _apply(parts: Parts, taken: _Taken) -> None:
    for standing in taken.standing:
        parts.world.take_document(standing)
        parts.expect(standing.document.subject)
    for slot in taken.dropped:
        parts.world.drop_document(slot)
    parts.wake.set()
    parts.offers.set()
    parts.live.changed("reload")


def _take(tx: Transaction, world: World, clock: Clock, who: Actor, raw: bytes, claim: peek.Claim) -> _Taken:
    if claim.kind in ("order", "exercise"):
        raise WrongType(f"a {claim.kind} is no document: submit it with the orders")
    if claim.kind == "suspend":
        raise WrongType("a suspension is no document: submit it with `loa suspend`")
    slot = _slot_of(claim)
    trust = world.trust.standing_in(world.chain_of(claim.subject or claim.area))
    opened = unseal(raw, topic=None, trust=trust, me=Me(), now=clock, seen=world.seen_of(slot))
    document = _document(opened)
    if not opened.fresh:
        return _Taken(opened.digest)
    _weigh(tx, world, document, documents.of_slot(tx, slot))
    _store(tx, document, opened, who, clock.wall_ms)
    standing = Standing(digest=opened.digest, document=document, raw=raw)
    outbox.put(tx, [_parcel(standing)], clock.wall_ms)
    changed: tuple[Standing, ...] = ()
    dropped: tuple[Slot, ...] = ()
    if isinstance(document, Root | Grant):
        authority = "root" if isinstance(document, Root) else document.subject
        changed, dropped = _reassess(tx, world, world.trust.with_document(document), authority, clock)
    return _Taken(opened.digest, (standing, *changed), dropped)


def _slot_of(claim: peek.Claim) -> Slot:
    return Slot(claim.kind, claim.subject, "-" if claim.kind in ONE_PLACE else claim.authority)


def _document(opened: Opened) -> AnyDocument:
    if not isinstance(opened.payload, Root | Grant | Placement | Network | Station | Programme):
        raise WrongType(f"a {opened.kind} is no document")
    return opened.payload


def _parcel(standing: Standing) -> outbox.Parcel:
    return outbox.Parcel(topic=standing.topic, payload=standing.raw, rank=outbox.DOCUMENT_RANK, retain=True)


def _store(tx: Transaction, document: AnyDocument, opened: Opened, who: Actor, now_ms: int) -> None:
    stored = DocumentStored(
        digest=opened.digest,
        slot=slot_of(document),
        authority=document.authority,
        seq=document.seq,
        raw=opened.raw,
        keyids=opened.keyids,
        persons=opened.persons,
        valid_from_ms=document.valid_from_ms,
        valid_until_ms=document.valid_until_ms,
        created_by=who.name,
    )
    documents.add(tx, stored, now_ms)
    if isinstance(document, Placement):
        stored_world.place(tx, document)
    what = f"{document.kind} {document.subject}"
    detail = f"{', '.join(opened.persons)} signed, digest {opened.digest}"
    notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="document.submit", what=what, detail=detail)


def _weigh(tx: Transaction, world: World, document: AnyDocument, older: list[DocumentStored]) -> None:
    """What only the controller can tell. Raises Superseded or Malformed."""
    current = next((held.digest for held in older if held.in_force), None)
    if document.prev != current:
        stands = f"{current[:16]}… stands there now" if current else "nothing stands there now"
        raise Superseded(f"it replaces {(document.prev or 'nothing')[:16]}, but {stands}: fetch the newest and edit that")
    match document:
        case Programme():
            recurrence.check(document)
            named = media_named(document)
            known = media.known(tx, named) if named else set()
            if wrong := next(objections(world, document, known), None):
                raise Malformed(f"{wrong.vi} / {wrong.en}")
        case Placement():
            _weigh_placement(world, document)
        case Network() if (node := world.nodes.get(document.subject)) is None or node.retired:
            raise Malformed(f"node {document.subject} is not enrolled here: budgets are one node's")
        case Grant() | Station() | Network():
            chain = world.chain_of(document.subject)
            if not chain or chain[-1].area_no != document.area_no:
                raise Malformed(f"area {document.subject} has not number {document.area_no} in the controller's tree")
        case Root():
            pass


def _weigh_placement(world: World, placement: Placement) -> None:
    node = world.nodes.get(placement.body.node)
    if node is None or node.retired:
        raise Malformed(f"node {placement.body.node} is not enrolled here: run `loa node add` first")
    expected = (*world.chain_of(node.settlement), placement.body.chain[-1])
    if placement.body.chain != expected or placement.body.chain[-1].area_no != node.area_no:
        there = " > ".join(f"{link.area} ({link.area_no}, {link.level})" for link in expected[:-1])
        raise Malformed(f"node {node.id} stands in {there} > {node.id} ({node.area_no}, node) here; the placement says otherwise")
    if placement.body.report_key != node.report_key:
        raise Malformed(f"the report key of node {node.id} is another one here: enrol it again, or correct the placement")


def _reassess(
    tx: Transaction, world: World, trust: Trust, authority: str, clock: Clock
) -> tuple[tuple[Standing, ...], tuple[Slot, ...]]:
    """After a change of powers: what its signers may no longer say gives way to the newest that somebody still may.

    A grant that gives way changes powers in its turn.
    """
    changed: list[Standing] = []
    dropped: list[Slot] = []
    authorities = [authority]
    for each in authorities:
        slots = {document.slot for document in documents.of_authority(tx, each) if document.slot.kind not in UNASSESSED}
        for slot in sorted(slots, key=lambda slot: (slot.kind, slot.subject, slot.authority)):
            candidates = documents.of_slot(tx, slot)
            best = next((held for held in candidates if _still_said(held, world, trust, clock)), None)
            if best is not None and best.in_force:
                continue
            documents.put_in_force(tx, slot, best.digest if best else None)
            if best is None:
                dropped.append(slot)
            else:
                standing = stored_world.standing_of(best.digest, best.raw)
                changed.append(standing)
                outbox.put(tx, [_parcel(standing)], clock.wall_ms)
            if slot.kind == "grant" and slot.subject not in authorities:
                trust = _with_grant(trust, slot.subject, best)
                authorities.append(slot.subject)
    return tuple(changed), tuple(dropped)


def _with_grant(trust: Trust, area: str, best: DocumentStored | None) -> Trust:
    document = stored_world.standing_of(best.digest, best.raw).document if best is not None else None
    return trust.with_document(document) if isinstance(document, Grant) else trust.without_grant(area)


def _still_said(stored: DocumentStored, world: World, trust: Trust, clock: Clock) -> bool:
    document = stored_world.standing_of(stored.digest, stored.raw).document
    view = trust.standing_in(world.chain_of(document.subject))
    try:
        authorise(document, stored.keyids, trust=view, me=Me(), now=clock, held=True)
    except ProtocolError:
        return False
    return True


async def pin_root(parts: Parts, who: Actor, raw: bytes, digest: str) -> DocumentView:
    """The first root, on the word of whoever sits at this machine; later ones are judged by it. Raises Refused."""
    ask(parts, who, "root.pin")
    if parts.world.trust.root is not None:
        raise Refused("a root is pinned already: submit the next version as a document", code="pinned", status=409)
    try:
        root = open_pinned_root(raw, digest)
    except ProtocolError as error:
        raise Refused(f"this is not the root to be pinned ({error.code}): {error}", code=error.code, status=422) from error
    now_ms = parts.now_ms()
    opened = Opened(payload=root, kind="root", digest=digest, raw=raw, signers=())

    def store(tx: Transaction) -> _Taken:
        _store(tx, root, opened, who, now_ms)
        standing = Standing(digest=digest, document=root, raw=raw)
        outbox.put(tx, [_parcel(standing)], now_ms)
        return _Taken(digest, (standing,))

    _apply(parts, await parts.database.run(store))
    file = parts.config.root_file
    file.parent.mkdir(mode=0o700, exist_ok=True)
    await asyncio.to_thread(file.write_bytes, raw)
    return await one(parts, who, digest)


async def one(parts: Parts, who: Actor, digest: str) -> DocumentView:
    """A stored document. Raises Refused for one that nobody knows."""
    found = await list_all(parts, who, in_force=False)
    for view in found:
        if view.digest == digest:
            return view
    raise Refused(f"no document {digest[:16]}… is known here", code="unknown-document", status=404)


async def raw(parts: Parts, who: Actor, digest: str) -> bytes:
    """The sealed bytes of a stored document. Raises Refused for one that nobody knows."""
    found = await parts.database.read(lambda tx: documents.by_digest(tx, digest))
    if found is None or not _own(parts, who, found.slot.subject, found.slot.kind):
        raise Refused(f"no document {digest[:16]}… is known here", code="unknown-document", status=404)
    return found.raw


async def context(parts: Parts, who: Actor, kind: str, subject: str, authority: str) -> DocumentContext:
    """What an editor needs: the digest that it replaces, the highest seq, the area's number. Raises Refused."""
    ask(parts, who, "see", subject)
    world, now_ms = parts.world, parts.now_ms()
    chain = world.chain_of(subject)
    if not chain and kind != "root":
        raise Refused(f"area {subject} is not in the controller's tree: see `loa areas`", code="unknown-area", status=404)
    slot = Slot(kind, subject, "-" if kind in ONE_PLACE else authority)

    def read(tx: Transaction) -> tuple[str | None, int]:
        current = next((held.digest for held in documents.of_slot(tx, slot) if held.in_force), None)
        return current, documents.highest_seq(tx, slot)

    prev, highest = await parts.database.read(read)
    return DocumentContext(
        kind=kind,
        subject=subject,
        authority=authority,
        area_no=chain[-1].area_no if chain else 0,
        prev=prev,
        highest_seq=highest,
        now_ms=now_ms,
    )


def _own(parts: Parts, who: Actor, subject: str, kind: str) -> bool:
    """Whether a document is one's business: of one's own areas, or of those above them; root and releases are everybody's."""
    return subject == "root" or kind == "release" or concerns(parts, who, (subject,))


async def list_all(parts: Parts, who: Actor, *, in_force: bool = True) -> list[DocumentView]:
    """Documents by kind and subject, those of one's own areas and of what lies above."""
    found = await parts.database.read(lambda tx: documents.list_views(tx, in_force=in_force))
    return [view for view in found if _own(parts, who, view.subject, view.kind)]
