"""`loa timekeeper`: its certificate is made at the controller, its key and its program live on another host."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.folder import StateFolder
from controller.cli.options import DEFAULT_STATE, StateOption
from controller.cli.running import until_told
from controller.cli.settings import read_settings
from protocol import keys
from provisioning.errors import InputRefused
from provisioning.files import refuse_existing
from provisioning.keyfile import open_private
from provisioning.terminal import passphrase, print_lines, say

app = typer.Typer(no_args_is_help=True, help="Tells nodes without a clock the time, from a host of its own (máy báo giờ).")


@app.command("enrol", epilog="loa timekeeper enrol --host loa.example.vn --out ./may-bao-gio")
def enrol(
    *,
    out: Annotated[Path, typer.Option(help="A new folder, to be carried to the timekeeper's host.")],
    host: Annotated[
        str | None, typer.Option(help="The broker's name as seen from there; else the first of loa.toml's hosts.")
    ] = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Make the timekeeper's certificate and configuration. Its signing key is made over there, and never comes here."""
    from controller import ca
    from controller.mosquitto import TIMEKEEPER

    folder = StateFolder(state).require()
    settings = read_settings(folder)
    refuse_existing(out, "folder")
    issued = ca.issue(ca.load_ca(folder.ca), TIMEKEEPER)
    out.mkdir(mode=0o700, parents=True)
    name = host or next(iter(settings.hosts), settings.broker.host)
    ca.write_once(out / "timekeeper.key", issued.key_pem, mode=0o600)
    ca.write_once(out / "timekeeper.crt", issued.cert_pem, mode=0o644)
    ca.write_once(out / "ca.crt", (folder.ca / ca.CERTIFICATE).read_bytes(), mode=0o644)
    toml = f'broker_host = "{name}"\nbroker_port = {settings.broker.port}\nkey = "time.key"\npassphrase_file = "passphrase"\n'
    ca.write_once(out / "timekeeper.toml", toml.encode(), mode=0o644)
    say(f"Made {out}: carry it to the timekeeper's host, which must not be this one.")
    print_lines(
        [
            ("there", "loa-provision key new --person may-bao-gio --name 'Máy báo giờ' --out time.key"),
            ("then", "put time.pub into the root's role `time` and sign the root's next version"),
            ("run", "loa timekeeper run --config timekeeper.toml"),
        ]
    )


@app.command("run", epilog="loa timekeeper run --config /etc/loa/timekeeper/timekeeper.toml")
def run(
    *,
    config: Annotated[Path, typer.Option(help="timekeeper.toml; its other files lie beside it.")],
    key: Annotated[Path | None, typer.Option(help="Another key than the one that it names.")] = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="Take the passphrase from this file's first line.")] = None,
) -> None:
    """Answer nodes that say they have no clock, as long as this computer's own clock is good (chrony)."""
    from controller import timekeeper
    from controller.errors import ConfigWrong

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    folder = config.absolute().parent
    try:
        read = timekeeper.load(config)
    except ConfigWrong as wrong:
        raise InputRefused(str(wrong)) from wrong
    path = key or folder / read.key
    secret = passphrase_file or (folder / read.passphrase_file if read.passphrase_file else None)
    private = open_private(path, passphrase(f"Passphrase of {path}", secret))
    asyncio.run(until_told(timekeeper.serve(folder, read, keys.sealer(private))))
