"""The audit log's chain: each row's hash covers the row and the hash before it; heads say under a signature how far it had come.

A row also carries its own signature, so that what was written after the newest head can be told from what somebody else wrote.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

GENESIS: Final = "0" * 64
ROW: Final = b"loa audit row v1\x00"
HEAD: Final = b"loa audit head v1\x00"
"""What is signed begins with one of these; a sealed document begins with DSSEv1, so that neither can stand for the other."""


class Row(Struct, frozen=True, kw_only=True, tag="row"):
    """One act. `seal` is the controller's signature over `hash`; rows from before the chain have none."""

    id: int
    at_ms: int
    actor: str
    via: str
    act: str
    object: str
    detail: str
    hash: str
    seal: str = ""


class Head(Struct, frozen=True, kw_only=True, tag="head"):
    """How far the chain had come: the row's number and hash, signed by the controller's key for nothing else."""

    id: int
    hash: str
    at_ms: int
    public: str
    signature: str


class Verdict(Struct, frozen=True, kw_only=True):
    """What verifying found. `wrong_id` is the first row (or head's row) that does not fit, `why` says how."""

    rows: int
    heads: int
    signed_upto: int
    unsigned: int
    public: str
    last_at_ms: int | None = None
    wrong_id: int | None = None
    why: str = ""

    @property
    def good(self) -> bool:
        """Whether everything fits."""
        return self.why == ""


def hash_of(before: str, row: Row) -> str:
    """The hash of a row: over the one before and the row's canonical bytes (a JSON list, UTF-8, no spaces)."""
    said = [row.id, row.at_ms, row.actor, row.via, row.act, row.object, row.detail]
    return hashlib.sha256(bytes.fromhex(before) + msgspec.json.encode(said)).hexdigest()


def seal_row(key: Ed25519PrivateKey, row_hash: str) -> str:
    """The controller's signature of a row."""
    return key.sign(ROW + bytes.fromhex(row_hash)).hex()


def seal_head(key: Ed25519PrivateKey, public: str, row_id: int, row_hash: str, at_ms: int) -> Head:
    """The head as it stands now."""
    bare = Head(id=row_id, hash=row_hash, at_ms=at_ms, public=public, signature="")
    return msgspec.structs.replace(bare, signature=key.sign(_head_bytes(bare)).hex())


def _head_bytes(head: Head) -> bytes:
    return HEAD + msgspec.json.encode([head.id, head.hash, head.at_ms])


def _signed(public: str, signature: str, data: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True


class _Check:
    """Walks along the rows once; what is wrong first stays."""

    def __init__(self, heads: Iterable[Head], public: str | None) -> None:
        self.heads = sorted(heads, key=lambda head: (head.id, head.at_ms))
        self.public = public or (self.heads[0].public if self.heads else "")
        self.wrong: tuple[int, str] | None = None
        self.hash, self.id, self.rows = GENESIS, 0, 0
        self.last_at_ms: int | None = None
        self.expected = {head.id: head.hash for head in self.heads}
        self.signed_upto = 0
        self.unsigned = 0
        for head in self.heads:
            self._head(head)

    def _fail(self, row_id: int, why: str) -> None:
        if self.wrong is None or row_id < self.wrong[0]:
            self.wrong = (row_id, why)

    def _head(self, head: Head) -> None:
        if head.public != self.public:
            self._fail(head.id, "a head is signed by another key than the controller's")
        elif not _signed(head.public, head.signature, _head_bytes(head)):
            self._fail(head.id, "a head's signature does not hold")
        elif self.expected[head.id] != head.hash:
            self._fail(head.id, "two heads say different things of one row")
        else:
            self.signed_upto = max(self.signed_upto, head.id)

    def row(self, row: Row) -> None:
        """The next row, by number."""
        self.rows += 1
        if self.wrong is not None and self.wrong[0] <= self.id:
            return
        if row.id != self.id + 1:
            missing = f"row {self.id + 1}" if row.id == self.id + 2 else f"rows {self.id + 1} to {row.id - 1}"
            self._fail(self.id + 1, f"{missing} missing" if row.id > self.id else "two rows have one number")
        elif hash_of(self.hash, row) != row.hash:
            self._fail(row.id, "the row or its place is not what was written")
        elif self.expected.get(row.id, row.hash) != row.hash:
            self._fail(row.id, "the head that was signed here says otherwise: the chain was written anew")
        elif row.id > self.signed_upto:
            self._tail(row)
        self.id, self.hash, self.last_at_ms = row.id, row.hash, row.at_ms

    def _tail(self, row: Row) -> None:
        if not self.public:
            self.unsigned += 1
        elif not _signed(self.public, row.seal, ROW + bytes.fromhex(row.hash)):
            self._fail(row.id, "the controller did not write this row: its signature is missing or does not hold")

    def end(self) -> None:
        """No more rows."""
        if self.heads and self.id < self.heads[-1].id:
            self._fail(self.id + 1, f"the log ends at row {self.id}, but row {self.heads[-1].id} was signed: the end is missing")


def verify(rows: Iterable[Row], heads: Iterable[Head], public: str | None = None) -> Verdict:
    """Check chain, heads and signatures; rows by number. `public`: the controller's audit key, if one knows it from elsewhere."""
    check = _Check(heads, public)
    for row in rows:
        check.row(row)
    check.end()
    wrong_id, why = check.wrong or (None, "")
    return Verdict(
        rows=check.rows,
        heads=len(check.heads),
        signed_upto=check.signed_upto,
        unsigned=check.unsigned,
        public=check.public,
        last_at_ms=check.last_at_ms,
        wrong_id=wrong_id,
        why=why,
    )
