"""What came of a bundle so far, in blocks: a sparse file and a map beside it that never claims what is not on the card."""

import contextlib
import errno
import os
import threading
from pathlib import Path
from typing import Final

FOLDER: Final = "bundle"
"""Under the node's memory."""
WHOLE: Final = ".whole"
BLOCK_BYTES: Final = 4_096
"""RAUC reads bundles through a block device of 4 KiB blocks."""


def brought(folder: Path) -> str:
    """The hash of a bundle that was laid here whole; "" without one."""
    return next((path.stem for path in sorted(folder.glob(f"*{WHOLE}"))), "")


class Blocks:
    """The blocks of one bundle. Another bundle's are thrown away when this one's are opened. Raises OSError.

    A whole one, which `loa-agent import` laid beside them, takes their place at any time.
    """

    def __init__(self, folder: Path, sha256: str, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if not old.name.startswith(sha256):
                old.unlink()
        self.size = size
        self._lock = threading.RLock()  # closed from the loop while a thread writes: its number may be another file's by then
        self._data, self._map = folder / f"{sha256}.part", folder / f"{sha256}.map"
        self._whole = folder / f"{sha256}{WHOLE}"
        count = -(-size // BLOCK_BYTES)
        with contextlib.suppress(FileNotFoundError):
            self._there = bytearray(self._map.read_bytes())
        if len(getattr(self, "_there", b"")) != count or not self._data.exists():
            self._there = bytearray(count)
        self._file = os.open(self._data, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, size)
        self._take_whole()

    def _take_whole(self) -> None:
        """From now on it is read from there, and what came by the link goes."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            if self._whole.stat().st_size != self.size:
                self._whole.unlink()
                return
            whole = os.open(self._whole, os.O_RDONLY)
            os.close(self._opened)
            self._file = whole
            self._map.unlink(missing_ok=True)
            self._data.unlink(missing_ok=True)
            self._data = self._whole
            self._there = bytearray(b"\1" * len(self._there))

    @property
    def missing_bytes(self) -> int:
        """How much of it may still come, to a block."""
        return self._there.count(0) * BLOCK_BYTES

    def missing(self, begin: int, end: int) -> tuple[int, int] | None:
        """The first run of bytes from block to block that is not there and is needed for [begin, end)."""
        if self._there.count(0):
            self._take_whole()
        last = -(-end // BLOCK_BYTES)
        first = self._there.find(0, begin // BLOCK_BYTES, last)
        if first < 0:
            return None
        beyond = self._there.find(1, first, last)
        return first * BLOCK_BYTES, min(self.size, (last if beyond < 0 else beyond) * BLOCK_BYTES)

    def write(self, begin: int, data: bytes) -> int:
        """Keep the whole blocks of what came from this block on; returns how many bytes that are."""
        whole = len(data) if begin + len(data) == self.size else len(data) // BLOCK_BYTES * BLOCK_BYTES
        with self._lock:
            os.pwrite(self._opened, data[:whole], begin)
        first, count = begin // BLOCK_BYTES, -(-whole // BLOCK_BYTES)
        self._there[first : first + count] = b"\1" * count
        return whole

    def read(self, begin: int, end: int) -> bytes:
        """Bytes that are there."""
        with self._lock:
            return os.pread(self._opened, end - begin, begin)

    @property
    def _opened(self) -> int:
        if self._file < 0:
            raise OSError(errno.EBADF, "the bundle's blocks are closed")
        return self._file

    def keep(self) -> None:
        """First the blocks, then the map: a power cut may cost blocks, and never makes one up."""
        with self._lock:
            if self._data == self._whole:
                return
            claimed = bytes(self._there)
            os.fsync(self._opened)
            new = self._map.with_suffix(".new")
            with new.open("wb") as file:
                file.write(claimed)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._map)

    def close(self, *, drop: bool) -> None:
        """Keep it for the next try, or throw it away."""
        with self._lock:
            try:
                if not drop:
                    self.keep()
            finally:
                os.close(self._opened)
                self._file = -1
            if drop:
                self._map.unlink(missing_ok=True)
                self._data.unlink(missing_ok=True)
