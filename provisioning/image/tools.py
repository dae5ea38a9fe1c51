"""Runs the programs that image and bundle need: their words only when they fail, and then the last of them."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from provisioning.errors import InputRefused

PROGRAMS: Final = {
    "mmdebstrap": "mmdebstrap",
    "genimage": "genimage",
    "mke2fs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "mkimage": "u-boot-tools",
    "bmaptool": "bmap-tools",
    "arch-test": "arch-test",
}
"""What an image needs: program to Debian package."""
PACKAGES: Final = {**PROGRAMS, "debugfs": "e2fsprogs", "dumpe2fs": "e2fsprogs", "rauc": "rauc squashfs-tools"}
SBIN: Final = "/usr/sbin:/sbin"
SHOWN: Final = 40


def need_programs() -> None:
    """Raises InputRefused naming what is to be installed, or that this computer cannot run the node's programs."""
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program, path=_path()) is None})
    if missing:
        raise InputRefused(f"thiếu công cụ / missing here: apt install {' '.join(missing)}")
    if subprocess.run(["arch-test", "arm64"], capture_output=True, check=False).returncode:
        raise InputRefused(
            "máy này chưa chạy được chương trình arm64 / this computer runs no arm64 programs:"
            " apt install binfmt-support qemu-user-static, with binfmt_misc mounted"
        )


def _path() -> str:
    return f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SBIN}"


def call(words: Sequence[str | Path], *, more: Mapping[str, str] | None = None) -> str:
    """Run one program; returns what it printed. Raises InputRefused with its last words, or the package that brings it."""
    environment = {**os.environ, "PATH": _path(), "LC_ALL": "C.UTF-8", "TZ": "UTC", **(more or {})}
    line = [str(word) for word in words]
    try:
        done = subprocess.run(line, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise InputRefused(f"thiếu công cụ / {line[0]} is missing here: apt install {PACKAGES.get(line[0], line[0])}") from error
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-SHOWN:])
        raise InputRefused(f"{line[0]} ended with status {done.returncode}; its last words:\n{said}")
    return done.stdout


def within(tree: Path, script: str, *, epoch_s: int) -> None:
    """Run a shell script in the image's tree, under its own processor's programs and with a /proc of its own."""
    apart = ("unshare", "--mount", "--pid", "--fork", f"--mount-proc={tree}/proc")
    fixed = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "SOURCE_DATE_EPOCH": str(epoch_s), "PYTHONHASHSEED": "0"}
    call([*apart, "chroot", tree, "/bin/sh", "-euc", script], more=fixed)


def lay(source: Path, target: Path) -> None:
    """Copy a folder of ours: of a file's rights only whether it may be run is kept, for the rest is this computer's own."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)  # a link there would lead out of the image
        shutil.copyfile(path, place)
        place.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
