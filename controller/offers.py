"""Offers again what nodes did not answer: orders at growing intervals, documents that a node lags in, nonces to be answered."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from controller.actions.reseal import reseal_without_clock
from controller.core.fleet import NodeState
from controller.core.world import Standing
from controller.parts import Parts
from controller.post import Post, Publisher
from controller.reports import document_posts, lag_of, offer_posts, roots_since
from controller.store import nodes, orders
from controller.store.database import Transaction

AT_ONCE: Final = 200
IDLE_S: Final = 30.0
REST_S: Final = 0.1
"""Between two rounds: hellos of many nodes after an outage fold into one."""
LAG_AFTER_MS: Final = 20_000
LAG_LONGEST_MS: Final = 600_000
BACKLOG: Final = 50
"""While so many reports are unread, the answers that we would ask for may be among them."""


class Lagging:
    """Which nodes did not take their documents yet, and when each is tried again."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[int, int]] = {}

    def told(self, lagging: dict[str, bool], now_ms: int) -> None:
        """What hellos just said (the documents were sent with the answer)."""
        for node, lags in lagging.items():
            if lags:
                _due_ms, wait_ms = self._due.get(node, (0, LAG_AFTER_MS // 2))
                wait_ms = min(wait_ms * 2, LAG_LONGEST_MS)
                self._due[node] = (now_ms + wait_ms, wait_ms)
            else:
                self._due.pop(node, None)

    def expect(self, node_ids: Iterable[str], now_ms: int) -> None:
        """Something changed for these nodes: look after a while whether they took it."""
        for node in node_ids:
            self._due.setdefault(node, (now_ms + LAG_AFTER_MS, LAG_AFTER_MS))

    def due(self, now_ms: int) -> list[str]:
        """Nodes to be tried now; each is put off."""
        found = [node for node, (due_ms, _) in self._due.items() if due_ms <= now_ms][:AT_ONCE]
        self.told(dict.fromkeys(found, True), now_ms)
        return found

    def next_ms(self) -> int | None:
        """When the next is due."""
        return min((due_ms for due_ms, _ in self._due.values()), default=None)

    def settled(self, node: str) -> None:
        """It holds everything, or is gone."""
        self._due.pop(node, None)


class Offers:
    """One connection's worth of offering."""

    def __init__(self, parts: Parts, publisher: Publisher, lagging: Lagging, backlog: Callable[[], int]) -> None:
        self._parts = parts
        self._publisher = publisher
        self._lagging = lagging
        self._backlog = backlog

    async def run(self) -> None:
        """Offer until cancelled. Raises MqttError (in a group) when the connection breaks."""
        while True:
            await self._wait()
            if self._backlog() > BACKLOG:
                await asyncio.sleep(REST_S)
                continue
            now_ms = self._parts.now_ms()
            due = await self._parts.database.run(partial(orders.due_offers, now_ms=now_ms, limit=AT_ONCE))
            await reseal_without_clock(self._parts)
            await self._publisher.send_all([*offer_posts(due), *await self._documents(now_ms)])

    async def _wait(self) -> None:
        await asyncio.sleep(REST_S)
        next_ms = await self._parts.database.read(orders.next_due_ms)
        times = [at_ms for at_ms in (next_ms, self._lagging.next_ms()) if at_ms is not None]
        left_s = (min(times) - self._parts.now_ms()) / 1000 if times else IDLE_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(left_s, 0.0), IDLE_S)):
                await self._parts.offers.wait()
        self._parts.offers.clear()

    async def _documents(self, now_ms: int) -> list[Post]:
        due = self._lagging.due(now_ms)
        if not due:
            return []
        world = self._parts.world

        def read(tx: Transaction) -> tuple[dict[str, NodeState], dict[str, list[Standing]]]:
            states = nodes.all_states(tx)
            return states, {node: roots_since(tx, world, states[node]) for node in due if node in states}

        states, roots = await self._parts.database.read(read)
        posts: list[Post] = []
        for node in due:
            lag = self._documents_of(node, states.get(node), now_ms)
            posts.extend([*document_posts(node, roots.get(node, []) if lag else []), *lag])
        return posts

    def _documents_of(self, node: str, state: NodeState | None, now_ms: int) -> list[Post]:
        lag = lag_of(self._parts.world, state, now_ms) if state is not None else []
        if state is None or not lag or state.online in ("lost", "never"):
            self._lagging.settled(node)
            return []
        return document_posts(node, lag)
