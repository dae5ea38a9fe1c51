"""The desk: events in by one inbox, the core decides, commands out to drivers; the only timer."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, assert_never

import msgspec

from edge_agent import ports
from edge_agent.commands import (
    Acknowledge,
    Activate,
    Command,
    Confirm,
    Evict,
    Fetch,
    GoBy,
    HoldFetch,
    HoldInstall,
    Hush,
    Install,
    Publish,
    RecallRecords,
    Restart,
    Save,
    Speak,
    Subscribe,
)
from edge_agent.core.node import decide
from edge_agent.core.state import State
from edge_agent.events import Arrived, Event, Instant, Woke
from protocol import topics
from protocol.envelope import Sealer, seal
from protocol.reports import Health, Hello, Receipt

log = logging.getLogger(__name__)
INBOX: Final = 4_096
LONGEST_SLEEP_S: Final = 5.0
"""So often the clock is looked at and the watchdog is told that the desk lives, whatever the core waits for."""
_encode: Final = msgspec.json.Encoder().encode


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The drivers that the desk hands commands to."""

    store: ports.Store
    broker: ports.Broker
    player: ports.Player
    fetcher: ports.Fetcher
    stick: ports.Stick
    slots: ports.Slots
    uplink: ports.Uplink
    instant: Callable[[], Instant]
    alive: Callable[[State], None]


class Desk:
    """Joins core and drivers. A bug here ends the process: nothing may go on half-alive."""

    def __init__(self, state: State, sealer: Sealer) -> None:
        self.state = state
        self._sealer = sealer
        self._inbox: asyncio.Queue[Event] = asyncio.Queue(INBOX)
        self.dropped = 0

    def emit(self, event: Event) -> None:
        """Take an event, in the loop's own thread. Of a flood, messages are dropped (they come again), nothing else is."""
        if isinstance(event, Arrived) and self._inbox.qsize() >= INBOX // 2:
            self.dropped += 1
            log.warning("inbox half full: a message on %s dropped unacknowledged (%d so far)", event.topic, self.dropped)
            return
        self._inbox.put_nowait(event)

    async def run(self, parts: Parts) -> None:
        """Decide until cancelled."""
        wake_ns = 0
        while True:
            event = await self._next(parts, wake_ns)
            self.state, commands, wake_ns = decide(self.state, event, parts.instant())
            for command in commands:
                self._carry_out(parts, command)
            parts.alive(self.state)

    async def _next(self, parts: Parts, wake_ns: int) -> Event:
        if not self._inbox.empty():
            return self._inbox.get_nowait()
        wait_s = (wake_ns - parts.instant().mono_ns) / 1e9
        if wait_s <= 0:
            return Woke()
        try:
            async with asyncio.timeout(min(wait_s, LONGEST_SLEEP_S)):  # not wait_for: on 3.11 it can swallow the word to end
                return await self._inbox.get()
        except TimeoutError:
            return Woke()

    def _carry_out(self, parts: Parts, command: Command) -> None:  # noqa: C901, PLR0912  one arm a command
        match command:
            case Speak(play):
                parts.player.start(play)
            case Hush(play_id, fade_ms):
                parts.player.stop(play_id, fade_ms)
            case Save():
                parts.store.save(command)
            case RecallRecords(after):
                parts.store.recall(after)
            case Acknowledge(ref, why_not):
                self._acknowledge(parts, ref, why_not)
            case Subscribe(filters):
                parts.broker.subscribe(filters)
            case GoBy(reach):
                parts.uplink.lay(reach)
                parts.broker.go_to(reach.brokers)
            case Publish(message):
                self._publish(parts, message)
            case Fetch(wants, budget_bytes):
                parts.fetcher.fetch(wants, budget_bytes)
            case Evict(files):
                parts.fetcher.evict(files)
            case HoldFetch(hold):
                parts.fetcher.hold(held=hold)
            case Install():
                parts.slots.install(command)
            case HoldInstall(hold):
                parts.slots.hold(held=hold)
            case Activate():
                parts.slots.activate()
            case Confirm():
                parts.slots.confirm()
            case Restart():
                parts.slots.restart()
            case _:
                assert_never(command)

    @staticmethod
    def _acknowledge(parts: Parts, ref: int, why_not: str) -> None:
        if ref < 0:
            parts.stick.acknowledge(ref, why_not)
        else:
            parts.broker.acknowledge(ref)

    def _publish(self, parts: Parts, message: Hello | Receipt | Health) -> None:
        match message:
            case Health():
                parts.broker.publish(topics.topic("health", node=message.node), _encode(message))
            case Hello() | Receipt():
                sealed = seal(message, [self._sealer])
                parts.broker.publish(topics.topic(message.kind, node=message.node), sealed)
