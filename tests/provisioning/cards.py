"""Cards that behave: true ones, fakes, broken ones; small images with a FAT partition; a computer whose lsblk names them."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shlex
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from provisioning.errors import CardFailed

MIB = 1 << 20
FAT_AT = MIB
FAT_BYTES = 4 * MIB
IMAGE_BYTES = 24 * MIB
BLOCK = 4096


class FakeCard:
    """A card in memory. It claims `size_bytes` and holds `true_bytes`: what lies beyond wraps around, or is forgotten.

    `fails_after`: it is pulled out after so many bytes were written. `flips_at`: the lowest bit of that byte reads back inverted.
    """

    def __init__(
        self,
        size_bytes: int,
        *,
        true_bytes: int | None = None,
        beyond: Literal["wrap", "forget"] = "wrap",
        fails_after: int | None = None,
        flips_at: int | None = None,
    ) -> None:
        self.name = "/dev/fake"
        self.size_bytes = size_bytes
        self.true_bytes = true_bytes or size_bytes
        self.beyond = beyond
        self.fails_after = fails_after
        self.flips_at = flips_at
        self.bytes_written = 0
        self.settled = True
        self._held = bytearray(self.true_bytes)
        self._open = True

    def _runs(self, offset: int, length: int) -> Iterator[tuple[int | None, int]]:
        """Where bytes really lie, run by run; None is nowhere."""
        while length:
            if offset < self.true_bytes:
                run = min(length, self.true_bytes - offset)
                yield offset, run
            elif self.beyond == "wrap":
                run = min(length, self.true_bytes - offset % self.true_bytes)
                yield offset % self.true_bytes, run
            else:
                run = length
                yield None, run
            offset, length = offset + run, length - run

    def read(self, offset_bytes: int, length_bytes: int) -> bytes:
        self._check(offset_bytes, length_bytes)
        assert self.settled, "what is read before it was settled comes from memory"
        content = bytearray()
        for at, run in self._runs(offset_bytes, length_bytes):
            content += bytes(run) if at is None else self._held[at : at + run]
        if self.flips_at is not None and offset_bytes <= self.flips_at < offset_bytes + length_bytes:
            content[self.flips_at - offset_bytes] ^= 1
        return bytes(content)

    def write(self, offset_bytes: int, content: bytes) -> None:
        self._check(offset_bytes, len(content))
        self.bytes_written += len(content)
        if self.fails_after is not None and self.bytes_written > self.fails_after:
            raise CardFailed(f"{self.name}: pulled out")
        done = 0
        for at, run in self._runs(offset_bytes, len(content)):
            if at is not None:
                self._held[at : at + run] = content[done : done + run]
            done += run
        self.settled = False

    def settle(self) -> None:
        self._check(0, 0)
        self.settled = True

    def close(self) -> None:
        self._open = False

    def _check(self, offset: int, length: int) -> None:
        if not self._open:
            raise CardFailed(f"{self.name}: it was closed")
        if offset + length > self.size_bytes:
            raise CardFailed(f"{self.name}: byte {offset + length} lies behind its end")


@contextmanager
def loop_device(path: Path) -> Iterator[Path]:
    """A block device of this kernel over a file; needs root."""
    device = subprocess.run(["losetup", "--find", "--show", str(path)], check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield Path(device)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def loops_work() -> bool:
    if os.geteuid() != 0 or shutil.which("losetup") is None:
        return False
    return subprocess.run(["losetup", "--find"], capture_output=True, check=False).returncode == 0


def bmap_text(content: bytes, runs: list[tuple[int, int]]) -> bytes:
    """A bmap of these runs of blocks (first, last), with its own checksum, in the form of bmaptool 3.6."""
    ranges = ""
    for first, last in runs:
        digest = hashlib.sha256(content[first * BLOCK : (last + 1) * BLOCK]).hexdigest()
        ranges += f'        <Range chksum="{digest}"> {first if first == last else f"{first}-{last}"} </Range>\n'
    text = f"""<?xml version="1.0" ?>
