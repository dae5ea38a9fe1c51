"""One row a node, live: how far an incident is, from sent to ended."""

import time
from typing import Final

from rich.live import Live
from rich.table import Table
from rich.text import Text

from controller.actions.views import IncidentView, RowView
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from provisioning.errors import InputRefused
from provisioning.showing import moment
from provisioning.terminal import live_console, print_json, print_table, table

POLL_S: Final = 0.5
DONE: Final = frozenset({"ended", "stopped", "refused"})
OVER: Final = frozenset({"ended", "stopped", "expired"})
STYLES: Final = {
    "none": "dim",
    "sent": "yellow",
    "received": "cyan",
    "sounding": "bold green",
    "ended": "green",
    "stopped": "magenta",
    "refused": "bold red",
}


def _at(at_ms: int | None) -> str:
    return "" if at_ms is None else moment(at_ms)[11:19]


def _row(row: RowView) -> tuple[str | Text, ...]:
    state = Text(row.state, style=STYLES.get(row.state, ""))
    return (
        row.node_name or row.node,
        row.settlement_name or row.settlement,
        row.online,
        state,
        _at(row.sent_ms),
        _at(row.received_ms),
        _at(row.sounding_ms),
        _at(row.ended_ms),
        row.reason or ("needs re-seal with its nonce" if row.nonce else ""),
    )


def picture(view: IncidentView) -> Table:
    """The incident as a table."""
    what = "EXERCISE" if view.kind == "exercise" else "EMERGENCY"
    title = f"{what} {view.op} {view.incident} · {view.state} · {', '.join(view.area_names or view.areas)}"
    columns = ("node", "settlement", "link", "state", "sent", "received", "sounding", "ended", "reason")
    return table(columns, [_row(row) for row in view.rows], title=title)


def newest(link: Link) -> str:
    """The newest incident. Raises InputRefused when there is none."""
    views = link.get("/v1/incidents", list[IncidentView], since_ms=0)
    if not views:
        raise InputRefused("no incident was ever started here")
    return max(views, key=lambda view: view.requested_at_ms).incident


def show_all(folder: StateFolder, *, as_json: bool) -> None:
    """All incidents, newest first."""
    with Link(folder.socket) as link:
        views = sorted(link.get("/v1/incidents", list[IncidentView], since_ms=0), key=lambda view: -view.requested_at_ms)
    if as_json:
        print_json(views)
        return
    rows = [
        (
            view.incident,
            "exercise" if view.kind == "exercise" else "live",
            view.op,
            view.state,
            ", ".join(view.area_names or view.areas),
            moment(view.requested_at_ms)[:19],
            view.created_by,
            view.texts[0].text if view.texts else "",
        )
        for view in views
    ]
    print_table(("incident", "kind", "newest", "state", "where", "when", "by", "text"), rows)


def _over(view: IncidentView) -> bool:
    return view.state in OVER or (bool(view.rows) and all(row.state in DONE for row in view.rows))


def watch(
    folder: StateFolder, incident: str | None, *, once: bool = False, for_s: float | None = None, as_json: bool = False
) -> None:
    """Show an incident until every node is done (or once). Raises InputRefused."""
    end = None if for_s is None else time.monotonic() + for_s
    with Link(folder.socket) as link:
        named = incident or newest(link)
        view = link.get(f"/v1/incidents/{named}", IncidentView)
        if as_json:
            print_json(view)
            return
        console = live_console()
        if once:
            console.print(picture(view))
            return
        with Live(picture(view), console=console, auto_refresh=False) as live:
            while not _over(view) and (end is None or time.monotonic() < end):
                time.sleep(POLL_S)
                view = link.get(f"/v1/incidents/{named}", IncidentView)
                live.update(picture(view), refresh=True)
