"""`loa suspend`: one delegate voids a key at once, through serve or, like a STOP, straight to the broker when serve is silent."""

import asyncio
import unicodedata
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import Struct, structs

from controller.actions.trust_views import SuspendView
from controller.actions.views import OrderContext
from controller.cli.folder import StateFolder
from controller.cli.link import URGENT_S, Link, ServeSilent
from controller.cli.options import DEFAULT_STATE, AuthorityOption, JsonOption, SecretOption, StateOption, YesOption
from controller.cli.orders import CONTEXT_PATH
from controller.cli.roundabout import publish_letters
from controller.cli.sealing import Hand, check_clock, choose_authority, close, known_trust, now_ms, objection, open_hands
from controller.direct import Letter
from protocol import topics
from protocol.documents import ChainLink
from protocol.passing import SUSPEND_MAX_MS, Suspend
from protocol.trust import Trust, public_key
from provisioning.ceremony import next_seq
from provisioning.errors import InputRefused
from provisioning.showing import moment
from provisioning.terminal import ask, print_json, print_lines, print_table, say, warn

HOUR_MS: Final = 3_600_000
PATH: Final = "/v1/suspends"
MaybeKeys = Annotated[list[Path] | None, typer.Option("--key", help="A delegate's key file, of an area above (or the root's).")]


class Voided(Struct, frozen=True, kw_only=True):
    """A key to be suspended, in the area whose grant names it."""

    area: str
    key_id: str
    person: str


class Place(Struct, frozen=True, kw_only=True):
    """What is known of that area; `silence` says why only its number is."""

    area_no: int
    chain: tuple[ChainLink, ...] = ()
    highest_seq: int = -1
    silence: str | None = None


class Sent(Struct, frozen=True, kw_only=True):
    """What became of one suspension."""

    area: str
    key_id: str
    person: str
    until_ms: int
    via: str
    unknown: tuple[str, ...] = ()
    view: SuspendView | None = None


