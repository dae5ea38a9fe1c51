"""`loa plays`, `refusals`: what was played and what was refused."""

import time
from typing import Annotated, Final

import typer

from controller.actions.views import PlayView, RefusalView
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, JsonOption, StateOption
from provisioning.showing import moment
from provisioning.terminal import print_json, print_table

HOUR_MS: Final = 3_600_000
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")]


def _level(cdb: int | None) -> str:
    return "" if cdb is None else f"{cdb / 100:.1f} dB"


def plays(
    *,
    node: Annotated[str | None, typer.Option(help="Only this node.")] = None,
    hours: Annotated[int, typer.Option(min=1, help="How far back.")] = 24,
    limit: LimitOption = 200,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """What was played: proof by node, each play counted once."""
    folder = StateFolder(state).require()
    since_ms = time.time_ns() // 1_000_000 - hours * HOUR_MS
    with Link(folder.socket) as link:
        found = link.get("/v1/plays", list[PlayView], node=node, since_ms=since_ms, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            each.node,
            str(each.record_id),
            each.incident or each.item,
            each.purpose,
            moment(each.started_ms or each.planned_ms)[:19],
            "" if each.started_ms is None or each.ended_ms is None else f"{(each.ended_ms - each.started_ms) / 1000:.1f} s",
            each.ending + (f": {each.reason}" if each.reason else ""),
            _level(each.rms_cdb),
            each.clock_state + ("" if each.clock_error_ms is None else f" ±{each.clock_error_ms} ms"),
        )
        for each in found
    ]
    print_table(("node", "no", "what", "purpose", "when", "length", "ending", "level", "clock"), rows)


def refusals(*, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """What nodes or the controller refused, and why, counted."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        found = link.get("/v1/refusals", list[RefusalView])
    if as_json:
        print_json(found)
        return
    rows = [(each.node, each.reason, each.topic, str(each.count), moment(each.last_ms)[:19]) for each in found]
    print_table(("node", "reason", "topic", "count", "last"), rows)
