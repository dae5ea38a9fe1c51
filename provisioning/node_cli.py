"""`loa-provision node`: a node's card and its label, made at a desk without a network."""

import os
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from msgspec import Struct

from protocol.enrolment import CLAIM_BYTES, ExpectedNode
from provisioning import enrol
from provisioning.errors import InputRefused
from provisioning.files import refuse_existing, write_whole
from provisioning.site import read_site
from provisioning.terminal import print_json, print_lines, say

node = typer.Typer(no_args_is_help=True, help="A node's card and label (thẻ nhớ và nhãn của cụm loa).")
MOST: Final = 500
LABEL: Final = """LOA {node}
(mặt ngoài / outside)
- - - - - - - - - - - - - - - - - - - - - - - - -
(mặt trong, gấp lại / inside, folded)
Mã nhận máy, dùng một lần / one-time claim:

    {claim}

Ai có mã này trước khi cụm loa bật lần đầu có thể nhận thay nó.
Whoever has it before the node's first start can take its place.
"""


class Made(Struct, frozen=True, kw_only=True):
    """What `loa-provision node new` wrote."""

    node: str
    card: str
    label: str
    expect: str


@node.command("new", epilog="loa-provision node new --site site.json --out ./cards --count 20 --pin 3f0c...")
def new(
    *,
    site: Annotated[Path, typer.Option(help="The site file, from `loa node site`.")],
    out: Annotated[Path, typer.Option(help="The folder in which cards, labels and expect files are made.")],
    count: Annotated[int, typer.Option(min=1, max=MOST, help="How many nodes.")] = 1,
    label: Annotated[str | None, typer.Option("--node", help="The id of a label that stays, for a machine replaced.")] = None,
    pin: Annotated[str | None, typer.Option(help="The root's digest, as the ceremony printed it.")] = None,
    sink: Annotated[str, typer.Option(help="alsa:default, wav:FILE or fifo:FILE.")] = "alsa:default",
    amplifier: Annotated[str, typer.Option(help="none, or gpio:17?on_ms=500.")] = "none",
    clock: Annotated[str, typer.Option(help="chrony, or the file that systemd-timesyncd touches.")] = enrol.CLOCK_FILE,
    state: Annotated[str, typer.Option(help="The node's memory, where it makes its keys.")] = "/var/lib/loa-agent",
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")] = False,
) -> None:
    """Make cards with node.toml and a one-time claim, labels to print, and the expect files for `loa node expect`."""
    if label is not None and count != 1:
        raise InputRefused(f"--node {label} is one node: leave --count away")
    links, board = read_site(site, pin).links, enrol.Board(sink=sink, amplifier=amplifier, clock=clock)
    out.mkdir(mode=enrol.FOLDER_MODE, parents=True, exist_ok=True)
    made = []
    for _ in range(count):
        name = enrol.check_node_id(label) if label else enrol.draw_node_id(os.urandom)
        papers = out / f"{name}.label.txt", out / f"{name}.expect.json"
        for paper in papers:
            refuse_existing(paper, "file")
        card = enrol.make_card(out / name, name, os.urandom(CLAIM_BYTES), links=links, board=board, state=state)
        made.append(_papers(card, *papers))
    if as_json:
        print_json(made)
        return
    for each in made:
        print_lines([("node", each.node), ("card", each.card), ("label", each.label), ("for the controller", each.expect)])
    say(f"Next, at the controller, before the first start: loa node expect {out}/*.expect.json")
    say("Print the labels, then delete the .label.txt files: the claim belongs on the card and inside the label, nowhere else.")


def _papers(card: enrol.Card, label: Path, expect: Path) -> Made:
    write_whole(label, LABEL.format(node=card.node, claim=card.claim).encode(), mode=enrol.SECRET_MODE)
    expected = ExpectedNode(node=card.node, verifier=card.verifier)
    write_whole(expect, msgspec.json.encode(expected) + b"\n", mode=enrol.SECRET_MODE)
    return Made(node=card.node, card=str(card.folder), label=str(label), expect=str(expect))
