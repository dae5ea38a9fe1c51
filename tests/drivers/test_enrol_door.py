"""The enrol address is the one of the moment: a document may have named another since the last question."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from msgspec import Struct

from controller import ca
from edge_agent.drivers.enrol.door import Door, Unanswered


class Question(Struct):
    """Any."""


async def test_each_question_goes_to_the_address_of_that_moment(tmp_path):
    made = ca.create_ca(tmp_path / "ca", "test CA")
    issued = ca.issue(made, "enrol", server_names=("127.0.0.1",))
    for name, pem in (("crt", issued.cert_pem), ("key", issued.key_pem)):
        (tmp_path / name).write_bytes(pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    urls = ["https://127.0.0.1:1", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"]
    door = Door(lambda: urls[0], lambda: ssl.create_default_context(cafile=str(tmp_path / "ca" / ca.CERTIFICATE)))
    async with server:
        with pytest.raises(Unanswered, match=r"127\.0\.0\.1:1:"):
            await door.ask("/renew", Question())
        del urls[0]
        assert await door.ask("/renew", Question()) == b"ok"
