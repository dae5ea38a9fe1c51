"""A node's memory as a card from a pole has it, read without a byte of it being changed: everything here works on a copy.

The tables are those of `edge_agent/drivers/store/database.py`: a test writes with the agent's own store and reads with this.
"""

import contextlib
import errno
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID
from msgspec import Struct

from protocol.envelope import payload_of, peek
from protocol.errors import ProtocolError
from protocol.node_id import is_valid
from protocol.reports import PlayRecord
from protocol.seen import OrderMark
from provisioning.errors import InputRefused

DATABASE: Final = "node.db"
BLOCK_BYTES: Final = 64 << 10
SHOWN: Final = 20
BAD_ENDINGS: Final = frozenset({"skipped", "failed"})
_RECORD: Final = msgspec.json.Decoder(PlayRecord)
_MARK: Final = msgspec.json.Decoder(OrderMark)
Found = TypeVar("Found")
UNREADABLE: Final = (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError, ProtocolError, ValueError)


class HeldDocument(Struct, frozen=True, kw_only=True):
    """A document that the node had; `pending` waits for its media."""

    kind: str
    subject: str
    authority: str
    seq: int
    digest: str
    pending: bool


class HeldOrder(Struct, frozen=True, kw_only=True):
    """A START, and how far it came. The words are as they were signed; nothing is verified here."""

    incident: str | None
    kind: str
    area: str
    authority: str
    seq: int
    accepted_ms: int
    state: str
    words: str = ""


class SeenOrder(Struct, frozen=True, kw_only=True):
    """An order that was taken, here of interest for STOP and LIFT."""

    op: str
    incident: str | None
    area: str
    authority: str
    seq: int


class Play(Struct, frozen=True, kw_only=True):
    """A record of a play; `was_open`: it sounded when the power went."""

    record: PlayRecord
    was_open: bool
    acknowledged: bool


class Kept(Struct, frozen=True, kw_only=True):
    """What a node's folder says."""

    folder: str
    node: str | None
    boot_count: int
    floor_ms: int | None = None
    rtc_good_ms: int | None = None
    created_ms: int | None = None
    last_record_id: int = 0
    acknowledged_record_id: int = 0
    plays: tuple[Play, ...] = ()
    refusals: tuple[Play, ...] = ()
    orders: tuple[HeldOrder, ...] = ()
    stops: tuple[SeenOrder, ...] = ()
    documents: tuple[HeldDocument, ...] = ()
    media_files: int = 0
    media_bytes: int = 0
    content_month: int = 0
    content_bytes: int = 0
    placed: bool = False
    enrolled: bool = False
    troubles: tuple[str, ...] = ()


def find_folder(path: Path) -> Path:
    """The folder with node.db: this one, or the only one below it. Raises InputRefused."""
    if (path / DATABASE).is_file():
        return path
    if not path.is_dir():
        raise InputRefused(f"không có thư mục / there is no folder {path}: name where the card's data is mounted")
    try:
        found = sorted(path.rglob(DATABASE))
    except OSError as error:
        raise InputRefused(f"không đọc được / folder {path} cannot be read ({error.strerror}): use sudo") from error
    if not found:
        asides = sorted(path.rglob(f"{DATABASE}.unreadable-*"))
        if asides:
            return asides[0].parent
        raise InputRefused(f"không thấy bộ nhớ cụm loa / no {DATABASE} below {path}: is this the data partition of a node?")
    if len(found) > 1:
        places = ", ".join(str(each.parent) for each in found[:5])
        raise InputRefused(f"có nhiều bộ nhớ / several nodes' memories lie below {path}: name one of {places}")
    return found[0].parent


