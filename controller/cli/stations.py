"""`loa station`: a commune's operating rules, from a TOML file to a signed document in force."""

from pathlib import Path
from typing import Annotated, Final

import typer

from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import (
    DEFAULT_STATE,
    AuthorityOption,
    DryOption,
    JsonOption,
    KeyOption,
    SecretOption,
    StateOption,
    YesOption,
)
from controller.cli.programme_file import station_body
from controller.cli.publishing import Slot, authority_for, publish, slot_of
from controller.cli.sealing import now_ms, open_hands
from protocol.documents import Station, StationBody
from protocol.units import MAX_MS
from provisioning.ceremony import next_seq

STATION_EXAMPLE: Final = r"""Example of station.toml:

area = "52.24076"
volume_db = -3.0

\[\[hours]]
days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
from = "05:00"
to = "21:30"
"""
app = typer.Typer(no_args_is_help=True, help="A commune's operating rules (hoạt động của đài): hours and volumes.")


@app.command("publish", help=f"Publish a station's operating rules.\n\n\b\n{STATION_EXAMPLE}")
def publish_(
    file: Annotated[Path, typer.Argument(help="A TOML file as in the example above.")],
    *,
    key: KeyOption,
    authority: AuthorityOption = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Publish a station's operating rules from a TOML file."""
    folder = StateFolder(state).require()
    table, body = station_body(file)
    hands = open_hands(key, passphrase_file)
    with Link(folder.socket) as link:
        chosen = authority_for(link, folder, table.area, authority or table.authority, "station", hands)
        slot = slot_of(link, "station", table.area, chosen)
        made = _station(table.area, body, slot)
        publish(link, folder, made, slot.current, hands, how=(yes, dry_run, as_json))


def _station(area: str, body: StationBody, slot: Slot) -> Station:
    at_ms = now_ms()
    return Station(
        authority=slot.context.authority,
        area=area,
        area_no=slot.context.area_no,
        seq=next_seq(at_ms, slot.context.highest_seq),
        purpose="routine",
        subject=area,
        prev=slot.context.prev,
        valid_from_ms=at_ms,
        valid_until_ms=MAX_MS,
        body=body,
    )
