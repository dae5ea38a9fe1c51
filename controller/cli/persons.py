"""`loa person`: who may sign in to the page, and to do what; passwords and second factors that were lost."""

from typing import Annotated, Final
from urllib.parse import quote

import typer

from controller.actions.views import NewPerson, PersonView
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, JsonOption, StateOption
from controller.cli.settings import read_settings
from controller.core.access import ROLES, Duty
from provisioning.errors import InputRefused
from provisioning.terminal import print_json, print_table, say

app = typer.Typer(no_args_is_help=True, help="Who may sign in to the page, and to do what (người dùng).")
NameArgument = Annotated[str, typer.Argument(help="The name to sign in with.")]
RoleOption = Annotated[
    list[str] | None,
    typer.Option("--role", help="A duty (repeat): author, approver, emergency, technician, operator, auditor."),
]
AreaOption = Annotated[
    list[str] | None, typer.Option("--area", help="Where (repeat); it holds below too. Else the whole province.")
]
PATH: Final = "/v1/people"


def _duties(folder: StateFolder, roles: list[str] | None, areas: list[str] | None) -> list[Duty]:
    where = areas or [read_settings(folder).province]
    wrong = next((role for role in roles or [] if role not in ROLES), None)
    if wrong is not None:
        raise InputRefused(f"--role {wrong!r} is no duty: choose among {', '.join(ROLES)}")
    return [Duty(known, area) for known in ROLES if known in (roles or []) for area in where]


def _written(person: PersonView) -> str:
    return ", ".join(f"{duty.role} {duty.area}" for duty in person.duties)


@app.command("add", epilog='loa person add h.yeo --full-name "Rơ Châm H\'Yéo" --role emergency --role author --area 52.24076')
def add(
    name: NameArgument,
    *,
    full_name: Annotated[str, typer.Option(help="As others shall read it.")],
    role: RoleOption = None,
    area: AreaOption = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Let somebody in to the page; the first password is shown this once."""
    folder = StateFolder(state).require()
    body = {"name": name, "full_name": full_name, "duties": _duties(folder, role, area)}
    with Link(folder.socket) as link:
        made = link.post(PATH, body, NewPerson)
    _tell(made, as_json=as_json)
    if not made.person.duties and not as_json:
        say(f"{name} has no duty yet and sees nothing: `loa person grant {name} --role ... --area ...`.")


def _tell(made: NewPerson, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    say(f"{made.person.full_name} signs in as {made.person.name} with this password, shown only now: {made.first_password}")
    say("It must be changed at the first sign-in.")
    if made.person.duties:
        say(f"Duties: {_written(made.person)}.")


def _post(state: StateOption, name: str, act: str, body: object, *, as_json: bool) -> None:
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        person = link.post(f"{PATH}/{quote(name, safe='')}/{act}", body, PersonView)
    if as_json:
        print_json(person)
        return
    say(f"{person.name}: {_written(person) or 'no duty'}.")


@app.command("grant", epilog="loa person grant h.yeo --role emergency --area 52.24076")
def grant(
    name: NameArgument,
    *,
    role: RoleOption,
    area: AreaOption = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """More duties; they count from the person's next click on."""
    _post(state, name, "grant", {"duties": _duties(StateFolder(state), role, area)}, as_json=as_json)


@app.command("revoke", epilog="loa person revoke h.yeo --role emergency --area 52.24076")
def revoke(
    name: NameArgument,
    *,
    role: RoleOption,
    area: AreaOption = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Fewer duties; they are gone at the person's next click."""
    _post(state, name, "revoke", {"duties": _duties(StateFolder(state), role, area)}, as_json=as_json)


@app.command("reset", epilog="loa person reset h.yeo")
def reset(name: NameArgument, *, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """A new first password for somebody who lost theirs."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        made = link.post(f"{PATH}/{quote(name, safe='')}/reset", {}, NewPerson)
    _tell(made, as_json=as_json)


@app.command("reset-second-factor", epilog="loa person reset-second-factor h.yeo")
def reset_second_factor(name: NameArgument, *, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """For a lost telephone: take its codes away, end all sessions; the next sign-in sets up new ones. See who asks, first."""
    _post(state, name, "reset-second-factor", {}, as_json=as_json)


@app.command("disable", epilog="loa person disable h.yeo")
def disable(name: NameArgument, *, state: StateOption = DEFAULT_STATE) -> None:
    """End somebody's access at once."""
    _access(state, name, "disable")


@app.command("enable", epilog="loa person enable h.yeo")
def enable(name: NameArgument, *, state: StateOption = DEFAULT_STATE) -> None:
    """Give access back."""
    _access(state, name, "enable")


def _access(state: StateOption, name: str, act: str) -> None:
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        link.post(f"{PATH}/{quote(name, safe='')}/{act}", {}, dict[str, str])
    say(f"{name}: {act}d.")


@app.command("list", epilog="loa person list")
def list_all(*, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """Who may sign in, and to do what."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        found = link.get(PATH, list[PersonView])
    if as_json:
        print_json(found)
        return
    rows = [(each.name, each.full_name, _written(each), "yes" if each.second_factor else "no", _note(each)) for each in found]
    print_table(("name", "full name", "duties", "codes", "note"), rows)


def _note(person: PersonView) -> str:
    if person.disabled:
        return "shut out"
    return "first password" if person.must_change else ""
