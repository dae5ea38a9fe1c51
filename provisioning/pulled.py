"""The data of a node out of a whole card, or an image of one, unmounted: a mount would play the journal back onto the card.

The one partition that has a node's memory is copied, its journal is played back in the copy (e2fsck), and the memory's files
are taken out of that (debugfs).
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from provisioning.errors import InputRefused
from provisioning.memory import DATABASE, copy_span
from provisioning.partitions import reader, starts

SUPERBLOCK_BYTES: Final = 1024
MAGIC: Final = b"\x53\xef"
DEEPEST: Final = 4
PASSED_BY: Final = frozenset({".", "..", "lost+found", "media"})
WANTED: Final = (DATABASE, f"{DATABASE}-wal", "boots", "node.crt", "placed")
FSCK_S: Final = 1_800
DEBUGFS_S: Final = 120
_FOLDER, _FILE = "04", "10"


@contextlib.contextmanager
def taken_out(card: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A folder with the memory's files, gone when this ends, and what could not be read. Raises InputRefused."""
    if shutil.which("debugfs") is None:
        raise InputRefused("thiếu e2fsprogs / debugfs is missing: apt install e2fsprogs")
    try:
        spans = _filesystems(card)
        seen = [span for span in spans if _find(f"{card}?offset={span[0]}")]
    except OSError as error:
        raise InputRefused(f"không đọc được / {card} cannot be read ({error.strerror or error}): use sudo") from error
    if len(seen) > 1:
        raise InputRefused(f"có nhiều bộ nhớ / several nodes' memories are on {card}: mount the right partition, name its folder")
    with tempfile.TemporaryDirectory() as kept:
        copy, out = Path(kept) / "partition", Path(kept) / "memory"
        # a folder of the last days may stand in the journal alone, so where none is seen each file system is looked through
        for span in seen or spans:
            troubles = _replayed(card, copy, span)
            for home in _find(str(copy)):
                _take(str(copy), home, out)
                yield out, tuple(troubles)
                return
    raise InputRefused(f"không thấy bộ nhớ cụm loa / no node's memory is on {card}: is this a card from a node?")


def _replayed(card: Path, copy: Path, span: tuple[int, int]) -> list[str]:
    """One file system in a file of its own, as the next mount would find it; what the card did not give back."""
    try:
        troubles = copy_span(card, copy, *span)
    except OSError as error:
        raise InputRefused(f"hết chỗ / no room for a copy of {card} beside {copy} ({error.strerror}): set TMPDIR") from error
    _run(["e2fsck", "-f", "-y", str(copy)], FSCK_S)
    return troubles


def _filesystems(card: Path) -> list[tuple[int, int]]:
    """Where each ext file system begins, and how long it is."""
    read = reader(card)
    found = []
    for start in starts(read) or (0,):
        block = read(start + SUPERBLOCK_BYTES, SUPERBLOCK_BYTES)
        if block[56:58] == MAGIC:
            count = int.from_bytes(block[4:8], "little") | int.from_bytes(block[0x150:0x154], "little") << 32
            found.append((start, count << (10 + int.from_bytes(block[24:28], "little"))))
    return found


def _find(filesystem: str) -> tuple[str, ...]:
    """The first folder that has a memory, nearest to the top first; () when there is none."""
    folders = ["/"]
    for _ in range(DEEPEST):
        below = []
        for folder in folders:
            entries = _entries(filesystem, folder)
            if any(name.startswith(DATABASE) and kind == _FILE for kind, name, _size in entries):
                return (folder,)
            below += [f"{folder}{name}/" for kind, name, _size in entries if kind == _FOLDER and name not in PASSED_BY]
        folders = below
    return ()


def _entries(filesystem: str, folder: str) -> list[tuple[str, str, int]]:
    """Kind (the first two octal digits of the mode), name and size of what is in a folder."""
    said = _run(["debugfs", "-R", f'ls -p "{folder}"', filesystem], DEBUGFS_S).stdout.decode(errors="replace")
    entries = []
    for line in said.splitlines():
        parts = line.split("/")
        if len(parts) == 8 and parts[1].isdecimal() and '"' not in parts[5]:  # noqa: PLR2004  /inode/mode/uid/gid/name/size/
            entries.append((parts[2][:2], parts[5], int(parts[6] or 0)))
    return entries


def _take(filesystem: str, home: str, out: Path) -> None:
    """The memory's own files, and of the media their names and sizes alone."""
    out.mkdir()
    for kind, name, _size in _entries(filesystem, home):
        if kind == _FILE and (name in WANTED or name.startswith(f"{DATABASE}.unreadable-")):
            _run(["debugfs", "-R", f'dump "{home}{name}" "{out / name}"', filesystem], DEBUGFS_S)
    for kind, shelf, _size in _entries(filesystem, f"{home}media"):
        if kind != _FOLDER or shelf in (".", ".."):
            continue
        (out / "media" / shelf).mkdir(parents=True)
        for file, name, size in _entries(filesystem, f"{home}media/{shelf}"):
            if file == _FILE:
                with (out / "media" / shelf / name).open("wb") as empty:
                    empty.truncate(size)


def _run(words: list[str], within_s: int) -> subprocess.CompletedProcess[bytes]:
    spoken = os.environ | {"LC_ALL": "C"}
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=within_s, check=False, env=spoken)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputRefused(
            f"{words[0]} không chạy xong: gắn thẻ chỉ đọc / did not end ({error}): mount the card read-only and name its folder"
        ) from error
