"""`loa`: everything a person does at the controller, through serve's unix socket."""

import os
from pathlib import Path
from typing import Annotated

import typer

from controller.cli import (
    auditing,
    authority,
    boards,
    emergency,
    exporting,
    library,
    networks,
    persons,
    places,
    programmes,
    records,
    report,
    rollouts,
    running,
    signing_files,
    stations,
    suspending,
    timekeeping,
    trust,
)
from controller.cli.options import STATE_ENV
from provisioning.terminal import run

app = typer.Typer(
    name="loa",
    help="The controller of a province's loudspeakers. Each command has --help with an example.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("init", epilog="loa init --state ./state --province 52 --host loa.example.vn")(running.init)
app.command("serve", epilog="loa serve --state ./state")(running.serve)
app.command("signer", epilog="loa signer --state ./state")(running.signer)
app.command("service-key", epilog="loa service-key --area 52.24076 --out service-24076.pub")(running.service_key)
app.command("service-grant", epilog="loa service-grant grant-24076.json --state /var/lib/loa-signer")(running.service_grant)
app.command("signing-page", epilog="loa signing-page --release release.json --root root.json --served https://ky.example.vn")(
    signing_files.signing_page
)
app.command("status", epilog="loa status --json")(running.status)
app.add_typer(places.app, name="area")
app.add_typer(boards.app, name="node")
app.add_typer(authority.app, name="ca")
app.add_typer(trust.app, name="trust")
app.command("export", epilog="loa export /media/usb/loa --for-node 4QX0Y7K2M8")(exporting.export)
app.command("suspend", epilog="loa suspend --person chu-tich --reason 'mất máy' --key p1.key")(suspending.suspend)
app.add_typer(library.app, name="media")
app.add_typer(programmes.app, name="programme")
app.add_typer(stations.app, name="station")
app.add_typer(networks.app, name="network")
app.add_typer(emergency.app, name="emergency")
app.add_typer(persons.app, name="person")
app.add_typer(persons.app, name="people", hidden=True)  # its former name
app.add_typer(timekeeping.app, name="timekeeper")
app.command("plays", epilog="loa plays --node 4QX0Y7K2M8 --hours 48")(records.plays)
app.add_typer(report.app, name="report")
app.add_typer(rollouts.app, name="rollout")
app.command("refusals", epilog="loa refusals")(records.refusals)
app.add_typer(auditing.app, name="audit")


@app.callback()
def everywhere(
    state: Annotated[Path | None, typer.Option("--state", help="The state folder, for whatever command follows.")] = None,
) -> None:
    """Take --state before the command as well as after it."""
    if state is not None:
        os.environ[STATE_ENV] = str(state)


def main() -> None:
    """Run `loa`."""
    run(app)
