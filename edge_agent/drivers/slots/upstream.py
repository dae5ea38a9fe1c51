"""The controller's door for one bundle: a range at a time, each with a fresh permission, at a rate, within a budget."""

import contextlib
import http.client
import ssl
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from edge_agent.carried import carried_bytes
from edge_agent.drivers.slots.blocks import Blocks
from edge_agent.errors import FetchFailed

CHUNK_BYTES: Final = 16_384
LASTING: Final = (401, 403, 404, 410)


class Refused(FetchFailed):
    """Asking again would be answered the same."""


class Upstream:
    """One connection, kept as long as it lasts. `count` is told what the link carried; `may` says whether to go on."""

    def __init__(
        self,
        media_url: Callable[[], str],
        context: Callable[[], ssl.SSLContext],
        authorise: Callable[[str], str],
        count: Callable[[int], None],
        *,
        timeout_s: float,
        most_bytes_s: int | None,
    ) -> None:
        self._media_url = media_url
        self._context = context
        self._authorise = authorise
        self._count = count
        self._timeout_s = timeout_s
        self._most_bytes_s = most_bytes_s
        self._connection: http.client.HTTPSConnection | None = None
        self._counted = 0

    def receive(self, blocks: Blocks, sha256: str, begin: int, end: int, may: Callable[[], bool]) -> None:
        """Bring these bytes into the blocks, or as many as come. Raises FetchFailed, OSError, HTTPException."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)  # whatever ends it early: half an answer is still on the way
            response = self._ask(sha256, begin, end)
            stack.callback(response.close)
            at, held = begin, b""
            while at + len(held) < end:
                if not may():
                    return
                began_s = time.monotonic()
                chunk = response.read1(min(CHUNK_BYTES, end - at - len(held)))
                if not chunk:
                    raise FetchFailed(f"the connection ended {end - at} bytes early")
                self._carried(len(chunk))
                held += chunk
                kept = blocks.write(at, held)
                at, held = at + kept, held[kept:]
                if self._most_bytes_s is not None:
                    time.sleep(max(0.0, len(chunk) / self._most_bytes_s - (time.monotonic() - began_s)))
            response.read()
            if not response.will_close:
                stack.pop_all()  # the connection serves the next range

    def _ask(self, sha256: str, begin: int, end: int) -> http.client.HTTPResponse:
        response = self._ask_again(sha256, begin, end) or self._ask_anew(sha256, begin, end)
        try:
            _check(response, begin, end)
        except FetchFailed:
            response.close()
            raise
        return response

    def _ask_again(self, sha256: str, begin: int, end: int) -> http.client.HTTPResponse | None:
        """On the connection that is open; None without one, or when it turns out that the controller closed it meanwhile."""
        if self._connection is None:
            return None
        try:
            return self._request(self._connection, sha256, begin, end)
        except (ConnectionError, ssl.SSLError, http.client.RemoteDisconnected):
            self.close()
            return None

    def _ask_anew(self, sha256: str, begin: int, end: int) -> http.client.HTTPResponse:
        url = urlsplit(self._media_url())
        host, port = url.hostname or "", url.port or 443
        self._connection = http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._context())
        self._counted = 0
        return self._request(self._connection, sha256, begin, end)

    def _request(self, connection: http.client.HTTPSConnection, sha256: str, begin: int, end: int) -> http.client.HTTPResponse:
        headers = {"Authorization": self._authorise(sha256), "Range": f"bytes={begin}-{end - 1}"}
        connection.request("GET", f"/media/{sha256}", headers=headers)
        return connection.getresponse()

    def _carried(self, count_bytes: int) -> None:
        self._counted += count_bytes
        self._count(count_bytes)

    def close(self) -> None:
        """Let go of the link; what the connection carried beside the bundle counts too."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.sock is not None:
            self._count(max(0, carried_bytes(connection.sock) - self._counted))
        connection.close()


def _check(response: http.client.HTTPResponse, begin: int, end: int) -> None:
    """Only the range that was asked for will do. Raises Refused, FetchFailed."""
    if response.status == http.client.OK:
        raise Refused("whole: the controller answered a range with the whole bundle")
    if response.status in LASTING:
        raise Refused(f"refused: the controller answered {response.status} {response.reason}")
    told = response.headers.get("Content-Range", "")
    if response.status != http.client.PARTIAL_CONTENT or not told.startswith(f"bytes {begin}-{end - 1}/"):
        raise FetchFailed(f"the controller answered {response.status} with the range {told!r}")
