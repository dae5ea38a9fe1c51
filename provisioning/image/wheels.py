"""The agent's Python packages for the node's processor and Python, each at the version and hash of the lock file."""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from provisioning.errors import InputRefused
from provisioning.image.recipe import PYTHON, WHEELS

PLATFORMS: Final = ("manylinux2014_aarch64", "manylinux_2_28_aarch64", "manylinux_2_34_aarch64")
_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")
_HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def pinned(lock: str, names: Iterable[str] = WHEELS) -> str:
    """Those packages' lines of a lock file, without markers: they speak of this computer's Python, not of the node's.

    Raises InputRefused for a name that the lock file does not pin.
    """
    pins: dict[str, list[str]] = {}
    name = ""
    for line in lock.splitlines():
        if match := _PIN.match(line):
            name = match[1].lower()
            pins[name] = [f"{match[1]}=={match[2]}"]
        if name:
            pins[name] += _HASH.findall(line)
    missing = sorted(set(names) - pins.keys())
    if missing:
        raise InputRefused(f"the lock file does not pin {', '.join(missing)}: make it anew with `make lock`")
    return "".join(" \\\n    ".join(pins[name]) + "\n" for name in names)


def fetch(lock: Path, folder: Path) -> None:
    """Unpack them into a folder. Raises InputRefused with pip's last words."""
    pins = pinned(lock.read_text(encoding="utf-8"))
    line = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    line += ["--target", str(folder), "--python-version", PYTHON, "--implementation", "cp", "--ignore-requires-python"]
    line += [word for platform in PLATFORMS for word in ("--platform", platform)]
    line += ["--only-binary=:all:", "--no-deps", "--no-compile", "--require-hashes", "-r", "/dev/stdin"]
    done = subprocess.run(line, input=pins, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [text for text in done.stderr.splitlines() if text.startswith("ERROR")] or [f"status {done.returncode}"]
        raise InputRefused(f"pip could not bring the node's packages: {said[-1]}")
