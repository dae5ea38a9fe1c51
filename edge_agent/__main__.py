"""`loa-agent --config node.toml`: builds the real parts and opens the one TaskGroup; the only file that knows every class."""

import argparse
import asyncio
import contextlib
import gc
import logging
import random
import secrets
import signal
import ssl
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from msgspec import structs

from edge_agent import importing, status
from edge_agent.config import Config, ConfigWrong, load
from edge_agent.core.state import VERSION, State
from edge_agent.desk import Desk, Parts
from edge_agent.drivers.broker import Broker, Credentials, server_context, tls_context
from edge_agent.drivers.enrol import Door, Enrolment
from edge_agent.drivers.fetcher import Fetcher
from edge_agent.drivers.player import PlayerDriver
from edge_agent.drivers.speech import Speaker
from edge_agent.drivers.stick import Stick
from edge_agent.drivers.store import Store
from edge_agent.drivers.system import SILENT, SOUNDING, Machine, notify
from edge_agent.drivers.uplink import Uplink
from edge_agent.errors import DriverError, StoreFailed
from edge_agent.events import Arrived, Booted, DriverFailed, Event, KeptDocument, Memory
from edge_agent.lean import keep_small
from edge_agent.material import (
    check_sink,
    inputs_of,
    make_identity,
    make_state,
    names_of,
    open_amplifier,
    open_clock,
    open_credentials,
    open_report_key,
    open_root,
    open_slots,
)
from protocol import topics
from protocol.checks import CONFIG_WRONG
from protocol.envelope import payload_of, peek, seal
from protocol.errors import ProtocolError
from protocol.reports import FetchStatement
from protocol.rules import slot_of
from protocol.seen import Seen, Slot
from protocol.trust import Trust
from protocol.units import Document

log = logging.getLogger("loa-agent")
RESTART_WAIT_S: Final = 2.0
WATCHDOG_EVERY_S: Final = 5.0
LOOK_EVERY_S: Final = 1.0
CARD_ORDER: Final = {"root": 0, "placement": 1, "grant": 2}


async def may_fail(name: str, run: Callable[[], Awaitable[None]], emit: Callable[[Event], None]) -> None:
    """Run a driver whose failure must not silence an alarm: each failure is told, counted, and the driver starts again."""
    restarts = 0
    while True:
        try:
            await run()
        except Exception as error:  # reason: no bug of a driver may silence an alarm; it is told
            restarts += 1
            log.warning("%s failed (%d): %r", name, restarts, error, exc_info=not isinstance(error, DriverError | OSError))
            emit(DriverFailed(name, repr(error)[:200], restarts))
            await asyncio.sleep(RESTART_WAIT_S)


def _slot(raw: bytes) -> Slot | None:
    """The place of a document; None for bytes that are none (the core refuses them, and says so)."""
    try:
        payload = payload_of(raw)
    except ProtocolError:
        return None
    return slot_of(payload) if isinstance(payload, Document) else None


