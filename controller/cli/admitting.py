"""`loa node site`, `expect`, `pending`, `approve`, `revoke`: how a machine with a label becomes a node, and stops being one."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from controller.actions.trust_views import EnrolmentView
from controller.actions.views import NodeView, OrderContext
from controller.cli.about import about_node
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, AuthorityOption, JsonOption, SecretOption, StateOption, YesOption
from controller.cli.orders import CONTEXT_PATH
from controller.cli.placing import Wish, hand_in, links_of, placement_of, require_root
from controller.cli.sealing import check_clock, choose_authority, close, known_trust, open_hands
from protocol.enrolment import ExpectedNode
from provisioning import papers
from provisioning.ceremony import ROOT
from provisioning.enrol import check_node_id
from provisioning.errors import InputRefused
from provisioning.files import read_bytes
from provisioning.showing import moment
from provisioning.site import Site, write_site
from provisioning.terminal import print_json, print_lines, print_table, say, warn

ENROLMENTS = "/v1/enrolments"


def site(
    *,
    out: Annotated[Path, typer.Option(help="The site file to write, for the technician's desk.")],
    grants: Annotated[bool, typer.Option(help="Put the grants known here on the cards.")] = True,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Write what all cards have in common: addresses, CA roots, root, grants. No secret is in it."""
    folder = StateFolder(state).require()
    require_root(folder)
    documents = [(path.name, path.read_bytes()) for path in sorted(folder.trust.glob("grant-*.json"))] if grants else []
    links = links_of(folder, documents)
    made = Site(
        broker_host=links.broker_host,
        broker_port=links.broker_port,
        media_url=links.media_url,
        enrol_url=links.enrol_url or "",
        roots_pem=links.ca_pem.decode(),
        root=links.root,
        root_digest=links.root_digest,
        documents=dict(documents),
    )
    write_site(out, made)
    if as_json:
        print_json({"site": str(out), "root_digest": made.root_digest, "roots": made.roots_fingerprint})
        return
    print_lines([("site file", str(out)), ("root", made.root_digest), ("CA roots", made.roots_fingerprint)])
    say(f"Next, at the technician's desk: loa-provision node new --site {out} --pin {made.root_digest} --out ./cards")


