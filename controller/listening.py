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
from typing import Final

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.h11_impl import H11Protocol

from controller.errors import ConfigWrong

GRACE_S: Final = 2
BACKLOG: Final = 512


class _Quiet(uvicorn.Server):
    """A server that leaves signals to whoever started it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take no signal."""
        yield


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


def bind_tcp(bind: str, port: int, section: str = "[https]") -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises ConfigWrong when it is taken."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bind, port))
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


def https_server(app: Litestar, cert: Path, key: Path) -> uvicorn.Server:
    """The page and the media, TLS 1.3 only."""

    def context(_config: uvicorn.Config, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.load_cert_chain(cert, key)
        return made

    if not cert.is_file() or not key.is_file():
        raise ConfigWrong(f"{cert} or its key is missing: restore tls/ from a backup, or run `loa init` in a new folder")
    return _Quiet(
        uvicorn.Config(
            app,
            ssl_context_factory=context,
            http=H11Protocol,
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
