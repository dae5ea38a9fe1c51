"""`loa-provision node`: cards and labels, made at a desk without a network; all of a batch or nothing."""

import csv
import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from msgspec import Struct

from protocol.enrolment import CLAIM_BYTES, ExpectedNode
from protocol.envelope import open_pinned_root
from provisioning import enrol
from provisioning.drawing import Pen, pdf
from provisioning.errors import InputRefused
from provisioning.files import read_bytes, refuse_existing, write_whole
from provisioning.labels import Label, lay_out
from provisioning.site import Site, read_site
from provisioning.sites import MOST, SiteLine, check_amplifier, check_sink, read_sites
from provisioning.terminal import print_json, print_lines, print_table, say

node = typer.Typer(no_args_is_help=True, help="Nodes' cards and labels (thẻ nhớ và nhãn của cụm loa).")
LABELS: Final = "labels.pdf"
LIST: Final = "nodes.csv"
"""Of a table's batch: which id was drawn for which of its lines."""


class Wanted(Struct, frozen=True, kw_only=True):
    """A node that is to be made."""

    node: str
    board: enrol.Board
    name: str = ""
    settlement: str = ""


class Made(Struct, frozen=True, kw_only=True):
    """What `loa-provision node new` wrote for one node, or with --dry-run would."""

    node: str
    name: str
    settlement: str
    card: str
    expect: str
    labels: str


@node.command("new", epilog="loa-provision node new --site site.json --sites cum-loa.csv --out ./cards --pin 3f0c...")
def new(
    *,
    site: Annotated[Path, typer.Option(help="The site file, from `loa node site`.")],
    out: Annotated[Path, typer.Option(help="The folder in which cards, labels and expect files are made.")],
    sites: Annotated[
        Path | None,
        typer.Option(help="A CSV table, one line a node: tên, thôn, [mã, ngõ ra, khuếch đại] / name, settlement, ..."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=MOST, help="How many nodes, without a table.")] = 1,
    label: Annotated[str | None, typer.Option("--node", help="The id of a label that stays, for a machine replaced.")] = None,
    pin: Annotated[str | None, typer.Option(help="The root's digest, as the ceremony printed it.")] = None,
    sink: Annotated[str, typer.Option(help="alsa:default, wav:FILE or fifo:FILE.")] = "alsa:default",
    amplifier: Annotated[str, typer.Option(help="none, or gpio:17?on_ms=500; another chip: gpio:5?chip=LABEL.")] = "none",
    clock: Annotated[str, typer.Option(help="chrony, as in our image; or the file that systemd-timesyncd touches.")] = "chrony",
    state: Annotated[str, typer.Option(help="The node's memory, where it makes its keys.")] = "/var/lib/loa-agent",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")] = False,
) -> None:
    """Make cards with node.toml and a one-time claim, labels.pdf to print, and the expect files for `loa node expect`."""
    if sites is not None and (label is not None or count != 1):
        raise InputRefused("the table says how many nodes and which: leave --count and --node away")
    if label is not None and count != 1:
        raise InputRefused(f"--node {label} is one node: leave --count away")
    where = read_site(site, pin)
    board = enrol.Board(sink=check_sink(sink), amplifier=check_amplifier(amplifier), clock=clock)
    if sites is None:
        wanted = [Wanted(node=name, board=board) for name in ([enrol.check_node_id(label)] if label else _drawn(count, ()))]
    else:
        wanted = _of_table(read_sites(read_bytes(sites, "table of sites"), province=_province(where)), board)
    pen, made = Pen(), [_planned(each, out) for each in wanted]
    if not dry_run:
        _write(wanted, made, out, links=where.links, state=state, pen=pen)
    _tell(made, out, dry_run=dry_run, as_json=as_json)


def _province(site: Site) -> str:
    return open_pinned_root(site.root, site.root_digest).area


def _drawn(count: int, taken: Sequence[str]) -> list[str]:
    names = list(taken)
    while len(names) < count + len(taken):
        name = enrol.draw_node_id(os.urandom)
        if name not in names:
            names.append(name)
    return names[len(taken) :]