class Agent:
    """The parts of one node, built."""

    def __init__(self, config: Config, *, store_delay_s: float = 0.0) -> None:
        node = config.identity.node
        self.config = config
        make_identity(config)
        self.signer = open_report_key(config)
        root, credentials = open_root(config), open_credentials(config)
        state_folder = make_state(config)
        media = state_folder / "media"
        self.desk = Desk(State(node=node, media_root=str(media), trust=Trust(root), seen=Seen()), self.signer)
        emit = self.desk.emit
        self.clock = open_clock(config, emit)
        self.store = Store(state_folder, emit, sync_delay_s=store_delay_s)
        memory = self.store.open()
        chance = random.Random(secrets.randbits(64))  # noqa: S311  jitter, not secrecy
        self.broker = Broker(
            node,
            config.broker.host,
            config.broker.port,
            credentials,
            boot_count=memory.boot_count,
            clock_usable=lambda: self.desk.state.clock_usable,
            emit=emit,
            chance=chance,
        )
        self.enrolment = self._enrolment(credentials, chance)
        self.fetcher = Fetcher(
            self.media_url,
            media,
            lambda: self._https_context(credentials),
            self._authorise,
            emit,
            chance,
        )
        self.player = PlayerDriver(
            sink=check_sink(config),
            cache=state_folder / "player",
            amplifier=open_amplifier(config),
            voice=Speaker(state_folder / "voice"),
            emit=emit,
            inputs=inputs_of(config),
        )
        self.machine = Machine(state_folder, emit)
        self.stick = Stick(state_folder, node, emit)
        self.slots = open_slots(
            config, state_folder, self.media_url, lambda: self._https_context(credentials), self._authorise, emit, chance
        )
        emit(Booted(self._with_pinned_root(memory)))
        for raw in self._card(memory):
            emit(Arrived(0, topics.topic("document", node=node), raw))

    def _enrolment(self, credentials: Credentials, chance: random.Random) -> Enrolment | None:
        """What asks for our certificate and renews it; None on a node that is told no address for that."""
        if self.config.enrol is None:
            return None
        return Enrolment(
            names_of(self.config),
            Door(
                self.enrol_url,
                lambda: server_context(credentials.ca, check_dates=self.desk.state.clock_usable),
            ),
            clock_usable=lambda: self.desk.state.clock_usable,
            linked=lambda: self.desk.state.link_up,
            chance=chance,
        )

    async def _linked(self) -> None:
        """The link to the broker, from when there is a certificate to show."""
        if self.enrolment is not None:
            await self.enrolment.certified.wait()
        await self.broker.run()

    async def _say_place(self) -> None:
        """Leave word for `loa-agent status`, which cannot open our memory, once a placement is in force."""
        place, word = (
            Slot("placement", self.config.identity.node, "-"),
            self.config.path(self.config.identity.state) / status.PLACED,
        )
        while True:
            if place in self.desk.state.documents:
                break
            await asyncio.sleep(LOOK_EVERY_S)
        if not word.exists():
            log.info("the placement of this node is in force: it obeys the persons whom the grants name")
            with contextlib.suppress(OSError):
                word.touch()

    def _with_pinned_root(self, memory: Memory) -> Memory:
        """The pinned root is held like any other document, until a newer one is: hello names it, and it is not sent again."""
        if any(kept.kind == "root" for kept in memory.documents):
            return memory
        pins = self.config.pins
        pinned = KeptDocument(self.config.path(pins.root).read_bytes(), "root", pins.root_digest, (), pending=False)
        return structs.replace(memory, documents=(pinned, *memory.documents))

    def _card(self, memory: Memory) -> list[bytes]:
        """The card's documents for whose places nothing is held yet, authority first. Later ones come from the controller."""
        held = {_slot(kept.raw) for kept in memory.documents}
        raws = [self.config.path(name).read_bytes() for name in self.config.pins.documents]
        fresh = [raw for raw in raws if (slot := _slot(raw)) is None or slot not in held]
        return sorted(fresh, key=lambda raw: CARD_ORDER.get(peek(raw)[0], len(CARD_ORDER)))

    def enrol_url(self) -> str:
        """Where certificates come from, by the way that is gone by now; nowhere on a node that is told no address."""
        card = self.config.enrol
        return self.desk.state.reach_used.enrol_url or ("" if card is None else card.url)

    def media_url(self) -> str:
        """Where files come from, by the way that is gone by now."""
        return self.desk.state.reach_used.media_url or self.config.controller.media_url

    def _https_context(self, credentials: Credentials) -> ssl.SSLContext:
        return tls_context(credentials, check_dates=self.desk.state.clock_usable)

    def _authorise(self, sha256: str) -> str:
        state, now = self.desk.state, self.clock.instant()
        statement = FetchStatement(
            authority="placement",
            area=state.node,
            area_no=0,
            seq=now.wall_ms,
            purpose="routine",
            node=state.node,
            boot_count=state.boot_count,
            clock_state=state.clock,
            at_ms=now.wall_ms,
            sha256=sha256,
            nonce=now.dice,
        )
        return "Loa " + b64encode(seal(statement, [self.signer])).decode()

    async def run(self) -> None:
        """Everything in one TaskGroup: what must not fail ends the process, what may is restarted."""
        emit = self.desk.emit
        parts = Parts(
            store=self.store,
            broker=self.broker,
            player=self.player,
            fetcher=self.fetcher,
            stick=self.stick,
            slots=self.slots,
            uplink=Uplink(),
            instant=self.clock.instant,
            alive=Watchdog(),
        )
        await self.clock.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.store.run(), name="store")
            group.create_task(self.player.run(), name="player")
            group.create_task(self.desk.run(parts), name="desk")
            group.create_task(may_fail("broker", self._linked, emit), name="broker")
            group.create_task(may_fail("fetcher", self.fetcher.run, emit), name="fetcher")
            group.create_task(may_fail("clock", self.clock.run, emit), name="clock")
            group.create_task(may_fail("machine", self.machine.run, emit), name="machine")
            group.create_task(may_fail("stick", self.stick.run, emit), name="stick")
            group.create_task(may_fail("slots", self.slots.run, emit), name="slots")
            if self.enrolment is not None:
                group.create_task(may_fail("enrol", self.enrolment.run, emit), name="enrol")
                group.create_task(self._say_place(), name="place")
            notify("READY=1")


