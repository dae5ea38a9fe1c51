"""`loa node`: enrol a node in one step, list the nodes worst first, show one."""

import os
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from controller import ca
from controller.actions.views import NodeView, OrderContext
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, JsonOption, SecretOption, StateOption, YesOption
from controller.cli.orders import CONTEXT_PATH
from controller.cli.sealing import Hand, check_clock, close, now_ms, open_hands
from controller.cli.settings import Settings, read_settings
from controller.cli.trust import Taken
from protocol.documents import ChainLink, Placement
from protocol.errors import Malformed
from provisioning import enrol, papers
from provisioning.ceremony import ROOT, build_placement
from provisioning.errors import InputRefused
from provisioning.files import write_whole
from provisioning.showing import moment
from provisioning.terminal import ask, print_json, print_lines, print_table, say

SEVERITY = ("good", "notice", "TROUBLE", "LOST")
app = typer.Typer(no_args_is_help=True, help="Nodes (điểm phát): enrol, list, show.")


class Enrolled(Struct, frozen=True, kw_only=True):
    """What `loa node add` made."""

    node: str
    area_no: int
    report_key: str
    folder: str
    config: str
    placement: str
    placed: bool


def _sign_certificate(folder: StateFolder, fresh: enrol.Fresh) -> tuple[bytes, bytes]:
    """Certificate and CA. Raises InputRefused."""
    try:
        authority = ca.load_ca(folder.ca)
        return ca.issue_for_request(authority, fresh.request_pem, fresh.node), authority.certificate_pem
    except ca.CaError as error:
        raise InputRefused(str(error)) from error


def _links(folder: StateFolder, settings: Settings, ca_pem: bytes) -> enrol.Links:
    root = papers.read_paper(folder.root)
    return enrol.Links(
        ca_pem=ca_pem,
        root=root.raw or b"",
        root_digest=root.digest,
        broker_host=settings.host,
        broker_port=settings.broker.port,
        media_url=f"https://{settings.host}:{settings.https.port}",
    )


def _placement(
    context: OrderContext, settlement: str, fresh: enrol.Fresh, number: int, *, station: str | None, authority: str
) -> Placement:
    chain = tuple(ChainLink(area=each.area, area_no=each.area_no, level=each.level) for each in context.chain)
    own = ChainLink(area=fresh.node, area_no=number, level="node")
    try:
        return build_placement(
            chain=(*chain, own),
            report_key=fresh.report_key,
            now_ms=now_ms(),
            station=station,
            authority=authority,
        )
    except (Malformed, ValueError) as error:
        raise InputRefused(f"no node can stand in {settlement}: {error}") from error


