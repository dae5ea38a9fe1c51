"""`loa ca`: the two roots of the connection's CA, shown and rotated. They open connections; what sounds is signed elsewhere."""

from typing import Final

import typer

from controller.actions.trust_views import RootView
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, JsonOption, StateOption, YesOption
from provisioning.showing import moment
from provisioning.terminal import ask, print_json, print_table, say

app = typer.Typer(no_args_is_help=True, help="The CA of the connections (hai gốc chứng chỉ): show, rotate.")
HEAD: Final = ("root", "role", "nodes", "until", "key here", "sha256")


def _show(roots: list[RootView], *, as_json: bool) -> None:
    if as_json:
        print_json(roots)
        return
    rows = [
        (
            each.name,
            "signs" if each.signs else "stands by",
            str(each.living),
            moment(each.until_ms)[:10],
            "yes" if each.key_here else "no",
            each.fingerprint,
        )
        for each in roots
    ]
    print_table(HEAD, rows)


@app.command("show", epilog="loa ca show")
def show(*, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """Both roots, and how many nodes still hold a certificate of each."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        _show(link.get("/v1/ca", list[RootView]), as_json=as_json)


@app.command("rotate", epilog="loa ca rotate")
def rotate(*, yes: YesOption = False, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """Let the root that stands by sign from now on. Nodes pin both and follow when they renew, within 60 days."""
    folder = StateFolder(state).require()
    ask("Let the other root sign from now on?", yes=yes)
    with Link(folder.socket) as link:
        _show(link.post("/v1/ca/rotate", {}, list[RootView]), as_json=as_json)
    if not as_json:
        say("When no node holds a certificate of the old one any more: loa ca retire-old")


@app.command("retire-old", epilog="loa ca retire-old")
def retire_old(*, yes: YesOption = False, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """Believe the root that no longer signs no more, once no node needs it."""
    folder = StateFolder(state).require()
    ask("Believe the other root no more? Certificates by it end at once.", yes=yes)
    with Link(folder.socket) as link:
        _show(link.post("/v1/ca/retire-other", {}, list[RootView]), as_json=as_json)
