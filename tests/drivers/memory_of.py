"""Things for a store to keep, numbered, so that a test can say which are missing; and a process that keeps writing them."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from edge_agent.commands import PutDocument, PutMark, PutOrder, PutRecord, Save
from edge_agent.drivers.store import Store
from edge_agent.events import Event, KeptDocument, KeptOrder, Memory, Saved, SaveFailed
from protocol.reports import PlayRecord
from protocol.seen import OrderMark, Slot
from tests.waiting import until

KEY = "ab" * 32
T0_MS = 1_795_000_000_000


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def mark(number: int, *, op: str = "START", key: str = KEY) -> OrderMark:
    return OrderMark(
        kind="order",
        op=op,
        incident=f"{number:016x}",
        area="52.24076",
        authority="52.24076",
        seq=T0_MS + number,
        digest=digest(number),
        keyids=(key,),
        persons=("officer",),
    )


def order(number: int, state: str = "accepted") -> KeptOrder:
    return KeptOrder(b"sealed %d" % number, mark(number), T0_MS + number, state)


def record(number: int, ending: str = "cut", *, item: str = "order", planned_ms: int | None = None) -> PlayRecord:
    return PlayRecord(
        record_id=number,
        boot_count=1,
        digest=digest(number),
        item=item,
        incident=f"{number:016x}" if item == "order" else None,
        area="52.24076",
        authority="52.24076",
        purpose="live" if item == "order" else "routine",
        planned_ms=T0_MS + number if planned_ms is None else planned_ms,
        ending=ending,
        clock_state="good",
    )


def document(number: int, size: int = 600, *, pending: bool = False) -> PutDocument:
    kept = KeptDocument(b"x" * size, "programme", digest(number), (KEY,), pending=pending)
    return PutDocument(Slot("programme", f"52.{number}", "52"), kept)


class Running:
    """A store at work, and all that it emitted."""

    def __init__(self, store: Store, memory: Memory, events: list[Event]) -> None:
        self.store = store
        self.memory = memory
        self.events = events

    async def answers(self, *refs: int, within_s: float = 20) -> list[Event]:
        def answered() -> dict[int, Event]:
            return {event.ref: event for event in self.events if isinstance(event, Saved | SaveFailed)}

        await until(lambda: set(refs) <= set(answered()), within_s)
        return [answered()[ref] for ref in refs]

    async def save(self, ref: int, *writes) -> Event:
        self.store.save(Save(ref, writes))
        return (await self.answers(ref))[0]


@asynccontextmanager
async def opened(folder: Path, **more):
    events: list[Event] = []
    store = Store(folder, events.append, **more)
    memory = store.open()
    task = asyncio.create_task(store.run())
    await asyncio.sleep(0)
    try:
        yield Running(store, memory, events)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def write_for_ever(folder: Path) -> None:
    """An order with its open record in one transaction, then both closed: each number is told when its first is on disk."""
    async with opened(folder) as running:
        number = running.memory.next_record_id
        ref = 0
        while True:
            ref += 2
            running.store.save(Save(ref - 1, (PutOrder(order(number)), PutRecord(record(number), is_open=True))))
            closing = (PutRecord(record(number, "played"), is_open=False), PutOrder(order(number, "ended")))
            running.store.save(Save(ref, (*closing, PutMark(mark(number + 1_000_000, op="STOP")))))
            await running.answers(ref - 1)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            number += 1


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1])))
