"""How an order leaves a person's hands: planned, sealed for each area, sent, and what could not be known said."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from msgspec import Struct, structs

from controller.actions.views import IncidentView, MediaView, OrderContext
from controller.cli.folder import StateFolder
from controller.cli.link import URGENT_S, Link, ServeSilent
from controller.cli.roundabout import publish_directly
from controller.cli.sealing import Hand, check_clock, choose_authority, close, known_trust, now_ms, objection
from protocol.documents import ChainLink
from protocol.orders import AnyOrder, Clip, ExerciseStart, ExerciseStop, Lift, Start, Stop, Text
from protocol.trust import Trust
from protocol.units import Purpose
from provisioning.ceremony import next_seq
from provisioning.errors import InputRefused
from provisioning.terminal import print_lines, warn

End = Stop | Lift | ExerciseStop
INCIDENT: Final = re.compile(r"[0-9a-f]{16}")
CONTEXT_PATH: Final = "/v1/orders/context"
MAX_NONCES: Final = 256
STARTS: Final = ("emergency", "exercise")


class Words(Struct, frozen=True, kw_only=True):
    """What a START shall say, as the person gave it."""

    text: tuple[Text, ...]
    clips: tuple[str, ...]
    risk: int
    issuing_body: str
    source_doc: str
    repeats: int
    sound_max_s: int
    accept_s: int
    exercise: bool
    incident: str


class Target(Struct, frozen=True, kw_only=True):
    """One area an order goes to. `chain`: the areas above it and itself, as serve knows them."""

    area: str
    area_no: int
    authority: str
    chain: tuple[ChainLink, ...] = ()
    nodes: int | None = None
    nonces: tuple[str, ...] = ()


class Plan(Struct, frozen=True, kw_only=True):
    """Where an order goes, and what serve said (or that it was silent). `media` None: there was no library to look in."""

    targets: tuple[Target, ...]
    power: str
    highest_seq: int
    silence: str | None
    trust: Trust | None
    media: tuple[MediaView, ...] | None = None


class Sent(Struct, frozen=True, kw_only=True):
    """What became of an act: through which way, serve's views, what could not be known, and recordings that did not go along."""

    incident: str | None
    via: Literal["serve", "broker"]
    seqs: tuple[int, ...]
    unknown: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    views: tuple[IncidentView, ...] = ()


def check_incident(text: str) -> str:
    """An incident's id. Raises InputRefused."""
    if not INCIDENT.fullmatch(text):
        raise InputRefused(f"{text!r} is no incident: 16 letters of 0-9 and a-f, as `loa emergency watch` shows them")
    return text


def areas_of(folder: StateFolder, incident: str) -> tuple[str, ...]:
    """Where an incident was started. Raises InputRefused when serve is silent: then the person must say."""
    try:
        with Link(folder.socket, wait_s=URGENT_S) as link:
            return link.get(f"/v1/incidents/{incident}", IncidentView).areas
    except ServeSilent as silent:
        raise InputRefused(f"{silent}. To stop without serve, say where: --area AREA") from silent


def plan(folder: StateFolder, areas: Sequence[str], power: str, hands: Sequence[Hand], authority: str | None) -> Plan:
    """Look every area up: at serve, or when it is silent in areas.json. Raises InputRefused."""
    if len(set(areas)) != len(areas):
        raise InputRefused("one area was named twice")
    trust = known_trust(folder)
    try:
        with Link(folder.socket, wait_s=URGENT_S) as link:
            contexts = [link.get(CONTEXT_PATH, OrderContext, area=area) for area in areas]
            media = tuple(link.get("/v1/media", list[MediaView])) if power in STARTS else ()
    except ServeSilent as silent:
        return _plan_alone(folder, areas, power, hands, authority, trust, str(silent))
    check_clock(contexts[-1].now_ms)
    targets = []
    for context in contexts:
        chain = [link.area for link in context.chain] or [context.area]
        targets.append(_target(context, choose_authority(authority, chain, power, hands, trust)))
    highest = max(context.highest_seq for context in contexts)
    return Plan(targets=tuple(targets), power=power, highest_seq=highest, silence=None, trust=trust, media=media)


def _target(context: OrderContext, authority: str) -> Target:
    return Target(
        area=context.area,
        area_no=context.area_no,
        authority=authority,
        chain=tuple(ChainLink(area=link.area, area_no=link.area_no, level=link.level) for link in context.chain),
        nodes=context.nodes,
        nonces=context.nonces[:MAX_NONCES],
    )


def _at_signing(folder: StateFolder, plan: Plan) -> Plan:
    """The plan again, now that the person has read it and said yes: that may have taken long. Raises InputRefused.

    The clocks are compared once more, since the order is dated now; newer orders and nonces count too.
    """
    if plan.silence is not None:
        return plan
    try:
        with Link(folder.socket, wait_s=URGENT_S) as link:
            contexts = [link.get(CONTEXT_PATH, OrderContext, area=target.area) for target in plan.targets]
    except ServeSilent as silent:
        return structs.replace(plan, silence=str(silent))
    check_clock(contexts[-1].now_ms)
    targets = tuple(_target(context, target.authority) for context, target in zip(contexts, plan.targets, strict=True))
    return structs.replace(plan, targets=targets, highest_seq=max(context.highest_seq for context in contexts))


