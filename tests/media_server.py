"""A real HTTPS server of media with ranges, that can be told to cut, stall, lie, refuse or never end."""

from __future__ import annotations

import contextlib
import hashlib
import re
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from controller import ca


@dataclass
class Manner:
    """How one answer is given."""

    status: int = 0
    cut_after: int | None = None
    stall_after: int | None = None
    endless: bool = False
    lies: bool = False
    ranges: bool = True
    bytes_a_second: int = 0


@dataclass
class Asked:
    """One request: what, from which byte, under which authorisation, and how many bytes were given."""

    sha256: str
    begin: int
    authorization: str
    given: int = 0
    end: int | None = None


@dataclass
class MediaServer:
    """`manners` are used up one per request; then it is good, but for the files that `always` names."""

    cert: Path
    key: Path
    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    manners: list[Manner] = field(default_factory=list)
    always: dict[str, Manner] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def add(self, content: bytes, sha256: str | None = None) -> str:
        name = sha256 or hashlib.sha256(content).hexdigest()
        self.files[name] = content
        return name

    def __enter__(self) -> Self:
        place = self

        class Handler(_Handler):
            server_of = place

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: MediaServer

    def log_message(self, *_args: object) -> None:
        """Say nothing: the test looks at `asked`."""

    def do_GET(self) -> None:
        place = self.server_of
        self.close_connection = True
        name = self.path.removeprefix("/media/")
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        end = int(found[2]) + 1 if found and found[2] else None
        asked = Asked(name, int(found[1]) if found else 0, self.headers.get("Authorization", ""), end=end)
        place.asked.append(asked)
        manner = place.manners.pop(0) if place.manners else place.always.get(name, Manner())
        content = place.files.get(name)
        if manner.status or content is None:
            self.send_error(manner.status or 404)
            return
        with contextlib.suppress(OSError):
            self._answer(asked, manner, content)

    def _answer(self, asked: Asked, manner: Manner, content: bytes) -> None:
        begin = asked.begin if manner.ranges else 0
        rest = content[begin : asked.end if manner.ranges else None]
        if manner.lies:
            rest = bytes(byte ^ 0x55 for byte in rest)
        self.send_response(206 if manner.ranges else 200)
        if manner.ranges:
            self.send_header("Content-Range", f"bytes {begin}-{begin + len(rest) - 1}/{len(content)}")
        if not manner.endless:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        while rest or manner.endless:
            size = 4_096 if not manner.bytes_a_second else max(1, manner.bytes_a_second // 20)
            if manner.cut_after is not None:
                size = min(size, manner.cut_after - asked.given)
            if size <= 0:
                return
            if manner.stall_after is not None and asked.given >= manner.stall_after:
                self.server_of.ending.wait(60)
                return
            chunk, rest = rest[:size] or b"\0" * size, rest[size:]
            self.wfile.write(chunk)
            asked.given += len(chunk)
            if manner.bytes_a_second:
                time.sleep(0.05)


@contextlib.contextmanager
def trusted_server(folder: Path) -> Iterator[MediaServer]:
    """One whose certificate is by a CA of its own: `folder/ca/ca.crt`."""
    authority = ca.create_ca(folder / "ca", "test CA")
    issued = ca.issue(authority, "media", server_names=("127.0.0.1",))
    (folder / "tls.crt").write_bytes(issued.cert_pem)
    (folder / "tls.key").write_bytes(issued.key_pem)
    with MediaServer(folder / "tls.crt", folder / "tls.key") as running:
        yield running
