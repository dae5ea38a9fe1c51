"""`loa programme`: what plays when, from a TOML file to a signed document in force, after the difference was seen."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Final

import typer

from controller.actions.views import DocumentView, MediaView
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
from controller.cli.publishing import Slot, authority_for, in_force, publish, slot_of
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


PROGRAMME_EXAMPLE: Final = r"""Example of programme.toml:

area = "52.24076"
valid_until = 2026-12-31

\[\[items]]
title = "Bản tin sáng"
rule = "FREQ=DAILY;BYHOUR=5;BYMINUTE=30"
media = "ban-tin.mp3"   # a file beside this one, a title or a digest of the library
volume_db = -3.0
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
            return MediaView(
                sha256="0" * 64, bytes=1, samples=1, duration_ms=0, loudness_clufs=0, true_peak_cdbtp=0,
                source_name=name, title=title, created_by="", created_ms=0,
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
    dry_run: DryOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Publish a programme from a TOML file."""
    folder = StateFolder(state)
    folder.require()
    table = read_toml(file, ProgrammeTable)
    if not table.items:
        raise InputRefused(f"{file} has no [[items]]: to take a programme away use `loa programme withdraw`")
    hands = open_hands(key, passphrase_file)
    with Link(folder.socket) as link:
        chosen = authority_for(link, folder, table.area, authority or table.authority, "programme", hands)
        slot = slot_of(link, "programme", table.area, chosen)
        sounds = Sounds(link, file.parent, dry_run=dry_run, quiet=as_json)
        made = _programme(table, programme_body(file, table, sounds.find), slot)
        for path in sounds.pending:
            say(f"Would add {path} to the library.")
        publish(link, folder, made, slot.current, hands, how=(yes, dry_run, as_json))


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
    folder = StateFolder(state)
    folder.require()
    hands = open_hands(key, passphrase_file)
    with Link(folder.socket) as link:
        chosen = authority_for(link, folder, area, authority, "programme", hands)
        slot = slot_of(link, "programme", area, chosen)
        if slot.current is None:
            raise InputRefused(f"{area} has no programme under {chosen}: nothing to withdraw")
        made = _programme(ProgrammeTable(area=area), ProgrammeBody(items=()), slot)
        publish(link, folder, made, slot.current, hands, how=(yes, dry_run, as_json))


@app.command("show", epilog="loa programme show --area 52.24076")
def show(
    *,
    area: Annotated[str, typer.Option(help="The area.")],
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """What is in force in an area, of every authority."""
    folder = StateFolder(state)
    folder.require()
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
        sounds.append(f"{each.lang}: {known.title} {seconds(known.duration_ms)}" if known else f"{each.lang}: relay or unknown")
    return (item.title, item.class_, item.rrule, "; ".join(sounds), f"{item.volume_cdb / 100:.1f} dB")