def _of_table(lines: Sequence[SiteLine], board: enrol.Board) -> list[Wanted]:
    fresh = iter(_drawn(len(lines), [line.node for line in lines if line.node]))
    return [
        Wanted(
            node=line.node or next(fresh),
            name=line.name,
            settlement=line.settlement,
            board=msgspec.structs.replace(board, sink=line.sink or board.sink, amplifier=line.amplifier or board.amplifier),
        )
        for line in lines
    ]


def _planned(wanted: Wanted, out: Path) -> Made:
    """Names of what will be written. Raises InputRefused when one of them is there."""
    card, expect, labels = out / wanted.node, out / f"{wanted.node}.expect.json", out / LABELS
    refuse_existing(card, "folder")
    refuse_existing(expect, "file")
    if labels.exists():
        raise InputRefused(
            f"{out} còn {LABELS} của lần trước: in xong thì xóa, hoặc chọn thư mục khác"
            f" / still has {LABELS} of another batch: print and delete it, or name another folder"
        )
    if wanted.name:
        refuse_existing(out / LIST, "list")
    return Made(
        node=wanted.node, name=wanted.name, settlement=wanted.settlement, card=str(card), expect=str(expect), labels=str(labels)
    )


def _write(wanted: Sequence[Wanted], made: Sequence[Made], out: Path, *, links: enrol.Links, state: str, pen: Pen) -> None:
    """All of it; what was begun is taken back when the disk refuses the rest."""
    try:
        out.mkdir(mode=enrol.FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise InputRefused(f"cannot make folder {out} ({error.strerror}): choose another place") from error
    try:
        labels = []
        for each, papers in zip(wanted, made, strict=True):
            claim = os.urandom(CLAIM_BYTES)
            card = enrol.make_card(Path(papers.card), each.node, claim, links=links, board=each.board, state=state)
            expected = ExpectedNode(node=card.node, verifier=card.verifier)
            write_whole(Path(papers.expect), msgspec.json.encode(expected) + b"\n", mode=enrol.SECRET_MODE)
            labels.append(Label(node=each.node, claim=card.claim, name=each.name, settlement=each.settlement))
        if wanted[0].name:
            write_whole(out / LIST, _list(wanted))
        pages = [pen.draw(sheet) for sheet in lay_out(labels, pen.measure)]
        write_whole(out / LABELS, pdf(pages), mode=enrol.SECRET_MODE)
    except (InputRefused, OSError):
        for papers in made:
            shutil.rmtree(papers.card, ignore_errors=True)
            Path(papers.expect).unlink(missing_ok=True)
        for name in (LIST, LABELS) if wanted[0].name else (LABELS,):
            (out / name).unlink(missing_ok=True)
        raise


def _list(wanted: Sequence[Wanted]) -> bytes:
    """Which node goes where, for whoever approves them; the byte order mark makes Excel read the letters right."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(("mã", "tên", "thôn", "ngõ ra", "khuếch đại"))
    rows.writerows((each.node, each.name, each.settlement, each.board.sink, each.board.amplifier) for each in wanted)
    return text.getvalue().encode("utf-8-sig")


def _tell(made: Sequence[Made], out: Path, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(made)
    elif len(made) == 1:
        (one,) = made
        print_lines([("node", one.node), ("card", one.card), ("labels", one.labels), ("for the controller", one.expect)])
    else:
        rows = [(each.node, each.name, each.settlement) for each in made]
        print_table(("mã / node", "tên / name", "thôn / settlement"), rows, title=f"{len(made)} cụm loa / nodes in {out}")
    if as_json:
        return
    if dry_run:
        say("Thử thôi, chưa ghi gì; mã mới sẽ khác. / A dry run: nothing was written, new ids will be others.")
        return
    say("Tiếp theo, ở máy chủ, trước lần bật đầu / next, at the controller, before the first start:")
    say(f"    loa node expect {out}/*.expect.json")
    say(f"In {out / LABELS} (A4, 100 %), cắt, gấp, rồi XÓA tệp ấy: mã chỉ được ở trên thẻ và trong nhãn.")
    say("Print it at 100 %, cut, fold, then delete it: the claim belongs on the card and inside the label, nowhere else.")
