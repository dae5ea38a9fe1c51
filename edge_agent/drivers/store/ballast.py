"""A megabyte that is kept aside: on a full card it is given back, so that an emergency can still be kept."""

import contextlib
import logging
import os
import shutil
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)
BALLAST_BYTES: Final = 1_048_576
ROOM_BYTES: Final = 4 * BALLAST_BYTES
"""It is laid only where it leaves room: else it would be what fills the card."""


class Ballast:
    """One file of real blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def laid(self) -> bool:
        """Whether all of it is there."""
        try:
            return self._path.stat().st_size == BALLAST_BYTES
        except OSError:
            return False

    def lay(self) -> None:
        """Put it there unless it is, or the card is nearly full."""
        if self.laid:
            return
        try:
            if shutil.disk_usage(self._path.parent).free < ROOM_BYTES:
                return
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
        except OSError as error:
            log.warning("no room for the ballast of the store: %s", error)
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def give(self) -> None:
        """Give its room to others."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
