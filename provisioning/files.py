"""Files that matter are written whole or not at all, and never over another one unasked."""

import contextlib
import os
import tempfile
from pathlib import Path

from provisioning.errors import InputRefused


def read_bytes(path: Path, what: str) -> bytes:
    """Read a file. Raises InputRefused naming it."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputRefused(f"{what} {path} does not exist: check the name") from error
    except OSError as error:
        raise InputRefused(f"{what} {path} cannot be read ({error.strerror}): check its rights") from error


def read_text(path: Path, what: str) -> str:
    """Read a UTF-8 file. Raises InputRefused naming it."""
    try:
        return read_bytes(path, what).decode()
    except UnicodeDecodeError as error:
        raise InputRefused(f"{what} {path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error


def refuse_existing(path: Path, what: str) -> None:
    """Raise InputRefused when the file is already there."""
    if path.exists() or path.is_symlink():
        raise InputRefused(f"{what} {path} already exists: choose another name, or move it away first")


def write_whole(path: Path, content: bytes, *, mode: int = 0o644, new: bool = False) -> None:
    """Write through a neighbour file and rename, synced; with `new`, never over an existing one. Raises InputRefused."""
    if new:
        refuse_existing(path, "file")
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputRefused(f"cannot write in {path.parent} ({error.strerror}): make the folder, or check its rights") from error
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
        if new:
            os.link(temporary, path)
        else:
            os.replace(temporary, path)  # noqa: PTH105  the same words as the line above
    except FileExistsError as error:
        raise InputRefused(f"file {path} already exists: choose another name, or move it away first") from error
    except OSError as error:
        raise InputRefused(f"cannot write {path} ({error.strerror})") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
