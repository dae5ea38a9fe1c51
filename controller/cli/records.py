"""`loa plays`, `refusals`, `audit`, `people add`: what was played, refused and done, and who may come in."""

import time
from typing import Annotated, Final, Literal
from urllib.parse import quote

import typer

from controller.actions.views import AuditView, NewPerson, PersonView, PlayView, RefusalView
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, JsonOption, StateOption
from provisioning.showing import moment
from provisioning.terminal import print_json, print_table, say

HOUR_MS: Final = 3_600_000
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")]
people = typer.Typer(no_args_is_help=True, help="Who may sign in to the page (người dùng).")


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
    folder = StateFolder(state)
    folder.require()
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
    folder = StateFolder(state)
    folder.require()
    with Link(folder.socket) as link:
        found = link.get("/v1/refusals", list[RefusalView])
    if as_json:
        print_json(found)
        return
    rows = [(each.node, each.reason, each.topic, str(each.count), moment(each.last_ms)[:19]) for each in found]
    print_table(("node", "reason", "topic", "count", "last"), rows)


def audit(*, limit: LimitOption = 100, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """Who did what, newest first."""
    folder = StateFolder(state)
    folder.require()
    with Link(folder.socket) as link:
        found = link.get("/v1/audit", list[AuditView], limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [(moment(each.at_ms)[:19], each.actor, each.via, each.act, each.object, each.detail) for each in found]
    print_table(("when", "who", "through", "act", "what", "detail"), rows)


@people.command("add", epilog='loa people add h.yeo --full-name "Rơ Châm H\'Yéo" --role officer')
def people_add(
    name: Annotated[str, typer.Argument(help="The name to sign in with.")],
    *,
    full_name: Annotated[str, typer.Option(help="As others shall read it.")],
    role: Annotated[Literal["officer", "operator"], typer.Option(help="officer: cán bộ; operator: kỹ thuật.")] = "officer",
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Let somebody in to the page; the first password is shown this once."""
    folder = StateFolder(state)
    folder.require()
    with Link(folder.socket) as link:
        made = link.post("/v1/people", {"name": name, "full_name": full_name, "role": role}, NewPerson)
    _tell(made, as_json=as_json)


@people.command("reset", epilog="loa people reset h.yeo")
def people_reset(
    name: Annotated[str, typer.Argument(help="The name to sign in with.")],
    *,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """A new first password for somebody who lost theirs."""
    folder = StateFolder(state)
    folder.require()
    with Link(folder.socket) as link:
        made = link.post(f"/v1/people/{quote(name, safe='')}/reset", {}, NewPerson)
    _tell(made, as_json=as_json)


def _tell(made: NewPerson, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    say(f"{made.person.full_name} signs in as {made.person.name} with this password, shown only now: {made.first_password}")
    say("It must be changed at the first sign-in.")


@people.command("list", epilog="loa people list")
def people_list(*, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """Who may sign in."""
    folder = StateFolder(state)
    folder.require()
    with Link(folder.socket) as link:
        found = link.get("/v1/people", list[PersonView])
    if as_json:
        print_json(found)
        return
    rows = [(each.name, each.full_name, each.role, "first password" if each.must_change else "") for each in found]
    print_table(("name", "full name", "role", "note"), rows)
