"""The commands `root`, `grant` and `placement` of loa-provision: write a draft, show it, sign it one person after the other."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from protocol.documents import ChainLink, Placement, Root
from protocol.errors import Malformed
from protocol.messages import Sealed
from protocol.trust import Trust
from provisioning import papers, tables
from provisioning.ceremony import ROOT, build_placement, links
from provisioning.checking import judge, load_trust, would_count
from provisioning.enrol import check_node_id
from provisioning.errors import InputRefused
from provisioning.files import refuse_existing, write_whole
from provisioning.hands import KEY_HELP, Hand, open_hands
from provisioning.showing import lines_of
from provisioning.succession import check_step
from provisioning.terminal import ask, print_json, print_lines, say, warn

ROOT_EXAMPLE = """Example of root.toml (2 of 3 persons; the .pub files lie beside it):

area = "52"   # Gia Lai

[[persons]]
id = "a"
name = "Nguyễn Văn A"
keys = ["a.pub"]
# ... b and c likewise

[roles]
root = {persons = ["a", "b", "c"], threshold = 2}
delegate = {persons = ["a", "b", "c"], threshold = 2}
placement = {persons = ["a", "b", "c"], threshold = 1}
"""
GRANT_EXAMPLE = """Example of grant.toml:

area = "52.24076"   # xã Phú Túc
authority = "root"
until = 2028-12-31

[[persons]]
id = "chu-tich"
name = "Rơ Châm H'Yéo, Chủ tịch UBND"
keys = ["chu-tich.pub"]   # or {file = "old.pub", state = "stolen"}

[[powers]]
power = "emergency"   # also: stop, exercise, programme, station, placement, delegate
persons = ["chu-tich"]
sound_max_s = 3600
"""
root = typer.Typer(no_args_is_help=True, help="The persons at the top (gốc tin cậy): m of n, pinned in every node.")
grant = typer.Typer(no_args_is_help=True, help="Who may do what in an area, until when (phân quyền).")
placement = typer.Typer(no_args_is_help=True, help="Where a node stands (đặt vị trí): without it a node obeys nobody.")

JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")]
OutOption = Annotated[Path, typer.Option(help="The draft to write, to be signed next.")]
TableArgument = Annotated[Path, typer.Argument(help="A TOML file as in the example above.")]
AreasOption = Annotated[Path | None, typer.Option(help="areas.json of the controller, for area numbers.")]
PaperArgument = Annotated[Path, typer.Argument(help="The draft or half-signed document; the signature is added in it.")]
KeyOption = Annotated[list[str], typer.Option("--key", help=KEY_HELP)]
SecretOption = Annotated[Path | None, typer.Option(help="Take the passphrase from this file's first line.")]
RootOption = Annotated[Path, typer.Option("--root", help="The root in force.")]
UnderOption = Annotated[list[Path] | None, typer.Option(help="Grants it stands on (repeat).")]


def now_ms() -> int:
    """UTC milliseconds by this computer's clock."""
    return time.time_ns() // 1_000_000


def draft(payload: Sealed, out: Path, *, kind: str, dry_run: bool, as_json: bool, old: Path | None = None) -> None:
    """Write a draft and show it."""
    refuse_existing(out, "file")
    if not dry_run:
        papers.write_draft(out, payload)
    paper = papers.Paper(path=out, payload=payload, kind=kind, digest=_digest(payload, kind), raw=None)
    if as_json:
        print_json({"file": str(out), "written": not dry_run, "digest": paper.digest, "payload": payload})
        return
    print_lines(lines_of(paper))
    if dry_run:
        say("Nothing was written (--dry-run).")
    else:
        root = f" --old {old}" if old is not None else "" if kind == "root" else " --root root.json"
        say(f"Wrote the draft {out}. Next, each signer: loa-provision {kind} sign {out}{root} --key SIGNER.key")


def _digest(payload: Sealed, kind: str) -> str:
    import msgspec

    from protocol.envelope import digest_of

    return digest_of(kind, msgspec.json.encode(payload))


def _check_kind(paper: papers.Paper, kind: str) -> None:
    if paper.kind != kind:
        raise InputRefused(f"{paper.path} is a {paper.kind}, not a {kind}: sign it with `loa-provision {paper.kind} sign`")


