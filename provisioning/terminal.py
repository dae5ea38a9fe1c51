"""How `loa` and `loa-provision` speak: sentences on stderr, tables or JSON on stdout, passphrases never on the command line."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from provisioning.errors import InputRefused
from provisioning.keyfile import check_passphrase, read_passphrase

PASSPHRASE_ENV: Final = "LOA_PASSPHRASE_FILE"  # noqa: S105  the name of a variable
REFUSED: Final = 1
_PIPE_COLUMNS: Final = 200


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _PIPE_COLUMNS)


def say(words: str, *, style: str = "") -> None:
    """One line on stdout; what stands in it is never read as markup."""
    _console(stderr=False).print(Text(words, style=style), soft_wrap=True)


def warn(words: str, *, style: str = "yellow") -> None:
    """One line on stderr."""
    _console(stderr=True).print(Text(words, style=style), soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON value on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain)).decode() + "\n")


def _plain(value: object) -> str:
    """Paths are told as people write them; of anything else msgspec must know itself."""
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def print_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Name and words, one pair a line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="cyan")
    grid.add_column(overflow="fold")
    for name, words in lines:
        grid.add_row(Text(name), Text(words))
    _console(stderr=False).print(grid)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, title: str = "") -> Table:
    """A table whose cells are plain text."""
    made = Table(title=Text(title) if title else None, title_justify="left")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, title: str = "") -> None:
    """A table on stdout."""
    _console(stderr=False).print(table(columns, rows, title=title))


def live_console() -> Console:
    """The console for what redraws itself."""
    return _console(stderr=False)


def passphrase(prompt: str, file: Path | None, *, new: bool = False) -> str:
    """From the named file, from the file that LOA_PASSPHRASE_FILE names, or asked (a new one twice). Raises InputRefused."""
    named = file or (Path(os.environ[PASSPHRASE_ENV]) if os.environ.get(PASSPHRASE_ENV) else None)
    if named is not None:
        return read_passphrase(named)
    if not sys.stdin.isatty():
        raise InputRefused(f"{prompt}: there is no terminal to ask at: name a file with --passphrase-file or {PASSPHRASE_ENV}")
    first: str = typer.prompt(prompt, hide_input=True, err=True)
    if not new:
        return first
    check_passphrase(first)
    again: str = typer.prompt("The same once more", hide_input=True, err=True)
    if again != first:
        raise InputRefused("the two passphrases differ, nothing was written: begin again")
    return first


def interactive() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin.isatty()


def ask(question: str, *, yes: bool) -> None:
    """Go on only after a yes. Raises InputRefused when nobody can be asked, typer.Abort on a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputRefused(f"{question} There is no terminal to ask at: look with --dry-run, then say --yes")
    typer.confirm(question, abort=True, err=True)


def run(app: typer.Typer) -> None:
    """Run a command line; an input that is refused ends it with one sentence and status 1."""
    try:
        app()
    except InputRefused as refused:
        warn(f"{Path(sys.argv[0]).name}: {refused}", style="bold red")
        raise SystemExit(REFUSED) from refused
