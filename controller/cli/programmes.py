"""`loa programme`: what plays when, from a TOML file to a signed document in force, after the difference was seen."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Final

import typer

from controller.actions.preview_views import PreviewView
from controller.actions.views import DocumentView, MediaView
from controller.cli import previewing
from controller.cli.folder import StateFolder
from controller.cli.library import add_file, seconds
from controller.cli.link import Link
from controller.cli.options import (
    DEFAULT_STATE,
    AuthorityOption,
    DryOption,
    JsonOption,
    KeyOption,
    SecretOption,
    StateOption,
    YesOption,
)
from controller.cli.orders import find_media
from controller.cli.programme_file import DIGEST, ProgrammeTable, programme_body, start_of
from controller.cli.publishing import Slot, authority_for, in_force, publish, slot_of, way
from controller.cli.sealing import now_ms, open_hands
from protocol.bulletins import Item, Programme, ProgrammeBody
from protocol.documents import Station
from protocol.errors import Malformed
from protocol.recurrence import check
from provisioning.ceremony import next_seq
from provisioning.errors import InputRefused
from provisioning.showing import moment
from provisioning.tables import read_toml
from provisioning.terminal import print_json, print_lines, print_table, say

LONGEST: Final = dt.timedelta(days=45)
AUDIO_ENDINGS: Final = frozenset({".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".mka", ".mp4", ".wma"})


PROGRAMME_EXAMPLE: Final = r"""Example of programme.toml (only area, title, rule and one way to sound are needed):

area = "52.24076"
valid_from = 2026-12-01
valid_until = 2026-12-31                  # at most 45 days
order = \[{item = "ban-tin-sang"}, {authority = "52", item = "tin-tinh"}]   # who goes first where they meet

\[\[items]]
title = "Bản tin sáng"
rule = "FREQ=DAILY;BYHOUR=5;BYMINUTE=30"  # RFC 5545, local time
media = "ban-tin.mp3"   # a file beside this one, a title or a digest of the library
id = "ban-tin-sang"
class = "priority"                        # or normal
level = "commune"                         # settlement, commune, district, province, central
issuing_body = "UBND xã Phú Túc"
source_doc = "Số 12/TB-UBND"
risk = 0                                  # 0-5
from_day = 2026-12-01                     # weeks of "every second week" count from here
not_on = \[2026-12-25T05:30:00]
repeats = 2
repeat_gap_s = 5
volume_db = -3.0
grace_s = 300
on_interrupt = "resume"                   # restart, resume, drop

\[\[items]]
title = "Nhiều cách phát"
rule = "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=17;BYMINUTE=0"
\[\[items.variants]]
text = "Kính mời bà con đi họp."          # the node's own voice; else {text = "...", fallback = "ban-ghi.mp3"}
\[\[items.variants]]
lang = "jra"
media = "ban-tin-jrai.mp3"
\[\[items.variants]]
relay = {url = "https://dai.example.vn/1", max_s = 1800, silence_s = 4, fallback = "nhac.mp3"}
\[\[items.variants]]
line = {source = "fm", max_s = 1800}      # or "line"
\[\[items.variants]]
shown = {text = "Lịch tiêm chủng", for_s = 600}
"""
app = typer.Typer(no_args_is_help=True, help="What plays when (chương trình).")


class Sounds:
    """The library as an item names it; a file is added first (in a dry run only said)."""

    def __init__(self, link: Link, folder: Path, *, dry_run: bool, quiet: bool) -> None:
        self._link = link
        self._folder = folder
        self._dry_run = dry_run
        self._quiet = quiet
        self._library = link.get("/v1/media", list[MediaView])
        self.pending: list[Path] = []

    def find(self, name: str, title: str) -> MediaView:
        """A sound by digest, title or path. Raises InputRefused."""
        path = self._folder / name
        listed = any(name in (each.sha256, each.title) for each in self._library)
        if listed or DIGEST.fullmatch(name) or not (path.is_file() or path.suffix.lower() in AUDIO_ENDINGS):
            return find_media(self._library, name)
        if self._dry_run:
            if not path.is_file():
                raise InputRefused(f"sound {path} does not exist: check the name")
            self.pending.append(path)
            length_ms = previewing.length_of(path)
            return MediaView(
                sha256=previewing.UNKNOWN_SHA256, bytes=1, samples=length_ms * 48, duration_ms=length_ms, loudness_clufs=0,
                true_peak_cdbtp=0, source_name=name, title=title, created_by="", created_ms=0,
            )  # fmt: skip
        made = add_file(self._link, path, title, quiet=self._quiet)
        self._library.append(made)
        return made


def _programme(table: ProgrammeTable, body: ProgrammeBody, slot: Slot) -> Programme:
    """A programme for a slot. Raises InputRefused."""
    at_ms = now_ms()
    begins = start_of(table.valid_from) if table.valid_from else at_ms
    longest = begins + round(LONGEST.total_seconds() * 1000)
    ends = start_of(table.valid_until) + 86_400_000 if table.valid_until else longest
    if ends > longest:
        raise InputRefused(f"valid until {moment(ends)}: a programme is valid for at most 45 days, until {moment(longest)}")
    if ends <= begins:
        raise InputRefused(f"valid_until ({moment(ends)}) lies before valid_from ({moment(begins)}): correct one of the two")
    if ends <= at_ms:
        raise InputRefused(f"valid_until lies in the past ({moment(ends)}): give a later day")
    made = Programme(
        authority=slot.context.authority,
        area=table.area,
        area_no=slot.context.area_no,
        seq=next_seq(at_ms, slot.context.highest_seq),
        purpose="routine",
        subject=table.area,
        prev=slot.context.prev,
        valid_from_ms=begins,
        valid_until_ms=ends,
        body=body,
    )
    try:
        check(made)
    except Malformed as error:
        raise InputRefused(f"{error}: correct its rule") from error
    return made


@app.command("publish", help=f"Publish a programme.\n\n\b\n{PROGRAMME_EXAMPLE}")
def publish_(
    file: Annotated[Path, typer.Argument(help="A TOML file as in the example above.")],
    *,
    key: KeyOption,
    authority: AuthorityOption = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    accept_findings: Annotated[
        bool,
        typer.Option(
            help="With --yes: publish although the preview of the next 7 days found errors (cut or skipped bulletins, a first "
            "sound before 05:00). Warnings and notes never hinder; what cannot be meant at all is always refused."
        ),
    ] = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Publish a programme from a TOML file, after the next 7 days were looked at. Nothing is signed before that."""
    folder = StateFolder(state).require()
    table = read_toml(file, ProgrammeTable)
    if not table.items:
        raise InputRefused(f"{file} has no [[items]]: to take a programme away use `loa programme withdraw`")
    hands = open_hands(key, passphrase_file)
    with Link(folder.socket) as link:
        chosen = authority_for(link, folder, table.area, authority or table.authority, "programme", hands)
        slot = slot_of(link, "programme", table.area, chosen)
        sounds = Sounds(link, file.parent, dry_run=dry_run, quiet=as_json)
        made = _programme(table, programme_body(file, table, sounds.find, chosen), slot)
        for path in sounds.pending if not as_json else ():
            say(f"Would add {path} to the library.")
        publish(link, folder, made, slot.current, hands, how=(yes, dry_run, as_json), accept_findings=accept_findings)


