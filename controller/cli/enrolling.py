"""`loa node add`: from a name and a place to a node's folder that starts and a placement that holds, in one step."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import Struct

from controller import ca
from controller.actions.views import DocumentView, NodeView, OrderContext
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, AuthorityOption, JsonOption, SecretOption, StateOption
from controller.cli.orders import CONTEXT_PATH
from controller.cli.sealing import Hand, check_clock, choose_authority, close, known_trust, now_ms, open_hands
from controller.cli.settings import read_settings
from controller.cli.trust import Taken
from protocol.documents import ChainLink, Placement
from protocol.errors import Malformed
from provisioning import enrol, papers
from provisioning.ceremony import ROOT, build_placement
from provisioning.errors import InputRefused
from provisioning.terminal import print_json, print_lines, say

PLACEMENT: Final = "placement.json"


class Enrolled(Struct, frozen=True, kw_only=True):
    """What `loa node add` made."""

    node: str
    area_no: int
    report_key: str
    folder: str
    config: str
    placement: str
    placed: bool


class Wish(Struct, frozen=True, kw_only=True):
    """What the person asked for."""

    name: str
    station: str | None
    authority: str
    board: enrol.Board
    hands: tuple[Hand, ...]


def _certificate(folder: StateFolder, fresh: enrol.Fresh) -> tuple[bytes, bytes]:
    """Certificate and CA. Raises InputRefused."""
    try:
        authority = ca.load_ca(folder.ca)
        return ca.issue_for_request(authority, fresh.request_pem, fresh.node), authority.certificate_pem
    except ca.CaError as error:
        raise InputRefused(str(error)) from error


def _links(folder: StateFolder, ca_pem: bytes, documents: list[tuple[str, bytes]]) -> enrol.Links:
    settings, root = read_settings(folder), papers.read_paper(folder.root)
    return enrol.Links(
        ca_pem=ca_pem,
        root=root.raw or b"",
        root_digest=root.digest,
        broker_host=settings.host,
        broker_port=settings.broker.port,
        media_url=f"https://{settings.host}:{settings.https.port}",
        documents=tuple(documents),
    )


def _grants(folder: StateFolder, context: OrderContext) -> list[tuple[str, bytes]]:
    """The grants above the node, so that it obeys the right people from its first start, without a network."""
    paths = [folder.trust / f"grant-{link.area}.json" for link in context.chain]
    return [(path.name, path.read_bytes()) for path in paths if path.is_file()]


def _placement(link: Link, context: OrderContext, fresh: enrol.Fresh, view: NodeView, wish: Wish) -> Placement:
    """Where the node stands, replacing an older placement of the same label. Raises InputRefused."""
    chain = tuple(ChainLink(area=each.area, area_no=each.area_no, level=each.level) for each in context.chain)
    older = link.get("/v1/documents", list[DocumentView], kind="placement", subject=fresh.node)
    try:
        return build_placement(
            chain=(*chain, ChainLink(area=fresh.node, area_no=view.area_no, level="node")),
            report_key=fresh.report_key,
            now_ms=now_ms(),
            station=wish.station,
            authority=wish.authority,
            prev=next((each.digest for each in older if each.in_force), None),
            highest_known=max((each.seq for each in older), default=-1),
        )
    except (Malformed, ValueError) as error:
        raise InputRefused(f"no node can stand in {context.area}: {error}") from error


def add(
    *,
    name: Annotated[str, typer.Option(help="What people call it.")],
    settlement: Annotated[str, typer.Option(help="Where it stands: a settlement (or commune).")],
    out: Annotated[Path, typer.Option(help="The node's folder, to be made; keep it private.")],
    node: Annotated[str | None, typer.Option(help="The id on its label; else a new one.")] = None,
    sink: Annotated[str, typer.Option(help="alsa:default, wav:FILE or fifo:FILE.")] = "alsa:default",
    amplifier: Annotated[str, typer.Option(help="none, or gpio:17?on_ms=500.")] = "none",
    clock: Annotated[str, typer.Option(help="chrony, or the file that systemd-timesyncd touches.")] = enrol.CLOCK_FILE,
    station: Annotated[str | None, typer.Option(help="Whose operating rules hold; else the commune's.")] = None,
    authority: AuthorityOption = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Sign the placement at once with this key file or token (repeat).")
    ] = None,
    passphrase_file: SecretOption = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Enrol a node in one step: folder, keys, certificate, node.toml, and its placement (a draft, or signed with --key)."""
    folder = StateFolder(state)
    folder.require()
    if not folder.root.is_file():
        raise InputRefused(f"no root is pinned in {folder.trust}: import it first with `loa trust import root.json`")
    identity = enrol.check_node_id(node) if node else enrol.draw_node_id(os.urandom)
    hands = open_hands(key or [], passphrase_file)
    with Link(folder.socket) as link:
        context = link.get(CONTEXT_PATH, OrderContext, area=settlement)
        check_clock(context.now_ms)
        chain = [each.area for each in context.chain]
        chosen = choose_authority(authority, chain, "placement", hands, known_trust(folder)) if hands else authority or ROOT
        board = enrol.Board(sink=sink, amplifier=amplifier, clock=clock)
        wish = Wish(name=name, station=station, authority=chosen, board=board, hands=hands)
        fresh = enrol.begin(out, identity)
        try:
            view, config, raw = _make(folder, link, context, fresh, wish)
        except BaseException:
            enrol.abandon(fresh)
            raise
        if raw is not None:
            _hand_in(link, out / PLACEMENT, raw)
    done = Enrolled(
        node=identity,
        area_no=view.area_no,
        report_key=fresh.report_key,
        folder=str(out),
        config=str(config),
        placement=str(out / PLACEMENT),
        placed=raw is not None,
    )
    _tell(done, folder, as_json=as_json)


