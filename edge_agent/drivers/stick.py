"""Documents that came by hand: what `loa-agent import` laid into the node's folder goes through the inbox like all else."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_agent.events import Arrived, Event
from protocol.carrying import in_order, topic_of
from protocol.envelope import CAP_ANY_BYTES

log = logging.getLogger(__name__)
FOLDER: Final = "import"
REFUSED: Final = ".refused"
LOOK_EVERY_S: Final = 2.0
AGAIN_S: Final = 30.0
"""A flooded desk drops what arrives; unacknowledged, it is handed in again."""
MOST_FILES: Final = 512


class Stick:
    """Hands each file in, and takes it away when it is acknowledged: on the disk, or refused with a sentence."""

    def __init__(self, state: Path, node: str, emit: Callable[[Event], None]) -> None:
        self._folder = state / FOLDER
        self._node = node
        self._emit = emit
        self._next = 0
        self._out: dict[int, tuple[Path, float]] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        self._folder.mkdir(exist_ok=True)
        while True:
            self._look(asyncio.get_running_loop().time())
            await asyncio.sleep(LOOK_EVERY_S)

    def acknowledge(self, ref: int, why_not: str) -> None:
        """What came under this ref is done with; `why_not` is why it was refused."""
        path, _ = self._out.pop(ref, (None, 0.0))
        if path is None:
            return
        try:
            if why_not:
                path.with_name(path.name + REFUSED).write_text(why_not + "\n", encoding="utf-8")
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s stays in the way: %s", path, error)

    def _look(self, now_s: float) -> None:
        given = {path for path, at_s in self._out.values() if now_s - at_s < AGAIN_S}
        found: dict[bytes, Path] = {}
        for path in sorted(self._folder.glob("*.json"))[:MOST_FILES]:
            if path in given:
                continue
            with contextlib.suppress(OSError), path.open("rb") as file:
                found.setdefault(file.read(CAP_ANY_BYTES + 1), path)
        for raw in in_order(found):
            self._next -= 1
            self._out[self._next] = (found[raw], now_s)
            self._emit(Arrived(self._next, topic_of(raw, self._node), raw))
