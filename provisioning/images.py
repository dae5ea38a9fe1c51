"""A node's image on the technician's disk: nothing is written from it before it agrees with what lies beside it."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from provisioning.bmap import Bmap, Mapped, read_bmap
from provisioning.errors import InputRefused
from provisioning.files import read_bytes, read_text

CHUNK_BYTES: Final = 1 << 20
PACKED: Final = (".xz", ".gz", ".zst", ".bz2", ".zip")
SUMS: Final = ("SHA256SUMS", "sha256sums", "SHA256SUMS.txt")
_LINE: Final = re.compile(r"([0-9A-Fa-f]{64})(?:\s+\*?(.+))?")

Told = Callable[[int], None]
"""Is told how many bytes more are done."""


class Image(Struct, frozen=True, kw_only=True):
    """An image that agrees with what lies beside it, and what of it must be on a card."""

    path: Path
    size_bytes: int
    mapped: tuple[Mapped, ...]
    checked_by: tuple[str, ...]

    @property
    def mapped_bytes(self) -> int:
        """What is really copied."""
        return sum(each.length_bytes for each in self.mapped)


class _Beside(Struct, frozen=True, kw_only=True):
    bmap: Bmap | None
    sha256: str | None
    names: tuple[str, ...]


def check_image(path: Path, told: Told = lambda _count: None) -> Image:
    """Read all of it and compare. Raises InputRefused naming what differs, or that there is nothing to compare with."""
    size_bytes = image_size(path)
    beside = _beside(path, size_bytes)
    if beside.bmap is not None:
        for each in beside.bmap.mapped:
            _check(path, each, told)
    mapped = beside.bmap.mapped if beside.bmap else (Mapped(0, size_bytes, beside.sha256 or ""),)
    if beside.sha256 is not None:
        _check(path, Mapped(0, size_bytes, beside.sha256), (lambda _count: None) if beside.bmap else told)
    return Image(path=path, size_bytes=size_bytes, mapped=mapped, checked_by=beside.names)


def image_size(path: Path) -> int:
    """How large it is. Raises InputRefused for what is no image."""
    if path.suffix in PACKED:
        raise InputRefused(f"{path} còn nén: giải nén đã / is packed: unpack it first, beside its .bmap")
    try:
        state = path.stat()
    except OSError as error:
        raise InputRefused(f"không có tệp ảnh / image {path} cannot be read ({error.strerror}): check the name") from error
    if not stat.S_ISREG(state.st_mode) or state.st_size == 0:
        raise InputRefused(f"{path} không phải tệp ảnh / is no image: name the .img file")
    return state.st_size


def chunks(path: Path, each: Mapped) -> Iterator[bytes]:
    """The bytes of a mapped run. Raises InputRefused when the image does not give them."""
    try:
        with path.open("rb") as file:
            file.seek(each.offset_bytes)
            left = each.length_bytes
            while left:
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise InputRefused(f"tệp ảnh bị ngắn đi / image {path} became shorter while it was read: fetch it again")
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise InputRefused(f"không đọc được / image {path} cannot be read ({error.strerror or error}): fetch it again") from error


def _check(path: Path, each: Mapped, told: Told) -> None:
    digest = hashlib.sha256()
    for chunk in chunks(path, each):
        digest.update(chunk)
        told(len(chunk))
    if digest.hexdigest() != each.sha256:
        until = each.offset_bytes + each.length_bytes
        raise InputRefused(
            f"tệp ảnh {path} hỏng: tải lại / image {path} is damaged (bytes {each.offset_bytes} to {until} have another SHA-256):"
            " fetch it again, with what lies beside it"
        )


def _beside(path: Path, size_bytes: int) -> _Beside:
    sums = _sums(path)
    bmap_path = next((each for each in (Path(f"{path}.bmap"), path.with_suffix(".bmap")) if each.is_file()), None)
    bmap, names = None, []
    if bmap_path is not None:
        content = read_bytes(bmap_path, "bmap")
        promised = sums.get(bmap_path.name)
        if promised is not None and promised != hashlib.sha256(content).hexdigest():
            raise InputRefused(
                f"{bmap_path} không khớp với tệp mã: tải lại cả ba / bmap {bmap_path} is not the one that the sums name:"
                " fetch image, bmap and sums again together"
            )
        bmap = read_bmap(content, f"bmap {bmap_path}")
        if bmap.image_bytes != size_bytes:
            raise InputRefused(
                f"tệp ảnh {path} không khớp với {bmap_path.name}: tải lại / image {path} has {size_bytes} bytes,"
                f" its bmap says {bmap.image_bytes}: fetch both again"
            )
        names.append(bmap_path.name)
    sha256 = sums.get(path.name)
    if sha256 is not None:
        names.append("SHA-256")
    if not names:
        raise InputRefused(
            f"cạnh {path} không có gì để đối chiếu / nothing beside {path} says what must be in it:"
            f" fetch {path.name}.bmap or SHA256SUMS from the same place"
        )
    return _Beside(bmap=bmap, sha256=sha256, names=tuple(names))


def _sums(path: Path) -> dict[str, str]:
    """File name to SHA-256, from IMAGE.sha256 or SHA256SUMS beside it."""
    found: dict[str, str] = {}
    for beside in (*(path.with_name(name) for name in SUMS), Path(f"{path}.sha256")):
        if not beside.is_file():
            continue
        for number, line in enumerate(read_text(beside, "sums file").splitlines(), 1):
            if not line.strip():
                continue
            match = _LINE.fullmatch(line.strip())
            if match is None:
                raise InputRefused(
                    f"tệp mã hỏng, dòng {number} / {beside}, line {number}, is no SHA-256 and file name: fetch it again"
                )
            found[os.path.basename(match[2] or path.name)] = match[1].lower()  # noqa: PTH119  a text, not a path of here
    return found
