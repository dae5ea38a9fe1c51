"""A card written and read back, beside dd that writes the same bytes and reads them back: both on a loop device."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import time
from pathlib import Path

from provisioning.device import BlockDevice
from provisioning.flash import flash
from provisioning.images import check_image
from tests.bench.measure import Figure, Limit, judge
from tests.bench.place import Options, say
from tests.provisioning.cards import MIB, loop_device, loops_work

IMAGE_MIB, QUICK_MIB = 512, 64
CARD_MB_A_S = 90
"""The fastest card in a UHS-I reader: more than that here would be waited for. It tries and hashes as well."""


def _image(folder: Path, mib: int) -> Path:
    """Bytes that nothing can leave out or squeeze, and their sum beside them."""
    path = folder / "image.img"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(mib):
            chunk = os.urandom(MIB)
            digest.update(chunk)
            file.write(chunk)
    path.with_name("SHA256SUMS").write_text(f"{digest.hexdigest()}  {path.name}\n")
    return path


def _dd(image: Path, card: Path) -> float:
    began = time.monotonic()
    for words in (
        ("dd", f"if={image}", f"of={card}", "bs=1M", "conv=fsync"),
        ("dd", f"if={card}", "of=/dev/null", "bs=1M", "iflag=direct", f"count={image.stat().st_size // MIB}"),
    ):
        subprocess.run(words, check=True, capture_output=True)
    return time.monotonic() - began


def _ours(image: Path, card: Path) -> float:
    checked = check_image(image)
    began = time.monotonic()
    with BlockDevice(card) as device:
        flash(device, checked)
    return time.monotonic() - began


def _measure(folder: Path, mib: int, count: int) -> list[Figure]:
    if not loops_work():
        return [judge("flash_s", [], unit="s", note="needs root and a free loop device")]
    image, backing = _image(folder, mib), folder / "card"
    with backing.open("wb") as file:
        file.truncate((mib + 64) * MIB)
    ours, bare = [], []
    with loop_device(backing) as card:
        _dd(image, card)  # the blocks of the file under it are there from now on, for both
        for number in range(count):
            ours.append(_ours(image, card))
            bare.append(_dd(image, card))
            say(f"card {number + 1} of {count}: {mib / ours[-1]:.0f} MiB/s, dd {mib / bare[-1]:.0f}")
    goal_s, beside = mib * MIB / 1e6 / CARD_MB_A_S, Limit("dd, written and read back", bare)
    return [judge("flash_s", ours, unit="s", percent=50, goal=goal_s, limit=beside, note=f"{mib} MiB")]


async def run(options: Options) -> list[Figure]:
    """Seconds a card of 512 MiB takes."""
    return await asyncio.to_thread(_measure, options.folder, options.count(IMAGE_MIB, QUICK_MIB), options.count(10, 3))