def suspend(
    *,
    key_id: Annotated[str | None, typer.Option(help="The key, by its id or the beginning of it.")] = None,
    person: Annotated[str | None, typer.Option(help="Or all keys of this person.")] = None,
    area: Annotated[
        str | None, typer.Option(help="Only as the grant of this area names it; else every grant known here.")
    ] = None,
    hours: Annotated[int, typer.Option(min=1, max=72, help="For how long.")] = 72,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="End a suspension instead.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Only show what is suspended.")] = False,
    key: MaybeKeys = None,
    authority: AuthorityOption = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Suspend a key that may be in wrong hands: nothing of it counts any more, and what sounds of it ends, within seconds."""
    folder = StateFolder(state).require()
    if list_:
        _show(folder, as_json=as_json)
        return
    trust = known_trust(folder)
    if trust is None:
        raise InputRefused("no grants are kept here, so no key is known: take them in with `loa trust import`")
    hands = open_hands(key or (), passphrase_file)
    if not hands:
        raise InputRefused("name the key of one delegate with --key")
    found = _found(trust, key_id, person, area)
    if not as_json:
        print_lines([("key", f"{each.key_id[:16]}… of {each.person} in {each.area}") for each in found])
    ask("Lift their suspension?" if lift else f"Suspend for {hours} h? What sounds of them ends at once.", yes=yes)
    said = unicodedata.normalize("NFC", reason)
    sent = [_send(folder, each, trust, hands, authority, None if lift else hours, said) for each in found]
    if as_json:
        print_json(sent)
        return
    for each in sent:
        what = "lifted" if lift else f"suspended until {moment(each.until_ms)}"
        say(f"Key {each.key_id[:16]}… of {each.person} in {each.area}: {what}.", style="bold")
        for line in each.unknown:
            warn(line, style="bold red")
    say("For good: two delegates sign a grant without the key (docs/van-hanh.md)." if not lift else "")


def _found(trust: Trust, key_id: str | None, person: str | None, area: str | None) -> list[Voided]:
    """The keys meant, once for each grant that names them. Raises InputRefused."""
    if (key_id is None) == (person is None):
        raise InputRefused("say which key: either --key-id or --person")
    found = [
        Voided(area=grant.subject, key_id=public_key(each.public).keyid, person=each.person)
        for grant in trust.grants.values()
        for each in grant.body.keys
        if area in (None, grant.subject) and person in (None, each.person)
    ]
    found = [each for each in found if key_id is None or each.key_id.startswith(key_id)]
    if not found:
        raise InputRefused(f"no grant kept here names {key_id or person}: see `loa trust list`, or import the newest grant")
    if key_id is not None and len({each.key_id for each in found}) > 1:
        raise InputRefused(f"{len(found)} keys begin with {key_id}: give more of it")
    return found


def _place(folder: StateFolder, each: Voided) -> Place:
    try:
        with Link(folder.socket, wait_s=URGENT_S) as link:
            context = link.get(CONTEXT_PATH, OrderContext, area=each.area)
            known = link.get(PATH, list[SuspendView])
    except ServeSilent as silent:
        row = folder.areas().get(each.area)
        if row is None:
            raise InputRefused(f"{silent}. Without it the number of {each.area!r} is not known") from silent
        return Place(area_no=row.no, silence=str(silent))
    check_clock(context.now_ms)
    chain = tuple(ChainLink(area=one.area, area_no=one.area_no, level=one.level) for one in context.chain)
    same = [view.seq for view in known if (view.area, view.key_id) == (each.area, each.key_id)]
    return Place(area_no=context.area_no, chain=chain, highest_seq=max(same, default=-1))


def _send(
    folder: StateFolder,
    each: Voided,
    trust: Trust,
    hands: tuple[Hand, ...],
    authority: str | None,
    hours: int | None,
    reason: str,
) -> Sent:
    place = _place(folder, each)
    parts = each.area.split(".")
    above = [link.area for link in place.chain[:-1]] or [".".join(parts[: depth + 1]) for depth in range(len(parts) - 1)]
    seq = next_seq(now_ms(), place.highest_seq)
    what = Suspend(
        authority=choose_authority(authority, above or ["root"], "delegate", hands, trust),
        area=each.area,
        area_no=place.area_no,
        seq=seq,
        purpose="routine",
        key_id=each.key_id,
        until_ms=seq if hours is None else min(seq + hours * HOUR_MS, seq + SUSPEND_MAX_MS),
        reason=reason,
    )
    raw = close(what, hands)
    if wrong := objection(what, raw, trust, place.chain):
        raise InputRefused(f"every node would refuse this, so it was not sent: {wrong}")
    sent = Sent(area=each.area, key_id=each.key_id, person=each.person, until_ms=what.until_ms, via="serve")
    silence = place.silence
    if silence is None:
        try:
            with Link(folder.socket, wait_s=URGENT_S) as link:
                return structs.replace(sent, view=link.post_sealed(PATH, raw, SuspendView))
        except ServeSilent as silent:
            silence = str(silent)
    topic = topics.topic("suspend", area=each.area, key=each.key_id)
    letter = Letter(topic=topic, raw=raw, retain=True, expiry_s=-(-(what.forgotten_ms - seq) // 1000))
    return structs.replace(sent, via="broker", unknown=asyncio.run(publish_letters(folder, [letter], silence)))


def _show(folder: StateFolder, *, as_json: bool) -> None:
    with Link(folder.socket) as link:
        views = link.get(PATH, list[SuspendView])
    if as_json:
        print_json(views)
        return
    rows = [
        (
            view.key_id[:16] + "…",
            view.person,
            view.area,
            "lifted" if view.lifts else "SUSPENDED" if view.in_force else "over",
            moment(view.until_ms)[:19],
            f"{view.held} of {view.nodes}",
            view.authority,
            view.reason,
        )
        for view in views
    ]
    print_table(("key", "person", "area", "state", "until", "held by nodes", "signed under", "reason"), rows)
