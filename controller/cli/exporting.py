"""`loa export`: sealed documents onto a stick, for a node that no network reaches or for signing them anew offline."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from controller.actions.views import DocumentView
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, DryOption, JsonOption, StateOption
from controller.media import path_of
from protocol.documents import Root
from protocol.envelope import payload_of
from protocol.release import Release
from protocol.units import Document
from provisioning.errors import InputRefused
from provisioning.files import write_whole
from provisioning.papers import Paper, paper_of
from provisioning.terminal import print_json, say, warn


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
    release: Annotated[str | None, typer.Option(help="Also this release and its firmware: a version, or a digest.")] = None,
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
        if release is not None:
            raws.append(_release(link, release))
    found = [paper_of(folder, raw) for raw in raws]
    names = [name_of(paper) for paper in found]
    if not dry_run:
        folder.mkdir(parents=True, exist_ok=True)
        for name, raw in zip(names, raws, strict=True):
            write_whole(folder / name, raw + b"\n")
    for paper in found:
        if isinstance(paper.payload, Release):
            _write_bundle(here, paper.payload, folder, dry_run=dry_run)
    if as_json:
        print_json([{"file": name, "kind": paper.kind, "digest": paper.digest} for name, paper in zip(names, found, strict=True)])
        return
    for name, paper in zip(names, found, strict=True):
        say(f"{name}: {paper.kind}, digest {paper.digest}")
    done = "Nothing was written (--dry-run)" if dry_run else f"{len(names)} written into {folder}"
    say(f"{done}. At the node: loa-agent import {folder} --config node.toml")


def _release(link: Link, wanted: str) -> bytes:
    """The newest release of that version, or with a digest that begins so. Raises InputRefused."""
    views = link.get("/v1/documents", list[DocumentView], kind="release")
    for view in sorted(views, key=lambda each: each.seq, reverse=True):
        raw = link.get_bytes(f"/v1/documents/{view.digest}")
        payload = payload_of(raw)
        if isinstance(payload, Release) and (payload.body.version == wanted or view.digest.startswith(wanted.lower())):
            return raw
    raise InputRefused(f"no release {wanted} is known here: bring it in with `loa trust import`, or name its version or digest")


def _write_bundle(here: StateFolder, release: Release, folder: Path, *, dry_run: bool) -> None:
    """Beside its release, under a name for people. Raises InputRefused when the library does not hold it."""
    body = release.body
    kept, name = path_of(here.path / "media", body.bundle.sha256), f"{release.subject}-{body.version}.raucb"
    if not kept.exists():
        raise InputRefused(f"the bundle of release {body.version} is not in the library: bring it in with `loa rollout bundle`")
    if not dry_run:
        shutil.copyfile(kept, folder / name)
    warn(f"{name}: firmware, {body.bundle.bytes / 1e6:.0f} MB")