def _refuse_idle_keys(paper: papers.Paper, hands: tuple[Hand, ...], trust: Trust | None) -> None:
    """A signature that can count for nothing is a mistake: say whose. Raises InputRefused."""
    for hand in hands:
        if not would_count(paper, hand.keyid, trust):
            raise InputRefused(
                f"the key in {hand.where} ({hand.public[:16]}…) has no part in this {paper.kind} under authority "
                f"{paper.payload.authority!r}: its signature would count for nothing; check key, root and --under"
            )


def sign_paper(
    file: Path, kind: str, *, key: list[str], secret: Path | None, trust: Trust | None, how: tuple[bool, bool, bool]
) -> None:
    """Show, ask, sign in place, and say what is still missing. `how` is (yes, dry_run, as_json)."""
    yes, dry_run, as_json = how
    paper = papers.read_paper(file)
    _check_kind(paper, kind)
    if not as_json:
        print_lines(lines_of(paper))
    hands = open_hands(key, secret)
    _refuse_idle_keys(paper, hands, trust)
    raw = papers.signed(paper, hands)
    if not dry_run:
        ask(f"Sign this {kind}?", yes=yes)
        write_whole(file, raw + b"\n")
    after = papers.read_paper(file) if not dry_run else paper
    view = trust
    if view is None:
        sealed_root = papers.Paper(path=file, payload=paper.payload, kind=kind, digest=paper.digest, raw=raw)
        view = Trust(sealed_root.payload)  # type: ignore[arg-type]  # only a root is signed without another one
    verdict = judge(after, view)
    whole = _first_root_done(file, paper, dry_run=dry_run) if trust is None else (verdict.good, verdict.sentence)
    if as_json:
        print_json({"file": str(file), "digest": paper.digest, "written": not dry_run, "complete": whole[0], "why": whole[1]})
    elif dry_run:
        say("Nothing was written (--dry-run).")
    else:
        say(f"Signed {file}, digest {paper.digest}.")
        say("Complete." if whole[0] else f"Not complete yet: {whole[1]}.", style="green" if whole[0] else "yellow")


def _first_root_done(file: Path, paper: papers.Paper, *, dry_run: bool) -> tuple[bool, str]:
    if dry_run:
        return False, "nothing was signed"
    try:
        papers.open_root(file, paper.digest)
    except InputRefused as refused:
        return False, str(refused)
    return True, "enough of its own persons signed"


