"""The broker's configuration, and the broker as a child process for the demo and the tests.

Only options that mosquitto 2.0.11 (Debian 12) knows; the 2.0 series took none away, so 2.0.21 (Debian 13) knows them too.
2.0 cannot refuse older protocols than MQTT 5: a client that speaks 3.1.1 is held by the same certificate and the same ACL.
"""

import asyncio
import os
import pwd
import re
import shutil
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controller.ca import client_context, write_once
from protocol import node_id

CONTROLLER: Final = "controller"
TIMEKEEPER: Final = "timekeeper"
"""It tells nodes the time, hears their hellos and nothing else of theirs; its key and certificate are on another host."""
CRL: Final = "crl.pem"
PID: Final = "mosquitto.pid"
PACKET_BYTES: Final = 163_840
"""160 kB: the largest sealed document (programme, 128 kB) and room to grow. The broker tells it at CONNACK, and closes a
connection that passes it before it has read the packet. `message_size_limit` would answer with PUBACK 0x95, which MQTT 5
does not know there: paho then closes too, and says `protocol error` (measured with 2.0.11)."""
QUEUED_BYTES: Final = 8 * 1024 * 1024
QUEUED_MESSAGES: Final = 10_000
"""For a client that is away: 10,000 orders of 800 bytes. A full queue drops the newest; the controller offers it again."""
KEEPALIVE_S: Final = 60
"""60 s x 1.5 and a will delay of 5 s make 95 s, below the 100 s in which a loss must show."""
AUTOSAVE_S: Final = 60
"""What a power cut may cost the cache. The whole database is written each time, so not more often."""
SESSION: Final = "40d"
"""A node that was off for a month finds its session; a programme is valid for at most 45 days."""
_OPERATOR: Final = re.compile(r"[a-z][a-z0-9-]{0,47}")


class BrokerFailed(Exception):
    """mosquitto did not start, or ended by itself; the sentence has its last words."""


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """Where the broker's files lie and where it listens."""

    conf: Path
    host: str
    port: int
    ca: Path
    state: Path
    log: Path
    crl: Path | None = None


def write_config(
    folder: Path,
    *,
    port: int,
    bind: str,
    ca: Path,
    cert: Path,
    key: Path,
    operators: Sequence[str] = (),
    state: Path | None = None,
    group: str | None = None,
    crl: bytes | None = None,
) -> BrokerConfig:
    """Write the broker's folder, replacing an older one: mosquitto.conf, ACL, and copies of its certificates.

    The folder (0700, files 0600; with a group 0750 and 0640) is all the broker reads, so `group`, the service's own, is let
    in to it and to nothing else of ours. `operators` are names that may publish orders beside the controller: the
    fall-back of `loa`, consoles. `crl` holds the lists of revoked certificates, one of each root that issues.
    """
    folder = folder.absolute()
    state = (state or folder / "state").absolute()
    for each in (folder, state):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    crl_file = folder / CRL if crl is not None else None
    config = BrokerConfig(folder / "mosquitto.conf", bind, port, folder / "ca.crt", state, folder / "broker.log", crl_file)
    files = {
        "mosquitto.conf": configuration(config).encode(),
        "acl": access_list(operators).encode(),
        "ca.crt": ca.read_bytes(),
        "broker.crt": cert.read_bytes(),
        "broker.key": key.read_bytes(),
    }
    if crl is not None:
        files[CRL] = crl
    for name, content in files.items():
        replace_file(folder / name, content, group)
    if group is not None:
        shutil.chown(folder, group=group)
        folder.chmod(0o2750)
    return config


def replace_file(path: Path, content: bytes, group: str | None) -> None:
    """Write a file of the broker's folder whole, for `group` to read if there is one. Raises OSError."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    write_once(new, content, mode=0o640 if group is not None else 0o600)
    if group is not None and new.group() != group:  # the folder hands its group on, so a plain user needs no right for this
        shutil.chown(new, group=group)
    new.replace(path)


def configuration(config: BrokerConfig) -> str:
    """The text of mosquitto.conf. Raises ValueError for a path that its format cannot hold."""
    folder = config.conf.parent
    for path in (folder, config.state):
        if "\n" in str(path) or str(path) != str(path).strip():
            raise ValueError(f"mosquitto cannot read the path `{path}`: move the folder to one without such characters")
    crl = f"crlfile {config.crl}\n" if config.crl is not None else ""
    return f"""# Written by loa; changes are lost at the next `loa init`.
