"""The controller's end of the signer's socket: asks for a sealed order, gets its bytes or a sentence."""

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from controller.errors import Refused, SignerAbsent
from controller.signing import ANSWER, Answer, Asked, KeyKnown, Keys, Question

ANSWER_S: Final = 5.0
LINE_BYTES: Final = 65_536


class SignerLink:
    """One connection, kept open; one question at a time."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def keys(self) -> tuple[KeyKnown, ...]:
        """The service keys that the signer holds. Raises SignerAbsent."""
        return (await self._ask(Keys())).keys

    async def seal(self, asked: Asked) -> bytes:
        """A sealed order. Raises SignerAbsent, or Refused with the signer's own reason."""
        answer = await self._ask(asked)
        if answer.refused:
            raise Refused(answer.refused, code=answer.code or "signer-refused", status=409)
        return answer.sealed.encode()

    async def close(self) -> None:
        """Hang up."""
        async with self._turn:
            self._hang_up()

    async def _ask(self, question: Question) -> Answer:
        line = msgspec.json.encode(question) + b"\n"
        async with self._turn:
            for fresh in (self._streams is None, True):
                try:
                    async with asyncio.timeout(ANSWER_S):
                        return await self._once(line)
                except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError) as error:
                    self._hang_up()
                    if fresh:
                        raise SignerAbsent(
                            f"the signer does not answer at {self._socket} ({error}); nothing was sent: start `loa signer`"
                        ) from error
                except BaseException:
                    self._hang_up()
                    raise
        raise SignerAbsent(f"the signer does not answer at {self._socket}; nothing was sent")

    async def _once(self, line: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(str(self._socket), limit=LINE_BYTES)
        reader, writer = self._streams
        writer.write(line)
        await writer.drain()
        return ANSWER.decode(await reader.readuntil(b"\n"))

    def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