def _plan_alone(
    folder: StateFolder,
    areas: Sequence[str],
    power: str,
    hands: Sequence[Hand],
    authority: str | None,
    trust: Trust | None,
    silence: str,
) -> Plan:
    known = folder.areas()
    targets = []
    for area in areas:
        row = known.get(area)
        if row is None:
            raise InputRefused(
                f"{silence}. Without it the number of {area!r} is not known ({folder.areas_file} has no such area): "
                "name its settlement or commune"
            )
        parts = area.split(".")
        chain = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
        chosen = choose_authority(authority, chain, power, hands, trust)
        targets.append(Target(area=area, area_no=row.no, authority=chosen))
    return Plan(targets=tuple(targets), power=power, highest_seq=-1, silence=silence, trust=trust)


def show_plan(plan: Plan, kind: str, words: Words) -> None:
    """What is about to be said, and where."""
    lines = [("order", kind), ("risk", str(words.risk)), ("issued by", words.issuing_body)]
    lines += [(f"text {each.lang}", each.text) for each in words.text]
    lines += [("recording", each + (" (LEFT OUT)" if plan.media is None else "")) for each in words.clips]
    for target in plan.targets:
        nodes = "nodes: not known" if target.nodes is None else f"nodes: {target.nodes}"
        lines.append(("where", f"{target.area} ({nodes}), signed under {target.authority}"))
    print_lines(lines)
    if plan.silence:
        warn(f"{plan.silence}. The order will go STRAIGHT TO THE BROKER.", style="bold red")
    if lost := left_out(words, plan):
        warn(without(lost), style="bold red")


def left_out(words: Words, plan: Plan) -> tuple[str, ...]:
    """The recordings that were named and cannot go along, for want of a library."""
    return words.clips if plan.media is None else ()


def without(lost: Sequence[str]) -> str:
    """The sentence about recordings that do not go along."""
    names = ", ".join(repr(each) for each in lost)
    return (
        f"RECORDING LEFT OUT: {names}. Without serve there is no library to look it up in, so nodes speak the written text "
        "alone, and only in languages that they can speak. When serve is back, give the order again with --incident and --clip"
    )


def common(target: Target, plan: Plan, shape: type[AnyOrder]) -> dict[str, Any]:
    """What every order says."""
    purpose: Purpose = "exercise" if shape in (ExerciseStart, ExerciseStop) else "live"
    seq = next_seq(now_ms(), plan.highest_seq)
    return {"authority": target.authority, "area": target.area, "area_no": target.area_no, "seq": seq, "purpose": purpose}


def start_payload(shape: type[Start | ExerciseStart], words: Words, target: Target, plan: Plan) -> Start | ExerciseStart:
    """The START for one area."""
    named = common(target, plan, shape)
    return shape(
        **named,
        incident=words.incident,
        risk=words.risk,
        issuing_body=words.issuing_body,
        source_doc=words.source_doc,
        text=words.text,
        clips=_clips(words, plan),
        repeats=words.repeats,
        accept_until_ms=named["seq"] + words.accept_s * 1000,
        sound_max_s=words.sound_max_s,
        answers=target.nonces,
    )


def _clips(words: Words, plan: Plan) -> tuple[Clip, ...]:
    """The recordings named, looked up in the library; without a library they are left out. Raises InputRefused."""
    if plan.media is None:
        if words.clips and not words.text:
            raise InputRefused(f"{plan.silence}. A recording cannot be named without it: give the words with --text-vi")
        return ()
    purpose: Purpose = "exercise" if words.exercise else "live"
    clips = []
    for entry in words.clips:
        lang, sign, name = entry.partition("=")
        lang, name = (lang, name) if sign else ("vi", entry)
        found = find_media(plan.media, name)
        clips.append(Clip(lang=lang, sha256=found.sha256, bytes=found.bytes, duration_ms=found.duration_ms, purpose=purpose))
    return tuple(clips)


def find_media(library: Sequence[MediaView], name: str) -> MediaView:
    """A sound by its digest or title. Raises InputRefused when there is none, or several of one title."""
    found = [each for each in library if each.sha256 == name] or [each for each in library if each.title == name]
    if not found:
        raise InputRefused(f"the library has no sound {name!r}: see `loa media list`, add it with `loa media add FILE --title`")
    if len(found) > 1:
        digests = ", ".join(each.sha256[:12] for each in found)
        raise InputRefused(f"{len(found)} sounds are titled {name!r} ({digests}…): name one by its digest")
    return found[0]


def send(folder: StateFolder, plan: Plan, hands: Sequence[Hand], payload: Callable[[Target, Plan], AnyOrder]) -> Sent:
    """Seal for each area and send: to serve, or straight to the broker when it is silent. Raises InputRefused."""
    plan = _at_signing(folder, plan)
    letters = []
    for target in plan.targets:
        order = payload(target, plan)
        raw = close(order, hands)
        if wrong := objection(order, raw, plan.trust, target.chain):
            raise InputRefused(f"every node of {target.area} would refuse this order, so it was not sent: {wrong}")
        letters.append((order, raw))
    incident = letters[0][0].incident
    seqs = tuple(order.seq for order, _raw in letters)
    silence = plan.silence
    views: list[IncidentView] = []
    if silence is None:
        try:
            with Link(folder.socket, wait_s=URGENT_S) as link:
                for _order, raw in letters:
                    views.append(link.post_sealed("/v1/orders", raw, IncidentView))
        except ServeSilent as silent:
            silence = str(silent)
        else:
            return Sent(incident=incident, via="serve", seqs=seqs, views=tuple(views))
    unknown = asyncio.run(publish_directly(folder, letters[len(views) :], silence))
    return Sent(incident=incident, via="broker", seqs=seqs, unknown=unknown, views=tuple(views))
