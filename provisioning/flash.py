"""One card from an image: is it as large as it says, write what the image maps, read it back, add the node's files."""

import hashlib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from provisioning import fat
from provisioning.capacity import STRIDE_BYTES, check_capacity, probe_bytes
from provisioning.device import Device
from provisioning.enrol import check_node_id
from provisioning.errors import CardFailed, InputRefused
from provisioning.files import read_bytes
from provisioning.images import CHUNK_BYTES, Image, chunks

SETTLE_BYTES: Final = 64 << 20
"""So often what was written is waited for, or the bar shows how fast memory is, and a pulled card is seen late."""
NEEDED: Final = ("node.toml", "ca.pem", "root.json", "claim")

Stage = Literal["probe", "write", "check", "files"]
Told = Callable[[Stage, int], None]
"""Is told how many bytes more of a stage are done; may raise CardFailed to stop."""


class NodeFiles(Struct, frozen=True, kw_only=True):
    """What `loa-provision node new` made for one node."""

    node: str
    files: Mapping[str, bytes]


class Flashed(Struct, frozen=True, kw_only=True):
    """A card that holds what it should, read back from it."""

    device: str
    size_bytes: int
    written_bytes: int
    files: tuple[str, ...] = ()


def read_card(folder: Path) -> NodeFiles:
    """A card's folder. Raises InputRefused when it is none, or its claim is gone."""
    for name in NEEDED:
        if not (folder / name).is_file():
            raise InputRefused(
                f"{folder} không phải thư mục thẻ / is no card's folder ({name} is missing): name one that"
                " `loa-provision node new` made"
            )
    files = {path.name: read_bytes(path, "file") for path in sorted(folder.iterdir()) if path.is_file()}
    try:
        node = check_node_id(tomllib.loads(files["node.toml"].decode())["identity"]["node"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputRefused(
            f"{folder / 'node.toml'} hỏng: làm lại thẻ / is not by `loa-provision node new` ({error}): make the card anew"
        ) from error
    if not files["claim"].strip():
        raise InputRefused(f"{folder}: mã nhận máy đã dùng / its claim was used: make a new card with `loa-provision node new`")
    return NodeFiles(node=node, files=files)


def total_bytes(image: Image, size_bytes: int, stride_bytes: int = STRIDE_BYTES) -> dict[Stage, int]:
    """How much there is to do on a card of that size, by stage."""
    return {
        "probe": probe_bytes(size_bytes, stride_bytes),
        "write": image.mapped_bytes,
        "check": image.mapped_bytes,
        "files": 1,
    }


def flash(
    device: Device,
    image: Image,
    told: Told = lambda _stage, _count: None,
    *,
    node: NodeFiles | None = None,
    stride_bytes: int = STRIDE_BYTES,
) -> Flashed:
    """Do all of it. Raises CardFailed with one sentence: what happened to the card, and that it is not to be used."""
    if device.size_bytes < image.size_bytes:
        raise CardFailed(f"{device.name}: nhỏ hơn tệp ảnh / is smaller than the image: take a larger card")
    check_capacity(device, lambda count: told("probe", count), stride_bytes=stride_bytes)
    _write(device, image, told)
    _check(device, image, told)
    if node is not None:
        _put(device, node)
    told("files", 1)
    return Flashed(
        device=device.name,
        size_bytes=device.size_bytes,
        written_bytes=image.mapped_bytes,
        files=tuple(node.files) if node else (),
    )


def _write(device: Device, image: Image, told: Told) -> None:
    unsettled = 0
    for each in image.mapped:
        at, digest = each.offset_bytes, hashlib.sha256()
        for chunk in chunks(image.path, each):
            digest.update(chunk)
            device.write(at, chunk)
            at, unsettled = at + len(chunk), unsettled + len(chunk)
            if unsettled >= SETTLE_BYTES:
                device.settle()
                unsettled = 0
            told("write", len(chunk))
        if digest.hexdigest() != each.sha256:
            raise CardFailed(f"{device.name}: tệp ảnh đổi giữa chừng / image {image.path} changed meanwhile: begin again")
    device.settle()


def _check(device: Device, image: Image, told: Told) -> None:
    for each in image.mapped:
        digest, end = hashlib.sha256(), each.offset_bytes + each.length_bytes
        for at in range(each.offset_bytes, end, CHUNK_BYTES):
            content = device.read(at, min(CHUNK_BYTES, end - at))
            digest.update(content)
            told("check", len(content))
        if digest.hexdigest() != each.sha256:
            raise CardFailed(
                f"{device.name}: đọc lại không đúng / what reads back from {each.offset_bytes / 1e6:.1f} to {end / 1e6:.1f} MB"
                " is not what was written: thẻ hỏng, bỏ thẻ này / the card is broken, throw it away"
            )


def _put(device: Device, node: NodeFiles) -> None:
    offset_bytes = fat.fat_offset(device.read)
    if offset_bytes is None:
        raise CardFailed(f"{device.name}: tệp ảnh không có phân vùng FAT / the image has no FAT partition for the node's files")
    fat.put(device.name, offset_bytes, node.files)
    device.settle()
    fat.check(device.name, offset_bytes, node.files)
