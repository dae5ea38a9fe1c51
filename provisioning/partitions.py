"""Where the partitions of a card or an image begin, by its MBR or GPT. What is in them is told by looking there."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

SECTOR_BYTES: Final = 512
_PROTECTIVE: Final = 0xEE
_ENTRIES: Final = 128
_FARTHEST: Final = 1 << 40
"""Sectors; a table of rubbish names places that no file can be read at."""

Read = Callable[[int, int], bytes]
"""Offset and length to bytes; fewer at the end."""


def reader(path: Path) -> Read:
    """Reads of a file or a device that is opened for each: nothing stays open."""

    def read(offset_bytes: int, length_bytes: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset_bytes)
            return file.read(length_bytes)

    return read


def starts(read: Read) -> tuple[int, ...]:
    """The first byte of each partition, in the table's order; none without one. Logical ones of an MBR are not looked for."""
    head = read(0, SECTOR_BYTES)
    if head[510:512] != b"\x55\xaa":
        return ()
    entries = [head[446 + 16 * number : 462 + 16 * number] for number in range(4)]
    if any(entry[4] == _PROTECTIVE for entry in entries):
        return _gpt(read)
    return tuple(int.from_bytes(entry[8:12], "little") * SECTOR_BYTES for entry in entries if entry[4])


def _gpt(read: Read) -> tuple[int, ...]:
    header = read(SECTOR_BYTES, SECTOR_BYTES)
    if not header.startswith(b"EFI PART"):
        return ()
    first, count, size = struct.unpack_from("<QII", header, 72)
    if not 1 <= count <= _ENTRIES or size != _ENTRIES or first > _FARTHEST:
        return ()
    table = read(first * SECTOR_BYTES, count * size)
    entries = [table[start : start + size] for start in range(0, len(table), size)]
    firsts = [int.from_bytes(entry[32:40], "little") for entry in entries if any(entry[:16])]
    return tuple(each * SECTOR_BYTES for each in firsts if each <= _FARTHEST)
