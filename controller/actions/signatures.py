"""What comes back signed from the browser: let out when enough persons signed, else kept for the second one, for a while."""

import secrets
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from controller.actions import orders as submitting
from controller.actions import wanted
from controller.actions.asking import allowed, ask, ask_somewhere
from controller.core import peek
from controller.core.peek import stored
from controller.errors import Refused
from controller.parts import Actor, Parts, Wanted
from controller.store import nodes, notes, orders, people, waiting
from controller.store.database import Transaction
from controller.store.waiting import Waiting
from protocol.envelope import Opened, payload_of, signed_by, unseal
from protocol.errors import ProtocolError, TooFewPersons
from protocol.orders import AnyOrder, ExerciseStart, Start
from protocol.rules import Me
from protocol.units import MAX_MS

IN_BROWSER: Final = "browser"
MOST_WAITING: Final = 20
MOST_WAITING_OF_ONE: Final = 3
MOST_BYTES: Final = 1 << 20


class Taken(Struct, frozen=True, kw_only=True):
    """What became of signed orders: an incident that went out, or something that waits for another person."""

    incident: str = ""
    waiting: str = ""


class WaitingView(Struct, frozen=True, kw_only=True):
    """What waits for a second signature."""

    id: str
    op: str
    kind: Literal["order", "exercise"]
    area_names: tuple[str, ...]
    says: str
    risk: int
    by: str
    by_me: bool
    expires_ms: int


async def take(parts: Parts, who: Actor, token: str, raws: Sequence[bytes]) -> Taken:
    """Take in what was asked for under this token, signed. Raises Refused with the reason that a node would give."""
    ask_somewhere(who, "emergency.stop")
    asked = wanted.find(parts, token)
    if asked.created_by != who.name:
        raise wanted.gone()
    ask(parts, who, wanted.RIGHTS[asked.act], *asked.areas)
    before = await _before(parts, asked)
    _as_asked(asked, raws, before)
    if await _enough(parts, asked, raws):
        taken = Taken(incident=await _let_out(parts, who, asked, raws, before))
    else:
        taken = Taken(waiting=await _keep(parts, who, asked, raws, before))
    parts.wanted.pop(token, None)
    parts.drafts.pop(asked.draft, None)
    return taken


async def _before(parts: Parts, asked: Wanted) -> Waiting | None:
    if not asked.waiting:
        return None
    held = await parts.database.read(lambda tx: waiting.find(tx, asked.waiting, parts.now_ms()))
    if held is None:
        raise wanted.gone()
    return held


def _as_asked(asked: Wanted, raws: Sequence[bytes], before: Waiting | None) -> None:
    """Each area once, the act and the incident that were asked for; for a second signature the very same payloads.

    What the words are is not held against the draft: whoever signs decides, and the right to sign is judged by the door.
    """
    try:
        claims = [peek.peek(raw) for raw in raws]
        payloads = [payload_of(raw) for raw in raws]
    except ProtocolError as error:
        raise Refused(f"what the signing page sent is no order: {error}", code="malformed", status=422) from error
    same = sorted(claim.area for claim in claims) == sorted(asked.areas) and {claim.op for claim in claims} == {asked.act}
    if before is None:
        same = same and {claim.incident for claim in claims} == {asked.incident}
    else:
        same = same and {claim.digest for claim in claims} == {peek.peek(raw).digest for raw in before.raws}
    if not same or not all(isinstance(payload, AnyOrder) for payload in payloads):
        raise Refused("these are not the orders that were to be signed: sign again", code="other-order", status=422)


async def _enough(parts: Parts, asked: Wanted, raws: Sequence[bytes]) -> bool:
    """Whether every order has the persons that it needs; what else is wrong with one is said when it is taken in."""
    world, clock = parts.world, parts.clock
    least = 2 if wanted.needs_two(world, asked) else 1

    def judge(tx: Transaction) -> list[Opened]:
        found = []
        for raw in raws:
            claim = peek.peek(raw)
            areas = world.chain_of(claim.area)
            seen = orders.memory_of(tx, [link.area for link in areas], claim.incident, claim.seq, claim.digest)
            found.append(unseal(raw, topic=None, trust=world.trust.standing_in(areas), me=Me(), now=clock, seen=seen))
        return found

    try:
        opened = await parts.database.read(judge)
    except TooFewPersons:
        return False
    except ProtocolError:
        return True
    return all(len(one.persons) >= least for one in opened)