def expect(
    files: Annotated[list[Path], typer.Argument(help="The .expect.json files of `loa-provision node new`.")],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Also labels whose machine or card was replaced.")] = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Announce new nodes. The files tell a claim without being it; whoever reads them can enrol nothing that you then approve."""
    folder = StateFolder(state).require()
    expected = [_read(path) for path in files]
    with Link(folder.socket) as link:
        found = [
            link.post(ENROLMENTS, {"node": each.node, "verifier": each.verifier, "replace": replace}, EnrolmentView)
            for each in expected
        ]
    if as_json:
        print_json(found)
        return
    say(f"{len(found)} expected: {', '.join(each.node for each in found)}. Delete these files now.")


def _read(path: Path) -> ExpectedNode:
    try:
        return msgspec.json.decode(read_bytes(path, "expect file"), type=ExpectedNode)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRefused(f"{path} is no expect file of `loa-provision node new` ({error})") from error


def pending(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also nodes that are placed or revoked.")] = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Nodes that are expected, or have a certificate and wait for somebody to sign their placement."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        found = link.get(ENROLMENTS, list[EnrolmentView])
    shown = [each for each in found if everything or each.twice or each.state in ("expected", "pending")]
    if as_json:
        print_json(shown)
        return
    rows = [
        (
            each.node,
            each.state,
            each.digits,
            "" if each.claimed_ms is None else moment(each.claimed_ms)[:19],
            each.source,
            "" if each.certificate_until_ms is None else moment(each.certificate_until_ms)[:10],
            _alarm(each),
        )
        for each in shown
    ]
    print_table(("node", "state", "digits", "came", "from", "certificate until", "alarm"), rows)


def _alarm(each: EnrolmentView) -> str:
    if not each.twice:
        return each.revoked_why
    return f"CLAIM USED TWICE: {each.twice} more, last from {each.twice_source}"


def approve(
    node: Annotated[str, typer.Argument(help="The id on its label.")],
    *,
    name: Annotated[str, typer.Option(help="What people call it.")],
    settlement: Annotated[str, typer.Option(help="Where it stands: a settlement (or commune).")],
    digits: Annotated[str | None, typer.Option(help="The six digits that the node itself shows; else asked.")] = None,
    station: Annotated[str | None, typer.Option(help="Whose operating rules hold; else the commune's.")] = None,
    authority: AuthorityOption = None,
    key: Annotated[list[Path] | None, typer.Option(help="Sign the placement with this key (repeat).")] = None,
    out: Annotated[Path | None, typer.Option(help="Without --key: write the draft of the placement here.")] = None,
    passphrase_file: SecretOption = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Give a pending node its place, once the six digits that it shows were compared."""
    folder = StateFolder(state).require()
    identity = check_node_id(node)
    if not key and out is None:
        raise InputRefused("name who signs with --key, or where to write the draft with --out")
    with Link(folder.socket) as link:
        came = _came(link, identity)
        _compare(came, digits)
        context = link.get(CONTEXT_PATH, OrderContext, area=settlement)
        check_clock(context.now_ms)
        hands = open_hands(key or [], passphrase_file)
        chain = [each.area for each in context.chain]
        chosen = choose_authority(authority, chain, "placement", hands, known_trust(folder)) if hands else authority or ROOT
        wish = Wish(node=identity, report_key=came.report_key, station=station, authority=chosen, hands=hands)
        request = {"node": identity, "name": name, "settlement": context.area, "report_key": came.report_key}
        view = link.post("/v1/nodes", request, NodeView)
        made = placement_of(link, context, view, wish)
        if hands:
            hand_in(link, Path(f"of {identity}"), close(made, hands))
        elif out is not None:
            papers.write_draft(out, made)
    if as_json:
        print_json({"node": identity, "area_no": view.area_no, "placed": bool(hands), "draft": None if hands else str(out)})
    elif hands:
        say(f"{identity} stands in {context.area}; its placement is signed and in force.", style="green")
    else:
        say(f"Its placement is a draft: loa-provision placement sign {out} --root {folder.root} --key SIGNER.key")
        say(f"then: loa trust import {out}. Until then the node obeys nobody.")


def _came(link: Link, node: str) -> EnrolmentView:
    found = next((each for each in link.get(ENROLMENTS, list[EnrolmentView]) if each.node == node), None)
    if found is None or found.state == "expected":
        raise InputRefused(f"node {node} has not come yet: start it, then see `loa node pending`")
    if found.state == "revoked":
        raise InputRefused(f"node {node} was revoked: it needs a new label (`loa-provision node new --node {node}`)")
    if found.twice:
        warn(f"{_alarm(found)}. Only the machine that shows {found.digits} is the one that you approve.")
    return found


def _compare(came: EnrolmentView, digits: str | None) -> None:
    """Raise InputRefused unless the digits that the node shows are those that came."""
    said = digits or str(typer.prompt("The six digits that the node shows (loa-agent status)"))
    if "".join(said.split()) != came.digits.replace(" ", ""):
        raise InputRefused(
            f"node {came.node} came with {came.digits}, not {said}: another machine used its claim. Nothing was signed; "
            "revoke it (`loa node revoke`) and make a new label"
        )


def revoke(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    *,
    why: Annotated[str, typer.Option(help="What happened: stolen, broken, replaced.")] = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Take a node's certificate away: off the broker within seconds, refused at the media door and at the enrol address."""
    question = "Revoke node {}? It falls silent and needs a new label to come back."
    with about_node(state, node, question, yes=yes) as (link, identity):
        view = link.post(f"{ENROLMENTS}/{identity}/revoke", {"why": why}, EnrolmentView)
    if as_json:
        print_json(view)
        return
    say(f"Node {identity} is revoked.")
