"""`loa trust`: takes in what the offline ceremony signed; the first root only after its digest was compared."""

from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import Struct

from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, DryOption, JsonOption, StateOption, YesOption
from protocol.documents import AnyDocument
from provisioning.errors import InputRefused
from provisioning.files import write_whole
from provisioning.papers import Paper, open_root, read_paper
from provisioning.terminal import ask, print_json, say

ORDER: Final = ("root", "grant", "placement", "network", "station", "programme", "release")
KEPT: Final = frozenset({"root", "grant"})
app = typer.Typer(no_args_is_help=True, help="Roots, grants and placements (gốc tin cậy, phân quyền, vị trí).")


class Taken(Struct, frozen=True, kw_only=True):
    """What serve says of a document that it took."""

    digest: str
    kind: str
    subject: str
    fresh: bool = True


def _sort_key(paper: Paper) -> tuple[int, int, int]:
    """Root, then grants from wide to narrow, then the rest; older before newer."""
    return ORDER.index(paper.kind), paper.payload.area.count("."), paper.payload.seq


def _read(files: list[Path]) -> list[Paper]:
    papers = [read_paper(path) for path in files]
    for paper in papers:
        if paper.kind not in ORDER:
            raise InputRefused(f"{paper.path} is a {paper.kind}, no document to import")
        if paper.raw is None:
            raise InputRefused(f"{paper.path} is still a draft: sign it first with `loa-provision {paper.kind} sign`")
    return sorted(papers, key=_sort_key)


def _first_root(folder: StateFolder, papers: list[Paper], pin: str | None, *, yes: bool) -> Paper | None:
    """The root to be pinned, once its digest was given or compared; None when one is pinned. Raises InputRefused."""
    if folder.root.is_file():
        return None
    roots = [paper for paper in papers if paper.kind == "root"]
    if not roots:
        raise InputRefused(f"no root is pinned in {folder.trust} yet: import the root first, together with the rest")
    first = roots[0]
    open_root(first.path, pin or first.digest)
    if pin is None:
        ask(f"Pin the root with digest {first.digest}? Compare it with the one read out at the ceremony.", yes=yes)
    return first


def keep(folder: StateFolder, paper: Paper) -> None:
    """Keep a copy of what serve took, so that `loa` can judge an order by itself."""
    if paper.kind in KEPT:
        name = "root.json" if paper.kind == "root" else f"{paper.kind}-{paper.payload.area}.json"
        write_whole(folder.trust / name, paper.raw or b"")


def _hand_in(link: Link, paper: Paper, *, pinning: bool) -> Taken:
    if pinning:
        return link.post_sealed("/v1/root", paper.raw or b"", Taken, digest=paper.digest)
    return link.post_sealed("/v1/documents", paper.raw or b"", Taken)


@app.command("import", epilog="loa trust import root.json grant-52.24076.json placement-*.json --pin 3f0c...")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Sealed documents; the order does not matter.")],
    *,
    pin: Annotated[str | None, typer.Option(help="The digest that the first root must have.")] = None,
    dry_run: DryOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Take documents in: serve verifies each, and refuses what does not count."""
    folder = StateFolder(state).require()
    papers = _read(files)
    if dry_run:
        for paper in papers:
            say(f"Would import {paper.kind} of {_subject(paper)} from {paper.path}, digest {paper.digest}")
        return
    first = _first_root(folder, papers, pin, yes=yes)
    taken = []
    with Link(folder.socket) as link:
        for paper in papers:
            try:
                taken.append(_hand_in(link, paper, pinning=paper is first))
            except InputRefused as refused:
                done = f" ({len(taken)} of {len(papers)} were taken before it)" if taken else ""
                raise InputRefused(f"{paper.path}{done}: {refused}") from refused
            keep(folder, paper)
    if as_json:
        print_json(taken)
        return
    for each in taken:
        say(f"{'Took' if each.fresh else 'Already had'} {each.kind} of {each.subject}, digest {each.digest}")


def _subject(paper: Paper) -> str:
    payload: AnyDocument = paper.payload  # type: ignore[assignment]  # _read lets only documents through
    return payload.subject