def _make(
    folder: StateFolder, link: Link, context: OrderContext, fresh: enrol.Fresh, wish: Wish
) -> tuple[NodeView, Path, bytes | None]:
    """Enrol the node at serve and fill its folder; gives the sealed placement when there are hands to sign it."""
    certificate_pem, ca_pem = _certificate(folder, fresh)
    request = {
        "node": fresh.node,
        "name": wish.name,
        "settlement": context.area,
        "report_key": fresh.report_key,
        "certificate_pem": certificate_pem.decode(),
    }
    view = link.post("/v1/nodes", request, NodeView)
    made = _placement(link, context, fresh, view, wish)
    documents, raw = _grants(folder, context), None
    if wish.hands:
        raw = close(made, wish.hands)
        documents.append((PLACEMENT, raw))
    else:
        papers.write_draft(fresh.folder / PLACEMENT, made)
    config = enrol.finish(fresh, certificate_pem=certificate_pem, links=_links(folder, ca_pem, documents), board=wish.board)
    return view, config, raw


def _hand_in(link: Link, paper: Path, raw: bytes) -> None:
    try:
        link.post_sealed("/v1/documents", raw, Taken)
    except InputRefused as refused:
        raise InputRefused(
            f"the node is enrolled, but its placement {paper} was refused: {refused}. Write and sign another one "
            "with `loa-provision placement`, then `loa trust import` it"
        ) from refused


def _tell(done: Enrolled, folder: StateFolder, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    print_lines(
        [
            ("node", done.node),
            ("number", str(done.area_no)),
            ("report key", done.report_key),
            ("folder", done.folder),
            ("start it with", f"loa-agent --config {done.config}"),
        ]
    )
    if done.placed:
        say("Its placement is signed and in force.", style="green")
        return
    say(f"Its placement is a draft: loa-provision placement sign {done.placement} --root {folder.root} --key SIGNER.key")
    say(f"then: loa trust import {done.placement}. Until then the node obeys nobody.")
