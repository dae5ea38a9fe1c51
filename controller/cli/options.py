"""Options that several commands share, named and explained once."""

from pathlib import Path
from typing import Annotated, Final

import typer

from provisioning.hands import KEY_HELP

STATE_ENV: Final = "LOA_STATE"
DEFAULT_STATE: Final = Path("/var/lib/loa")

StateOption = Annotated[Path, typer.Option("--state", envvar=STATE_ENV, help="The controller's state folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Check and show everything, change nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
KeyOption = Annotated[list[str], typer.Option("--key", help=KEY_HELP)]
SecretOption = Annotated[
    Path | None, typer.Option(help="Take the passphrase from this file's first line (also LOA_PASSPHRASE_FILE).")
]
AuthorityOption = Annotated[
    str | None, typer.Option(help="The grant under which you sign (an area); else the narrowest that empowers your keys.")
]
