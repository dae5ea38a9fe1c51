"""`loa init`, `serve`, `signer`, `status`."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import unicodedata
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Final, NoReturn

import msgspec
import typer

from controller.actions.views import StatusView
from controller.area_tree import DEMO_SETTLEMENTS
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, JsonOption, StateOption
from provisioning.errors import InputRefused
from provisioning.files import read_bytes, read_text, refuse_existing, write_whole
from provisioning.keyfile import PublicFile
from provisioning.showing import moment
from provisioning.terminal import print_json, print_lines, say, warn

SERVICE_PREFIX: Final = "service-"
SERVICE_NAME: Final = "Đài truyền thanh xã"


def init(
    *,
    province: Annotated[int, typer.Option(help="Code of the province: 52 is Gia Lai.")],
    host: Annotated[list[str] | None, typer.Option(help="Name or address for nodes and browsers (repeat; best first).")] = None,
    bind: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    broker_port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one.")] = 8883,
    https_port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one.")] = 8443,
    enrol_port: Annotated[int | None, typer.Option(min=0, max=65_535, help="0: any free one. [default: 8444]")] = None,
    signing_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Of the signing page; 0: any. [default: 8445]")
    ] = None,
    operator: Annotated[list[str] | None, typer.Option(help="Name for this machine's own certificate.")] = None,
    settlements: Annotated[Path | None, typer.Option(help="CSV of settlements (id,name,level,parent).")] = None,
    demo_settlements: Annotated[bool, typer.Option("--demo-settlements", help="Take the demonstration's settlements.")] = False,
    broker_folder: Annotated[Path | None, typer.Option(help="The broker's own folder, as /etc/loa/broker.")] = None,
    broker_state: Annotated[Path | None, typer.Option(help="Where that broker keeps its memory.")] = None,
    broker_group: Annotated[str, typer.Option(help="The group that broker runs as.")] = "",
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Make a controller's state folder: configuration, CA, broker, areas, database."""
    from controller.init import InitOptions, InitRefused, initialise

    source = settlements or (DEMO_SETTLEMENTS if demo_settlements else None)
    names = tuple(f"operator-{each.removeprefix('operator-')}" for each in operator or ["1"])
    options = InitOptions(
        province=province,
        hosts=tuple(host or ()),
        bind=bind,
        broker_port=broker_port,
        https_port=https_port,
        enrol_port=enrol_port,
        signing_port=signing_port,
        operators=names,
        settlements_csv=read_text(source, "settlement list") if source else "",
        broker_folder=str(broker_folder or ""),
        broker_state=str(broker_state or ""),
        broker_group=broker_group,
    )
    try:
        report = initialise(state, options)
    except InitRefused as refused:
        raise InputRefused(str(refused)) from refused
    if as_json:
        print_json(report)
        return
    say(f"Made {report.state} for {report.province}: {report.areas} areas, {report.settlements} of them settlements.")
    print_lines(
        [
            ("broker", f"port {report.broker_port}: mosquitto -c {report.broker_conf}"),
            ("page", f"port {report.https_port}: loa serve --state {state}"),
            ("enrol", f"port {report.enrol_port}: where new nodes ask for their certificate"),
            ("next", f"loa-provision root new ..., then loa trust import root.json --state {state}"),
        ]
    )
    warn(f"Keep {state}/ca/ca.key safe: whoever has it can connect as anybody (but not make a loudspeaker speak).")


