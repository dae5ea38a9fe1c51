"""A bmap: which blocks of an image hold anything, and the SHA-256 of each run of them, as `bmaptool create` writes it."""

import hashlib
import re
from typing import Final
from xml.etree import ElementTree as ET

from msgspec import Struct

from provisioning.errors import InputRefused

LARGEST_BYTES: Final = 8 << 20
BLOCKS: Final = range(512, (1 << 20) + 1)
HEX: Final = re.compile(r"[0-9a-f]{64}")
_OWN_SUM: Final = re.compile(rb"(<BmapFileChecksum>\s*)([0-9A-Fa-f]{64})(\s*</BmapFileChecksum>)")
_RANGE: Final = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,12}))?")


class Mapped(Struct, frozen=True):
    """A run of bytes that must be as they are in the image; what lies between two of them does not matter."""

    offset_bytes: int
    length_bytes: int
    sha256: str


class Bmap(Struct, frozen=True, kw_only=True):
    """The whole map, in order."""

    image_bytes: int
    mapped: tuple[Mapped, ...]


def read_bmap(content: bytes, what: str) -> Bmap:
    """Read one and check it against its own checksum and against itself. Raises InputRefused, which begins with `what`."""
    try:
        return _bmap(content)
    except (ValueError, ET.ParseError) as error:
        raise InputRefused(f"{what} hỏng: tải lại / is no whole bmap ({error}): fetch it again beside its image") from error


def _bmap(content: bytes) -> Bmap:
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"{len(content)} bytes")
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError("it defines entities, which no bmap does")
    _check_own_sum(content)
    tree = ET.fromstring(content)  # noqa: S314  bounded in size, and without entities
    version = tree.get("version", "")
    if tree.tag != "bmap" or not re.fullmatch(r"2(\.[0-9]+)?", version):
        raise ValueError(f"version {version!r}, only 2 is known")
    if _text(tree, "ChecksumType") != "sha256":
        raise ValueError("its sums are not sha256")
    image_bytes, block_bytes = _number(tree, "ImageSize"), _number(tree, "BlockSize")
    blocks = _number(tree, "BlocksCount")
    if block_bytes not in BLOCKS or blocks != -(-image_bytes // block_bytes):
        raise ValueError(f"{blocks} blocks of {block_bytes} bytes are not {image_bytes} bytes")
    mapped = _mapped(tree, blocks, block_bytes, image_bytes)
    counted = sum(-(-each.length_bytes // block_bytes) for each in mapped)
    if counted != _number(tree, "MappedBlocksCount"):
        raise ValueError(f"{counted} mapped blocks, {_number(tree, 'MappedBlocksCount')} are promised")
    return Bmap(image_bytes=image_bytes, mapped=mapped)


def _check_own_sum(content: bytes) -> None:
    """Its checksum is taken over the file with zeros in the checksum's place."""
    found = _OWN_SUM.findall(content)
    if len(found) != 1:
        raise ValueError("no checksum of its own")
    blank = _OWN_SUM.sub(rb"\g<1>" + b"0" * 64 + rb"\g<3>", content)
    if hashlib.sha256(blank).hexdigest() != found[0][1].decode().lower():
        raise ValueError("its own checksum is another")


def _text(tree: ET.Element, name: str) -> str:
    return (tree.findtext(name) or "").strip()


def _number(tree: ET.Element, name: str) -> int:
    text = _text(tree, name)
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"{name} is {text!r}")
    return int(text)


def _mapped(tree: ET.Element, blocks: int, block_bytes: int, image_bytes: int) -> tuple[Mapped, ...]:
    found: list[Mapped] = []
    free = 0
    for element in tree.iterfind("BlockMap/Range"):
        text, digest = (element.text or "").strip(), element.get("chksum", "").lower()
        match = _RANGE.fullmatch(text)
        if match is None or not HEX.fullmatch(digest):
            raise ValueError(f"range {text!r}")
        first = int(match[1])
        last = int(match[2] or first)
        if not free <= first <= last < blocks:
            raise ValueError(f"range {text} is out of order or outside the image")
        free = last + 1
        offset = first * block_bytes
        found.append(Mapped(offset, min(free * block_bytes, image_bytes) - offset, digest))
    if not found:
        raise ValueError("no range")
    return tuple(found)
