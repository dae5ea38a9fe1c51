"""From a document to one in force: its slot at serve, the difference shown, signed, handed in."""

import difflib
from collections.abc import Sequence

import msgspec

from controller.actions.views import DocumentContext, OrderContext
from controller.cli import previewing
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.orders import CONTEXT_PATH
from controller.cli.sealing import Hand, check_clock, choose_authority, close, known_trust, objection
from controller.cli.trust import Taken
from protocol.bulletins import Item, Programme, ProgrammeBody, Variant
from protocol.documents import Station
from provisioning.errors import InputRefused
from provisioning.papers import unwrapped
from provisioning.showing import moment
from provisioning.terminal import ask, print_json, say


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """Where a document goes: the slot's context and what is in force there now."""

    context: DocumentContext
    current: Programme | Station | None


def slot_of(link: Link, kind: str, area: str, authority: str) -> Slot:
    """Ask serve what stands in a slot, and hold the clocks against each other. Raises InputRefused."""
    context = link.get("/v1/documents/context", DocumentContext, kind=kind, subject=area, authority=authority)
    check_clock(context.now_ms)
    if context.prev is None:
        return Slot(context=context, current=None)
    return Slot(context=context, current=in_force(link, context.prev, Programme if kind == "programme" else Station))


def in_force(link: Link, digest: str, shape: type[Programme | Station]) -> Programme | Station:
    """The document of this digest, which serve verified when it came. Raises InputRefused."""
    return unwrapped(link.get_bytes(f"/v1/documents/{digest}"), shape)


def authority_for(link: Link, folder: StateFolder, area: str, given: str | None, power: str, hands: Sequence[Hand]) -> str:
    """Under which authority these hands may sign this for an area. Raises InputRefused."""
    context = link.get(CONTEXT_PATH, OrderContext, area=area)
    return choose_authority(given, [each.area for each in context.chain] or [area], power, hands, known_trust(folder))


def _words(item: Item) -> str:
    sounds = ", ".join(f"{each.lang} {way(each)}" for each in item.variants)
    more = [f"{item.repeats} x"] if item.repeats > 1 else []
    more += [word for word in (item.issuing_body, item.source_doc) if word]
    return " | ".join([item.title, item.class_, item.rrule, sounds, f"{item.volume_cdb / 100:.1f} dB", *more])


def way(variant: Variant) -> str:
    """How one language is said, in a word or two."""
    if variant.media is not None:
        return variant.media.sha256[:12]
    if variant.spoken is not None:
        return f"“{variant.spoken.text[:40]}”"
    if variant.relay is not None:
        return f"{variant.relay.url} {variant.relay.max_s} s"
    if variant.line is not None:
        return f"{variant.line.source} {variant.line.max_s} s"
    return "shown on boards"


def difference(old: Programme | Station | None, new: Programme | Station) -> list[str]:
    """What changes, line by line: + new, - gone."""

    def lines(document: Programme | Station | None) -> list[str]:
        if document is None:
            return []
        body = document.body
        if isinstance(body, ProgrammeBody):
            return [_words(item) for item in body.items]
        return msgspec.json.format(msgspec.json.encode(body)).decode().splitlines()

    return [line for line in difflib.ndiff(lines(old), lines(new)) if not line.startswith(("?", "  "))]


def publish(
    link: Link,
    folder: StateFolder,
    document: Programme | Station,
    current: Programme | Station | None,
    hands: Sequence[Hand],
    *,
    how: tuple[bool, bool, bool],
    accept_findings: bool = False,
) -> None:
    """Show the difference and what it leads to, ask, sign and hand in. `how` is (yes, dry_run, as_json).

    Nothing is signed before it was seen: the findings of a programme's next seven days come before the question.
    """
    yes, dry_run, as_json = how
    changes = difference(current, document)
    view = previewing.of_draft(link, document) if isinstance(document, Programme) else None
    found = view.findings if view is not None else ()
    if not as_json:
        say(f"{document.kind} of {document.subject} under {document.authority}, until {moment(document.valid_until_ms)}:")
        for line in changes or ["  (nothing changes)"]:
            say(line, style="green" if line.startswith("+") else "red" if line.startswith("-") else "")
        if view is not None:
            previewing.show_findings(found)
            previewing.show_tomorrow(view)
    if view is not None:
        previewing.refuse(view)
    if dry_run:
        _signed(folder, document, hands)
        if as_json:
            print_json({"published": False, "changes": changes, "findings": found, "document": document})
        else:
            say("Nothing was published (--dry-run).")
        return
    if yes and not accept_findings:
        previewing.refuse_unseen(found)
    errors = sum(each.severity == "error" for each in found)
    publishes = f"Publish this {document.kind}"
    ask(f"{errors} errors were found. {publishes} all the same?" if errors else f"{publishes}?", yes=yes)
    taken = link.post_sealed("/v1/documents", _signed(folder, document, hands), Taken)
    if as_json:
        print_json({"published": True, "digest": taken.digest, "changes": changes, "findings": found})
    else:
        say(f"Published {document.kind} of {taken.subject}, digest {taken.digest}", style="bold")


def _signed(folder: StateFolder, document: Programme | Station, hands: Sequence[Hand]) -> bytes:
    """The sealed document. Raises InputRefused when no node would take it."""
    raw = close(document, hands)
    if wrong := objection(document, raw, known_trust(folder)):
        raise InputRefused(f"every node would refuse this {document.kind}, so it was not published: {wrong}")
    return raw