@root.command(
    "new",
    help=f"Write the draft of a root.\n\n\b\n{escape(ROOT_EXAMPLE)}",
    epilog="loa-provision root new root.toml --areas areas.json --out root.json",
)
def root_new(
    table: TableArgument,
    out: OutOption,
    areas: AreasOption = None,
    old: Annotated[Path | None, typer.Option(help="The root that this one follows (version + 1).")] = None,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the draft of a root from a TOML file."""
    before = papers.read_paper(old) if old else None
    if before is not None:
        _check_kind(before, "root")
    made = tables.root_from(table, now_ms=now_ms(), numbers=tables.read_numbers(areas), old=before)
    if before is not None:
        _check_step(before, made)
    for name in ("root", "delegate"):
        if getattr(made.body, name).threshold == 1:
            warn(f"Role {name!r} needs only one person: one stolen key is enough to take everything over.")
    draft(made, out, kind="root", dry_run=dry_run, as_json=as_json, old=old)


def _check_step(before: papers.Paper, made: Root) -> None:
    try:
        check_step(before.payload, made)  # type: ignore[arg-type]  # its kind was looked at
    except Malformed as error:
        raise InputRefused(f"nobody could sign this as the next of {before.path}: {error}") from error


@root.command("sign", epilog="loa-provision root sign root.json --key a.key   (then b, on the same file)")
def root_sign(
    file: PaperArgument,
    key: KeyOption,
    passphrase_file: SecretOption = None,
    old: Annotated[Path | None, typer.Option(help="The root in force, when this one follows it.")] = None,
    yes: YesOption = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sign a root, in its file, after reading it. Several persons do so one after the other."""
    trust = load_trust(old, None, []) if old else None
    sign_paper(file, "root", key=key, secret=passphrase_file, trust=trust, how=(yes, dry_run, as_json))


@grant.command(
    "new",
    help=f"Write the draft of a grant.\n\n\b\n{escape(GRANT_EXAMPLE)}",
    epilog="loa-provision grant new grant.toml --areas areas.json --out grant.json",
)
def grant_new(
    table: TableArgument,
    out: OutOption,
    areas: AreasOption = None,
    old: Annotated[Path | None, typer.Option(help="The grant that this one replaces.")] = None,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the draft of a grant from a TOML file."""
    before = papers.read_paper(old) if old else None
    made = tables.grant_from(table, now_ms=now_ms(), numbers=tables.read_numbers(areas), old=before)
    draft(made, out, kind="grant", dry_run=dry_run, as_json=as_json)


@grant.command("sign", epilog="loa-provision grant sign grant.json --root root.json --key a.key   (then b, on the same file)")
def grant_sign(
    file: PaperArgument,
    key: KeyOption,
    root_file: RootOption,
    under: UnderOption = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sign a grant, in its file, after reading it. Several persons do so one after the other."""
    trust = load_trust(root_file, None, under or [])
    sign_paper(file, "grant", key=key, secret=passphrase_file, trust=trust, how=(yes, dry_run, as_json))


@placement.command(
    "new",
    epilog="loa-provision placement new --node 4QX0Y7... --area 52.24076.001 --report-key 9f... --areas areas.json --out p.json",
)
def placement_new(
    *,
    node: Annotated[str, typer.Option(help="The node's id, from its label.")],
    area: Annotated[str, typer.Option(help="The settlement or commune where it stands.")],
    report_key: Annotated[str, typer.Option(help="Public report key in hex, from `loa node add`.")],
    areas: Annotated[Path, typer.Option(help="areas.json of the controller, for area numbers.")],
    out: OutOption,
    node_no: Annotated[int, typer.Option(help="The node's number, from `loa node add`.")] = 0,
    station: Annotated[str | None, typer.Option(help="Whose operating rules hold here; else the commune's.")] = None,
    neighbour: Annotated[list[str] | None, typer.Option(help="A node in earshot (repeat).")] = None,
    authority: Annotated[str, typer.Option(help="The grant whose power `placement` this uses.")] = ROOT,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the draft of a node's placement (`loa node add` writes the same one)."""
    tidy = check_node_id(node)
    try:
        chain = (*links(area, tables.read_numbers(areas)), ChainLink(area=tidy, area_no=node_no, level="node"))
        made: Placement = build_placement(
            chain=chain,
            report_key=report_key,
            now_ms=now_ms(),
            station=station,
            neighbours=tuple(neighbour or ()),
            authority=authority,
        )
    except (Malformed, ValueError) as error:
        raise InputRefused(f"no placement of {tidy}: {error}") from error
    draft(made, out, kind="placement", dry_run=dry_run, as_json=as_json)


@placement.command("sign", epilog="loa-provision placement sign p.json --root root.json --key a.key")
def placement_sign(
    file: PaperArgument,
    key: KeyOption,
    root_file: RootOption,
    under: UnderOption = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sign a placement, in its file, after reading it."""
    trust = load_trust(root_file, None, under or [])
    sign_paper(file, "placement", key=key, secret=passphrase_file, trust=trust, how=(yes, dry_run, as_json))


def show_paper(file: Path, kind: str, *, as_json: bool) -> None:
    """Show a paper of this kind; nothing of it is verified."""
    paper = papers.read_paper(file)
    _check_kind(paper, kind)
    if as_json:
        print_json({"file": str(file), "digest": paper.digest, "draft": paper.raw is None, "payload": paper.payload})
        return
    print_lines(lines_of(paper))
    warn("Only read, not verified: `loa-provision show FILE --root root.json --pin DIGEST` verifies.")


@root.command("show", epilog="loa-provision root show root.json")
def root_show(file: PaperArgument, as_json: JsonOption = False) -> None:
    """Show a root: its persons, roles and digest (the digest is what nodes pin)."""
    show_paper(file, "root", as_json=as_json)


@grant.command("show", epilog="loa-provision grant show grant.json")
def grant_show(file: PaperArgument, as_json: JsonOption = False) -> None:
    """Show a grant: its persons, powers and end."""
    show_paper(file, "grant", as_json=as_json)
