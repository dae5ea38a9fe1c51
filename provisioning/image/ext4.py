"""An ext4 file system out of a folder, the same bytes each time: mke2fs alone copies when files were read and changed here."""

import re
from pathlib import Path
from typing import Final

from provisioning.errors import InputRefused
from provisioning.image.tools import call

ROOT_INODE: Final = 2
FIRST_INODE: Final = 11
_COUNT: Final = re.compile(r"^Inode count:\s+(\d+)", re.MULTILINE)
_FREE: Final = re.compile(r"^  Free inodes: (.*)$", re.MULTILINE)


def make_ext4(path: Path, folder: Path, *more: str | Path, mib: int, uuid: str, epoch_s: int) -> None:
    """Lay it; every time in it is `epoch_s` or a file's own mtime. `more`: words for mke2fs. Raises InputRefused."""
    fixed = {"SOURCE_DATE_EPOCH": str(epoch_s), "E2FSPROGS_FAKE_TIME": str(epoch_s)}
    same = ("-b", "4096", "-U", uuid, "-E", f"hash_seed={uuid},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0")
    call(["mke2fs", "-q", "-F", "-t", "ext4", *same, *more, "-d", folder, path, f"{mib}M"], more=fixed)
    lines = [
        f"sif <{inode}> {field} {value}\n"
        for inode in (ROOT_INODE, *_used(call(["dumpe2fs", path])))
        for field, value in (("atime", f"@{epoch_s}"), ("atime_extra", "0"), ("ctime", f"@{epoch_s}"), ("ctime_extra", "0"))
    ]
    script = path.with_suffix(".times")
    script.write_text("".join(lines))
    call(["debugfs", "-w", "-f", script, path], more=fixed)
    script.unlink()


def _used(sheet: str) -> list[int]:
    """The numbers of the inodes that hold something, out of what dumpe2fs prints. Raises InputRefused."""
    count = _COUNT.search(sheet)
    if count is None:
        raise InputRefused("dumpe2fs no longer says how many inodes there are: this program must learn its words")
    free: set[int] = set()
    for line in _FREE.findall(sheet):
        for part in filter(None, (each.strip() for each in line.split(","))):
            first, _, last = part.partition("-")
            free.update(range(int(first), int(last or first) + 1))
    return [inode for inode in range(FIRST_INODE, int(count[1]) + 1) if inode not in free]
