"""Reads the TOML of a programme or of a station's rules into protocol bodies; each error names file, item and remedy."""

import datetime as dt
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct, structs

from controller.actions.views import MediaView
from protocol.bulletins import Item, ItemRef, LineIn, Media, ProgrammeBody, Relay, Shown, Spoken, Variant
from protocol.documents import Hours, Maintenance, SpecialArea, StationBody
from protocol.units import AreaId, BulletinClass, IssuingLevel, Lang, Name, Seconds, ShortId
from provisioning.errors import InputRefused
from provisioning.tables import read_toml

HERE: Final = ZoneInfo("Asia/Ho_Chi_Minh")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
DAY_MINUTES: Final = 1_440
Weekday = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
Find = Callable[[str, str], MediaView]
"""Turns what an item names (title, digest or path) into a sound of the library; the second word is the item's title."""


class _Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class RelayTable(_Closed, frozen=True, kw_only=True):
    """A stream to relay; after `silence_s` of silence the fallback sounds."""

    url: str
    max_s: Seconds
    silence_s: int = 4
    fallback: str | None = None


class LineTable(_Closed, frozen=True, kw_only=True):
    """The FM tuner or the line input, open for at most `max_s`."""

    source: Literal["fm", "line"]
    max_s: Seconds
    silence_s: int = 4
    fallback: str | None = None


class SpokenTable(_Closed, frozen=True, kw_only=True):
    """A text for the node's own voice; `fallback` is a recording for a language that it cannot speak."""

    text: str
    fallback: str | None = None


class ShownTable(_Closed, frozen=True, kw_only=True):
    """What a board shows for `for_s`."""

    text: str
    for_s: Seconds


class VariantTable(_Closed, frozen=True, kw_only=True):
    """One language of an item, said in one way."""

    lang: Lang = "vi"
    media: str | None = None
    text: SpokenTable | str | None = None
    relay: RelayTable | None = None
    line: LineTable | None = None
    shown: ShownTable | None = None


class ItemTable(_Closed, frozen=True, kw_only=True, rename={"class_": "class"}):
    """One bulletin. `media` alone is one Vietnamese variant."""

    title: Name
    rule: str
    id: ShortId | None = None
    media: str | None = None
    variants: list[VariantTable] = []
    class_: BulletinClass = "normal"
    level: IssuingLevel = "commune"
    issuing_body: str = ""
    source_doc: str = ""
    category: Name = "general"
    risk: int = 0
    from_day: dt.date | None = None
    not_on: list[dt.datetime] = []
    repeats: int = 1
    repeat_gap_s: int = 2
    volume_db: float = 0.0
    grace_s: Seconds = 300
    on_interrupt: Literal["restart", "resume", "drop"] = "restart"


class OrderTable(_Closed, frozen=True, kw_only=True):
    """One bulletin of one issuer, in the order in which they go where they meet."""

    authority: ShortId | None = None
    item: ShortId


class ProgrammeTable(_Closed, frozen=True, kw_only=True):
    """The TOML of `programme publish`."""

    area: AreaId
    authority: ShortId | None = None
    valid_from: dt.date | None = None
    valid_until: dt.date | None = None
    order: Annotated[list[OrderTable], Meta(max_length=400)] = []
    items: Annotated[list[ItemTable], Meta(max_length=400)] = []


class HoursTable(_Closed, frozen=True, kw_only=True, rename={"from_": "from"}):
    """When sound is allowed."""

    days: tuple[Weekday, ...] = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
    from_: str
    to: str


class SpecialTable(_Closed, frozen=True, kw_only=True):
    """Where bulletins sound lower."""

    area: AreaId
    place: Literal["school", "clinic", "worship", "other"]
    volume_db: float


class MaintenanceTable(_Closed, frozen=True, kw_only=True):
    """Where somebody works on the poles, and until when."""

    area: AreaId
    until: dt.datetime


class StationTable(_Closed, frozen=True, kw_only=True):
    """The TOML of `station publish`."""

    area: AreaId
    authority: ShortId | None = None
    volume_db: float = 0.0
    emergency_volume_db: float = 0.0
    sessions_a_day: int | None = None
    session_minutes: int | None = None
    half_inside: Literal["cut", "refuse"] = "cut"
    special: list[SpecialTable] = []
    maintenance: list[MaintenanceTable] = []
    hours: list[HoursTable] = []


def start_of(day: dt.date) -> int:
    """Midnight of a day in Viet Nam, UTC ms."""
    return round(dt.datetime.combine(day, dt.time(0), tzinfo=HERE).timestamp() * 1000)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _media(view: MediaView) -> Media:
    return Media(sha256=view.sha256, bytes=view.bytes, samples=view.samples, loudness_clufs=view.loudness_clufs)


def item_id(title: str, taken: set[str]) -> str:
    """A short id out of a title, in letters that every id may have."""
    plain = unicodedata.normalize("NFD", title.lower().replace("đ", "d"))
    stem = re.sub(r"[^0-9a-z]+", "-", "".join(letter for letter in plain if not unicodedata.combining(letter))).strip("-")[:40]
    stem = stem or "item"
    made, number = stem, 2
    while made in taken:
        made, number = f"{stem}-{number}", number + 1
    return made


