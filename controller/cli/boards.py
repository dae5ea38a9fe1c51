"""`loa node`: list the nodes worst first, show one, retire one; how one comes and goes is next door."""

from typing import Annotated, Final

import typer

from controller.actions.views import NodeView
from controller.cli import admitting, enrolling
from controller.cli.about import about_node
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, JsonOption, StateOption, YesOption
from provisioning.errors import InputRefused
from provisioning.showing import moment
from provisioning.terminal import print_json, print_lines, print_table, say

SEVERITY: Final = ("good", "notice", "TROUBLE", "LOST")
app = typer.Typer(no_args_is_help=True, help="Nodes (điểm phát): enrol, list, show.")
app.command("add", epilog="loa node add --name 'Loa buôn Ma Rok' --settlement 52.24076.001 --out ./ma-rok")(enrolling.add)
app.command("site", epilog="loa node site --out site.json")(admitting.site)
app.command("expect", epilog="loa node expect cards/*.expect.json")(admitting.expect)
app.command("pending", epilog="loa node pending")(admitting.pending)
app.command("approve", epilog="loa node approve 4QX0Y7K2M8 --name 'Loa thôn 1' --settlement 52.24076.001 --key a.key")(
    admitting.approve
)
app.command("revoke", epilog="loa node revoke 4QX0Y7K2M8 --why 'stolen'")(admitting.revoke)


@app.command("list", epilog="loa node list --area 52.24076")
def list_(
    *,
    area: Annotated[str | None, typer.Option(help="Only nodes in this area.")] = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """All nodes, worst first, with the reasons."""
    folder = StateFolder(state).require()
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
    folder = StateFolder(state).require()
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
            *[("suspended", each) for each in view.suspended],
            *([] if view.doubt_ms is None else [("in doubt since", f"{moment(view.doubt_ms)}: see `loa node settled --help`")]),
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
    with about_node(state, node, "Retire node {}?", yes=yes) as (link, identity):
        link.delete(f"/v1/nodes/{identity}")
    say(f"Node {identity} is retired.")


@app.command("model", epilog="loa node model 4QX0Y7K2M8 loa-node")
def model(
    node: Annotated[str, typer.Argument(help="Mã cụm loa / The node's id.")],
    kind: Annotated[str, typer.Argument(help="Loại máy, như trong bản phát hành / The kind of machine, as releases name it.")],
    *,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Loại máy của một cụm loa: chỉ nhận phần mềm cho loại đó / Which kind of machine a node is: only its releases reach it."""
    with about_node(state, node, "", yes=True) as (link, identity):
        link.post(f"/v1/nodes/{identity}/model", {"model": kind}, NodeView)
    say(f"Node {identity} is a {kind}.")


@app.command("settled", epilog="loa node settled 4QX0Y7K2M8")
def settled(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    *,
    yes: YesOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """You looked at a node that seemed copied or restored, and it is in order: the alarm goes, until it happens again."""
    with about_node(state, node, "Is node {} one device again, on its own card?", yes=yes) as (link, identity):
        link.post(f"/v1/nodes/{identity}/settled", {}, NodeView)
    say(f"Node {identity} is settled.")


def _clock(view: NodeView) -> str:
    if view.device_at_ms is None or view.heard_at_ms is None:
        return f"{view.clock_state}; not heard yet"
    bound = "" if view.clock_error_ms is None else f", off by at most {view.clock_error_ms} ms"
    return f"{view.clock_state}{bound}; it said {moment(view.device_at_ms)} when ours said {moment(view.heard_at_ms)}"
