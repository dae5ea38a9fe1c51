"""A file on disk as libVLC media, read by us: libVLC itself is given no plugin that opens files (see plugins.py)."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import vlc


class FileMedia:
    """One open file behind libVLC's four callbacks. Keep it until the player that reads it is released.

    The callbacks run in libVLC's threads and only read; a file that fails in the middle is its end.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._size = os.fstat(self._fd).st_size
        self._at = 0
        self._callbacks = (
            vlc.CallbackDecorators.MediaOpenCb(self._open),
            vlc.CallbackDecorators.MediaReadCb(self._read),
            vlc.CallbackDecorators.MediaSeekCb(self._seek),
            vlc.CallbackDecorators.MediaCloseCb(self._close),
        )

    def media(self, instance: vlc.Instance) -> vlc.Media:
        """It, as something that a player can be given."""
        return instance.media_new_callbacks(*self._callbacks, None)

    def close(self) -> None:
        """Let go of the file; no callback may come any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # --- libVLC's side

    def _open(self, _opaque: int | None, _data: object, size: ctypes.Array[ctypes.c_uint64]) -> int:
        size[0] = self._size
        self._at = 0
        return 0

    def _read(self, _opaque: int | None, into: ctypes._Pointer[ctypes.c_char], room: int) -> int:
        place = (ctypes.c_char * room).from_address(ctypes.addressof(into.contents))
        try:
            count = os.preadv(self._fd, [place], self._at)
        except OSError:
            return -1
        self._at += count
        return count

    def _seek(self, _opaque: int | None, offset: int) -> int:
        self._at = offset
        return 0

    def _close(self, _opaque: int | None) -> None:
        """The file stays open for a player that opens it once more."""
