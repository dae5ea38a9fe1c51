"""`loa node add`: a node at a desk in one step: the same claim, certificate and placement as in the field, said for it."""

import os
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from controller.actions.trust_views import EnrolmentView
from controller.actions.views import NodeView, OrderContext
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, AuthorityOption, JsonOption, SecretOption, StateOption
from controller.cli.orders import CONTEXT_PATH
from controller.cli.placing import PLACEMENT, Wish, grants_above, hand_in, links_of, placement_of, require_root
from controller.cli.sealing import check_clock, choose_authority, close, known_trust, open_hands
from protocol.enrolment import CLAIM_BYTES, Certified, EnrolRequest, proof_of, verifier_of
from provisioning import enrol, papers
from provisioning.ceremony import ROOT
from provisioning.terminal import print_json, print_lines, say


class Enrolled(Struct, frozen=True, kw_only=True):
    """What `loa node add` made."""

    node: str
    area_no: int
    report_key: str
    folder: str
    config: str
    placement: str
    placed: bool


def add(
    *,
    name: Annotated[str, typer.Option(help="What people call it.")],
    settlement: Annotated[str, typer.Option(help="Where it stands: a settlement (or commune).")],
    out: Annotated[Path, typer.Option(help="The node's folder, to be made; keep it private.")],
    node: Annotated[str | None, typer.Option(help="The id on its label; else a new one.")] = None,
    sink: Annotated[str, typer.Option(help="alsa:default, wav:FILE or fifo:FILE.")] = "alsa:default",
    amplifier: Annotated[str, typer.Option(help="none, or gpio:17?on_ms=500; another chip: gpio:5?chip=LABEL.")] = "none",
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
    """Enrol a node at this desk: folder, keys, certificate, node.toml, and its placement (a draft, or signed with --key).

    Its keys are made here and travel to it. In the field use `loa-provision node new`, where they never leave the node.
    """
    folder = StateFolder(state).require()
    require_root(folder)
    identity = enrol.check_node_id(node) if node else enrol.draw_node_id(os.urandom)
    hands = open_hands(key or [], passphrase_file)
    with Link(folder.socket) as link:
        context = link.get(CONTEXT_PATH, OrderContext, area=settlement)
        check_clock(context.now_ms)
        chain = [each.area for each in context.chain]
        chosen = choose_authority(authority, chain, "placement", hands, known_trust(folder)) if hands else authority or ROOT
        board = enrol.Board(sink=sink, amplifier=amplifier, clock=clock)
        fresh = enrol.begin(out, identity)
        try:
            wish = Wish(node=identity, report_key=fresh.report_key, station=station, authority=chosen, hands=hands)
            view, config, raw = _make(folder, link, context, fresh, wish, name, board)
        except BaseException:
            enrol.abandon(fresh)
            raise
        if raw is not None:
            hand_in(link, out / PLACEMENT, raw)
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


def _certificate(link: Link, fresh: enrol.Fresh) -> bytes:
    """Announce the label and use its claim at once, in the node's place. Raises InputRefused."""
    verifier = verifier_of(fresh.node, os.urandom(CLAIM_BYTES))
    link.post("/v1/enrolments", {"node": fresh.node, "verifier": verifier, "replace": True}, EnrolmentView)
    request = fresh.request_pem.decode()
    proof = proof_of(verifier, request, fresh.report_key)
    asked = EnrolRequest(node=fresh.node, request_pem=request, report_key=fresh.report_key, proof=proof)
    return link.post("/v1/enrolments/claim", asked, Certified).certificate_pem.encode()


def _make(
    folder: StateFolder, link: Link, context: OrderContext, fresh: enrol.Fresh, wish: Wish, name: str, board: enrol.Board
) -> tuple[NodeView, Path, bytes | None]:
    """Enrol the node at serve and fill its folder; gives the sealed placement when there are hands to sign it."""
    certificate_pem = _certificate(link, fresh)
    request = {"node": fresh.node, "name": name, "settlement": context.area, "report_key": fresh.report_key}
    view = link.post("/v1/nodes", request, NodeView)
    made = placement_of(link, context, view, wish)
    documents, raw = grants_above(folder, context), None
    if wish.hands:
        raw = close(made, wish.hands)
        documents.append((PLACEMENT, raw))
    else:
        papers.write_draft(fresh.folder / PLACEMENT, made)
    config = enrol.finish(fresh, certificate_pem=certificate_pem, links=links_of(folder, documents), board=board)
    return view, config, raw


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
