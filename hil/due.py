"""Whether the node in QEMU is to be proved anew: what it is made of has changed since the last whole run that passed."""

import os
import sys
from typing import Final

import msgspec
from msgspec import Struct

from provisioning.image.build import PROJECT, cache_folder
from provisioning.image.recipe import digest_of

SEEN: Final = PROJECT / "hil/seen.json"
INPUTS: Final = ("provisioning", "systemd", "edge_agent/drivers/slots", "edge_agent/core/update.py", "requirements.lock")
"""And the tests themselves."""


class Seen(Struct, frozen=True, kw_only=True):
    """The last whole run in QEMU that passed: of which sources, which tests, when (dd/mm/yyyy), how long."""

    inputs: str
    on: str
    minutes: int
    passed: list[str]


def inputs() -> str:
    """A short name for everything that a run is about."""
    own = sorted(path for path in (PROJECT / "hil").iterdir() if path.suffix in (".py", ".yaml", ".ini"))
    return digest_of(*(PROJECT / name for name in INPUTS), *(each for path in own for each in (path.name, path)))


def main() -> int:
    """Print what is due: `all`, `smoke`, or nothing, and why, on standard error."""
    if os.geteuid() != 0:
        print("hil: not run, for building the node's image needs root", file=sys.stderr)
    elif not SEEN.exists():
        print("hil: not run, for no whole run of it was ever written down: `make hil` does both", file=sys.stderr)
    elif msgspec.json.decode(SEEN.read_bytes(), type=Seen).inputs != inputs():
        print("hil: all of it, for what it is about has changed since its last whole run", file=sys.stderr)
        print("all")
    elif any(cache_folder().glob("base.tar-*")):
        print("hil: its first tests, for Debian's packages are in the cache", file=sys.stderr)
        print("smoke")
    else:
        print(
            "hil: not run, for its sources have not changed since its last whole run, and no image lies in the cache",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
