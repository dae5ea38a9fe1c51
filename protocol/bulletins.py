"""A programme and its bulletins (bản tin): what is said or shown, whose, when, in which languages, and instead of what."""

from typing import Annotated, Literal

from msgspec import Meta

from protocol.units import (
    BulletinClass,
    Cdb,
    Document,
    IssuingLevel,
    Lang,
    Ms,
    Name,
    Seconds,
    Sha256,
    ShortId,
    Strict,
)

FileBytes = Annotated[int, Meta(ge=1, le=2**31)]


class Media(Strict, frozen=True, kw_only=True):
    """A prepared sound: digest and size of the file, its true length in samples at 48 kHz, its measured loudness."""

    sha256: Sha256
    bytes: FileBytes
    samples: Annotated[int, Meta(ge=1, le=48_000 * 14_400)]
    codec: Literal["opus"] = "opus"
    loudness_clufs: int | None = None


class Spoken(Strict, frozen=True, kw_only=True):
    """A text for the node's own voice; a language that it cannot speak falls back to the recording."""

    text: Annotated[str, Meta(min_length=1, max_length=4_000)]
    fallback: Media | None = None


class Relay(Strict, frozen=True, kw_only=True):
    """A stream to be relayed (tiếp sóng) for at most `max_s`, with a recording for when it is silent for `silence_s`."""

    url: Annotated[str, Meta(max_length=500)]
    max_s: Seconds
    silence_s: Annotated[int, Meta(ge=1, le=60)] = 4
    fallback: Media | None = None


class LineIn(Strict, frozen=True, kw_only=True):
    """The FM tuner or line input, open for at most `max_s` from this bulletin's time, and closed outside of it."""

    source: Literal["fm", "line"]
    max_s: Seconds
    silence_s: Annotated[int, Meta(ge=1, le=60)] = 4
    fallback: Media | None = None


class Picture(Strict, frozen=True, kw_only=True):
    """A picture or film for a board: digest, size and form of the file."""

    sha256: Sha256
    bytes: FileBytes
    codec: Literal["png", "jpeg", "h264"]


class Shown(Strict, frozen=True, kw_only=True):
    """What a board (bảng tin điện tử) shows for `for_s`; a loudspeaker alone passes over it."""

    text: Annotated[str, Meta(max_length=4_000)] = ""
    picture: Picture | None = None
    for_s: Seconds


class Variant(Strict, frozen=True, kw_only=True):
    """One language of a bulletin, said in exactly one way."""

    lang: Lang
    media: Media | None = None
    spoken: Spoken | None = None
    relay: Relay | None = None
    line: LineIn | None = None
    shown: Shown | None = None


class Item(Strict, frozen=True, kw_only=True):
    """A bulletin with the rule of its times; variants play in their written order, all of them `repeats` times.

    `rrule` is RFC 5545 in local time of `tz`, counted from midnight of `from_day` (YYYYMMDD; else of the document's first day),
    so that "every second week" keeps its weeks when the programme is published anew.
    """

    id: ShortId
    title: Name
    class_: BulletinClass = "normal"
    level: IssuingLevel = "commune"
    issuing_body: Annotated[str, Meta(max_length=200)] = ""
    source_doc: Annotated[str, Meta(max_length=200)] = ""
    category: Name = "general"
    risk: Annotated[int, Meta(ge=0, le=5)] = 0
    rrule: Annotated[str, Meta(max_length=500)]
    from_day: Annotated[str, Meta(pattern=r"^[0-9]{8}\Z")] | None = None
    exdates_ms: Annotated[tuple[Ms, ...], Meta(max_length=400)] = ()
    tz: Name = "Asia/Ho_Chi_Minh"
    variants: Annotated[tuple[Variant, ...], Meta(min_length=1, max_length=8)]
    repeats: Annotated[int, Meta(ge=1, le=20)] = 1
    repeat_gap_s: Annotated[int, Meta(ge=0, le=3_600)] = 2
    volume_cdb: Cdb = 0
    grace_s: Seconds = 300
    on_interrupt: Literal["restart", "resume", "drop"] = "restart"


class ItemRef(Strict, frozen=True, kw_only=True):
    """One bulletin of one issuer."""

    authority: ShortId
    item: ShortId


class ProgrammeBody(Strict, frozen=True, kw_only=True):
    """The bulletins of one issuer for one area; withdrawn by a newer empty one.

    `order` is the commune's word on which of several bulletins of one class goes first where they meet, its own and others'.
    """

    items: Annotated[tuple[Item, ...], Meta(max_length=400)]
    order: Annotated[tuple[ItemRef, ...], Meta(max_length=400)] = ()


class Programme(Document, frozen=True, kw_only=True):
    """What plays when (chương trình)."""

    kind: Literal["programme"] = "programme"
    body: ProgrammeBody
