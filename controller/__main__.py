"""`python -m controller`: builds the controller's parts and runs broker link, page and API in one task group."""

import argparse
import asyncio
import fcntl
import json
import logging
import os
import random
import resource
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Final

from controller import credentials
from controller.actions import audit
from controller.broker import BrokerLink
from controller.config import Config, load
from controller.doorkeeper import Doorkeeper
from controller.errors import ConfigWrong
from controller.listening import ServerTls, api_server, bind_tcp, bind_unix, https_server
from controller.live import Live
from controller.media import sweep
from controller.parts import Parts
from controller.rollouts import RolloutKeeper
from controller.signer_link import SignerLink
from controller.signing_site import create_site
from controller.store.database import Database, migrate
from controller.store.world import load as load_world
from controller.web.app import create_api, create_app
from controller.web.enrol import create_enrol

HEAD_LOOK_S: Final = 600.0
log: Final = logging.getLogger("loa.serve")


def wall_ms() -> int:
    """The controller's clock."""
    return time.time_ns() // 1_000_000


def build(config: Config, now_ms: Callable[[], int] = wall_ms) -> Parts:
    """The parts on a state folder, its database brought up to date. Inside a running loop."""
    migrate(config.database_url)
    vault_key, _ = credentials.read("loa-vault-key", config.vault_key, lambda: secrets.token_bytes(credentials.KEY_BYTES))
    audit_key, first = audit.open_key(config)
    database = Database(config.database_url)
    trouble = audit.begin(database, audit_key, now_ms(), first=first)
    parts = Parts(
        config=config,
        database=database,
        world=database.run_now(load_world),
        signer=SignerLink(config.signer_socket),
        live=Live(),
        now_ms=now_ms,
        vault=credentials.Vault(vault_key),
        audit_trouble=trouble,
    )
    parts.ports.broker = config.settings.broker.port
    return parts


def enrol_socket(config: Config, bind: str | None, port: int | None) -> socket.socket | None:
    """Where nodes without a certificate knock. When it cannot be had serve goes on: a warning is worth more than an enrolment."""
    wanted = config.settings.enrol
    try:
        return bind_tcp(bind or wanted.bind, wanted.port if port is None else port)
    except ConfigWrong as wrong:
        log.error("no node can enrol or renew: [enrol] %s", wrong)  # noqa: TRY400  the sentence is all there is to know
        return None


async def serve(
    config: Config,
    *,
    broker_port: int | None = None,
    https_port: int | None = None,
    enrol_port: int | None = None,
    bind: str | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigWrong when the folder or its ports cannot be used."""
    with _sole(config.state) as _lock:
        sweep(config.library)
        parts = build(config)
        with closing(parts.database):
            parts.ports.broker = broker_port or config.settings.broker.port
            https = config.settings.https
            page_socket = bind_tcp(bind or https.bind, https.port if https_port is None else https_port)
            api_socket = bind_unix(config.api_socket)
            parts.ports.https = page_socket.getsockname()[1]
            door_socket = enrol_socket(config, bind, enrol_port)
            parts.ports.enrol = door_socket.getsockname()[1] if door_socket else 0
            signing_socket = _signing_socket(config, bind, free=https_port == 0)
            parts.ports.signing = signing_socket.getsockname()[1] if signing_socket else 0
            (config.state / "run" / "ports.json").write_text(json.dumps(asdict(parts.ports) | {"pid": os.getpid()}))
            tls = ServerTls(config.tls / "https.crt", credentials.find("loa-https-key", config.tls / "https.key"))
            servers = [(https_server(create_app(parts), tls), page_socket), (api_server(create_api(parts)), api_socket)]
            if door_socket is not None:
                servers.append((https_server(create_enrol(parts), tls, strangers=True), door_socket))
            if signing_socket is not None:
                servers.append((https_server(create_site(origins(parts)), tls), signing_socket))
            link, keeper = BrokerLink(parts, random.random), Doorkeeper(parts, tls.read_again)
            parts.expect, parts.tell_broker, parts.roots_changed = link.expect, keeper.tell, keeper.roots_changed

            def end() -> None:
                for server, _socket in servers:
                    server.should_exit = True

            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, end)
            log.info("serving on port %d and %s", parts.ports.https, config.api_socket)
            async with asyncio.TaskGroup() as group:
                linking, keeping = group.create_task(link.run()), group.create_task(keeper.run())
                signing = group.create_task(_sign_daily(parts))
                rolling = group.create_task(RolloutKeeper(parts).run())
                serving = [group.create_task(server.serve([listener])) for server, listener in servers]
                await asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
                end()
                await asyncio.wait(serving)
                keeping.cancel()
                signing.cancel()
                rolling.cancel()
                while not linking.done():  # Python 3.11's wait_for, inside aiomqtt, may swallow one cancellation
                    linking.cancel()
                    await asyncio.wait([linking], timeout=1)
            await audit.sign_head(parts, audit.open_key(config)[0], daily=False)
            config.api_socket.unlink(missing_ok=True)
            await parts.signer.close()


async def _sign_daily(parts: Parts) -> None:
    """The audit log's head, once each local day, as long as serve runs; it is also signed at start and end."""
    key, _ = audit.open_key(parts.config)
    while True:
        await asyncio.sleep(HEAD_LOOK_S)
        await audit.sign_head(parts, key)


def _signing_socket(config: Config, bind: str | None, *, free: bool) -> socket.socket | None:
    """Where the signing page is served; None when another machine does."""
    signing = config.settings.signing
    return None if signing.url else bind_tcp(bind or signing.bind, 0 if free else signing.port, "[signing]")


def origins(parts: Parts) -> list[str]:
    """The page under each name of this controller: who may ask the signing page for a signature."""
    hosts = dict.fromkeys((*parts.config.settings.hosts, "localhost", "127.0.0.1"))
    return [f"https://{f'[{host}]' if ':' in host else host}:{parts.ports.https}" for host in hosts]


def _sole(state: Path) -> IO[str]:
    """Hold the folder: two controllers on one database would each keep half of the truth."""
    run = state / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    lock = (run / "serve.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigWrong(f"another `loa serve` runs on {state}: end it first (run/ports.json has its pid)") from error
    return lock


def main() -> int:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(prog="loa serve", description="Run the controller of a state folder.")
    parser.add_argument("--state", type=Path, required=True, help="the folder that `loa init` made")
    parser.add_argument("--broker-port", type=int, help="instead of [broker] port of loa.toml")
    parser.add_argument("--https-port", type=int, help="instead of [https] port of loa.toml; 0: any free one")
    parser.add_argument("--enrol-port", type=int, help="instead of [enrol] port of loa.toml; 0: any free one")
    parser.add_argument("--bind", help="instead of [https] bind of loa.toml")
    arguments = parser.parse_args()
    os.umask(0o077)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        config = load(arguments.state)
        with suppress(KeyboardInterrupt):
            ports = {"broker_port": arguments.broker_port, "https_port": arguments.https_port, "enrol_port": arguments.enrol_port}
            asyncio.run(serve(config, **ports, bind=arguments.bind))
    except ConfigWrong as wrong:
        sys.stderr.write(f"loa serve: {wrong}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