def read_kept(folder: Path) -> Kept:
    """All that the folder says; what cannot be read is named in `troubles`, and the rest is told all the same."""
    troubles = [
        f"bộ nhớ hỏng, đã cất sang một bên / an unreadable memory was put aside: {aside.name}"
        for aside in sorted(folder.glob(f"{DATABASE}.unreadable-*"))
        if not aside.name.endswith(("-wal", "-shm"))
    ]
    with tempfile.TemporaryDirectory() as kept:
        copy = Path(kept) / DATABASE
        for ending in ("", "-wal"):
            source = folder / (DATABASE + ending)
            if source.exists():
                try:
                    troubles += copy_span(source, Path(kept) / (DATABASE + ending))
                except OSError as error:
                    raise InputRefused(
                        f"hết chỗ / no room for a copy of {source} in {kept} ({error.strerror}): set TMPDIR"
                    ) from error
        if not copy.exists():
            return _beside(folder, None, (*troubles, f"{DATABASE} is not there"))
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as db:
            return _beside(folder, _Reader(db), tuple(troubles))


def copy_span(source: Path, target: Path, offset_bytes: int = 0, length_bytes: int | None = None) -> list[str]:
    """Copy a file or a part of it, zeros as holes; blocks that the card does not give back are zeros too, and told.

    Raises InputRefused for a source that may not be read, OSError when there is no room.
    """
    bad = 0
    try:
        handle = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InputRefused(f"không đọc được / {source} cannot be read ({error.strerror}): use sudo") from error
    try:
        size = os.lseek(handle, 0, os.SEEK_END) - offset_bytes
        length = size if length_bytes is None else min(size, length_bytes)
        with target.open("wb") as out:
            out.truncate(length)
            at = _next_data(handle, offset_bytes) - offset_bytes
            while at < length:
                try:
                    content = os.pread(handle, min(BLOCK_BYTES, length - at), offset_bytes + at)
                except OSError:
                    bad += 1
                else:
                    if content.strip(b"\0"):
                        out.seek(at)
                        out.write(content)
                at = _next_data(handle, offset_bytes + at + BLOCK_BYTES) - offset_bytes
    finally:
        os.close(handle)
    return [f"thẻ không đọc được / {bad} blocks of {source.name} cannot be read: the card is broken"] if bad else []


