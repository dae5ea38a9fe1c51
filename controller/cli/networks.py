"""`loa network`: what content may cost on nodes' links and cards, from a TOML file to one signed document a node."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from msgspec import Struct

from controller.actions.views import DocumentContext, NodeView, OrderContext
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import (
    DEFAULT_STATE,
    AuthorityOption,
    DryOption,
    JsonOption,
    KeyOption,
    SecretOption,
    StateOption,
    YesOption,
)
from controller.cli.orders import CONTEXT_PATH
from controller.cli.programme_file import minute_of
from controller.cli.sealing import Hand, check_clock, choose_authority, close, known_trust, now_ms, objection, open_hands
from controller.cli.trust import Taken
from protocol.documents import ChainLink, Network, NetworkBody
from protocol.units import MAX_MS, Name
from provisioning.ceremony import next_seq
from provisioning.errors import InputRefused
from provisioning.papers import unwrapped
from provisioning.showing import budget_lines
from provisioning.tables import read_toml
from provisioning.terminal import ask, print_json, print_lines, say

MB: Final = 1_000_000
EXAMPLE: Final = """Example of network.toml (all of it may be left out; MB are millions of bytes):

fetch_from = "22:00"   # content that can wait comes at night
fetch_to = "05:00"
month_mb = 500         # a SIM's budget for content; left out: no limit
emergency_mb = 50      # beside it, for emergencies' recordings alone
cache_mb = 2000        # what all recordings may take on the card
"""
app = typer.Typer(no_args_is_help=True, help="A node's data budget, night window and card quota (dung lượng SIM, giờ tải đêm).")


class NetworkTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The TOML of `network publish`."""

    tz: Name = "Asia/Ho_Chi_Minh"
    fetch_from: str = "22:00"
    fetch_to: str = "05:00"
    month_mb: int | None = None
    emergency_mb: int = 50
    cache_mb: int = 2_000


class Made(Struct, frozen=True, kw_only=True):
    """A document that was signed and not yet handed in."""

    node: str
    raw: bytes


def body_of(path: Path) -> NetworkBody:
    """Read the file. Raises InputRefused."""
    table = read_toml(path, NetworkTable)
    body = NetworkBody(
        tz=table.tz,
        fetch_from_min=minute_of(path, table.fetch_from),
        fetch_to_min=minute_of(path, table.fetch_to),
        month_bytes=None if table.month_mb is None else table.month_mb * MB,
        emergency_reserve_bytes=table.emergency_mb * MB,
        cache_bytes=table.cache_mb * MB,
    )
    try:
        return msgspec.json.decode(msgspec.json.encode(body), type=NetworkBody)
    except msgspec.ValidationError as error:
        raise InputRefused(f"{path}: {error}") from error


@app.command("publish", help=f"Publish budgets, to one node or to all of an area; two persons sign.\n\n\b\n{EXAMPLE}")
def publish(
    file: Annotated[Path, typer.Argument(help="A TOML file as in the example above.")],
    *,
    key: KeyOption,
    node: Annotated[str | None, typer.Option(help="The node.")] = None,
    area: Annotated[str | None, typer.Option(help="Or an area: every node in it gets a document of its own.")] = None,
    authority: AuthorityOption = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Publish a node's or an area's budgets from a TOML file."""
    folder = StateFolder(state).require()
    if (node is None) == (area is None):
        raise InputRefused("say whose budgets: either --node or --area")
    body, hands = body_of(file), open_hands(key, passphrase_file)
    with Link(folder.socket) as link:
        nodes = _nodes(link, node, area)
        made = [one for each in nodes if (one := _make(link, folder, each, body, authority, hands)) is not None]
        if not as_json:
            say(f"{len(nodes)} nodes, {len(nodes) - len(made)} of them have these budgets already:")
            if made:
                print_lines(budget_lines(body))
        if not dry_run and made:
            ask(f"Publish to {len(made)} nodes?", yes=yes)
        taken = [] if dry_run else _hand_in(link, made)
    if as_json:
        print_json({"published": not dry_run, "nodes": [one.node for one in made], "digests": [one.digest for one in taken]})
    else:
        say("Nothing was published (--dry-run)." if dry_run else f"Published to {len(taken)} nodes.", style="bold")


def _nodes(link: Link, node: str | None, area: str | None) -> list[str]:
    placed = [each for each in link.get("/v1/nodes", list[NodeView]) if each.placed and not each.retired]
    found = [each.id for each in placed if (each.id == node.upper() if node else area in each.chain)]
    if not found:
        raise InputRefused(f"no placed node is {node or f'in {area}'}: see `loa node list`")
    return found


def _make(
    link: Link, folder: StateFolder, node: str, body: NetworkBody, given: str | None, hands: tuple[Hand, ...]
) -> Made | None:
    """The signed document of one node; None when the same is in force. Raises InputRefused."""
    trust = known_trust(folder)
    place = link.get(CONTEXT_PATH, OrderContext, area=node)
    check_clock(place.now_ms)
    chosen = choose_authority(given, [each.area for each in place.chain], "network", hands, trust)
    context = link.get("/v1/documents/context", DocumentContext, kind="network", subject=node, authority=chosen)
    if context.prev is not None and _in_force(link, context.prev).body == body:
        return None
    at_ms = now_ms()
    document = Network(
        authority=chosen,
        area=node,
        area_no=context.area_no,
        seq=next_seq(at_ms, context.highest_seq),
        purpose="routine",
        subject=node,
        prev=context.prev,
        valid_from_ms=at_ms,
        valid_until_ms=MAX_MS,
        body=body,
    )
    raw = close(document, hands)
    chain = tuple(ChainLink(area=each.area, area_no=each.area_no, level=each.level) for each in place.chain)
    if wrong := objection(document, raw, trust, chain):
        raise InputRefused(f"node {node} would refuse these budgets, so nothing was published: {wrong}")
    return Made(node=node, raw=raw)


def _in_force(link: Link, digest: str) -> Network:
    return unwrapped(link.get_bytes(f"/v1/documents/{digest}"), Network)


def _hand_in(link: Link, made: list[Made]) -> list[Taken]:
    taken: list[Taken] = []
    for one in made:
        try:
            taken.append(link.post_sealed("/v1/documents", one.raw, Taken))
        except InputRefused as refused:
            raise InputRefused(f"node {one.node} ({len(taken)} of {len(made)} were published before it): {refused}") from refused
    return taken


@app.command("show", epilog="loa network show 4QX0Y7K2M8")
def show(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    *,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """The budgets in force for a node; the defaults when nobody signed any."""
    folder = StateFolder(state).require()
    identity = node.upper()
    with Link(folder.socket) as link:
        context = link.get("/v1/documents/context", DocumentContext, kind="network", subject=identity, authority="root")
        document = _in_force(link, context.prev) if context.prev else None
    body = document.body if document else NetworkBody()
    if as_json:
        print_json({"node": identity, "digest": context.prev, "body": msgspec.structs.asdict(body)})
        return
    if document is None:
        say(f"Nobody signed budgets for node {identity}: the defaults hold.")
    print_lines(budget_lines(body))
