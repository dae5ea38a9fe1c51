"""The SIM's access point and the time sources, as words that a root unit lays where NetworkManager and chrony read them."""

import logging
from pathlib import Path
from typing import Final

import msgspec

from protocol.documents import Reach

log = logging.getLogger(__name__)
FOLDER: Final = Path("/run/loa-agent")
"""The agent's own under systemd; elsewhere there is none, and nothing is asked for."""
WORD: Final = "network"
"""loa-network.path waits for it, and loa-network.service reads it: the agent may nothing else as root."""
WAY: Final = "way.json"
"""A Reach: the way that is gone by, for `loa-agent check`, which cannot open our memory."""


class Uplink:
    """Says which access point and time sources are wanted. Whether they work is seen by whether the controller answers."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    def lay(self, reach: Reach) -> None:
        """Have these laid, and those taken away that are not named: then it is as the firmware says."""
        if not self._folder.is_dir():
            return
        words = "".join(f"{line}\n" for line in lines_of(reach)).encode()
        try:
            for name, content in ((WAY, msgspec.json.encode(reach)), (WORD, words)):
                fresh = self._folder / f".{name}.new"
                fresh.write_bytes(content)
                fresh.replace(self._folder / name)
        except OSError as error:
            log.warning("the access point and the time sources stay as they are: %s", error)


def lines_of(reach: Reach) -> list[str]:
    """A word and a name each, which the script of the root unit holds against its patterns."""
    lines = [] if reach.apn is None else [f"apn {reach.apn.name}"]
    if reach.apn is not None and reach.apn.user is not None:
        lines.append(f"user {reach.apn.user}")
    return lines + [f"{'nts' if source.nts else 'server'} {source.host}" for source in reach.time_sources]
