"""Keys suspended: the one way in, whoever signed and whichever way it came; and what stands now, with who holds it."""

from functools import partial

from controller.actions.asking import ask, ask_somewhere, concerns
from controller.actions.orders import refuse
from controller.actions.trust_views import SuspendView
from controller.core import peek
from controller.core.suspends import SuspendHeld
from controller.core.world import World
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import documents, nodes, notes, orders, outbox
from controller.store.database import Transaction
from controller.store.documents import DocumentStored
from protocol.envelope import Opened, unseal
from protocol.errors import Malformed, ProtocolError, WrongType
from protocol.passing import Suspend
from protocol.rules import Clock, Me
from protocol.seen import Mark, Seen
from protocol.suspension import slot_of_suspend


async def submit(parts: Parts, who: Actor, raw: bytes, *, topic: str | None = None) -> SuspendView:
    """Take a suspension in and let it out to its area, before all documents. The same bytes again change nothing.

    `topic`: where it was published already, so only who lags is sent it.

    Raises Refused with the reason that a node would give.
    """
    claim: peek.Claim | None = None
    ask_somewhere(who, "key.suspend")
    try:
        claim = peek.peek(raw)
        ask(parts, who, "key.suspend", claim.area)
        work = partial(_take, world=parts.world, clock=parts.clock, who=who, raw=raw, claim=claim, topic=topic)
        held, parcels = await parts.database.run(work, urgent=True)
    except ProtocolError as error:
        await refuse(parts, error, topic or "posted", claim.digest if claim else "")
        raise Refused(f"this suspension was refused ({error.code}): {error}", code=error.code, status=422) from error
    if held is not None:
        parts.world.take_suspend(held)
        parts.expect(held.what.area)
        parts.fresh += parcels
        parts.wake.set()
        parts.offers.set()
        parts.live.changed("reload")
    return next(view for view in await list_all(parts, who, over=True) if view.digest == claim.digest)


def _take(
    tx: Transaction, *, world: World, clock: Clock, who: Actor, raw: bytes, claim: peek.Claim, topic: str | None
) -> tuple[SuspendHeld | None, list[outbox.Parcel]]:
    chain = world.chain_of(claim.area)
    if claim.kind != "suspend":
        raise WrongType(f"a {claim.kind or 'document of an unknown type'} suspends no key")
    if not chain:
        raise Malformed(f"area {claim.area!r} is not in the controller's tree")
    trust = world.trust.standing_in(chain)
    opened = unseal(raw, topic=topic, trust=trust, me=Me(), now=clock, seen=_seen(world))
    suspend = opened.payload
    if not isinstance(suspend, Suspend):
        raise WrongType(f"a {opened.kind} suspends no key")
    if chain[-1].area_no != suspend.area_no:
        raise Malformed(f"area {claim.area} has number {chain[-1].area_no}, the suspension says {suspend.area_no}")
    if not opened.fresh:
        return None, []
    held = SuspendHeld(digest=opened.digest, what=suspend, raw=raw, keyids=opened.keyids)
    _store(tx, held, opened, who, clock.wall_ms)
    orders.close_void(tx, world.trust_with(held), world, clock)
    if topic is not None:
        return held, []
    parcel = outbox.Parcel(topic=held.topic, payload=raw, rank=outbox.ORDER_RANK, retain=True, expires_ms=held.what.forgotten_ms)
    return held, outbox.put(tx, [parcel], clock.wall_ms)


def _seen(world: World) -> Seen:
    return Seen({slot: Mark(held.what.seq, held.digest) for slot, held in world.suspends.items()})


def _store(tx: Transaction, held: SuspendHeld, opened: Opened, who: Actor, now_ms: int) -> None:
    what = held.what
    stored = DocumentStored(
        digest=held.digest,
        slot=slot_of_suspend(what),
        authority=what.authority,
        seq=what.seq,
        raw=held.raw,
        keyids=held.keyids,
        persons=opened.persons,
        valid_from_ms=what.seq,
        valid_until_ms=what.forgotten_ms,
        created_by=who.name,
    )
    documents.add(tx, stored, now_ms)
    act = "key.lift" if what.lifts else "key.suspend"
    detail = f"key {what.key_id}, until {what.until_ms}, {', '.join(opened.persons)} signed, digest {held.digest}: {what.reason}"
    notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act=act, what=what.area, detail=detail)


async def list_all(parts: Parts, who: Actor, *, over: bool = False) -> list[SuspendView]:
    """Every suspension and lift that still means something (`over`: the others too), newest first; of one's own areas."""
    world, now_ms = parts.world, parts.now_ms()
    states = await parts.database.read(nodes.all_states)
    views = []
    for held in world.suspends.values():
        what = held.what
        if not concerns(parts, who, (what.area,)) or (not over and now_ms >= what.forgotten_ms):
            continue
        inside = world.nodes_in(what.area)
        trust = world.trust.standing_in(world.chain_of(what.area))
        persons = world.persons_of(what.area)
        views.append(
            SuspendView(
                digest=held.digest,
                area=what.area,
                area_name=world.name_of(what.area),
                key_id=what.key_id,
                person=persons.get(what.key_id, ""),
                authority=what.authority,
                seq=what.seq,
                until_ms=what.until_ms,
                reason=what.reason,
                lifts=what.lifts,
                in_force=not what.lifts and what.key_id in trust.suspended(what.area, parts.clock),
                nodes=len(inside),
                held=sum(1 for node in inside if node in states and held.digest in states[node].holds),
            )
        )
    return sorted(views, key=lambda view: -view.seq)
