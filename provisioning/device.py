"""A card to be written, as few words as that needs; and the real one, a block device (or a file that stands for one)."""

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Final, Protocol, Self

from provisioning.errors import CardFailed, InputRefused

BLKFLSBUF: Final = 0x1261
"""linux/fs.h: write out and forget what the system holds of a block device."""
GONE: Final = frozenset({errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.EREMOTEIO, errno.ESHUTDOWN})


class Device(Protocol):
    """Bytes at offsets. Every call raises CardFailed when the card does not do it."""

    name: str
    size_bytes: int

    def read(self, offset_bytes: int, length_bytes: int) -> bytes:
        """Exactly so many bytes."""

    def write(self, offset_bytes: int, content: bytes) -> None:
        """Take all of it; it need not be on the card before `settle`."""

    def settle(self) -> None:
        """All that was written is on the card, and the next read comes from the card and not from this computer's memory."""

    def close(self) -> None:
        """Let go of it."""


class BlockDevice:
    """A device file, held alone: what holds it cannot be mounted meanwhile, and what is mounted cannot be held."""

    def __init__(self, path: Path) -> None:
        """Raises InputRefused when it is in use, or not ours to open."""
        self.name = str(path)
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        except OSError as error:
            raise InputRefused(f"{path}: {_why_not(error)}") from error
        self._is_block = stat.S_ISBLK(os.fstat(self._fd).st_mode)
        self.size_bytes = os.lseek(self._fd, 0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def read(self, offset_bytes: int, length_bytes: int) -> bytes:
        """As Device says."""
        parts = []
        while length_bytes:
            try:
                part = os.pread(self._fd, length_bytes, offset_bytes)
            except OSError as error:
                raise self._failed("đọc", "reading", offset_bytes, error) from error
            if not part:
                raise CardFailed(f"{self.name}: hết thẻ ở / the card ends at {offset_bytes} bytes, before its size")
            parts.append(part)
            offset_bytes, length_bytes = offset_bytes + len(part), length_bytes - len(part)
        return b"".join(parts)

    def write(self, offset_bytes: int, content: bytes) -> None:
        """As Device says."""
        if offset_bytes + len(content) > self.size_bytes:
            raise CardFailed(f"{self.name}: hết chỗ / byte {offset_bytes + len(content)} lies behind its end")
        rest = memoryview(content)
        while rest:
            try:
                done = os.pwrite(self._fd, rest, offset_bytes)
            except OSError as error:
                raise self._failed("ghi", "writing", offset_bytes, error) from error
            offset_bytes, rest = offset_bytes + done, rest[done:]

    def settle(self) -> None:
        """As Device says."""
        try:
            os.fsync(self._fd)
            if self._is_block:
                fcntl.ioctl(self._fd, BLKFLSBUF)
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                raise CardFailed(f"{self.name}: cần quyền root / only root can read it back from the card: use sudo") from error
            raise self._failed("ghi", "writing", None, error) from error

    def close(self) -> None:
        """As Device says."""
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def _failed(self, doing_vi: str, doing: str, offset_bytes: int | None, error: OSError) -> CardFailed:
        where = "" if offset_bytes is None else f" ở / at {offset_bytes / 1e6:.0f} MB"
        if error.errno in GONE:
            return CardFailed(
                f"{self.name}: thẻ bị rút ra hoặc hỏng khi đang {doing_vi}{where}; cắm lại, làm lại từ đầu"
                f" / was pulled out or broke while {doing}: put it in and begin again, or take another card"
            )
        return CardFailed(f"{self.name}: không {doing_vi} được{where} / {doing} failed: {error.strerror or error}")


def _why_not(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "đang được dùng: gỡ ra đã / is in use: unmount it first"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "cần quyền root / may not be opened: use sudo"
    if error.errno == errno.EROFS:
        return "thẻ bị khóa ghi: gạt chốt khóa / is locked against writing: move the card's switch"
    if error.errno in (errno.ENOMEDIUM, errno.ENXIO, errno.ENODEV, errno.ENOENT):
        return "không có thẻ / there is no card: put it in, look with `loa-provision flash --list`"
    return f"không mở được / cannot be opened ({error.strerror})"