<bmap version="2.0">
    <ImageSize> {len(content)} </ImageSize>
    <BlockSize> {BLOCK} </BlockSize>
    <BlocksCount> {-(-len(content) // BLOCK)} </BlocksCount>
    <MappedBlocksCount> {sum(last - first + 1 for first, last in runs)} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> {"0" * 64} </BmapFileChecksum>
    <BlockMap>
{ranges}    </BlockMap>
</bmap>
"""
    own = hashlib.sha256(text.encode()).hexdigest()
    return text.replace("0" * 64, own).encode()


def mapped_runs(content: bytes) -> list[tuple[int, int]]:
    """Runs of blocks that hold anything but zeros."""
    runs: list[tuple[int, int]] = []
    for block in range(-(-len(content) // BLOCK)):
        if not any(content[block * BLOCK : (block + 1) * BLOCK]):
            continue
        if runs and runs[-1][1] == block - 1:
            runs[-1] = (runs[-1][0], block)
        else:
            runs.append((block, block))
    return runs


def _written(content: bytes) -> list[tuple[int, int]]:
    """What the recipe wrote: the whole FAT too, in which zeros mean something (an empty directory)."""
    marked = bytearray(content)
    marked[FAT_AT : FAT_AT + FAT_BYTES] = b"x" * FAT_BYTES
    return mapped_runs(bytes(marked))


def make_image(path: Path, *, version: str | None = None, size: int = IMAGE_BYTES, seed: int = 7) -> bytes:
    """An image: MBR, a FAT partition made by mtools, something behind it, much that is empty; its bmap beside it."""
    fat = path.with_suffix(".fat")
    environment = os.environ | {"MTOOLS_SKIP_CHECK": "1"}
    subprocess.run(["mformat", "-i", str(fat), "-C", "-T", str(FAT_BYTES // 512), "::"], check=True, env=environment)
    if version is not None:
        told = path.with_suffix(".version")
        told.write_text(version + "\n")
        subprocess.run(["mmd", "-i", str(fat), "::loa"], check=True, env=environment)
        subprocess.run(["mcopy", "-i", str(fat), str(told), "::loa/version"], check=True, env=environment)
        told.unlink()
    content = bytearray(size)
    content[446:462] = struct.pack("<8BII", 0x80, 0, 0, 0, 0x0C, 0, 0, 0, FAT_AT // 512, FAT_BYTES // 512)
    content[510:512] = b"\x55\xaa"
    content[FAT_AT : FAT_AT + FAT_BYTES] = fat.read_bytes()
    fat.unlink()
    chance = random.Random(seed)
    content[8 * MIB : 9 * MIB + 700] = chance.randbytes(MIB + 700)
    content[size - 300_000 :] = chance.randbytes(300_000)
    path.write_bytes(content)
    Path(f"{path}.bmap").write_bytes(bmap_text(bytes(content), _written(bytes(content))))
    return bytes(content)


def make_card(folder: Path, node: str) -> Path:
    """What `node new` makes, with the names that `flash` asks for."""
    folder.mkdir(parents=True)
    (folder / "node.toml").write_text(f'[identity]\nnode = "{node}"\n')
    for name in ("ca.pem", "root.json", "52.24076.grant.json", "claim"):
        (folder / name).write_text(f"{name} of {node}\n")
    return folder


def disk(path: Path, size: int | None = None, **more: object) -> dict[str, object]:
    """A line of lsblk for a card in a USB reader."""
    line: dict[str, object] = {"name": path.name, "path": str(path), "type": "disk", "tran": "usb", "mountpoints": [None]}
    line |= {"size": path.stat().st_size if size is None else size, "rm": True, "hotplug": True, "ro": False}
    return line | {"model": "MassStorageClass", "serial": "0001"} | more


def lsblk_says(folder: Path, *disks: dict[str, object]) -> dict[str, str]:
    """An environment in which `lsblk` is a program that tells of these disks, whatever this computer really has."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    answer = programs / "lsblk.json"
    answer.write_text(json.dumps({"blockdevices": disks}))
    program = programs / "lsblk"
    program.write_text(f"#!/bin/sh\ncat {shlex.quote(str(answer))}\n")
    program.chmod(0o755)
    return os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