def _next_data(handle: int, at: int) -> int:
    """Where something stands next in a file with holes, down to a whole block; a device has no holes."""
    try:
        return max(at, os.lseek(handle, at, os.SEEK_DATA) // BLOCK_BYTES * BLOCK_BYTES)
    except OSError as error:
        return sys.maxsize if error.errno == errno.ENXIO else at


def _listed(read: Callable[..., Found], row: tuple[Any, ...]) -> list[Found]:
    return [read(*row)]


class _Reader:
    """Answers one question after the other; one that fails is noted and answered with what stands for nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.troubles: list[str] = []

    def rows(self, what: str, query: str, *values: object) -> list[Any]:
        return self._tried(what, lambda: self._db.execute(query, values).fetchall(), [])

    def number(self, name: str) -> int | None:
        rows = self.rows(f"number {name}", "SELECT value FROM numbers WHERE name = ?", name)
        return int(rows[0][0]) if rows else None

    def each(self, what: str, query: str, read: Callable[..., Found]) -> tuple[Found, ...]:
        """One of each row; a row that is no longer whole is left out and told."""
        found: list[Found] = []
        for row in self.rows(what, query):
            found += self._tried(f"one of {what}", partial(_listed, read, row), [])
        return tuple(found)

    def _tried(self, what: str, ask: Callable[[], Found], otherwise: Found) -> Found:
        try:
            return ask()
        except UNREADABLE as error:
            trouble = f"không đọc được / {what} cannot be read ({error})"
            if trouble not in self.troubles:
                self.troubles.append(trouble)
            return otherwise


def _beside(folder: Path, reader: _Reader | None, troubles: tuple[str, ...]) -> Kept:
    media = list(_sizes(folder / "media"))
    boots = _boots(folder)
    empty = Kept(
        folder=str(folder),
        node=_certified(folder),
        boot_count=boots,
        media_files=len(media),
        media_bytes=sum(media),
        placed=(folder / "placed").exists(),
        enrolled=(folder / "node.crt").exists(),
        troubles=troubles,
    )
    return empty if reader is None else _with_database(empty, reader)


def _with_database(kept: Kept, reader: _Reader) -> Kept:
    check = reader.rows("node.db", "PRAGMA quick_check(1)")
    if check and check[0][0] != "ok":
        reader.troubles.append(f"node.db hỏng một phần / is damaged in part ({check[0][0]}): what follows may be incomplete")
    upto = reader.number("records_upto") or 0
    documents = reader.each("documents", "SELECT kind, subject, authority, pending, digest, raw FROM documents", _document)
    nodes = [each.subject for each in documents if each.kind == "placement" and is_valid(each.subject)]
    seen = reader.each("marks", "SELECT mark FROM marks ORDER BY seq DESC", _seen)
    plays = reader.each("records", "SELECT record, is_open FROM records ORDER BY record_id DESC", _play(upto))
    return msgspec.structs.replace(
        kept,
        node=kept.node or (nodes[0] if nodes else None),
        boot_count=max(kept.boot_count, reader.number("boot_count") or 0),
        floor_ms=reader.number("floor_ms"),
        rtc_good_ms=reader.number("rtc_good_ms"),
        created_ms=reader.number("created_ms"),
        last_record_id=max(upto, plays[0].record.record_id if plays else 0),
        acknowledged_record_id=upto,
        plays=plays[:SHOWN],
        refusals=tuple(each for each in plays if each.record.ending in BAD_ENDINGS)[:SHOWN],
        orders=reader.each("orders", "SELECT raw, mark, accepted_ms, state FROM orders ORDER BY accepted_ms DESC", _order),
        stops=tuple(each for each in seen if each.op != "START")[:SHOWN],
        documents=tuple(sorted(documents, key=lambda each: (each.kind, each.subject, each.authority, each.pending))),
        content_month=reader.number("media_month") or 0,
        content_bytes=reader.number("media_bytes") or 0,
        troubles=(*kept.troubles, *reader.troubles),
    )


def _play(upto: int) -> Callable[[bytes, int], Play]:
    def read(record: bytes, is_open: int) -> Play:
        play = _RECORD.decode(record)
        return Play(record=play, was_open=bool(is_open), acknowledged=play.record_id <= upto)

    return read


def _document(kind: str, subject: str, authority: str, pending: int, digest: str, raw: bytes) -> HeldDocument:
    return HeldDocument(kind=kind, subject=subject, authority=authority, seq=peek(raw)[1], digest=digest, pending=bool(pending))


def _order(raw: bytes, encoded: bytes, accepted_ms: int, state: str) -> HeldOrder:
    mark = _MARK.decode(encoded)
    try:
        texts = getattr(payload_of(raw), "text", ())
    except ProtocolError:
        texts = ()
    return HeldOrder(
        incident=mark.incident,
        kind=mark.kind,
        area=mark.area,
        authority=mark.authority,
        seq=mark.seq,
        accepted_ms=accepted_ms,
        state=state,
        words=texts[0].text if texts else "",
    )


def _seen(encoded: bytes) -> SeenOrder:
    mark = _MARK.decode(encoded)
    return SeenOrder(op=mark.op, incident=mark.incident, area=mark.area, authority=mark.authority, seq=mark.seq)


def _sizes(media: Path) -> Iterator[int]:
    for path in media.glob("??/*.mka"):
        with contextlib.suppress(OSError):
            yield path.stat().st_size


def _boots(folder: Path) -> int:
    try:
        return int((folder / "boots").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _certified(folder: Path) -> str | None:
    """The name in the node's certificate, if it lies there."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / "node.crt").read_bytes())
    except (OSError, ValueError):
        return None
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else None
