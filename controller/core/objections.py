"""What only makes sense at publishing: a programme that cannot be meant is refused in one sentence, signed or not yet. Pure."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice, pairwise
from typing import Final

from msgspec import structs

from controller.core import finding_words as words
from controller.core.findings import Finding
from controller.core.world import World, media_of
from protocol.bulletins import Item, Programme, ProgrammeBody
from protocol.languages import LANGUAGES, is_known
from protocol.programme import length_ms
from protocol.recurrence import DAY_MS, occurrences, zone

MOST_A_DAY: Final = 300
"""Plays of one document on one local day: one every 4 minutes, day and night, and more than any station was seen to need."""
LOOKED_AT: Final = 200
"""So many occurrences of an item are compared with each other: all of 50 days at 4 a day, ten firing days at 20 a day."""


def objections(world: World, programme: Programme, known_media: frozenset[str] | set[str]) -> Iterator[Finding]:
    """What speaks against publishing a programme at all, the first thing first. A withdrawal needs only its area."""
    chain = world.chain_of(programme.subject)
    if not chain or chain[-1].area_no != programme.area_no:
        yield _said("area", None, subject=programme.subject, number=programme.area_no)
        return
    span = {"at": words.stamp(programme.valid_from_ms), "until": words.stamp(programme.valid_until_ms)}
    if programme.valid_until_ms <= programme.valid_from_ms:
        yield _said("ends-before", None, **span)
        return
    for item in programme.body.items:
        yield from _of_languages(item)
        yield from _of_media(item, known_media)
        yield from _of_times(item, programme, span)
    yield from _of_number(programme)
    yield from _of_order(world, programme)


def _said(code: str, item: Item | None = None, /, **more: object) -> Finding:
    if item is not None:
        more["a"] = item.title
    vi, en = words.sentences(code, **more)
    return Finding(severity="error", code=code, vi=vi, en=en, item=item.id if item else str(more.get("item", "")))


def _of_languages(item: Item) -> Iterator[Finding]:
    for lang in sorted({variant.lang for variant in item.variants if not is_known(variant.lang)}):
        yield _said("language", item, lang=lang, known=", ".join(LANGUAGES))


def _of_media(item: Item, known_media: frozenset[str] | set[str]) -> Iterator[Finding]:
    for sha256 in sorted(media_of(item) - known_media):
        yield _said("media", item, digest=sha256[:12])


def _of_times(item: Item, programme: Programme, span: dict[str, str]) -> Iterator[Finding]:
    """An item that never comes, or that still sounds when it comes again."""
    planned = _times(programme, item)
    if not planned:
        if until := _ends_early(item, programme):
            yield _said("until-before", item, at=span["at"], until=until)
        elif item.exdates_ms and _times(programme, structs.replace(item, exdates_ms=())):
            yield _said("excepted", item)
        else:
            yield _said("never", item, rule=item.rrule, **span)
    sounds_ms = length_ms(item)
    for one, following in pairwise(planned):
        if following - one < sounds_ms:
            yield _said("self-overlap", item, length=words.duration(sounds_ms), at=words.stamp(following))
            return


def _times(programme: Programme, item: Item) -> list[int]:
    alone = structs.replace(programme, body=ProgrammeBody(items=(item,)))
    every = occurrences(alone, "", programme.valid_from_ms, programme.valid_until_ms)
    return [each.planned_ms for each in islice(every, LOOKED_AT)]


def _ends_early(item: Item, programme: Programme) -> str:
    """The end that a rule names, if that lies before the programme's first instant; else nothing."""
    named = dict(part.partition("=")[::2] for part in item.rrule.split(";")).get("UNTIL")
    if named is None:
        return ""
    until = datetime.strptime(named, "%Y%m%dT%H%M%S").replace(tzinfo=zone(item.tz))
    return f"{until:%H:%M %d/%m/%Y}" if until.timestamp() * 1_000 < programme.valid_from_ms else ""


def _of_number(programme: Programme) -> Iterator[Finding]:
    """More plays on a day than anybody means. Days are only walked when the rules could reach that number at all."""
    if sum(_most_a_day(item) for item in programme.body.items) <= MOST_A_DAY:
        return
    day = words.local(programme.valid_from_ms).replace(hour=0, minute=0, second=0, microsecond=0)
    begin_ms = round(day.timestamp() * 1_000)
    while begin_ms < programme.valid_until_ms:
        plays = islice(occurrences(programme, "", begin_ms, begin_ms + DAY_MS), MOST_A_DAY + 1)
        if sum(1 for _ in plays) > MOST_A_DAY:
            yield _said("too-often", None, day=words.written(words.local(begin_ms).date()), most=MOST_A_DAY)
            return
        begin_ms += DAY_MS


def _most_a_day(item: Item) -> int:
    parts = dict(part.partition("=")[::2] for part in item.rrule.split(";"))
    times = 1
    for name in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        times *= len(set(parts.get(name, "0").split(",")))
    return times


def _of_order(world: World, programme: Programme) -> Iterator[Finding]:
    """The written order names bulletins of this programme, or of one in force anywhere."""
    if not programme.body.order:
        return
    standing = [held.document for held in tuple(world.standing.values())]  # a copy: the loop may add to it meanwhile
    held = [document for document in standing if isinstance(document, Programme) and not _replaced(document, programme)]
    named = {(each.authority, item.id) for each in (*held, programme) for item in each.body.items}
    for ref in programme.body.order:
        if (ref.authority, ref.item) not in named:
            yield _said("order", None, item=ref.item, authority=ref.authority)


def _replaced(document: Programme, by: Programme) -> bool:
    return (document.subject, document.authority) == (by.subject, by.authority)
