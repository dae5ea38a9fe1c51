"""The link: each address that a node calls, step by step, so that the one that fails is named."""

import asyncio
import contextlib
import os
import socket
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, structs

from edge_agent.config import BrokerAddress, Config, ControllerAddress
from edge_agent.drivers.broker import Credentials, server_context, tls_context
from edge_agent.drivers.uplink import FOLDER, WAY
from protocol.checks import Check
from protocol.documents import Reach

STEP_S: Final = 10.0
"""For each of name, TCP and TLS: a 3G cell that wakes up takes some seconds."""
REFUSAL_S: Final = 3.0
"""In TLS 1.3 a server judges our certificate after the handshake: silence for so long means that it took it."""
STEPS: Final = {
    "name": ("không tìm ra tên / the name is not found", "xem SIM còn dữ liệu, APN, DNS / look at the SIM's data, APN and DNS"),
    "tcp": (
        "không tới được / cannot be reached",
        "xem SIM còn dữ liệu, APN, địa chỉ trong node.toml; máy chủ có chạy không / SIM's data, APN, address, server",
    ),
    "server": (
        "máy chủ không thuộc gốc ghi trên thẻ / the server is not of the pinned roots",
        "sai địa chỉ, hoặc thẻ làm từ site.json cũ: làm lại thẻ / wrong address, or a card of an old site.json",
    ),
    "tls": ("không bắt tay TLS được / no TLS handshake", "cổng sai, hoặc mạng chặn / wrong port, or the network blocks it"),
    "refused": (
        "máy chủ từ chối chứng chỉ của cụm này / the server refuses this node's certificate",
        "bị thu hồi hoặc hết hạn: hỏi người vận hành / revoked or over: ask the operator",
    ),
}


class Door(Struct, frozen=True):
    """An address that the node calls. `judged`: whether the other side looks at our certificate."""

    name: str
    host: str
    port: int
    judged: bool


class _Failed(Exception):
    """One step failed."""

    def __init__(self, step: str, why: str) -> None:
        super().__init__(why)
        self.step = step


def gone_by(config: Config, folder: Path = FOLDER) -> Config:
    """The configuration with the addresses that the running agent goes by; the card's own where it says none, or does not run."""
    try:
        reach = msgspec.json.decode((folder / WAY).read_bytes(), type=Reach)
    except (OSError, msgspec.MsgspecError):
        return config
    broker = BrokerAddress(reach.brokers[0].host, reach.brokers[0].port) if reach.brokers else config.broker
    media = ControllerAddress(reach.media_url) if reach.media_url else config.controller
    enrol = config.enrol
    if enrol is not None and reach.enrol_url:
        enrol = structs.replace(enrol, url=reach.enrol_url)
    return structs.replace(config, broker=broker, controller=media, enrol=enrol)


def doors_of(config: Config, *, certified: bool) -> tuple[Door, ...]:
    """Broker and media; the enrol address besides, where there is one."""
    doors = [Door("broker", config.broker.host, config.broker.port, certified)]
    named = [("media", config.controller.media_url, certified)]
    if config.enrol is not None:
        named.append(("enrol", config.enrol.url, False))
    for name, url, judged in named:
        parts = urlsplit(url)
        doors.append(Door(name, parts.hostname or "", parts.port or 443, judged))
    return tuple(doors)


async def link(config: Config, credentials: Credentials, *, clock_usable: bool) -> Check:
    """All of them at once. Certificate dates are checked only under a clock that can tell, as the agent does."""
    doors = doors_of(config, certified=credentials.certificate.exists())
    found = await asyncio.gather(*(_knock(door, credentials, check_dates=clock_usable) for door in doors))
    lines, todo = [], []
    for door, outcome in zip(doors, found, strict=True):
        place = f"{door.name} {door.host}:{door.port}"
        if isinstance(outcome, _Failed):
            what, remedy = STEPS[outcome.step]
            lines.append(f"{place}: {what} ({outcome})")
            todo.append(remedy)
        else:
            lines.append(f"{place}: {outcome:.0f} ms")
    seen, remedies = "; ".join(lines), "; ".join(dict.fromkeys(todo))
    return Check(name="link", verdict="bad" if todo else "good", seen=seen, todo=remedies)


async def _knock(door: Door, credentials: Credentials, *, check_dates: bool) -> float | _Failed:
    """How long name, TCP and TLS took together (ms), or the step that failed."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    try:
        sock = await _connect(door)
        if door.judged:
            context = tls_context(credentials, check_dates=check_dates)
        else:
            context = server_context(credentials.ca, check_dates=check_dates)
        reader, writer = await _handshake(door, sock, context)
        took_ms = (loop.time() - began_s) * 1000
        try:
            if door.judged:
                await _heard_no_refusal(reader)
        finally:
            writer.transport.abort()
    except _Failed as failed:
        return failed
    return took_ms


async def _connect(door: Door) -> socket.socket:
    """The first of its addresses that answers."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(STEP_S):
            found = await loop.getaddrinfo(door.host, door.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:  # the last: a name that no DNS could hold
        raise _Failed("name", _why(error)) from error
    why = "no address"
    for family, kind, proto, _, address in found:
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(STEP_S):
                await loop.sock_connect(sock, address)
        except (OSError, TimeoutError) as error:
            sock.close()
            why = os.strerror(error.errno) if error.errno else _why(error)  # asyncio's own words repeat the address
        else:
            return sock
    raise _Failed("tcp", why)


async def _handshake(
    door: Door, sock: socket.socket, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection(
            sock=sock, ssl=context, server_hostname=door.host, ssl_handshake_timeout=STEP_S, ssl_shutdown_timeout=1.0
        )
    except ssl.SSLCertVerificationError as error:
        raise _Failed("server", error.verify_message) from error
    except (OSError, TimeoutError) as error:
        raise _Failed("tls", _why(error)) from error


async def _heard_no_refusal(reader: asyncio.StreamReader) -> None:
    """Nobody speaks first behind these doors: a word or an end so soon is a no."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REFUSAL_S):
            try:
                said = await reader.read(1)
            except OSError as error:
                raise _Failed("refused", _why(error)) from error
        if not said:
            raise _Failed("refused", "closed")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return str(error) or f"{STEP_S:.0f} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
