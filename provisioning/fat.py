"""A node's files on the FAT boot partition of its card, written by mtools: no mount, so no desktop that mounts it first."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from provisioning.errors import CardFailed, InputRefused
from provisioning.partitions import SECTOR_BYTES, Read, reader, starts

FOLDER: Final = "loa"
"""On the boot partition; where the image's first start looks for node.toml and what goes with it."""
VERSION: Final = "version"
"""In that folder, one line: what the image's recipe says it is."""
MTOOLS_S: Final = 120


def fat_offset(read: Read) -> int | None:
    """Where the first FAT partition begins; None when there is none."""
    for start in starts(read):
        boot = read(start, SECTOR_BYTES)
        if boot[510:512] == b"\x55\xaa" and (boot[54:57] == b"FAT" or boot[82:85] == b"FAT"):
            return start
    return None


def offset_in(image: Path) -> int | None:
    """The same of an image's file."""
    return fat_offset(reader(image))


def need_mtools() -> None:
    """Raise InputRefused when mtools is missing."""
    if shutil.which("mcopy") is None:
        raise InputRefused("thiếu mtools / mtools is missing, which writes the node's files: apt install mtools")


def put(device: str, offset_bytes: int, files: Mapping[str, bytes]) -> None:
    """Write the node's files into FOLDER, over older ones. Raises CardFailed."""
    with tempfile.TemporaryDirectory() as kept:
        for name, content in files.items():
            (Path(kept) / name).write_bytes(content)
        _mtools("mmd", device, offset_bytes, "-D", "s", f"::{FOLDER}", tolerant=True)
        _mtools("mcopy", device, offset_bytes, "-o", *(str(Path(kept) / name) for name in files), f"::{FOLDER}/")


def take(device: str, offset_bytes: int, name: str) -> bytes | None:
    """A file of FOLDER; None when it is not there. Raises CardFailed when mtools hangs."""
    done = _mtools("mtype", device, offset_bytes, f"::{FOLDER}/{name}", tolerant=True)
    return done.stdout if done.returncode == 0 else None


def check(device: str, offset_bytes: int, files: Mapping[str, bytes]) -> None:
    """Compare what lies there. Raises CardFailed naming the first file that differs."""
    for name, content in files.items():
        if take(device, offset_bytes, name) != content:
            raise CardFailed(
                f"{device}: tệp {name} đọc lại không đúng / file {name} reads back otherwise: the card is broken, take another"
            )


def _mtools(
    program: str, device: str, offset_bytes: int, *words: str, tolerant: bool = False
) -> subprocess.CompletedProcess[bytes]:
    line = [program, "-i", f"{device}@@{offset_bytes}", *words]
    try:
        done = subprocess.run(
            line,
            env=os.environ | {"MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=MTOOLS_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CardFailed(
            f"{device}: {program} không chạy xong: rút thẻ, làm lại / did not end ({error}): take the card out and begin again"
        ) from error
    if done.returncode != 0 and not tolerant:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise CardFailed(f"{device}: không ghi được tệp của cụm loa / {program}: {said[-1] if said else done.returncode}")
    return done
