"""Emergencies as people ask for them: a draft, a relay's start by its service key; what became of each on every node."""

import secrets
from collections.abc import Iterable
from typing import Final

import msgspec

from controller.actions import orders as submitting
from controller.actions.areas import area_or_node
from controller.actions.asking import allowed, ask, ask_somewhere, concerns
from controller.actions.reseal import BY_SIGNER
from controller.actions.views import Draft, IncidentView, Request
from controller.core import progress as folding
from controller.core.world import World
from controller.errors import Refused
from controller.parts import Actor, Parts, Pending
from controller.signing import Asked
from controller.store import media, nodes, orders, people
from controller.store import world as stored_world
from controller.store.database import Transaction
from protocol.orders import Clip, Text

DRAFT_MS: Final = 10 * 60_000
EXERCISE_ACCEPT_S: Final = 600
LISTED: Final = 200
MAX_NONCES: Final = 256


async def draft(parts: Parts, who: Actor, request: Request) -> Draft:
    """Resolve and check a request; nothing goes out before it is signed. Raises Refused."""
    ask_somewhere(who, "emergency.start")
    world, now_ms = parts.world, parts.now_ms()
    groups = await parts.database.read(stored_world.groups)
    areas = resolve(world, request.areas, groups)
    ask(parts, who, "emergency.start", *areas)
    covered = sorted(set().union(*(world.nodes_in(area) for area in areas)), key=world.name_of)
    states = await parts.database.read(nodes.all_states)
    texts, clips = _checked_words(request, {view.sha256: view.bytes for view in await parts.database.read(media.list_all)})
    made = Draft(
        id=secrets.token_hex(8),
        areas=tuple(area_or_node(world, area) for area in areas),
        node_count=len(covered),
        node_names=tuple(world.name_of(node) for node in covered),
        offline=tuple(world.name_of(node) for node in covered if states[node].online != "online"),
        without_clock=tuple(world.name_of(node) for node in covered if states[node].clock_state == "unknown"),
        needs_second_person=is_wide(world, areas),
        reads="\n".join([text.text for text in texts] or [f"({clip})" for clip in clips]),
        exercise=request.exercise,
        created_by=who.name,
        expires_ms=now_ms + DRAFT_MS,
        request=request,
    )
    parts.drafts = {key: held for key, held in parts.drafts.items() if held.draft.expires_ms > now_ms}
    parts.drafts[made.id] = Pending(made, request, areas)
    return made


def resolve(world: World, wanted: tuple[str, ...], groups: list[stored_world.Group]) -> tuple[str, ...]:
    """Groups become their communes; what lies in another wanted area is left to that."""
    by_group = {group.id: group.communes for group in groups}
    flat = dict.fromkeys(area for each in wanted for area in by_group.get(each, (each,)))
    if not flat:
        raise Refused("choose at least one area", code="no-area")
    for area in flat:
        if not world.chain_of(area):
            raise Refused(f"area {area} is not in the controller's tree", code="unknown-area", status=404)
    return tuple(area for area in flat if not any(link.area in flat for link in world.chain_of(area)[:-1]))


def is_wide(world: World, areas: Iterable[str]) -> bool:
    """Whether these are more than one commune: then two persons sign, on two devices."""
    communes = {world.commune_of(area) for area in areas}
    return None in communes or len(communes) > 1


def _checked_words(request: Request, library: dict[str, int]) -> tuple[tuple[Text, ...], tuple[str, ...]]:
    if not request.texts and not request.clips:
        raise Refused("write what is to be said, or choose a recorded clip", code="no-text")
    for clip in request.clips:
        if clip not in library:
            raise Refused(f"the library has no sound {clip[:16]}…", code="unknown-media", status=404)
    if len(request.clip_langs) not in (0, len(request.clips)):
        raise Refused("each clip needs its language", code="clip-lang")
    try:
        return msgspec.convert([msgspec.structs.asdict(text) for text in request.texts], tuple[Text, ...]), request.clips
    except msgspec.ValidationError as error:
        raise Refused(f"the text cannot be sent: {error}", code="text", status=422) from error


async def read_draft(parts: Parts, who: Actor, draft_id: str) -> Draft:
    """One's own draft, while it waits. Raises Refused."""
    return pending(parts, who, draft_id).draft


