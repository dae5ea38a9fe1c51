"""Which disks this computer has (`lsblk`), and why one must not be written over. Pure but for `read_disks`."""

import re
import subprocess
from typing import Final

import msgspec
from msgspec import Struct

from provisioning.errors import InputRefused

COLUMNS: Final = "NAME,PATH,TYPE,SIZE,RM,HOTPLUG,RO,TRAN,MODEL,SERIAL,MOUNTPOINTS"
LSBLK_S: Final = 20
SYSTEM: Final = frozenset({"/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var", "/home", "[SWAP]"})
BUILT_IN_CARD: Final = re.compile(r"mmcblk[0-9]+")
"""A card in a reader that is no USB one; eMMC, which is soldered in, goes by that name too and has boot partitions beside it."""


class _Node(Struct, frozen=True):
    name: str
    path: str
    type: str
    size: int = 0
    rm: bool = False
    hotplug: bool = False
    ro: bool = False
    tran: str | None = None
    model: str | None = None
    serial: str | None = None
    mountpoints: tuple[str | None, ...] = ()
    children: tuple["_Node", ...] = ()


class _Tree(Struct, frozen=True):
    blockdevices: tuple[_Node, ...]


class Disk(Struct, frozen=True, kw_only=True):
    """A disk, or a part of one (then `whole` is the disk's path)."""

    path: str
    size_bytes: int
    removable: bool
    read_only: bool
    model: str = ""
    serial: str = ""
    transport: str = ""
    mounts: tuple[str, ...] = ()
    whole: str | None = None

    @property
    def name(self) -> str:
        """What is typed to say that this one is meant."""
        return self.path.rpartition("/")[2]


def parse_lsblk(text: bytes) -> tuple[Disk, ...]:
    """Every disk and every part, from `lsblk --json --bytes`. Raises InputRefused."""
    try:
        tree = msgspec.json.decode(text, type=_Tree, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRefused(
            f"không đọc được danh sách ổ / lsblk did not say which disks there are ({error}): is util-linux 2.37 or newer?"
        ) from error
    names = {node.name for node in tree.blockdevices}
    found: list[Disk] = []
    for node in tree.blockdevices:
        built_in = node.hotplug and BUILT_IN_CARD.fullmatch(node.name) is not None and f"{node.name}boot0" not in names
        # a USB hard disk can be pulled out too, but says RM=0: somebody's backup is not a card
        removable = node.type == "disk" and (node.rm or built_in)
        found.append(_disk(node, removable=removable, whole=None))
        found += [_disk(part, removable=removable, whole=node.path) for part in _below(node)]
    return tuple(found)


def _below(node: _Node) -> list[_Node]:
    return [each for child in node.children for each in (child, *_below(child))]


def _disk(node: _Node, *, removable: bool, whole: str | None) -> Disk:
    mounts = tuple(mount for each in (node, *_below(node)) for mount in each.mountpoints if mount)
    return Disk(
        path=node.path,
        size_bytes=node.size,
        removable=removable,
        read_only=node.ro,
        model=(node.model or "").strip(),
        serial=(node.serial or "").strip(),
        transport=node.tran or "",
        mounts=mounts,
        whole=whole,
    )


def read_disks() -> tuple[Disk, ...]:
    """Ask lsblk. Raises InputRefused."""
    try:
        done = subprocess.run(
            ["lsblk", "--json", "--bytes", "--output", COLUMNS], capture_output=True, timeout=LSBLK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputRefused(f"thiếu lệnh lsblk / lsblk did not answer ({error}): apt install util-linux") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise InputRefused(f"không xem được các ổ / lsblk failed ({said}): is this a Linux with /sys?")
    return parse_lsblk(done.stdout)


def cards(disks: tuple[Disk, ...]) -> tuple[Disk, ...]:
    """Those that `flash --list` shows: removable, and with a card in them."""
    return tuple(disk for disk in disks if disk.removable and disk.whole is None and disk.size_bytes > 0)


def why_not(disk: Disk, image_bytes: int) -> str | None:  # noqa: PLR0911  one return a reason
    """Why an image must not be written over it; None when it may."""
    at = ", ".join(disk.mounts)
    if SYSTEM.intersection(disk.mounts):
        return f"{disk.path} là đĩa hệ thống của máy này / is the system disk of this computer ({at}): name the card"
    if disk.whole is not None:
        return f"{disk.path} chỉ là một phần của {disk.whole} / is a part of it: name the whole card, {disk.whole}"
    if not disk.removable:
        return f"{disk.path} không phải thẻ tháo rời / is no removable card: look with `loa-provision flash --list`"
    if disk.mounts:
        return f"{disk.path} đang được gắn ở {at}: gỡ ra đã / is mounted there: umount {at} first"
    if disk.size_bytes == 0:
        return f"{disk.path} không có thẻ / is a reader without a card: put one in"
    if disk.read_only:
        return f"{disk.path} bị khóa ghi: gạt chốt khóa / is locked against writing: move the card's switch"
    if disk.size_bytes < image_bytes:
        return (
            f"{disk.path} nhỏ hơn tệp ảnh / holds {disk.size_bytes / 1e9:.1f} GB, the image needs {image_bytes / 1e9:.1f} GB:"
            " take a larger card"
        )
    return None
