"""What a person is asked to sign in the browser: the exact bytes of each order, made at the moment of signing.

The bytes are made for the key that will sign them, since an order names the grant by which it is signed. Nothing that the
browser sends back is trusted: what comes goes through the same door as what `loa` sends.
"""

import base64
import secrets
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from controller.actions import emergencies
from controller.actions.asking import ask, ask_somewhere, own_share
from controller.actions.orders import MAX_NONCES
from controller.core import access
from controller.core.orders import OrderStored
from controller.core.peek import stored
from controller.core.world import World
from controller.errors import Refused
from controller.parts import Actor, Parts, Wanted
from controller.store import media, nodes, orders, people, waiting
from controller.store import world as stored_world
from controller.store.database import Transaction
from protocol.documents import ChainLink
from protocol.errors import ProtocolError, TooFewPersons
from protocol.messages import payload_type
from protocol.orders import AnyOrder, ExerciseStart, ExerciseStop, Lift, Start, Stop, Text
from protocol.rules import Me, authorise

WANTED_MS: Final = 15 * 60_000
MOST_WANTED: Final = 200
WAIT_MS: Final = 10 * 60_000
"""How long a first signature waits for the second."""
LEAST_LEFT_MS: Final = 60_000
"""A START that waits ends this long before nodes would no longer take it."""
SEQ_AHEAD_MS: Final = 60_000
Act = Literal["START", "STOP", "LIFT"]
RIGHTS: Final[dict[str, access.Act]] = {"START": "emergency.start", "STOP": "emergency.stop", "LIFT": "emergency.lift"}
"""What the sign-in must allow before a signature under each is asked for, and again when it comes back."""


