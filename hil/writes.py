"""What a machine wrote to its card, in order, as QEMU's blklogwrites recorded it; and the card at any instant of a power cut.

What was written before the last flush is on the card. Of what came after, any part may be: each write wholly, not at all, or its
first sectors only. A sector is whole or old.
"""

import contextlib
import random
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

SECTOR_BYTES: Final = 512
MAGIC: Final = 0x6A736677736872
VERSION: Final = 1
FLUSH, FUA, DISCARD = 1, 2, 4
_SUPER: Final = struct.Struct("<QQQL")
_ENTRY: Final = struct.Struct("<QQQQ")


class LogBroken(Exception):
    """The file is no log of writes."""


class Write(Struct, frozen=True):
    """One entry: where it goes (bytes), where its bytes stand in the log; a discard has none. `flush`: it came after a flush."""

    offset: int
    length: int
    at: int
    flush: bool
    fua: bool
    discard: bool


def read_log(path: Path) -> list[Write]:
    """All of it, in order. Raises LogBroken."""
    found: list[Write] = []
    with path.open("rb") as file:
        magic, version, count, sector = _SUPER.unpack(file.read(_SUPER.size))
        if magic != MAGIC or version != VERSION or sector != SECTOR_BYTES:
            raise LogBroken(f"{path} does not begin as a log of writes does")
        file.seek(SECTOR_BYTES)
        end = path.stat().st_size
        for _ in range(count):
            place = file.tell()
            raw = file.read(_ENTRY.size)
            if len(raw) < _ENTRY.size:
                raise LogBroken(f"{path} ends at entry {len(found)} of {count}")
            start, sectors, flags, _data = _ENTRY.unpack(raw)
            discard = bool(flags & DISCARD)
            length = sectors * SECTOR_BYTES
            found.append(
                Write(
                    offset=start * SECTOR_BYTES,
                    length=length,
                    at=place + SECTOR_BYTES,
                    flush=bool(flags & FLUSH),
                    fua=bool(flags & FUA),
                    discard=discard,
                )
            )
            file.seek(place + SECTOR_BYTES + (0 if discard else length))
        if file.tell() > end:
            raise LogBroken(f"{path} ends inside its last entry")
    return found


class Cut(Struct, frozen=True):
    """A power cut: entries before `durable` are on the card; of the later ones so many sectors each (index, sectors)."""

    instant: int
    durable: int
    partly: tuple[tuple[int, int], ...]


def cut_at(writes: Sequence[Write], instant: int, dice: random.Random) -> Cut:
    """The power goes after `instant` entries were given to the card: what a card that reorders and tears may hold then."""
    durable = max((index for index in range(instant) if writes[index].flush), default=0)
    partly = []
    for index in range(durable, instant):
        each = writes[index]
        whole = each.length // SECTOR_BYTES
        if each.fua:
            partly.append((index, whole))
            continue
        fate = dice.random()
        if fate < 0.5:
            partly.append((index, whole))
        elif fate < 0.7 and whole > 1:
            partly.append((index, dice.randrange(1, whole)))
    return Cut(instant=instant, durable=durable, partly=tuple(partly))


class Disk:
    """A card on file that is led through the log; between two calls of `cut` it holds exactly the durable writes."""

    def __init__(self, path: Path, log: Path, writes: Sequence[Write]) -> None:
        self._path, self._log, self._writes = path, log, writes
        self._upto = 0

    @contextlib.contextmanager
    def cut(self, cut: Cut, *, keep: bool = False) -> Iterator[None]:
        """The card after a cut, while the caller looks at it; then it is as if that had not been."""
        with self._path.open("r+b") as disk, self._log.open("rb") as log:
            for index in range(self._upto, cut.durable):
                self._lay(disk, log, index, None)
            self._upto = max(self._upto, cut.durable)
            before = []
            for index, sectors in cut.partly:
                each = self._writes[index]
                disk.seek(each.offset)
                before.append((each.offset, disk.read(sectors * SECTOR_BYTES)))
                self._lay(disk, log, index, sectors)
            disk.flush()
            try:
                yield
            finally:
                for offset, content in () if keep else reversed(before):
                    disk.seek(offset)
                    disk.write(content)

    def lay(self, cut: Cut) -> None:
        """The card after a cut, for good."""
        with self.cut(cut, keep=True):
            pass

    def _lay(self, disk: BinaryIO, log: BinaryIO, index: int, sectors: int | None) -> None:
        each = self._writes[index]
        length = each.length if sectors is None else sectors * SECTOR_BYTES
        disk.seek(each.offset)
        if each.discard:
            disk.write(bytes(length))
        else:
            log.seek(each.at)
            disk.write(log.read(length))
