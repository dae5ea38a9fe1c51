"""Empties the outbox: orders before documents, oldest first; a row is sent when the broker acknowledged it."""

import asyncio
from collections.abc import Callable
from typing import Final

from controller.parts import Parts
from controller.post import Post, Sends
from controller.store import orders, outbox
from controller.store.database import Transaction
from controller.store.outbox import Parcel

DOCUMENTS_ON_THE_WAY: Final = 50
"""Orders are never held back; documents are, so that an order does not stand behind a hundred of them."""
KEPT_MS: Final = 86_400_000


class Outbox:
    """One connection's worth of emptying; what was on the way when it broke is sent again on the next."""

    def __init__(self, parts: Parts, sends: Sends) -> None:
        self._parts = parts
        self._sends = sends
        self._on_the_way: set[int] = set()
        self._acknowledged: list[Parcel] = []

    async def run(self) -> None:
        """Send until cancelled. Raises MqttError (in a group) when the connection breaks."""
        self._parts.fresh.clear()
        await self._parts.database.run(lambda tx: outbox.prune(tx, self._parts.now_ms() - KEPT_MS))
        async with asyncio.TaskGroup() as group:
            while True:
                self._parts.wake.clear()
                fresh, self._parts.fresh = self._parts.fresh, []
                for parcel in fresh or await self._next():
                    self._on_the_way.add(parcel.id)
                    group.create_task(self._send(parcel))
                if fresh:
                    self._parts.wake.set()
                    await asyncio.sleep(0)
                if not self._parts.wake.is_set():
                    await self._parts.wake.wait()

    async def _next(self) -> list[Parcel]:
        done, self._acknowledged = self._acknowledged, []
        now_ms = self._parts.now_ms()
        waiting, changed = await self._parts.database.run(_settle_and_look(done, now_ms), urgent=True)
        self._on_the_way -= {parcel.id for parcel in done}
        for key in changed:
            self._parts.live.changed("incident", key)
        fresh = [parcel for parcel in waiting if parcel.id not in self._on_the_way]
        room = max(0, DOCUMENTS_ON_THE_WAY - len(self._on_the_way))
        urgent = [parcel for parcel in fresh if parcel.rank == outbox.ORDER_RANK]
        return urgent + [parcel for parcel in fresh if parcel.rank != outbox.ORDER_RANK][:room]

    async def _send(self, parcel: Parcel) -> None:
        post = Post(topic=parcel.topic, payload=parcel.payload, retain=parcel.retain, expires_ms=parcel.expires_ms)
        await self._sends.send(post)
        self._acknowledged.append(parcel)
        self._parts.wake.set()


def _settle_and_look(done: list[Parcel], now_ms: int) -> Callable[[Transaction], tuple[list[Parcel], set[str]]]:
    def work(tx: Transaction) -> tuple[list[Parcel], set[str]]:
        if done:
            outbox.sent(tx, [parcel.id for parcel in done], now_ms)
        changed = {orders.mark_sent(tx, digest, now_ms) for digest in {parcel.digest for parcel in done if parcel.digest}}
        return outbox.unsent(tx, now_ms), changed

    return work
