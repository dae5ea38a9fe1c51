"""The way to serve: HTTP over its unix socket. Silence, refusal and trouble are told apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
import msgspec

from provisioning.errors import InputRefused

URGENT_S: Final = 1.0
"""After this long without connection or reply an emergency or a stop goes out without serve (contract)."""
ORDINARY_S: Final = 30.0
PROGRESS_S: Final = 3_600.0
T = TypeVar("T")


class ServeSilent(InputRefused):
    """serve does not answer: not running, stuck, or failing by its own fault."""


class ServeRefused(InputRefused):
    """serve answered no, with its own sentence."""


class Link:
    """One connection to serve. `wait_s` bounds connecting and each reply."""

    def __init__(self, socket: Path, *, wait_s: float = ORDINARY_S) -> None:
        self._socket = socket
        self._wait_s = wait_s
        timeout = httpx.Timeout(wait_s, connect=min(wait_s, URGENT_S))
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://loa", timeout=timeout, trust_env=False
        )

    def __enter__(self) -> Self:
        """Nothing is opened before the first request."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""
        self._client.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise ServeSilent(
                f"serve did not answer within {self._wait_s:.0f} s on {self._socket}: "
                "see `systemctl status loa-controller`, or start it with `loa serve`"
            ) from error
        except httpx.TransportError as error:
            raise ServeSilent(f"serve is not running ({self._socket}: {error}): start it with `loa serve`") from error

    def _answer(self, reply: httpx.Response, shape: type[T]) -> T:
        _refuse(reply.status_code, reply.content)
        try:
            return msgspec.json.decode(reply.content, type=shape)
        except msgspec.MsgspecError as error:
            raise ServeRefused(f"serve's answer is not understood ({error}): are `loa` and serve of one version?") from error

    def get(self, path: str, shape: type[T], **params: str | int | None) -> T:
        """GET a view. Raises ServeSilent or ServeRefused."""
        asked = {name: value for name, value in params.items() if value is not None}
        with self._translated():
            return self._answer(self._client.get(path, params=asked), shape)

    def get_lines(self, path: str, shape: type[T], **params: str | int | None) -> Iterator[T]:
        """GET JSON lines as they come. Raises ServeSilent or ServeRefused."""
        asked = {name: value for name, value in params.items() if value is not None}
        timeout = httpx.Timeout(PROGRESS_S, connect=URGENT_S)
        with self._translated(), self._client.stream("GET", path, params=asked, timeout=timeout) as reply:
            if reply.is_error:
                _refuse(reply.status_code, reply.read())
            for line in reply.iter_lines():
                if line.strip():
                    yield msgspec.json.decode(line, type=shape)

    def get_bytes(self, path: str) -> bytes:
        """GET bytes as they are. Raises ServeSilent or ServeRefused."""
        with self._translated():
            reply = self._client.get(path)
        _refuse(reply.status_code, reply.content)
        return reply.content

    def post(self, path: str, body: object, shape: type[T]) -> T:
        """POST JSON. Raises ServeSilent or ServeRefused."""
        headers = {"content-type": "application/json"}
        with self._translated():
            return self._answer(self._client.post(path, content=msgspec.json.encode(body), headers=headers), shape)

    def delete(self, path: str) -> None:
        """DELETE something. Raises ServeSilent or ServeRefused."""
        with self._translated():
            reply = self._client.delete(path)
        _refuse(reply.status_code, reply.content)

    def post_sealed(self, path: str, raw: bytes, shape: type[T], **params: str) -> T:
        """POST sealed bytes as they are. Raises ServeSilent or ServeRefused."""
        headers = {"content-type": "application/octet-stream"}
        with self._translated():
            return self._answer(self._client.post(path, content=raw, headers=headers, params=params), shape)

    def post_lines(self, path: str, body: object) -> Iterator[dict[str, Any]]:
        """POST JSON and read the answer's JSON lines as they come. Raises ServeSilent or ServeRefused."""
        headers = {"content-type": "application/json"}
        timeout = httpx.Timeout(PROGRESS_S, connect=URGENT_S)
        with (
            self._translated(),
            self._client.stream("POST", path, content=msgspec.json.encode(body), headers=headers, timeout=timeout) as reply,
        ):
            if reply.is_error:
                _refuse(reply.status_code, reply.read())
            for line in reply.iter_lines():
                if line.strip():
                    yield msgspec.json.decode(line, type=dict[str, Any])


def _refuse(status: int, content: bytes) -> None:
    """A failing serve is as good as a silent one; a no is a no. Raises ServeSilent or ServeRefused."""
    if status < httpx.codes.BAD_REQUEST:
        return
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise ServeSilent(f"serve failed ({_sentence(status, content)})")
    raise ServeRefused(_sentence(status, content))


def _sentence(status: int, content: bytes) -> str:
    try:
        said = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError:
        said = {}
    sentence = said.get("error") or said.get("detail")
    return str(sentence) if sentence else f"serve refused with status {status} and no reason: see its log"