@app.command("withdraw", epilog="loa programme withdraw --area 52.24076 --key chu-tich.key")
def withdraw(
    *,
    area: Annotated[str, typer.Option(help="The area whose programme ends.")],
    key: KeyOption,
    authority: AuthorityOption = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Take a programme away: a newer, empty one takes its place."""
    folder = StateFolder(state).require()
    hands = open_hands(key, passphrase_file)
    with Link(folder.socket) as link:
        chosen = authority_for(link, folder, area, authority, "programme", hands)
        slot = slot_of(link, "programme", area, chosen)
        if slot.current is None:
            raise InputRefused(f"{area} has no programme under {chosen}: nothing to withdraw")
        made = _programme(ProgrammeTable(area=area), ProgrammeBody(items=()), slot)
        publish(link, folder, made, slot.current, hands, how=(yes, dry_run, as_json))


@app.command("preview", epilog="loa programme preview --area 52.24076 --days 3 --file chuong-trinh.toml")
def preview(
    *,
    area: Annotated[str | None, typer.Option(help="The area; with --file its own area unless you say another.")] = None,
    days: Annotated[int, typer.Option(min=1, max=45, help="How many days.")] = 7,
    from_: Annotated[str | None, typer.Option("--from", help="The first day, dd/mm/yyyy; else today.")] = None,
    node: Annotated[str | None, typer.Option(help="Only this node.")] = None,
    file: Annotated[Path | None, typer.Option(help="A draft, looked at as if it were published. Nothing is.")] = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """What will sound where in the next days, and what to know of it."""
    folder = StateFolder(state).require()
    from_ms = previewing.day_of(from_) if from_ is not None else None
    with Link(folder.socket) as link:
        if file is not None:
            made = _draft(link, file)
            view = previewing.of_draft(link, made, area=area, days=days, from_ms=from_ms, node=node)
        elif area is not None:
            view = link.get(previewing.PREVIEW_PATH, PreviewView, area=area, days=days, from_ms=from_ms, node=node)
        else:
            raise InputRefused("say where: --area 52.24076, or --file with a draft")
    if as_json:
        print_json(view)
        return
    previewing.show(view)
    previewing.show_findings((*view.refusals, *view.findings))
    previewing.show_tomorrow(view)


def _draft(link: Link, file: Path) -> Programme:
    """A programme as a file would make it, with nothing added to the library. Raises InputRefused."""
    table = read_toml(file, ProgrammeTable)
    slot = slot_of(link, "programme", table.area, table.authority or table.area)
    sounds = Sounds(link, file.parent, dry_run=True, quiet=True)
    return _programme(table, programme_body(file, table, sounds.find), slot)


@app.command("show", epilog="loa programme show --area 52.24076")
def show(
    *,
    area: Annotated[str, typer.Option(help="The area.")],
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """What is in force in an area, of every authority."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        listed = link.get("/v1/documents", list[DocumentView], kind="programme", subject=area)
        shown = [(view, in_force(link, view.digest, Programme)) for view in listed if view.in_force]
        titles = {each.sha256: each for each in link.get("/v1/media", list[MediaView])}
    if as_json:
        print_json([{"digest": view.digest, "programme": document} for view, document in shown])
        return
    if not shown:
        say(f"{area} has no programme of its own.")
    for view, document in shown:
        print_lines(
            [("authority", view.authority), ("until", moment(view.valid_until_ms)), ("signed by", ", ".join(view.persons))]
        )
        print_table(("item", "class", "rule", "sounds", "volume"), [_shown(item, titles) for item in _items(document)])


def _items(document: Programme | Station) -> tuple[Item, ...]:
    return document.body.items if isinstance(document, Programme) else ()


def _shown(item: Item, titles: dict[str, MediaView]) -> tuple[str, ...]:
    sounds = []
    for each in item.variants:
        known = titles.get(each.media.sha256) if each.media else None
        sounds.append(f"{each.lang}: {known.title} {seconds(known.duration_ms)}" if known else f"{each.lang}: {way(each)}")
    return (item.title, item.class_, item.rrule, "; ".join(sounds), f"{item.volume_cdb / 100:.1f} dB")
