"""The controller's two listeners: TLS 1.3 for the page and the media, a unix socket of mode 0600 for `loa`."""

import asyncio
import contextlib
import os
import pwd
import socket
import ssl
import struct
from collections.abc import Callable, Generator
from pathlib import Path
from typing import ClassVar, Final

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.h11_impl import H11Protocol

from controller.bounded import HANDSHAKE_S, HEAD_BYTES, Places, bounded
from controller.core.gate import source_of
from controller.errors import ConfigWrong

GRACE_S: Final = 2
BACKLOG: Final = 512
LONGEST_S: Final = 20.0
MOST_BY_SOURCE: Final = 32
MOST_STRANGERS: Final = 256


class _Quiet(uvicorn.Server):
    """A server that leaves signals to whoever started it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take no signal."""
        yield


class _Guarded(_Quiet):
    """A server whose TLS handshakes have a deadline too, which uvicorn has no setting for."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen."""
        await super().startup(sockets=[])
        self.started = False
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            made = self.config.http_protocol_class
            return made(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

        for listener in sockets or []:
            server = await loop.create_server(
                protocol,
                sock=listener,
                ssl=self.config.ssl,
                backlog=self.config.backlog,
                ssl_handshake_timeout=HANDSHAKE_S,
            )
            self.servers.append(server)
        self.started = True


class _KnowsItsPeer(H11Protocol):
    """Gives the name of the peer process's user as the client, as the kernel tells it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent has it
        """Ask the kernel once for each connection."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = str(uid)
        self.client = (name, uid)


class _Brief(H11Protocol):
    """One question a connection, few connections a source, and none that takes its time: strangers knock here."""

    places: ClassVar[Places] = Places(a_source=MOST_BY_SOURCE, most=MOST_STRANGERS)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent has it
        """Give it a place, and set its end."""
        super().connection_made(transport)
        self.places.add(id(self), source_of(self.client[0] if self.client else ""), transport.abort)
        self._end = self.loop.call_later(LONGEST_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Its place is free."""
        self._end.cancel()
        self.places.remove(id(self))
        super().connection_lost(exc)


class ServerTls:
    """A server's certificate, which may be swapped under it: the next connection gets the new one."""

    def __init__(self, cert: Path, key: Path) -> None:
        if not cert.is_file() or not key.is_file():
            raise ConfigWrong(f"{cert} or its key is missing: restore tls/ from a backup, or run `loa init` in a new folder")
        self._files = cert, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.read_again()

    def read_again(self) -> None:
        """Take the files as they are now."""
        self.context.load_cert_chain(*self._files)


def bind_tcp(bind: str, port: int, section: str = "[https]") -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises ConfigWrong when it is taken.

    It listens at once: two sockets with SO_REUSEADDR may be bound to one port until one of them listens.
    """
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if port else 0)
    try:
        listener.bind((bind, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigWrong(
            f"loa.toml, {section} bind and port: {bind}:{port} cannot be had ({error}); choose another port"
        ) from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def bind_unix(path: Path) -> socket.socket:
    """A listening socket that only this user can open; one left behind by a killed process is replaced."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ConfigWrong(f"{path} cannot be made ({error}): the state folder's path may be too long, or not yours") from error
    finally:
        os.umask(before)
    return listener


def https_server(app: Litestar, tls: ServerTls, *, strangers: bool = False) -> uvicorn.Server:
    """TLS 1.3 only: the page and the media, or for `strangers` the enrol address."""

    def context(_config: uvicorn.Config, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        return tls.context

    return _Guarded(
        uvicorn.Config(
            app,
            ssl_context_factory=context,
            http=_Brief if strangers else bounded(),
            h11_max_incomplete_event_size=HEAD_BYTES,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


def api_server(app: Litestar) -> uvicorn.Server:
    """The JSON API."""
    return _Quiet(
        uvicorn.Config(
            app,
            http=_KnowsItsPeer,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