class Watchdog:
    """Tells systemd that the desk turns, at most every few seconds (it wakes every five by itself); and whether it sounds."""

    def __init__(self) -> None:
        self._told_s = 0.0
        self._status = ""

    def __call__(self, state: State) -> None:
        """The desk has turned."""
        status = SOUNDING if state.alarms or state.plays else SILENT
        if status != self._status:
            self._status = status
            notify(f"STATUS={status}")
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= WATCHDOG_EVERY_S:
            self._told_s = now_s
            notify("WATCHDOG=1")


async def serve(config: Config, store_delay_s: float) -> None:
    """Run until SIGTERM or SIGINT."""
    agent = Agent(config, store_delay_s=store_delay_s)
    gc.collect()
    gc.freeze()
    task = asyncio.create_task(agent.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _check(words: list[str]) -> int:
    from edge_agent.check.command import main as check  # D-Bus and more, which the agent's own start must not pay for

    return check(words)


def main() -> None:
    """Start the agent; exit 78 with one sentence when the configuration is wrong. Or run `import`, `status` or `check`."""
    commands = {"import": importing.main, "status": status.main, "check": _check}
    if sys.argv[1:2] and sys.argv[1] in commands:
        sys.exit(commands[sys.argv[1]](sys.argv[2:]))
    parser = argparse.ArgumentParser(
        prog="loa-agent",
        description=__doc__,
        epilog="loa-agent import DIR --config node.toml: take in a stick's documents; loa-agent status --config node.toml; "
        "loa-agent check --config node.toml: at the pole, green or red",
    )
    parser.add_argument("--config", type=Path, required=True, help="the node's node.toml (made by `loa-provision node new`)")
    parser.add_argument("--verbose", action="store_true", help="log what is decided, too")
    parser.add_argument("--store-delay-ms", type=float, default=0.0, help="bench: imitate a card that needs this long to sync")
    parser.add_argument("--version", action="version", version=f"loa-agent {VERSION}")
    args = parser.parse_args()
    keep_small()
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.INFO, format="%(levelname).1s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        config = load(args.config)
        asyncio.run(serve(config, args.store_delay_ms / 1000))
    except (ConfigWrong, StoreFailed) as error:
        print(f"loa-agent: {error}", file=sys.stderr)  # noqa: T201  one sentence for whoever starts it by hand
        sys.exit(CONFIG_WRONG if isinstance(error, ConfigWrong) else 1)


if __name__ == "__main__":
    main()
