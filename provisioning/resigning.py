"""`loa-provision resign`: what one key signed, and the same words again under another approver's signature."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import structs

from protocol.errors import ProtocolError
from protocol.trust import public_key
from protocol.units import Document
from provisioning import papers
from provisioning.ceremony import next_seq
from provisioning.checking import judge, load_trust
from provisioning.errors import InputRefused
from provisioning.files import refuse_existing, write_whole
from provisioning.hands import KEY_HELP, open_hands
from provisioning.keyfile import read_public
from provisioning.papers import Paper
from provisioning.showing import lines_of, moment
from provisioning.terminal import ask, print_json, print_lines, say, warn

EPILOG: Final = (
    "loa-provision resign stick/ --by old.pub   (lists; with --key new.key --root root.json --out again it signs anew)"
)


def _files(places: list[Path]) -> list[Path]:
    found: list[Path] = []
    for place in places:
        found.extend(sorted(place.glob("*.json")) if place.is_dir() else [place])
    return found


def _keyid(by: str) -> str:
    try:
        return public_key(read_public(Path(by)).public if by.endswith(".pub") else by).keyid
    except (ProtocolError, ValueError) as error:
        raise InputRefused(f"--by {by}: name the .pub file of the key, or its 64 letters") from error


def _newest(found: list[Paper]) -> list[Paper]:
    """The newest of each slot: what is older is not in force."""
    newest: dict[tuple[str, str, str], Paper] = {}
    for paper in sorted(found, key=lambda each: (each.payload.seq, each.digest)):
        if isinstance(paper.payload, Document):
            newest[(paper.kind, paper.payload.subject, paper.payload.authority)] = paper
    return list(newest.values())


def resign(
    files: Annotated[list[Path], typer.Argument(help="Sealed documents, or folders of them (as `loa export` writes).")],
    *,
    by: Annotated[str, typer.Option(help="The key that signed: its .pub file or its hex.")],
    key: Annotated[list[str] | None, typer.Option("--key", help=KEY_HELP)] = None,
    root_file: Annotated[Path | None, typer.Option("--root", help="The root in force.")] = None,
    under: Annotated[list[Path] | None, typer.Option(help="Grants they stand on (repeat).")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder for what is signed anew.")] = None,
    prev: Annotated[
        str | None, typer.Option(help="What stands there now (a digest, or none), if theirs has fallen already.")
    ] = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="Take the passphrase from this file's first line.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be signed anew, write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")] = False,
) -> None:
    """List the documents in force that a key signed; with --key, another approver signs the same words anew."""
    keyid = _keyid(by)
    hers = [paper for paper in _newest([papers.read_paper(path) for path in _files(files)]) if keyid in paper.keyids]
    hers = [paper for paper in hers if paper.kind != "root"]
    if as_json and not key:
        print_json([{"file": str(paper.path), "kind": paper.kind, "digest": paper.digest} for paper in hers])
    if not as_json:
        for paper in hers:
            say(f"{paper.kind} of {paper.payload.area}, {moment(paper.payload.seq)}, digest {paper.digest}: {paper.path}")
        say(f"{len(hers)} in force bear the signature of this key.")
    if not key or not hers:
        return
    if root_file is None or out is None:
        raise InputRefused("to sign anew, name the root in force with --root and a folder with --out")
    _again(hers, key, root_file, under or [], out, secret=passphrase_file, prev=prev, how=(yes, dry_run, as_json))


def _prev(given: str | None, old: Paper) -> str | None:
    return old.digest if given is None else None if given == "none" else given


def _again(
    hers: list[Paper],
    key: list[str],
    root_file: Path,
    under: list[Path],
    out: Path,
    *,
    secret: Path | None,
    prev: str | None,
    how: tuple[bool, bool, bool],
) -> None:
    yes, dry_run, as_json = how
    hands = open_hands(key, secret)
    trust = load_trust(root_file, None, under)
    now_ms = time.time_ns() // 1_000_000
    made = []
    for old in hers:
        assert isinstance(old.payload, Document)  # noqa: S101  _newest kept nothing else
        fresh = structs.replace(old.payload, seq=next_seq(now_ms, old.payload.seq), prev=_prev(prev, old))
        draft = papers.Paper(path=out / old.path.name, payload=fresh, kind=old.kind, digest="", raw=None)
        raw = papers.signed(draft, hands)
        path = out / old.path.name
        verdict = judge(papers.paper_of(path, raw), trust)
        if not verdict.good:
            raise InputRefused(f"{old.path} signed by {', '.join(key)} would not count ({verdict.sentence}): nothing was written")
        refuse_existing(path, "file")
        made.append((path, raw))
    if not as_json:
        for path, raw in made:
            print_lines(lines_of(papers.paper_of(path, raw)))
    if dry_run:
        warn("Nothing was written (--dry-run).")
        return
    ask(f"Sign these {len(made)} documents anew?", yes=yes)
    out.mkdir(parents=True, exist_ok=True)
    for path, raw in made:
        write_whole(path, raw + b"\n", new=True)
    if as_json:
        print_json([{"file": str(path), "digest": papers.paper_of(path, raw).digest} for path, raw in made])
    else:
        say(f"Wrote {len(made)} into {out}. Next: loa trust import {out}/*.json", style="green")
