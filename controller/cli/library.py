"""`loa media`: sounds into the library, and what is in it."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from controller.actions.views import MediaView
from controller.cli.folder import StateFolder
from controller.cli.link import Link, ServeRefused
from controller.cli.options import DEFAULT_STATE, JsonOption, StateOption
from provisioning.errors import InputRefused
from provisioning.terminal import live_console, print_json, print_table, say

app = typer.Typer(no_args_is_help=True, help="The library of sounds (thư viện âm thanh).")


def add_file(link: Link, path: Path, title: str, *, quiet: bool) -> MediaView:
    """Have serve take a file into the library, with a progress bar. Raises InputRefused."""
    if not path.is_file():
        raise InputRefused(f"sound {path} does not exist: check the name")
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=live_console(), disable=quiet, transient=True) as progress:
        task = progress.add_task(path.name, total=1.0)
        for line in link.post_lines("/v1/media", {"path": str(path.resolve()), "title": title}):
            if "error" in line:
                raise ServeRefused(str(line["error"]))
            if "media" in line:
                return msgspec.convert(line["media"], MediaView)
            progress.update(task, completed=float(line.get("done", 0.0)), description=str(line.get("step", path.name)))
    raise ServeRefused(f"serve ended without saying what became of {path}: see `loa media list`")


def seconds(duration_ms: int) -> str:
    """A duration for people."""
    return f"{duration_ms // 60_000}:{duration_ms // 1000 % 60:02d}"


@app.command("add", epilog="loa media add ban-tin-sang.mp3 --title 'Bản tin sáng 24/11'")
def add(
    file: Annotated[Path, typer.Argument(help="Any audio file.")],
    *,
    title: Annotated[str | None, typer.Option(help="Its name in the library; else the file's.")] = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Bring a sound to the library: one format, one loudness, measured."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        made = add_file(link, file, title or file.stem, quiet=as_json)
    if as_json:
        print_json(made)
        return
    say(f"In the library: {made.title}, {seconds(made.duration_ms)}, {made.loudness_clufs / 100:.1f} LUFS, {made.sha256}")


@app.command("list", epilog="loa media list")
def list_(*, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """What is in the library."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        sounds = link.get("/v1/media", list[MediaView])
    if as_json:
        print_json(sounds)
        return
    rows = [
        (each.title, seconds(each.duration_ms), f"{each.loudness_clufs / 100:.1f}", f"{each.bytes // 1000} kB", each.sha256[:16])
        for each in sounds
    ]
    print_table(("title", "length", "LUFS", "size", "digest"), rows)
