"""`loa export`: sealed documents onto a stick, for a node that no network reaches or for signing them anew offline."""

from pathlib import Path
from typing import Annotated

import typer

from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, DryOption, JsonOption, StateOption
from protocol.documents import Root
from protocol.units import Document
from provisioning.errors import InputRefused
from provisioning.files import write_whole
from provisioning.papers import Paper, paper_of
from provisioning.terminal import print_json, say


def name_of(paper: Paper) -> str:
    """The file's name: what it is, whose, and of a root its version."""
    payload = paper.payload
    if isinstance(payload, Root):
        return f"root-{payload.body.version:04}.json"
    assert isinstance(payload, Document)  # noqa: S101  serve carries documents only
    by = f"-by-{payload.authority}" if paper.kind in ("programme", "station") else ""
    return f"{paper.kind}-{payload.subject}{by}.json"


def export(
    folder: Annotated[Path, typer.Argument(help="Where to write, as /media/usb/loa; made when it is not there.")],
    *,
    for_node: Annotated[str | None, typer.Option(help="Everything that this node needs.")] = None,
    area: Annotated[str | None, typer.Option(help="Everything that the nodes of this area need.")] = None,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Write all roots in order, and what is in force for a node or an area. At the node: loa-agent import FOLDER."""
    place = for_node or area
    if place is None or (for_node and area):
        raise InputRefused("say for whom: --for-node NODE or --area AREA")
    here = StateFolder(state)
    here.require()
    with Link(here.socket) as link:
        raws = [text.encode() for text in link.get("/v1/documents/carried", list[str], place=place)]
    found = [paper_of(folder, raw) for raw in raws]
    names = [name_of(paper) for paper in found]
    if not dry_run:
        folder.mkdir(parents=True, exist_ok=True)
        for name, raw in zip(names, raws, strict=True):
            write_whole(folder / name, raw + b"\n")
    if as_json:
        print_json([{"file": name, "kind": paper.kind, "digest": paper.digest} for name, paper in zip(names, found, strict=True)])
        return
    for name, paper in zip(names, found, strict=True):
        say(f"{name}: {paper.kind}, digest {paper.digest}")
    done = "Nothing was written (--dry-run)" if dry_run else f"{len(names)} written into {folder}"
    say(f"{done}. At the node: loa-agent import {folder} --config node.toml")
