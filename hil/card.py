"""A node's card looked at from outside, switched off: the boot loader's state, its partitions."""

import zlib
from pathlib import Path
from typing import Final

from provisioning.image.recipe import ENV_BYTES, ENV_OFFSET, MIB, SECTOR_BYTES
from provisioning.image.tools import call
from provisioning.memory import copy_span

TABLE: Final = 446
ENTRY_BYTES: Final = 16


class Card:
    """A block device or an image's file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def boot_state(self) -> dict[str, str] | None:
        """The boot loader's words; None when its CRC does not hold, and the boot loader begins anew."""
        raw = self._read(ENV_OFFSET, ENV_BYTES)
        if zlib.crc32(raw[4:]).to_bytes(4, "little") != raw[:4]:
            return None
        words = [word.decode() for word in raw[4:].split(b"\0") if word]
        return dict(word.split("=", 1) for word in words)

    def choose(self, copy: str) -> None:
        """Tell the boot loader to try this copy first, three times, as RAUC does when it is activated."""
        other = "B" if copy == "A" else "A"
        words = {"BOOT_ORDER": f"{copy} {other}", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
        filled = b"".join(f"{name}={value}\0".encode() for name, value in words.items()).ljust(ENV_BYTES - 4, b"\0")
        with self.path.open("r+b") as file:
            file.seek(ENV_OFFSET)
            file.write(zlib.crc32(filled).to_bytes(4, "little") + filled)

    def write_partition(self, number: int, content: Path) -> None:
        """Lay a file's bytes into a partition, from its beginning."""
        with self.path.open("r+b") as file, content.open("rb") as source:
            file.seek(self.partition(number)[0])
            while chunk := source.read(MIB):
                file.write(chunk)

    def blank(self, number: int) -> None:
        """Nothing but zeros in a partition."""
        start, length = self.partition(number)
        with self.path.open("r+b") as file:
            file.seek(start)
            for _ in range(length // MIB):
                file.write(bytes(MIB))

    def holds(self, number: int, content: Path) -> bool:
        """Whether a partition begins with a file's bytes."""
        with self.path.open("rb") as file, content.open("rb") as wanted:
            file.seek(self.partition(number)[0])
            while chunk := wanted.read(MIB):
                if file.read(len(chunk)) != chunk:
                    return False
        return True

    def take_partition(self, number: int, out: Path) -> None:
        """Copy a partition into a file of its own."""
        out.unlink(missing_ok=True)
        copy_span(self.path, out, *self.partition(number))

    def spoil_boot_state(self) -> None:
        """As a card does that dies in the middle of a sector: half old, half rubbish."""
        with self.path.open("r+b") as file:
            file.seek(ENV_OFFSET + ENV_BYTES // 2)
            file.write(b"\xa5" * (ENV_BYTES // 2))

    def partition(self, number: int) -> tuple[int, int]:
        """Offset and length (bytes) of a primary partition, 1 to 4."""
        entry = self._read(TABLE + ENTRY_BYTES * (number - 1), ENTRY_BYTES)
        start, count = int.from_bytes(entry[8:12], "little"), int.from_bytes(entry[12:16], "little")
        return start * SECTOR_BYTES, count * SECTOR_BYTES

    def _read(self, offset: int, length: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def remove(rootfs: Path, name: str) -> None:
    """Take a file out of an ext4 image, without mounting it; `*` is the only name in its folder."""
    before, star, after = name.partition("*")
    if star:
        listed = [line.split("/")[5] for line in call(["debugfs", "-R", f"ls -p {before}", rootfs]).splitlines() if line]
        (only,) = [each for each in listed if each not in (".", "..")]
        name = before + only + after
    call(["debugfs", "-w", "-R", f"rm {name}", rootfs])
    assert not call(["debugfs", "-R", f"stat {name}", rootfs]).strip(), f"{name} is still in {rootfs}"


def copy_sparse(source: Path, target: Path) -> None:
    """A whole card as a file, zeros as holes."""
    target.unlink(missing_ok=True)
    copy_span(source, target)
