"""The golden vectors as any program's tests read them: a world, and cases of bytes with what a reader must say to each.

`for case in cases(): play(case)` judges every step with the real `unseal`, from a reader's world, remembering what was taken in.
Programs that carry bytes (a broker, a page, a node) take `case.steps` and send them on by themselves.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct, structs

from protocol.documents import Grant, Placement, Root
from protocol.envelope import Opened, open_pinned_root, unseal
from protocol.errors import ProtocolError
from protocol.passing import Suspend
from protocol.rules import Clock, Me, document_mark, mark_of, slot_of
from protocol.seen import Seen
from protocol.suspension import mark_of_suspend, slot_of_suspend
from protocol.trust import Suspension, Trust
from protocol.units import ClockState, Document

PATH: Final = Path(__file__).parents[1] / "protocol" / "vectors" / "vectors.json"


class Step(Struct, frozen=True, kw_only=True):
    """Bytes that arrive: where, when, under which clock; and what must become of them (`fresh`, `duplicate` or a code)."""

    topic: str | None
    sealed: bytes
    now_ms: int
    clock: ClockState
    nonces: tuple[str, ...]
    expect: str


class Case(Struct, frozen=True, kw_only=True):
    """Steps that one reader takes in order, beginning from the world."""

    name: str
    claim: str
    reader: str
    amnesia_since_ms: int | None
    steps: tuple[Step, ...]


class Reader(Struct, frozen=True, kw_only=True):
    """Who judges: its id (None: the controller), what it trusts and what it remembers."""

    node: str | None
    trust: Trust
    seen: Seen


def key(name: str) -> Ed25519PrivateKey:
    """The private key of a person or node of the vectors' world: SHA-256 of a fixed phrase, for tests alone."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"loa test key {name}".encode()).digest())


@cache
def document() -> dict[str, Any]:
    """The whole file."""
    return json.loads(PATH.read_text(encoding="utf-8"))


def cases() -> tuple[Case, ...]:
    """Every case of the file."""
    return tuple(
        Case(
            name=case["name"],
            claim=case["claim"],
            reader=case["reader"],
            amnesia_since_ms=case.get("amnesia_since_ms"),
            steps=tuple(
                Step(**{**step, "sealed": base64.b64decode(step["sealed"]), "nonces": tuple(step["nonces"])})
                for step in case["steps"]
            ),
        )
        for case in document()["cases"]
    )


@cache
def reader(name: str) -> Reader:
    """One of the world's readers, with the world's documents taken in through the same door as everything else."""
    world = document()["world"]
    mine = world["readers"][name]
    raw = base64.b64decode(world["root"]["sealed"])
    root = open_pinned_root(raw, world["root"]["digest"])
    trust = Trust(root).with_report_keys(mine["report_keys"])
    judge = Reader(node=mine["node"], trust=trust, seen=Seen())
    judge = remember(judge, root, world["root"]["digest"])
    for sent in mine["documents"]:
        opened = unseal(
            base64.b64decode(sent["sealed"]),
            topic=sent["topic"],
            trust=judge.trust,
            me=Me(judge.node),
            now=Clock(world["at_ms"], "good"),
            seen=judge.seen,
        )
        judge = take_in(judge, opened)
    return judge


def remember(judge: Reader, payload: Document, digest: str) -> Reader:
    """The same reader with this document in force."""
    seen = judge.seen.with_document(slot_of(payload), document_mark(payload, digest))
    trust = judge.trust.with_document(payload) if isinstance(payload, Root | Grant | Placement) else judge.trust
    return structs.replace(judge, seen=seen, trust=trust)


def take_in(judge: Reader, opened: Opened) -> Reader:
    """What a reader knows after it accepted this: the least that any program has to store."""
    payload = opened.payload
    if not opened.fresh or opened.kind in ("hello", "receipt", "fetch", "time"):
        return judge
    if isinstance(payload, Document):
        return remember(judge, payload, opened.digest)
    if isinstance(payload, Suspend):
        seen = judge.seen.with_document(slot_of_suspend(payload), mark_of_suspend(payload, opened.digest))
        held = [each for each in judge.trust.suspensions if slot_of_suspend(each.what) != slot_of_suspend(payload)]
        trust = judge.trust.with_suspensions([*held, Suspension(payload, opened.keyids)])
        return structs.replace(judge, seen=seen, trust=trust)
    mark = mark_of(payload, opened.digest, opened.signers)
    return structs.replace(judge, seen=judge.seen.with_order(mark))


def meet(judge: Reader, step: Step) -> tuple[str, Opened | None]:
    """What this reader says to one step."""
    now = Clock(step.now_ms, step.clock)
    me = Me(judge.node, step.nonces)
    try:
        opened = unseal(step.sealed, topic=step.topic, trust=judge.trust, me=me, now=now, seen=judge.seen)
    except ProtocolError as error:
        return error.code, None
    return ("fresh" if opened.fresh else "duplicate"), opened


def play(case: Case) -> Iterator[tuple[Step, str, Reader]]:
    """Judge the steps in order: each with what was said, and the reader as it is afterwards."""
    judge = reader(case.reader)
    judge = structs.replace(judge, seen=structs.replace(judge.seen, amnesia_since_ms=case.amnesia_since_ms))
    for step in case.steps:
        said, opened = meet(judge, step)
        if opened is not None:
            judge = take_in(judge, opened)
        yield step, said, judge