@app.command("add", epilog="loa node add --name 'Loa buôn Ma Rok' --settlement 52.24076.001 --out ./ma-rok")
def add(
    *,
    name: Annotated[str, typer.Option(help="What people call it.")],
    settlement: Annotated[str, typer.Option(help="Where it stands: a settlement (or commune).")],
    out: Annotated[Path, typer.Option(help="The node's folder, to be made; keep it private.")],
    node: Annotated[str | None, typer.Option(help="The id on its label; else a new one.")] = None,
    sink: Annotated[str, typer.Option(help="alsa:default, wav:FILE or fifo:FILE.")] = "alsa:default",
    amplifier: Annotated[str, typer.Option(help="none, or gpio:17?on_ms=500.")] = "none",
    clock: Annotated[str, typer.Option(help="The clock is good while this file exists.")] = enrol.CLOCK_FILE,
    station: Annotated[str | None, typer.Option(help="Whose operating rules hold; else the commune's.")] = None,
    authority: Annotated[str, typer.Option(help="Under which the placement is signed.")] = ROOT,
    key: Annotated[list[Path] | None, typer.Option(help="Sign the placement at once with this key (repeat).")] = None,
    passphrase_file: SecretOption = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Enrol a node in one step: folder, keys, certificate, node.toml, and its placement (a draft, or signed with --key)."""
    folder = StateFolder(state)
    folder.require()
    if not folder.root.is_file():
        raise InputRefused(f"no root is pinned in {folder.trust}: import it first with `loa trust import root.json`")
    settings = read_settings(folder)
    identity = enrol.check_node_id(node) if node else enrol.draw_node_id(os.urandom)
    hands = open_hands(key or [], passphrase_file)
    with Link(folder.socket) as link:
        context = link.get(CONTEXT_PATH, OrderContext, area=settlement)
        check_clock(context.now_ms)
        fresh = enrol.begin(out, identity)
        try:
            certificate_pem, ca_pem = _sign_certificate(folder, fresh)
            config = enrol.finish(
                fresh,
                certificate_pem=certificate_pem,
                links=_links(folder, settings, ca_pem),
                board=enrol.Board(sink=sink, amplifier=amplifier, clock=clock),
            )
            view = link.post("/v1/nodes", _request(fresh, name, settlement, certificate_pem), NodeView)
        except BaseException:
            enrol.abandon(fresh)
            raise
        made = _placement(context, settlement, fresh, view.area_no, station=station, authority=authority)
        paper = out / "placement.json"
        _write_placement(link, paper, made, hands)
    done = Enrolled(
        node=identity,
        area_no=view.area_no,
        report_key=fresh.report_key,
        folder=str(out),
        config=str(config),
        placement=str(paper),
        placed=bool(hands),
    )
    _tell(done, folder, as_json=as_json)


def _request(fresh: enrol.Fresh, name: str, settlement: str, certificate_pem: bytes) -> dict[str, str]:
    return {
        "node": fresh.node,
        "name": name,
        "settlement": settlement,
        "report_key": fresh.report_key,
        "certificate_pem": certificate_pem.decode(),
    }


def _write_placement(link: Link, paper: Path, made: Placement, hands: tuple[Hand, ...]) -> None:
    """A draft without hands; with hands it is signed and handed in."""
    if not hands:
        papers.write_draft(paper, made)
        return
    raw = close(made, hands)
    write_whole(paper, raw + b"\n", new=True)
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


@app.command("list", epilog="loa node list --area 52.24076")
def list_(
    *,
    area: Annotated[str | None, typer.Option(help="Only nodes in this area.")] = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """All nodes, worst first, with the reasons."""
    folder = StateFolder(state)
    folder.require()
    with Link(folder.socket) as link:
        nodes = link.get("/v1/nodes", list[NodeView], area=area)
    if as_json:
        print_json(nodes)
        return
    rows = [
        (
            each.id,
            each.name,
            each.settlement_name,
            SEVERITY[each.severity],
            each.online,
            "" if each.last_heard_ms is None else moment(each.last_heard_ms)[:19],
            each.sounding or "",
            "; ".join(reason.en for reason in each.reasons),
        )
        for each in nodes
    ]
    print_table(("node", "name", "settlement", "state", "link", "last heard", "sounding", "reasons"), rows)


@app.command("show", epilog="loa node show 4QX0Y7K2M8")
def show(
    node: Annotated[str, typer.Argument(help="The node's id, or its name.")],
    *,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Everything known of one node; its own clock beside ours."""
    folder = StateFolder(state)
    folder.require()
    with Link(folder.socket) as link:
        nodes = link.get("/v1/nodes", list[NodeView])
    found = [each for each in nodes if node in (each.id, each.name) or each.id == node.upper()]
    if len(found) != 1:
        what = "is no node here" if not found else "is the name of several nodes: give the id"
        raise InputRefused(f"{node!r} {what}; see `loa node list`")
    view = found[0]
    if as_json:
        print_json(view)
        return
    print_lines(
        [
            ("node", f"{view.id} ({view.name})"),
            ("stands in", " > ".join(view.chain) if view.placed else f"{view.settlement}, NOT PLACED: it obeys nobody"),
            ("state", SEVERITY[view.severity]),
            *[("reason", f"{each.vi} / {each.en}") for each in view.reasons],
            ("link", view.online),
            ("last heard", "never" if view.last_heard_ms is None else moment(view.last_heard_ms)),
            ("its clock", _clock(view)),
            ("version", view.version or "not known"),
            ("starts", str(view.boot_count)),
            ("content", "current" if view.holds_current else f"lags: {', '.join(view.lagging) or 'not known'}"),
            ("missing sounds", str(view.missing_media)),
            ("sounding", view.sounding or "nothing"),
            ("refused", str(view.refused)),
        ]
    )


@app.command("retire", epilog="loa node retire 4QX0Y7K2M8")
def retire(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    *,
    yes: YesOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """A node is taken down: it keeps its history and is asked for nothing any more."""
    folder = StateFolder(state)
    folder.require()
    identity = enrol.check_node_id(node)
    ask(f"Retire node {identity}?", yes=yes)
    with Link(folder.socket) as link:
        link.delete(f"/v1/nodes/{identity}")
    say(f"Node {identity} is retired.")


def _clock(view: NodeView) -> str:
    if view.device_at_ms is None or view.heard_at_ms is None:
        return f"{view.clock_state}; not heard yet"
    return f"{view.clock_state}; it said {moment(view.device_at_ms)} when ours said {moment(view.heard_at_ms)}"
