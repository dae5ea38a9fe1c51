"""`loa network`: what content may cost, and how nodes reach the controller, from a TOML file to one signed document a node."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from msgspec import Struct

from controller.actions.views import DocumentContext, NodeView, OrderContext
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.network_file import EXAMPLE, body_of
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
from controller.cli.sealing import Hand, check_clock, choose_authority, close, known_trust, now_ms, objection, open_hands
from controller.cli.trust import Taken
from protocol.documents import ChainLink, Network, NetworkBody
from protocol.reports import NetworkState
from protocol.units import MAX_MS
from provisioning.ceremony import next_seq
from provisioning.errors import InputRefused
from provisioning.papers import unwrapped
from provisioning.showing import budget_lines
from provisioning.terminal import ask, print_json, print_lines, say

TRIED: Final = (
    "Cụm loa thử đường mới; 10 phút không gặp được máy chủ thì tự quay về đường cũ và báo lại (loa network show).\n"
    "A node tries a new way; if the controller does not answer there for 10 minutes it goes back by itself, and says so."
)
STATES: Final = {
    "trial": "đang thử (on trial)",
    "confirmed": "đã dùng được (confirmed)",
    "returned": "không tới được máy chủ, đã quay về đường cũ (returned: the controller did not answer there)",
}
app = typer.Typer(
    no_args_is_help=True,
    help="A node's data budget, night window and way to the controller (dung lượng SIM, giờ tải đêm, đường về máy chủ).",
)


class Made(Struct, frozen=True, kw_only=True):
    """A document that was signed and not yet handed in."""

    node: str
    raw: bytes
    before: NetworkBody


@app.command(
    "publish", help=f"Publish budgets and addresses, to one node or to all of an area; two persons sign.\n\n\b\n{EXAMPLE}"
)
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
    """Publish a node's or an area's budgets and addresses from a TOML file."""
    folder = StateFolder(state).require()
    if (node is None) == (area is None):
        raise InputRefused("say whose budgets: either --node or --area")
    body, hands = body_of(file), open_hands(key, passphrase_file)
    with Link(folder.socket) as link:
        nodes = _nodes(link, node, area)
        made = [one for each in nodes if (one := _make(link, folder, each, body, authority, hands)) is not None]
        if not as_json:
            say(f"{len(nodes)} nodes, {len(nodes) - len(made)} of them have all of this already:")
            _show(made, body)
        if not dry_run and made:
            ask(f"Publish to {len(made)} nodes?", yes=yes)
        taken = [] if dry_run else _hand_in(link, made)
    if as_json:
        print_json({"published": not dry_run, "nodes": [one.node for one in made], "digests": [one.digest for one in taken]})
    else:
        say("Nothing was published (--dry-run)." if dry_run else f"Published to {len(taken)} nodes.", style="bold")


def _show(made: list[Made], body: NetworkBody) -> None:
    """What is new for whom: nodes that have the same in force are told together."""
    groups: dict[NetworkBody, list[str]] = {}
    for one in made:
        groups.setdefault(one.before, []).append(one.node)
    for before, nodes in groups.items():
        old = dict(budget_lines(before))
        say(f"{', '.join(nodes)}:", style="bold")
        print_lines([(name, words if old[name] == words else f"{old[name]} -> {words}") for name, words in budget_lines(body)])
    if any(one.before.reach != body.reach for one in made):
        say(TRIED)


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
    before = None if context.prev is None else _in_force(link, context.prev).body
    if before == body:
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
        raise InputRefused(f"node {node} would refuse this, so nothing was published: {wrong}")
    return Made(node=node, raw=raw, before=before or NetworkBody())


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
    """The budgets and the way in force for a node, and whether it goes by that way; the defaults when nobody signed any."""
    folder = StateFolder(state).require()
    identity = node.upper()
    with Link(folder.socket) as link:
        context = link.get("/v1/documents/context", DocumentContext, kind="network", subject=identity, authority="root")
        document = _in_force(link, context.prev) if context.prev else None
        said = next((each.network for each in link.get("/v1/nodes", list[NodeView]) if each.id == identity), None)
    body = document.body if document else NetworkBody()
    if as_json:
        shown = {"node": identity, "digest": context.prev, "body": msgspec.to_builtins(body), "way": msgspec.to_builtins(said)}
        print_json(shown)
        return
    if document is None:
        say(f"Nobody signed budgets for node {identity}: the defaults hold.")
    print_lines([*budget_lines(body), ("the node (cụm loa)", _stands(said, context.prev, body))])


def _stands(said: NetworkState | None, digest: str | None, body: NetworkBody) -> str:
    """What the node says of the way that is in force for it."""
    if said is None:
        return "chưa báo gì (said nothing of it yet)" if body.reach is not None else "theo thẻ nhớ (goes by its card)"
    if said.digest != digest:
        return f"chưa nhận bản này (has not taken this one yet); bản trước (the one before): {STATES[said.state]}"
    return STATES[said.state]