async def _let_out(parts: Parts, who: Actor, asked: Wanted, raws: Sequence[bytes], before: Waiting | None) -> str:
    actor = who
    if before is not None and before.created_by != who.name:
        actor = msgspec.structs.replace(who, name=f"{before.created_by}+{who.name}")
    only = None
    if asked.again:
        without = await parts.database.read(nodes.nonces_without_clock)
        only = tuple(sorted({node for area in asked.areas for node in parts.world.nodes_in(area) if node in without}))
    origin = submitting.Origin(requested_at_ms=parts.now_ms(), sealed_with=IN_BROWSER, only_nodes=only)
    view = await submitting.submit_all(parts, actor, raws, origin)
    if before is not None:
        await parts.database.run(lambda tx: waiting.drop(tx, before.id))
        parts.live.changed("reload")
    return view.incident


def _persons(parts: Parts, raw: bytes) -> int:
    """How many persons of the order's own grant have signed it. Raises Refused when any signature is of somebody else."""
    claim = peek.peek(raw)
    trust = parts.world.trust.standing_in(parts.world.chain_of(claim.area))
    good, signatures = signed_by(raw, trust)
    signers = [signer for signer in trust.signers(claim.authority, good) if not signer.service]
    if len(signers) != signatures:
        raise Refused("a key has signed that may not sign this, so it was not kept", code="not-empowered", status=403)
    return len({signer.person for signer in signers})


async def _keep(parts: Parts, who: Actor, asked: Wanted, raws: Sequence[bytes], before: Waiting | None) -> str:
    persons = min(_persons(parts, raw) for raw in raws)
    if before is not None:
        if persons <= before.persons or who.name == before.created_by:
            raise Refused("this needs another person: who signed first cannot be the second too", code="second", status=403)
        await parts.database.run(lambda tx: waiting.signed_by_more(tx, before.id, tuple(raws), persons))
        return before.id
    now_ms = parts.now_ms()
    kept = Waiting(
        id=secrets.token_hex(8),
        op=asked.act,
        kind=peek.peek(raws[0]).kind,
        areas=asked.areas,
        raws=tuple(raws),
        persons=persons,
        created_by=who.name,
        created_ms=now_ms,
        expires_ms=min([now_ms + wanted.WAIT_MS, *(_until_ms(raw) for raw in raws)]),
    )
    if sum(map(len, raws)) > MOST_BYTES or kept.expires_ms <= now_ms:
        raise Refused("this cannot wait for a second signature: it is too large, or its time is nearly over", code="no-wait")

    def put(tx: Transaction) -> None:
        waiting.sweep(tx, now_ms)
        if waiting.count(tx) >= MOST_WAITING or waiting.count(tx, who.name) >= MOST_WAITING_OF_ONE:
            raise Refused(
                "too much waits for a second signature already: sign or drop some of it", code="too-many-waiting", status=429
            )
        waiting.put(tx, kept)
        detail = f"areas {', '.join(asked.areas)}"
        notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="signature.first", what=kept.id, detail=detail)

    await parts.database.run(put, urgent=True)
    parts.live.changed("reload")
    return kept.id


def _until_ms(raw: bytes) -> int:
    payload = stored(raw)
    if not isinstance(payload, Start | ExerciseStart):
        return MAX_MS
    return payload.accept_until_ms - wanted.LEAST_LEFT_MS


async def list_waiting(parts: Parts, who: Actor) -> list[WaitingView]:
    """What waits for a second signature, oldest first: of what one may start, stop or lift oneself."""

    def read(tx: Transaction) -> tuple[list[Waiting], dict[str, str]]:
        return waiting.list_all(tx, parts.now_ms()), {person.name: person.full_name for person in people.list_all(tx)}

    found, names = await parts.database.read(read)
    own = [one for one in found if all(allowed(parts, who, wanted.RIGHTS[one.op], area) for area in one.areas)]
    return [_view(parts, who, one, names) for one in own]


def _view(parts: Parts, who: Actor, one: Waiting, names: dict[str, str]) -> WaitingView:
    payload = stored(one.raws[0])
    start = payload if isinstance(payload, Start | ExerciseStart) else None
    return WaitingView(
        id=one.id,
        op=one.op,
        kind="exercise" if one.kind == "exercise" else "order",
        area_names=tuple(parts.world.name_of(area) for area in one.areas),
        says=next((text.text for text in start.text), "") if start else "",
        risk=start.risk if start else 0,
        by=names.get(one.created_by, one.created_by),
        by_me=one.created_by == who.name,
        expires_ms=one.expires_ms,
    )


async def drop(parts: Parts, who: Actor, waiting_id: str) -> None:
    """Forget what waits; nothing of it goes out. Raises Refused for what one could not sign either."""
    ask_somewhere(who, "emergency.stop")
    now_ms = parts.now_ms()

    def forget(tx: Transaction) -> None:
        held = waiting.find(tx, waiting_id, now_ms)
        if held is None:
            return
        ask(parts, who, wanted.RIGHTS[held.op], *held.areas)
        if waiting.drop(tx, waiting_id):
            notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="signature.dropped", what=waiting_id)

    await parts.database.run(forget)
    parts.live.changed("reload")
