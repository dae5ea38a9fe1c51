"""What a card still holds after the power went: SQLite's writes and syncs are noted, and unsynced sectors are lost, kept or torn.

`note` puts itself between SQLite and its file functions (ctypes, in this process alone). A write is noted before it is made, a
sync after it returned; what was written since a file's last sync may afterwards be there in any combination of sectors.
"""

from __future__ import annotations

import ctypes
import os
import random
import struct
from pathlib import Path

SECTOR = 512
HEAD = struct.Struct("<cBQI")
"""What happened (Write, Sync, Truncate, Fact), to which file, from which byte, how many bytes follow."""
FILES = ("node.db", "node.db-wal", "node.db-journal")
WRITE, TRUNCATE, SYNC = 2, 3, 4
"""Places in sqlite3_io_methods."""
_OPEN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (("version", ctypes.c_int), ("calls", ctypes.c_void_p * 18))


class _System(ctypes.Structure):
    """The head of sqlite3_vfs."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_bytes", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
    )


class Journal:
    """The notes of one life, in a file that a kill does not harm."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC)

    def put(self, what: bytes, file: int = 0, at: int = 0, data: bytes = b"") -> None:
        os.write(self._handle, HEAD.pack(what, file, at, len(data)) + data)

    def fact(self, text: str) -> None:
        self.put(b"F", data=text.encode())


def note(journal: Journal) -> list[object]:
    """From now on every write and sync of SQLite in this process is noted. Keep what is returned as long as that is to go on."""
    library = ctypes.CDLL("libsqlite3.so.0")
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_System)
    system = library.sqlite3_vfs_find(None).contents
    inner = _OPEN(system.open)
    kept: list[object] = [inner]

    def opened(vfs: int, name: bytes | None, file: int, flags: int, out: int) -> int:
        code = inner(vfs, name, file, flags, out)
        base = Path(os.fsdecode(name or b"")).name
        if code == 0 and base in FILES:
            place = ctypes.c_void_p.from_address(file)
            assert place.value is not None
            changed = _noted(_Methods.from_address(place.value), FILES.index(base), journal, kept)
            kept.append(changed)
            place.value = ctypes.addressof(changed)
        return code

    outer = _OPEN(opened)
    kept.append(outer)
    system.open = ctypes.cast(outer, ctypes.c_void_p).value
    return kept


def _noted(methods: _Methods, file: int, journal: Journal, kept: list[object]) -> _Methods:
    changed = _Methods.from_buffer_copy(methods)
    real_write, real_truncate = _WRITE(methods.calls[WRITE]), _TRUNCATE(methods.calls[TRUNCATE])
    real_sync = _SYNC(methods.calls[SYNC])

    def write(handle: int, data: int, size: int, at: int) -> int:
        journal.put(b"W", file, at, ctypes.string_at(data, size))
        return real_write(handle, data, size, at)

    def truncate(handle: int, size: int) -> int:
        journal.put(b"T", file, size)
        return real_truncate(handle, size)

    def sync(handle: int, flags: int) -> int:
        code = real_sync(handle, flags)
        if code == 0:
            journal.put(b"S", file)
        return code

    for place, call in ((WRITE, _WRITE(write)), (TRUNCATE, _TRUNCATE(truncate)), (SYNC, _SYNC(sync))):
        kept += [call]
        changed.calls[place] = ctypes.cast(call, ctypes.c_void_p).value
    kept += [real_write, real_truncate, real_sync]
    return changed


# --- after the cut ---


class Card:
    """The bytes that are surely there, file by file, and what was written since each file's last sync."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sure = {name: bytearray(_read(folder / name)) for name in FILES}
        self.unsure: dict[str, list[tuple[bytes, int, bytes]]] = {name: [] for name in FILES}
        self.facts: list[str] = []
        self.syncs = dict.fromkeys(FILES, 0)

    def replay(self, notes: bytes) -> None:
        """Take in the notes of a life; a last one that the kill cut short is none."""
        at = 0
        while at + HEAD.size <= len(notes):
            what, file, where, size = HEAD.unpack_from(notes, at)
            data = notes[at + HEAD.size : at + HEAD.size + size]
            at += HEAD.size + size
            if len(data) < size:
                break
            name = FILES[file]
            if what == b"F":
                self.facts.append(data.decode())
            elif what == b"S":
                for each in self.unsure[name]:
                    _apply(self.sure[name], *each)
                self.unsure[name].clear()
                self.syncs[name] += 1
            else:
                self.unsure[name].append((what, where, data))

    def cut(self, chance: random.Random) -> int:
        """Lay the files as the card may hold them now. Returns how many sectors were not what the program had written."""
        how = chance.choice(["kept", "lost", "torn", "torn", "any", "any", "zeros"])
        harmed = 0
        for name in FILES:
            left = self.sure[name]
            last = chance.randrange(len(self.unsure[name]) + 1)
            for number, (what, where, data) in enumerate(self.unsure[name]):
                if what == b"T":
                    if how == "kept" or (how != "lost" and chance.random() < 0.5):
                        _apply(left, what, where, data)
                    continue
                for begin in range(0, len(data), SECTOR):
                    part = data[begin : begin + SECTOR]
                    keep = how == "kept" or (how == "torn" and (number < last or (number == last and chance.random() < 0.5)))
                    keep = keep or (how in ("any", "zeros") and chance.random() < 0.5)
                    harmed += not keep
                    if keep:
                        _apply(left, what, where + begin, part)
                    elif how == "zeros" and where + begin >= len(left):
                        _apply(left, what, where + begin, bytes(len(part)))
            if left or (self._folder / name).exists():
                (self._folder / name).write_bytes(left)
        return harmed


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _apply(left: bytearray, what: bytes, where: int, data: bytes) -> None:
    if what == b"T":
        del left[where:]
        return
    if len(left) < where:
        left.extend(bytes(where - len(left)))
    left[where : where + len(data)] = data
