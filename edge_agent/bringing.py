"""A firmware bundle on a stick: copied whole to where the node's own downloads lie, if a release beside it names it."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from edge_agent.drivers.slots.blocks import FOLDER, WHOLE
from edge_agent.drivers.slots.proxy import DISK_RESERVE_BYTES
from protocol.envelope import payload_of
from protocol.release import Release

PIECE_BYTES: Final = 1 << 20


class Found(Struct):
    """A file that has the size of a bundle which a release names, open for reading."""

    name: str
    file: BinaryIO
    releases: list[Release]


def find(folder: Path, raws: Iterable[bytes]) -> tuple[list[Found], list[str]]:
    """The bundles in a folder that releases among `raws` may mean, and a sentence about each other one. Raises OSError."""
    releases = [payload for payload in map(payload_of, raws) if isinstance(payload, Release)]
    found, left_out = [], []
    for path in sorted(folder.glob("*.raucb")):
        fitting = [each for each in releases if each.body.bundle.bytes == path.stat().st_size]
        if fitting:
            found.append(Found(path.name, path.open("rb"), fitting))
        else:
            left_out.append(
                f"{path.name}: trên thẻ không có bản phát hành nào của gói này, ghi lại bằng `loa export --release`"
                " / no release on the stick is about it; write both with that command"
            )
    return found, left_out


def lay(found: Found, state: Path) -> str:
    """Copy one, whole and synced; the agent sees it within seconds. Returns why not, "" when it lies there. Raises OSError."""
    folder = state / FOLDER
    folder.mkdir(exist_ok=True)
    size = found.releases[0].body.bundle.bytes
    if shutil.disk_usage(folder).free < size + DISK_RESERVE_BYTES:
        return f"thẻ nhớ không đủ chỗ, cần {size / 1e6:.0f} MB / no room on the card, beside a reserve for emergencies"
    half = folder / "brought.half"
    half.unlink(missing_ok=True)
    try:
        sha256 = _copy(found.file, half)
        release = next((each for each in found.releases if each.body.bundle.sha256 == sha256), None)
        if release is None:
            named = found.releases[0].body.version
            return f"tệp không đúng bản phát hành, chép lại / its content is not what release {named} names: copy it again"
        for old in folder.glob(f"*{WHOLE}"):
            old.unlink()
        half.replace(folder / f"{sha256}{WHOLE}")
    finally:
        half.unlink(missing_ok=True)
    return ""


def _copy(source: BinaryIO, target: Path) -> str:
    total = hashlib.sha256()
    with target.open("xb") as file:
        while piece := source.read(PIECE_BYTES):
            total.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return total.hexdigest()
