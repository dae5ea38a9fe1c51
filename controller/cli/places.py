"""`loa area`: the areas of the province, and the settlements that people add."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from controller.actions.views import AreaView
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, DryOption, JsonOption, StateOption
from provisioning.files import read_text
from provisioning.terminal import print_json, print_table, say

app = typer.Typer(no_args_is_help=True, help="Areas (địa bàn): province, communes, settlements.")


class Added(msgspec.Struct, frozen=True):
    """How many settlements are new, how many were changed."""

    added: int = 0
    changed: int = 0


def _print(areas: list[AreaView], *, as_json: bool) -> None:
    if as_json:
        print_json(areas)
        return
    rows = [(each.id, str(each.no), each.level, each.name, ", ".join(each.old_names), str(each.nodes)) for each in areas]
    print_table(("id", "number", "level", "name", "once called", "nodes"), rows)


@app.command("list", epilog="loa area list --under 52.24076")
def list_(
    *,
    under: Annotated[str | None, typer.Option(help="Only this area and what is in it.")] = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """All areas, or those of one."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        areas = link.get("/v1/areas", list[AreaView])
    if under:
        areas = [each for each in areas if each.id == under or each.id.startswith(f"{under}.")]
    _print(areas, as_json=as_json)


@app.command("search", epilog="loa area search 'krong pa'")
def search(
    text: Annotated[str, typer.Argument(help="Part of a name, with or without accents; old names too.")],
    *,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Find an area by its name."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        _print(link.get("/v1/areas/search", list[AreaView], q=text), as_json=as_json)


@app.command("add", epilog="loa area add settlements.csv --dry-run")
def add(
    file: Annotated[Path, typer.Argument(help="CSV with the columns id,name,level,parent.")],
    *,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Add settlements (thôn, buôn, tổ dân phố) from a CSV file."""
    folder = StateFolder(state).require()
    text = read_text(file, "settlement list")
    with Link(folder.socket) as link:
        made = link.post("/v1/areas/settlements", {"csv": text, "dry_run": dry_run}, Added)
    if as_json:
        print_json(made)
        return
    would = "would be " if dry_run else ""
    say(f"{made.added} settlements {would}added, {made.changed} {would}changed.")