def pending(parts: Parts, who: Actor, draft_id: str) -> Pending:
    """The same with its request and its areas."""
    held = parts.drafts.get(draft_id)
    if held is None or held.draft.expires_ms <= parts.now_ms() or held.draft.created_by != who.name:
        raise Refused("this draft is gone (sent, expired, or another person's): write it again", code="no-draft", status=404)
    return held


async def start_by_service(parts: Parts, who: Actor, request: Request) -> IncidentView:
    """A relay's START: recordings that the commune's grant lists, sealed by the signer. Raises Refused."""
    ask_somewhere(who, "emergency.start")
    requested_at_ms, world = parts.now_ms(), parts.world
    if request.texts:
        raise Refused("a service key says recordings that its grant lists, and no words", code="service-words", status=403)
    drafted = await draft(parts, who, request)
    held = parts.drafts.pop(drafted.id)
    nonces = await parts.database.read(nodes.nonces_without_clock)
    clips, incident = await clips_of(parts, request), secrets.token_hex(8)
    raws = [
        await parts.signer.seal(
            Asked(
                kind="exercise" if request.exercise else "order",
                authority=_commune(world, area),
                area=area,
                area_no=world.chain_of(area)[-1].area_no,
                incident=incident,
                now_ms=parts.now_ms(),
                risk=request.risk,
                issuing_body=request.issuing_body,
                source_doc=request.source_doc,
                clips=clips,
                repeats=request.repeats,
                accept_s=accept_s(request),
                sound_max_s=request.sound_max_s,
                answers=answers_in(world, area, nonces),
            )
        )
        for area in held.areas
    ]
    return await submitting.submit_all(
        parts, who, raws, submitting.Origin(requested_at_ms=requested_at_ms, sealed_with=BY_SIGNER)
    )


def accept_s(request: Request) -> int:
    """How long nodes may still take a START."""
    return min(request.accept_s, EXERCISE_ACCEPT_S) if request.exercise else request.accept_s


def answers_in(world: World, area: str, nonces: dict[str, str]) -> tuple[str, ...]:
    """The nonces of the nodes of an area that have no clock."""
    return tuple([nonces[node] for node in sorted(world.nodes_in(area)) if node in nonces][:MAX_NONCES])


async def clips_of(parts: Parts, request: Request) -> tuple[Clip, ...]:
    """The recordings of a request as an order names them."""
    library = {view.sha256: view for view in await parts.database.read(media.list_all)} if request.clips else {}
    langs = request.clip_langs or ("vi",) * len(request.clips)
    return tuple(
        Clip(
            lang=lang,
            sha256=sha256,
            bytes=library[sha256].bytes,
            duration_ms=library[sha256].duration_ms,
            purpose="exercise" if request.exercise else "live",
        )
        for sha256, lang in zip(request.clips, langs, strict=True)
    )


def _commune(world: World, area: str) -> str:
    commune = world.commune_of(area)
    if commune is None:
        raise Refused(
            f"{world.name_of(area)} lies in no commune: an officer's own key must seal that", code="too-wide", status=403
        )
    return commune


async def incidents(parts: Parts, who: Actor, since_ms: int = 0) -> list[IncidentView]:
    """Incidents that are one's business, since a time, newest first, with counts and without rows."""
    world, now_ms = parts.world, parts.now_ms()

    def read(tx: Transaction) -> list[IncidentView]:
        keys = orders.keys_since(tx, since_ms, LISTED)
        views = [submitting.read_view(tx, world, key, now_ms, with_rows=False) for key in keys]
        names = {person.name: person.full_name for person in people.list_all(tx)}
        own = [view for view in views if view is not None and concerns(parts, who, view.areas)]
        return [folding.with_name(view, names.get(view.created_by, "")) for view in own]

    return await parts.database.read(read)


async def progress(parts: Parts, who: Actor, incident: str) -> IncidentView:
    """An incident with one row for each node that is one's own. Raises Refused for one that nobody knows."""
    world, now_ms = parts.world, parts.now_ms()

    def read(tx: Transaction) -> IncidentView | None:
        view = submitting.read_view(tx, world, incident, now_ms, with_rows=True)
        if view is None:
            return None
        found = people.find(tx, view.created_by)
        return folding.with_name(view, found.person.full_name if found else "")

    view = await parts.database.read(read)
    if view is None or not concerns(parts, who, view.areas):
        raise Refused(f"no incident {incident} is known here", code="unknown-incident", status=404)
    return msgspec.structs.replace(view, rows=tuple(row for row in view.rows if allowed(parts, who, "see", row.node)))