def _variant(table: VariantTable, title: str, find: Find) -> Variant:
    def sound(name: str | None) -> Media | None:
        return _media(find(name, title)) if name else None

    spoken = SpokenTable(text=table.text) if isinstance(table.text, str) else table.text
    made = Variant(
        lang=table.lang,
        media=sound(table.media),
        spoken=Spoken(text=_nfc(spoken.text), fallback=sound(spoken.fallback)) if spoken is not None else None,
        shown=Shown(text=_nfc(table.shown.text), for_s=table.shown.for_s) if table.shown is not None else None,
    )
    if (relay := table.relay) is not None:
        stream = Relay(url=relay.url, max_s=relay.max_s, silence_s=relay.silence_s, fallback=sound(relay.fallback))
        made = structs.replace(made, relay=stream)
    if (line := table.line) is not None:
        opened = LineIn(source=line.source, max_s=line.max_s, silence_s=line.silence_s, fallback=sound(line.fallback))
        made = structs.replace(made, line=opened)
    return made


def _item(table: ItemTable, taken: set[str], find: Find) -> Item:
    variants = [VariantTable(media=table.media)] if table.media else list(table.variants)
    if not variants or (table.media and table.variants):
        raise ValueError("name its sound: either media = '...', or [[items.variants]], not both")
    chosen = table.id or item_id(table.title, taken)
    if chosen in taken:
        raise ValueError(f"the id {chosen!r} is used twice: give each item its own")
    taken.add(chosen)
    return Item(
        id=chosen,
        title=_nfc(table.title),
        class_=table.class_,
        level=table.level,
        issuing_body=_nfc(table.issuing_body),
        source_doc=_nfc(table.source_doc),
        category=_nfc(table.category),
        risk=table.risk,
        rrule=table.rule.removeprefix("RRULE:"),
        from_day=f"{table.from_day:%Y%m%d}" if table.from_day else None,
        exdates_ms=tuple(round(_local(each).timestamp() * 1000) for each in table.not_on),
        variants=tuple(_variant(each, table.title, find) for each in variants),
        repeats=table.repeats,
        repeat_gap_s=table.repeat_gap_s,
        volume_cdb=round(table.volume_db * 100),
        grace_s=table.grace_s,
        on_interrupt=table.on_interrupt,
    )


def _local(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=HERE)


def programme_body(path: Path, table: ProgrammeTable, find: Find, authority: str | None = None) -> ProgrammeBody:
    """The items of a programme and their order; `authority` is whose items the order means unless it says so.

    Raises InputRefused naming file and item.
    """
    taken: set[str] = set()
    items = []
    for table_item in table.items:
        try:
            item = _item(table_item, taken, find)
            items.append(msgspec.json.decode(msgspec.json.encode(item), type=Item))
        except (ValueError, msgspec.ValidationError, InputRefused) as error:
            raise InputRefused(f"{path}: item {table_item.title!r}: {error}") from error
    own = authority or table.authority or table.area
    order = tuple(ItemRef(authority=each.authority or own, item=each.item) for each in table.order)
    return ProgrammeBody(items=tuple(items), order=order)


def minute_of(path: Path, text: str) -> int:
    """Minutes of the local day from a time of day. Raises InputRefused."""
    if text == "24:00":
        return DAY_MINUTES
    found = CLOCK.fullmatch(text)
    if not found:
        raise InputRefused(f"{path}: {text!r} is no time of day: write HH:MM, as '05:30' (up to '24:00')")
    return int(found[1]) * 60 + int(found[2])


def station_body(path: Path) -> tuple[StationTable, StationBody]:
    """The operating rules of a station. Raises InputRefused naming file and place."""
    table = read_toml(path, StationTable)
    hours = []
    for each in table.hours:
        start, end = minute_of(path, each.from_), minute_of(path, each.to)
        if start >= end:
            raise InputRefused(f"{path}: hours from {each.from_} to {each.to} end before they begin: split them at midnight")
        hours.append(Hours(days=tuple(each.days), from_min=start, to_min=end))
    body = StationBody(
        hours=tuple(hours),
        volume_cdb=round(table.volume_db * 100),
        emergency_volume_cdb=round(table.emergency_volume_db * 100),
        sessions_a_day=table.sessions_a_day,
        session_max_min=table.session_minutes,
        half_inside=table.half_inside,
        special=tuple(
            SpecialArea(area=each.area, place=each.place, volume_cdb=round(each.volume_db * 100)) for each in table.special
        ),
        maintenance=tuple(
            Maintenance(area=each.area, until_ms=round(_local(each.until).timestamp() * 1000)) for each in table.maintenance
        ),
    )
    try:
        return table, msgspec.json.decode(msgspec.json.encode(body), type=StationBody)
    except msgspec.ValidationError as error:
        raise InputRefused(f"{path}: {error}") from error