# Who may come in: only certificates of our CA, over TLS 1.3; the certificate's name is user name and client id.
listener {config.port} {config.host}
tls_version tlsv1.3
cafile {config.ca}
{crl}certfile {folder}/broker.crt
keyfile {folder}/broker.key
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
allow_zero_length_clientid false
acl_file {folder}/acl
max_qos 1
pid_file {config.state}/{PID}
# As whom: see `user_name` in controller/mosquitto.py.
user {user_name()}
# A small order must not wait for a larger packet to fill up.
set_tcp_nodelay true
max_keepalive {KEEPALIVE_S}
# What one client may send or leave waiting.
max_packet_size {PACKET_BYTES}
max_inflight_messages 20
max_queued_messages {QUEUED_MESSAGES}
max_queued_bytes {QUEUED_BYTES}
queue_qos0_messages false
persistent_client_expiration {SESSION}
# The cache on disk.
persistence true
persistence_location {config.state}/
autosave_interval {AUTOSAVE_S}
autosave_on_changes false
# The controller reads the broker's uptime: what it remembers of nodes counts only if it ran on since they spoke.
sys_interval 10
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages true
"""


def access_list(operators: Sequence[str] = (), *, pending: Iterable[str] = (), revoked: Iterable[str] = ()) -> str:
    """The text of the ACL. Pattern lines hold for every user, so they give a name only what lies under that name.

    What is denied to a name goes before them: a `pending` node has no placement yet and says hello, health and alive; a `revoked`
    one is told and says nothing, also over a connection that it still has. Raises ValueError for an operator's name that could
    pass for a node, an area, the controller or a second ACL line.
    """
    lines = [f"user {CONTROLLER}", "topic readwrite loa/1/#", "topic read $SYS/broker/uptime"]
    for name in operators:
        if not _OPERATOR.fullmatch(name) or name in (CONTROLLER, TIMEKEEPER):
            raise ValueError(f"`{name}` cannot be an operator's name: use a-z, 0-9 and `-`, a letter first, not `{name}`")
        lines += ["", f"user {name}", "topic write loa/1/area/+/order/+", "topic write loa/1/area/+/suspend/+"]
        lines.append("topic read loa/1/node/+/receipt")
    lines += ["", f"user {TIMEKEEPER}", "topic read loa/1/node/+/hello", "topic write loa/1/node/+/time"]
    gone = frozenset(revoked)
    for node in sorted(set(pending) - gone):
        lines += ["", f"user {checked(node)}", "topic deny loa/1/trust/#", "topic deny loa/1/area/#"]
        lines += [f"topic deny loa/1/node/{node}/receipt"]
    for node in sorted(gone):
        lines += ["", f"user {checked(node)}", "topic deny loa/#"]
    lines += ["", "pattern read loa/1/trust/#", "pattern read loa/1/area/#", "pattern read loa/1/node/%u/#"]
    lines += [f"pattern write loa/1/node/%u/{leaf}" for leaf in ("alive", "hello", "receipt", "health")]
    return "\n".join(lines) + "\n"


def checked(node: str) -> str:
    """A node's id, which goes into a line of its own. Raises ValueError for anything else."""
    if not node_id.is_valid(node):
        raise ValueError(f"`{node}` is no node id")
    return node


def user_name() -> str:
    """Whoever starts the broker is who it runs as.

    As root mosquitto would become the user `mosquitto`, who cannot enter a 0700 folder: it would start, and lose its
    persistence and every reload without a word. The service is started as its own user, so root is only the demo's.
    """
    return pwd.getpwuid(os.getuid()).pw_name


class Broker:
    """mosquitto as a child of this process; `make demo` and the tests kill it, empty it and start it again."""

    def __init__(self, config: BrokerConfig, *, program: str = "mosquitto") -> None:
        self.config = config
        self._program = program
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def start(self, *, deadline_s: float = 20.0) -> None:
        """Start it and come back when it takes TLS connections. Raises BrokerFailed, and leaves nothing running."""
        if await self._listens():
            raise BrokerFailed(
                f"{self.config.host}:{self.config.port} is taken by another program: choose another port, or end it"
            )
        program = shutil.which(self._program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise BrokerFailed("mosquitto is not installed: apt install mosquitto")
        child = self._child = await self._spawn(program)
        ready = False
        try:
            async with asyncio.timeout(deadline_s):
                await self._until_tls(child)
            ready = True
        except TimeoutError as error:
            raise BrokerFailed(f"mosquitto took no TLS connection within {deadline_s:.0f} s: {self.last_words()}") from error
        finally:
            if not ready:
                await self.kill()

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal and wait for its end; nothing if it does not run."""
        if self._child is None:
            return
        if self._child.returncode is None:
            with suppress(ProcessLookupError):
                self._child.send_signal(number)
        await self._child.wait()

    async def stop(self, *, deadline_s: float = 10.0) -> None:
        """Let it save and end; kill it if it does not."""
        try:
            async with asyncio.timeout(deadline_s):
                await self.kill(signal.SIGTERM)
        except TimeoutError:
            await self.kill(signal.SIGKILL)

    def reload(self) -> None:
        """Make it read its ACL and certificates again; connected clients stay and feel the new ACL."""
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(signal.SIGHUP)

    def forget(self) -> None:
        """Delete what it kept on disk: sessions, queues, retained messages. Only while it does not run."""
        if self.pid is not None:
            raise BrokerFailed("the broker still runs: stop it before its memory is deleted")
        for path in self.config.state.glob("mosquitto.db*"):
            path.unlink()

    async def restart_empty(self) -> None:
        """Kill it without a save and start it with no memory at all."""
        await self.kill()
        self.forget()
        await self.start()

    def last_words(self, lines: int = 6) -> str:
        """The end of its log, for an error sentence."""
        with suppress(FileNotFoundError):
            return " | ".join(self.config.log.read_text("utf-8", "replace").splitlines()[-lines:])
        return "(no log)"

    async def _spawn(self, program: str) -> asyncio.subprocess.Process:
        def start_log() -> int:
            return os.open(self.config.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)

        log = await asyncio.to_thread(start_log)
        try:
            return await asyncio.create_subprocess_exec(
                program, "-c", str(self.config.conf), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        finally:
            os.close(log)

    async def _until_tls(self, child: asyncio.subprocess.Process) -> None:
        while not await self._takes_tls():
            if child.returncode is not None:
                raise BrokerFailed(f"mosquitto ended at its start: {self.last_words()}")
            await asyncio.sleep(0.02)

    async def _listens(self) -> bool:
        try:
            _reader, writer = await asyncio.open_connection(self.config.host, self.config.port)
        except OSError:
            return False
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True

    async def _takes_tls(self) -> bool:
        """One handshake without a certificate: in TLS 1.3 the client's side is done before the broker asks for it."""
        context = client_context(self.config.ca, None, None)
        context.check_hostname = False
        try:
            _reader, writer = await asyncio.open_connection(self.config.host, self.config.port, ssl=context)
        except OSError:
            return False
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True
