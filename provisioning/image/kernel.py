"""Which of Debian's kernel modules and device trees stay in the image: those that one of our boards, or QEMU, has a use for."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from provisioning.errors import InputRefused

LIST: Final = Path(__file__).parent / "modules.txt"
BOARDS: Final = ("bcm2711*.dtb", "bcm2837*.dtb")
"""The device trees of Raspberry Pi 3, Zero 2 W, CM3, 4, 400 and CM4."""
_ALIAS: Final = re.compile(r"alias of:N\*T\*C(\S+?)(?:C\*)? (\S+)")
_COMPATIBLE: Final = re.compile(rb"[\w.-]+,[\w.,+-]+\Z")


def board_trees(tree: Path) -> list[Path]:
    """The device trees of our boards in an unpacked image."""
    return sorted(path for each in BOARDS for path in tree.glob(f"usr/lib/linux-image-*/broadcom/{each}"))


def prune(tree: Path) -> list[str]:
    """Take every other module and device tree out of an unpacked image; `depmod` is to be run in it afterwards.

    A module stays for the list, for a device tree of ours that names its device, or because one that stays needs it. Returns the
    kernels' releases. Raises InputRefused for a line of the list that names no module of any kernel.
    """
    boards = board_trees(tree)
    for path in tree.glob("usr/lib/linux-image-*/**/*.dtb"):
        if path not in boards:
            path.unlink()
    kernels = sorted(path for path in (tree / "usr/lib/modules").iterdir() if (path / "modules.dep").exists())
    unused = set(_listed())
    for kernel in kernels:
        stay, named = wanted(kernel, boards)
        unused -= named
        for path in (kernel / "kernel").rglob("*.ko*"):
            if f"{path.relative_to(kernel)}" not in stay:
                path.unlink()
        _drop_empty(kernel / "kernel")
    for folder in tree.glob("usr/lib/linux-image-*"):
        _drop_empty(folder)
    if unused:
        raise InputRefused(f"{LIST.name} names what no kernel of the image has: {', '.join(sorted(unused))}; take the lines out")
    return [kernel.name for kernel in kernels]


def wanted(kernel: Path, boards: Iterable[Path]) -> tuple[set[str], set[str]]:
    """The paths of the modules that stay, relative to the kernel's folder, and the lines of the list that named one."""
    needs = _needs(kernel)
    by_name = {_name(path): path for path in needs}
    stay: set[str] = set()
    named: set[str] = set()
    for line in _listed():
        pattern = f"{line}**/*.ko*" if line.endswith("/") else f"{line}.ko*"
        found = {str(path.relative_to(kernel)) for path in (kernel / "kernel").glob(pattern)}
        if found:
            named.add(line)
        stay |= found
    stay |= {by_name[name] for name in _asked_for(kernel, boards) if name in by_name}
    pending = list(stay)
    while pending:
        fresh = needs.get(pending.pop(), set()) - stay
        stay |= fresh
        pending += fresh
    return stay, named


def _listed() -> list[str]:
    lines = (line.strip() for line in LIST.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _needs(kernel: Path) -> dict[str, set[str]]:
    """By module the modules that it needs: what depmod found, and what modprobe is told to load before it."""
    needs: dict[str, set[str]] = {}
    for line in (kernel / "modules.dep").read_text(encoding="utf-8").splitlines():
        path, _, others = line.partition(":")
        needs[path] = set(others.split())
    by_name = {_name(path): path for path in needs}
    for line in (kernel / "modules.softdep").read_text(encoding="utf-8").splitlines():
        match line.split():
            case ["softdep", module, "pre:", *before] if _plain(module) in by_name:
                names = [_plain(name) for name in before if name != "post:"]
                needs[by_name[_plain(module)]] |= {by_name[name] for name in names if name in by_name}
            case _:
                pass
    return needs


def _asked_for(kernel: Path, boards: Iterable[Path]) -> set[str]:
    """The names of the modules that drive a device which a device tree names."""
    drivers: dict[str, set[str]] = {}
    for line in (kernel / "modules.alias").read_text(encoding="utf-8").splitlines():
        if (found := _ALIAS.fullmatch(line)) is not None:
            drivers.setdefault(found[1], set()).add(_plain(found[2]))
    words = {word[0].decode() for path in boards for part in path.read_bytes().split(b"\0") if (word := _COMPATIBLE.search(part))}
    return {name for word in words for name in drivers.get(word, ())}


def _name(path: str) -> str:
    return _plain(path.rpartition("/")[2].partition(".")[0])


def _plain(name: str) -> str:
    """Modules go by `-` and `_` alike."""
    return name.replace("-", "_")


def _drop_empty(folder: Path) -> None:
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()