def serve(
    *,
    broker_port: Annotated[int | None, typer.Option(help=r"Instead of \[broker] port of loa.toml.")] = None,
    https_port: Annotated[int | None, typer.Option(help=r"Instead of \[https] port of loa.toml; 0: any free one.")] = None,
    enrol_port: Annotated[int | None, typer.Option(help=r"Instead of \[enrol] port of loa.toml; 0: any free one.")] = None,
    bind: Annotated[str | None, typer.Option(help=r"Instead of \[https] bind of loa.toml.")] = None,
    state: StateOption = DEFAULT_STATE,
) -> NoReturn:
    """Run the controller: page, broker link, and the socket that `loa` talks to."""
    StateFolder(state).require()
    given = {"--broker-port": broker_port, "--https-port": https_port, "--enrol-port": enrol_port, "--bind": bind}
    flags = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    sys.stdout.flush()
    # This process becomes serve, so that signals and exit status are its own.
    os.execv(sys.executable, [sys.executable, "-m", "controller", "--state", str(state), *flags])  # noqa: S606  no shell is meant


def signer(*, state: StateOption = DEFAULT_STATE) -> None:
    """Run the signer, the only opener of service keys."""
    from controller import signer as process
    from controller.config import load
    from controller.errors import ConfigWrong

    StateFolder(state).require()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(until_told(process.serve(load(state))))
    except ConfigWrong as wrong:
        raise InputRefused(str(wrong)) from wrong


async def until_told(work: Coroutine[None, None, None]) -> None:
    """Run until SIGTERM or SIGINT, then let it close what it opened."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def service_key(
    *,
    area: Annotated[str, typer.Option(help="The commune it speaks for, and no other.")],
    out: Annotated[Path, typer.Option(help="The .pub file to write, for the grant.")],
    name: Annotated[
        str, typer.Option(help="What nodes say aloud as the issuing body; the grant must name it so.")
    ] = SERVICE_NAME,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Make the service key of a commune's relay; the grant must name it, with service = true, contents and per_day."""
    from controller.errors import ConfigWrong
    from controller.signer import new_service_key

    folder = StateFolder(state).require()
    refuse_existing(out, "public file")
    try:
        public = new_service_key(folder.path / "signer", area)
    except ConfigWrong as wrong:
        raise InputRefused(str(wrong)) from wrong
    made = PublicFile(person=f"{SERVICE_PREFIX}{area}", name=unicodedata.normalize("NFC", name), public=public)
    write_whole(out, msgspec.json.format(msgspec.json.encode(made)) + b"\n", new=True)
    if as_json:
        print_json(made)
        return
    say(f"Made the service key of {area}; {out} goes into its grant as person {made.person!r} with service = true.")


def service_grant(
    grant: Annotated[Path, typer.Argument(help="The signed grant of the commune.")],
    *,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Lay a commune's signed grant beside its service key: the signer starts the recordings that it lists, and nothing else."""
    from controller.errors import ConfigWrong
    from controller.signer import take_grant

    folder = StateFolder(state)
    folder.require()
    try:
        area = take_grant(folder.path / "signer", read_bytes(grant, "grant"))
    except ConfigWrong as wrong:
        raise InputRefused(str(wrong)) from wrong
    if as_json:
        print_json({"area": area})
        return
    say(f"The signer knows the grant of {area} now; it needs no restart.")


def status(*, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """How the controller is."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        view = link.get("/v1/status", StatusView)
    if as_json:
        print_json(view)
        return
    broker = "connected" if view.broker_connected else f"NOT CONNECTED: {view.broker_trouble or 'no reason known'}"
    signer_state = f"{len(view.signer_keys)} keys" if view.signer_keys else f"no keys: {view.signer_trouble or 'none was made'}"
    print_lines(
        [
            ("clock", moment(view.now_ms)),
            ("version", view.version),
            ("province", view.province),
            ("broker", f"{broker} (port {view.broker_port})"),
            ("signer", signer_state),
            ("root", view.root_digest or "NONE: import it with `loa trust import`"),
            ("nodes", f"{view.online} of {view.nodes} online"),
            ("waiting to go out", str(view.outbox)),
            ("page", f"port {view.https_port}"),
        ]
    )
    if view.audit_trouble:
        warn(f"The audit log does not hold ({view.audit_trouble}): run `loa audit verify`, keep the database, report it.")
