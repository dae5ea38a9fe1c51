"""One question to the controller's enrol address, over TLS that proves the controller and asks nothing of us."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Struct

from edge_agent.errors import DriverError

DEADLINE_S: Final = 30.0
ANSWER_BYTES: Final = 32_768
OK: Final = 200


class Unanswered(DriverError):
    """Nobody answered in words that we understand; it is worth trying again."""


class Denied(DriverError):
    """The controller said no. `code` is its short word for why, `wait_s` how long it wants us to wait."""

    def __init__(self, sentence: str, code: str, wait_s: float) -> None:
        super().__init__(sentence)
        self.code = code
        self.wait_s = wait_s


class _No(Struct):
    error: str = ""
    code: str = ""


class Door:
    """The enrol address. It and the TLS context are asked for at each question: both may have changed since the last."""

    def __init__(self, url: Callable[[], str], context: Callable[[], ssl.SSLContext], *, deadline_s: float = DEADLINE_S) -> None:
        self._url = url
        self._context = context
        self._deadline_s = deadline_s

    async def ask(self, path: str, question: Struct) -> bytes:
        """POST it and give the answer's body. Raises Unanswered or Denied."""
        url = urlsplit(self._url())
        body = msgspec.json.encode(question)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        try:
            async with asyncio.timeout(self._deadline_s):
                raw = await self._exchange(url, head.encode("ascii") + body)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Unanswered(f"{url.netloc}: {error or type(error).__name__}") from error
        return _opened(url.netloc, raw)

    async def _exchange(self, url: SplitResult, question: bytes) -> bytes:
        host, port = url.hostname or "", url.port or 443
        reader, writer = await asyncio.open_connection(host, port, ssl=self._context(), limit=ANSWER_BYTES)
        try:
            writer.write(question)
            await writer.drain()
            answer = b""
            while chunk := await reader.read(ANSWER_BYTES):
                answer += chunk
                if len(answer) > ANSWER_BYTES:
                    raise Unanswered(f"{url.netloc} answers without end")
            return answer
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()


def _opened(where: str, raw: bytes) -> bytes:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():  # noqa: PLR2004  version and status
        raise Unanswered(f"{where} does not speak HTTP")
    named = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    length = named.get("content-length", "")
    if not length.isdigit() or int(length) != len(body):
        raise Unanswered(f"{where} sent half an answer")
    if int(words[1]) == OK:
        return body
    try:
        no = msgspec.json.decode(body, type=_No)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        no = _No()
    wait = named.get("retry-after", "")
    raise Denied(no.error[:300] or f"status {words[1]}", no.code[:40] or words[1], float(wait) if wait.isdigit() else 0.0)