class OrderToSign(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order: its payload in base64 and its type; `sealed` when another person has signed it already."""

    type: str
    payload: str
    sealed: str = ""


class ToSign(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the signing page gets: bytes, the server's time, and names that are only this controller's word."""

    now_ms: int
    act: Act
    second: bool
    orders: tuple[OrderToSign, ...]
    names: dict[str, str]
    titles: dict[str, str]
    by: str = ""
    needs_more: bool = False
    cancel: str = "/"


async def start(parts: Parts, who: Actor, draft_id: str) -> Wanted:
    """Ask for the signature under a draft. Raises Refused."""
    ask_somewhere(who, "emergency.start")
    held = emergencies.pending(parts, who, draft_id)
    return _keep(
        parts, who, Wanted(act="START", areas=held.areas, request=held.request, incident=secrets.token_hex(8), draft=draft_id)
    )


async def end(
    parts: Parts, who: Actor, act: Literal["STOP", "LIFT"], incident: str | None, areas: tuple[str, ...] = (), reason: str = ""
) -> Wanted:
    """Ask for the signature under a STOP or LIFT: of an incident (in all its areas unless some are named), or of areas.

    Of several areas one ends what lies in one's own. Raises Refused.
    """
    ask_somewhere(who, RIGHTS[act])
    known = await parts.database.read(lambda tx: orders.of_key(tx, incident)) if incident else []
    if incident and not known:
        raise Refused(f"no incident {incident} is known here", code="unknown-incident", status=404)
    groups = await parts.database.read(stored_world.groups)
    wanted = areas or tuple(dict.fromkeys(order.mark.area for order in known))
    named = next((order.mark for order in known if order.mark.incident is not None), None)
    exercise = named is not None and named.kind == "exercise" and act == "STOP"
    return _keep(
        parts,
        who,
        Wanted(
            act=act,
            areas=own_share(parts, who, RIGHTS[act], emergencies.resolve(parts.world, wanted, groups)),
            incident=named.incident if named else None,
            exercise=exercise,
            reason=reason,
        ),
    )


async def again(parts: Parts, who: Actor, incident: str) -> Wanted:
    """Ask to sign the newest START of an incident again, for its nodes that have no clock. Raises Refused."""
    ask_somewhere(who, "emergency.start")
    known = await parts.database.read(lambda tx: orders.of_key(tx, incident))
    starts = [order for order in known if order.mark.op == "START"]
    if not starts or known[-1].mark.op != "START":
        raise Refused("there is nothing of this incident to be said again", code="unknown-incident", status=404)
    areas = own_share(parts, who, "emergency.start", tuple(dict.fromkeys(order.mark.area for order in starts)))
    return _keep(parts, who, Wanted(act="START", areas=areas, incident=starts[-1].mark.incident, again=True))


async def second(parts: Parts, who: Actor, waiting_id: str) -> Wanted:
    """Ask for one more signature under what waits. Raises Refused."""
    ask_somewhere(who, "emergency.stop")
    held = await parts.database.read(lambda tx: waiting.find(tx, waiting_id, parts.now_ms()))
    if held is None:
        raise gone()
    if held.created_by == who.name:
        raise Refused("this needs another person: who signed first cannot be the second too", code="second", status=403)
    return _keep(parts, who, Wanted(act=_act(held.op), areas=held.areas, waiting=waiting_id))


def gone() -> Refused:
    """What was to be signed is no more."""
    return Refused("this waits no longer (sent, dropped or expired)", code="no-wanted", status=404)


def _act(op: str) -> Act:
    return "START" if op == "START" else "STOP" if op == "STOP" else "LIFT"


def _keep(parts: Parts, who: Actor, wanted: Wanted) -> Wanted:
    ask(parts, who, RIGHTS[wanted.act], *wanted.areas)
    now_ms = parts.now_ms()
    alive = [one for one in parts.wanted.values() if one.expires_ms > now_ms][-MOST_WANTED:]
    kept = msgspec.structs.replace(wanted, token=secrets.token_urlsafe(24), created_by=who.name, expires_ms=now_ms + WANTED_MS)
    parts.wanted = {one.token: one for one in (*alive, kept)}
    return kept


def find(parts: Parts, token: str) -> Wanted:
    """What was asked for under this token. Raises Refused."""
    wanted = parts.wanted.get(token)
    if wanted is None or wanted.expires_ms <= parts.now_ms():
        raise gone()
    return wanted


def needs_two(world: World, wanted: Wanted) -> bool:
    """Whether the page itself asks for a second person: a START for more than one commune. A STOP waits for nobody."""
    return wanted.act == "START" and not wanted.again and emergencies.is_wide(world, wanted.areas)


async def prepare(parts: Parts, token: str, keyid: str) -> ToSign:
    """The bytes to be signed by this key now. Raises Refused, also for a key that may not sign this."""
    wanted = find(parts, token)
    return await (_second(parts, wanted) if wanted.waiting else _first(parts, wanted, keyid))


async def _second(parts: Parts, wanted: Wanted) -> ToSign:
    held = await parts.database.read(lambda tx: waiting.find(tx, wanted.waiting, parts.now_ms()))
    if held is None:
        raise gone()
    payloads = [stored(raw) for raw in held.raws]
    outers = [msgspec.json.decode(raw) for raw in held.raws]
    names = await _names_of_people(parts)
    return ToSign(
        now_ms=parts.now_ms(),
        act=wanted.act,
        second=True,
        orders=tuple(
            OrderToSign(type=outer["payloadType"], payload=outer["payload"], sealed=raw.decode())
            for outer, raw in zip(outers, held.raws, strict=True)
        ),
        names={payload.area: parts.world.name_of(payload.area) for payload in payloads},
        titles=await _titles(parts),
        by=names.get(held.created_by, held.created_by),
        cancel="/waiting",
    )


async def _names_of_people(parts: Parts) -> dict[str, str]:
    return await parts.database.read(lambda tx: {person.name: person.full_name for person in people.list_all(tx)})


async def _titles(parts: Parts) -> dict[str, str]:
    return {view.sha256: view.title for view in await parts.database.read(media.list_all)}


async def _first(parts: Parts, wanted: Wanted, keyid: str) -> ToSign:
    world, now_ms = parts.world, parts.now_ms()

    def read(tx: Transaction) -> tuple[list[OrderStored], dict[str, int], dict[str, str]]:
        known = orders.of_key(tx, wanted.incident) if wanted.incident else []
        highest = {area: orders.highest_seq(tx, area) for area in wanted.areas} if wanted.act != "START" else {}
        return known, highest, nodes.nonces_without_clock(tx)

    known, highest, nonces = await parts.database.read(read)
    newest = max((order.mark.seq for order in known), default=0)
    made, more = [], needs_two(world, wanted)
    for area in wanted.areas:
        seq = max(now_ms, newest + 1, highest.get(area, 0) + 1)
        if seq > now_ms + SEQ_AHEAD_MS:
            raise Refused("an order from the future is known there: check the controller's clock", code="clock", status=409)
        fields = await _fields(parts, wanted, area, known, nonces, wide=more)
        payload, alone = _empowered(world, parts, fields, area, keyid, seq, [order.mark.authority for order in known])
        made.append(payload)
        more = more or not alone
    return ToSign(
        now_ms=now_ms,
        act=wanted.act,
        second=False,
        orders=tuple(
            OrderToSign(type=payload_type(one.kind), payload=base64.b64encode(msgspec.json.encode(one)).decode()) for one in made
        ),
        names={area: world.name_of(area) for area in wanted.areas},
        titles=await _titles(parts),
        needs_more=more,
        cancel=f"/emergency/review/{wanted.draft}"
        if wanted.draft
        else f"/incident/{wanted.incident}"
        if wanted.incident
        else "/",
    )


async def _fields(
    parts: Parts, wanted: Wanted, area: str, known: list[OrderStored], nonces: dict[str, str], *, wide: bool
) -> dict[str, Any]:
    """What the order for an area says, but for the grant and the time."""
    common = {"incident": wanted.incident, "area_no": parts.world.chain_of(area)[-1].area_no}
    answers = emergencies.answers_in(parts.world, area, nonces)
    if wanted.again:
        old = next(order for order in reversed(known) if order.mark.op == "START" and order.mark.area == area)
        start = stored(old.raw)
        return msgspec.structs.asdict(start) | {"shape": type(start), "answers": answers}
    if wanted.act != "START":
        shape = Lift if wanted.act == "LIFT" else ExerciseStop if wanted.exercise else Stop
        return common | {"shape": shape, "reason": wanted.reason}
    request = wanted.request
    if request is None:
        raise gone()
    accept_ms = emergencies.accept_s(request) * 1000
    return common | {
        "shape": ExerciseStart if request.exercise else Start,
        "risk": request.risk,
        "issuing_body": request.issuing_body,
        "source_doc": request.source_doc,
        "text": tuple(Text(lang=text.lang, text=text.text) for text in request.texts),
        "clips": await emergencies.clips_of(parts, request),
        "repeats": request.repeats,
        "accept_ms": accept_ms + (WAIT_MS if wide and not request.exercise else 0),
        "sound_max_s": request.sound_max_s,
        "answers": answers[:MAX_NONCES],
    }


def _written(fields: dict[str, Any], area: str, authority: str, seq: int) -> AnyOrder:
    values = {name: value for name, value in fields.items() if name not in ("shape", "accept_ms", "kind")}
    shape: type[AnyOrder] = fields["shape"]
    purpose = "exercise" if shape in (ExerciseStart, ExerciseStop) else "live"
    values |= {"area": area, "authority": authority, "seq": seq, "purpose": purpose}
    if "accept_ms" in fields:
        values["accept_until_ms"] = seq + fields["accept_ms"]
    try:
        return msgspec.convert(msgspec.to_builtins(shape(**values)), shape)
    except (msgspec.ValidationError, ValueError) as error:
        raise Refused(f"this order breaks the limits of its kind: {error}", code="text", status=422) from error


def _empowered(
    world: World, parts: Parts, fields: dict[str, Any], area: str, keyid: str, seq: int, before: list[str]
) -> tuple[AnyOrder, bool]:
    """The order under the grant by which this key may say it: alone, or else with others. Raises Refused.

    An incident's own grant goes first (who began it, ends it), then the narrowest.
    """
    chain = world.chain_of(area)
    trust = world.trust.standing_in(chain)
    together: AnyOrder | None = None
    for authority in dict.fromkeys((*before, *_upwards(chain), "root")):
        if not trust.signers(authority, [keyid]) or any(one.service for one in trust.signers(authority, [keyid])):
            continue
        order = _written(fields, area, authority, seq)
        try:
            authorise(order, (keyid,), trust=trust, me=Me(), now=parts.clock)
        except TooFewPersons:
            together = together or order
        except ProtocolError:
            continue
        else:
            return order, True
    if together is not None:
        return together, False
    raise Refused(
        f"no grant in force lets key {keyid[:16]}… sign this for {world.name_of(area)}: put its public half into a grant",
        code="key-not-empowered",
        status=403,
    )


def _upwards(chain: tuple[ChainLink, ...]) -> list[str]:
    return [link.area for link in reversed(chain)]


async def media_size(parts: Parts, token: str, sha256: str) -> int:
    """The size of a recording that is to be signed: the page hears what it signs. Raises Refused for any other."""
    wanted = find(parts, token)
    named = set(wanted.request.clips) if wanted.request else set()
    if wanted.waiting:
        held = await parts.database.read(lambda tx: waiting.find(tx, wanted.waiting, parts.now_ms()))
        named = {clip.sha256 for raw in (held.raws if held else ()) for clip in getattr(stored(raw), "clips", ())}
    if wanted.again and wanted.incident:
        known = await parts.database.read(lambda tx: orders.of_key(tx, wanted.incident or ""))
        named = {clip.sha256 for order in known for clip in getattr(stored(order.raw), "clips", ())}
    library = {view.sha256: view.bytes for view in await parts.database.read(media.list_all)}
    if sha256 not in named or sha256 not in library:
        raise Refused(f"recording {sha256[:16]}… is not among what is to be signed", code="unknown-media", status=404)
    return library[sha256]
