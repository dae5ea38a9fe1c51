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

from edge_agent.config import Config, ConfigWrong, load
from edge_agent.core.state import VERSION, State
from edge_agent.desk import Desk, Parts
from edge_agent.drivers import amplifier
from edge_agent.drivers.broker import Broker, Credentials, tls_context
from edge_agent.drivers.clock import SyncFileClock
from edge_agent.drivers.fetcher import Fetcher
from edge_agent.drivers.player import PlayerDriver
from edge_agent.drivers.speech import Speaker
from edge_agent.drivers.store import Store
from edge_agent.drivers.system import Machine, notify
from edge_agent.errors import AmplifierFailed, DriverError
from edge_agent.events import Arrived, Booted, DriverFailed, Event
from edge_agent.ports import Amplifier
from protocol import topics
from protocol.documents import Root
from protocol.envelope import Sealer, open_pinned_root, peek, seal
from protocol.errors import ProtocolError
from protocol.keys import from_pem, sealer
from protocol.reports import FetchStatement
from protocol.seen import Seen
from protocol.trust import Trust

log = logging.getLogger("loa-agent")
CONFIG_EXIT: Final = 78
RESTART_WAIT_S: Final = 2.0
WATCHDOG_EVERY_S: Final = 5.0
CARD_ORDER: Final = {"root": 0, "placement": 1, "grant": 2}


async def may_fail(name: str, run: Callable[[], Awaitable[None]], emit: Callable[[Event], None]) -> None:
    """Run a driver whose failure must not silence an alarm: each failure is told, counted, and the driver starts again."""
    restarts = 0
    while True:
        try:
            await run()
        except Exception as error:
            restarts += 1
            log.warning("%s failed (%d): %r", name, restarts, error, exc_info=not isinstance(error, DriverError | OSError))
            emit(DriverFailed(name, repr(error)[:200], restarts))
            await asyncio.sleep(RESTART_WAIT_S)


def open_root(config: Config) -> Root:
    """The pinned root of the card. Raises ConfigWrong."""
    path = config.path(config.pins.root)
    try:
        return open_pinned_root(path.read_bytes(), config.pins.root_digest)
    except (OSError, ProtocolError) as error:
        raise ConfigWrong(f"{path}: key `pins.root`: {error}; copy root and root_digest from the same ceremony") from error


def open_report_key(config: Config) -> Sealer:
    """The key that signs what this node says. Raises ConfigWrong."""
    path = config.path(config.identity.report_key)
    try:
        return sealer(from_pem(path.read_bytes(), None))
    except (OSError, ProtocolError) as error:
        raise ConfigWrong(f"{path}: key `identity.report_key`: {error}; make the node's folder again") from error


def open_amplifier(config: Config) -> Amplifier:
    """The amplifier of the board. Raises ConfigWrong."""
    try:
        return amplifier.parse(config.board.amplifier)
    except (AmplifierFailed, ValueError) as error:
        raise ConfigWrong(f"{config.folder / 'node.toml'}: key `board.amplifier`: {error}") from error


class Agent:
    """The parts of one node, built."""

    def __init__(self, config: Config, *, store_delay_s: float = 0.0) -> None:
        node = config.identity.node
        self.config = config
        self.signer = open_report_key(config)
        state_folder = config.path(config.identity.state)
        media = state_folder / "media"
        media.mkdir(parents=True, exist_ok=True)
        root = open_root(config)
        self.desk = Desk(State(node=node, media_root=str(media), trust=Trust(root), seen=Seen()), self.signer)
        emit = self.desk.emit
        self.clock = SyncFileClock(Path(config.board.clock), emit)
        self.store = Store(state_folder, emit, sync_delay_s=store_delay_s)
        memory = self.store.open()
        credentials = Credentials(
            config.path(config.pins.ca), config.path(config.identity.certificate), config.path(config.identity.key)
        )
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
        self.fetcher = Fetcher(
            config.controller.media_url,
            media,
            lambda: self._https_context(credentials),
            self._authorise,
            emit,
            chance,
        )
        self.player = PlayerDriver(
            sink=config.board.sink,
            cache=state_folder / "player",
            amplifier=open_amplifier(config),
            voice=Speaker(state_folder / "voice"),
            emit=emit,
        )
        self.machine = Machine(state_folder, emit)
        emit(Booted(memory))
        for name in sorted((config.path(name) for name in config.pins.documents), key=self._card_rank):
            emit(Arrived(0, topics.topic("document", node=node), name.read_bytes()))

    @staticmethod
    def _card_rank(path: Path) -> int:
        return CARD_ORDER.get(peek(path.read_bytes())[0], len(CARD_ORDER))

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
            instant=self.clock.instant,
            alive=Watchdog(),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self.store.run(), name="store")
            group.create_task(self.player.run(), name="player")
            group.create_task(self.desk.run(parts), name="desk")
            group.create_task(may_fail("broker", self.broker.run, emit), name="broker")
            group.create_task(may_fail("fetcher", self.fetcher.run, emit), name="fetcher")
            group.create_task(may_fail("clock", self.clock.run, emit), name="clock")
            group.create_task(may_fail("machine", self.machine.run, emit), name="machine")
            notify("READY=1")


class Watchdog:
    """Tells systemd that the desk turns, at most every few seconds; the desk wakes every five seconds by itself."""

    def __init__(self) -> None:
        self._told_s = 0.0

    def __call__(self) -> None:
        """The desk has turned."""
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


def main() -> None:
    """Start the agent; exit 78 with one sentence when the configuration is wrong."""
    parser = argparse.ArgumentParser(prog="loa-agent", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the node's node.toml (made by `loa node add`)")
    parser.add_argument("--verbose", action="store_true", help="log what is decided, too")
    parser.add_argument("--store-delay-ms", type=float, default=0.0, help="bench: imitate a card that needs this long to sync")
    parser.add_argument("--version", action="version", version=f"loa-agent {VERSION}")
    args = parser.parse_args()
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.INFO, format="%(levelname).1s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        config = load(args.config)
        asyncio.run(serve(config, args.store_delay_ms / 1000))
    except ConfigWrong as error:
        print(f"loa-agent: {error}", file=sys.stderr)  # noqa: T201  one sentence for whoever starts it by hand
        sys.exit(CONFIG_EXIT)


if __name__ == "__main__":
    main()
