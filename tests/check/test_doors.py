"""The link: real servers on the loopback, each of which fails at one step; the step is named."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from controller import ca
from edge_agent.check import doors
from edge_agent.config import BrokerAddress, Config, ControllerAddress, EnrolAddress, load
from edge_agent.drivers.uplink import Uplink
from edge_agent.material import open_credentials
from protocol.checks import Check
from protocol.documents import Endpoint, Reach
from tests.commune import Commune, free_port


def server_side(commune: Commune, *, clients: Path | None = None, name: str = "door", issuer=None) -> ssl.SSLContext:
    """A server of the commune's CA, that asks for clients of a CA."""
    if issuer is None:
        cert, key = commune.issue(name, server_names=("127.0.0.1", "localhost"))
    else:
        issued = ca.issue(issuer, name, server_names=("127.0.0.1",))
        cert, key = commune.folder / f"{name}.crt", commune.folder / f"{name}.key"
        cert.write_bytes(issued.cert_pem)
        key.write_bytes(issued.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(clients) if clients else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
    return context


@contextlib.asynccontextmanager
async def served(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """A door that takes whoever comes, and says nothing; its port."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(wait, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await server.wait_closed()


def pointed(config: Config, *, broker: int, media: int | None = None, host: str = "127.0.0.1") -> Config:
    url = f"https://127.0.0.1:{media or broker}"
    return structs.replace(config, broker=BrokerAddress(host, broker), controller=ControllerAddress(url))


async def link(config: Config, *, clock_usable: bool = True) -> Check:
    return await doors.link(config, open_credentials(config), clock_usable=clock_usable)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    monkeypatch.setattr(doors, "STEP_S", 2.0)
    monkeypatch.setattr(doors, "REFUSAL_S", 0.5)


async def test_both_doors_that_take_us_are_good_with_their_times(commune, plain_config):
    async with served(server_side(commune, clients=commune.ca_file)) as port:
        found = await link(pointed(plain_config, broker=port))
    assert found.verdict == "good"
    assert f"broker 127.0.0.1:{port}: " in found.seen
    assert found.seen.count(" ms") == 2
    assert not found.todo


async def test_a_name_that_nobody_knows_is_named_as_that_step(commune, plain_config):
    async with served(server_side(commune, clients=commune.ca_file)) as port:
        found = await link(pointed(plain_config, broker=port, host="loa..vn"))
    assert found.verdict == "bad"
    assert "broker loa..vn" in found.seen
    assert "the name is not found" in found.seen
    assert f"media 127.0.0.1:{port}: không" not in found.seen
    assert "APN" in found.todo


async def test_a_port_where_nobody_listens_is_named_as_that_step(commune, plain_config):
    shut = free_port()
    async with served(server_side(commune, clients=commune.ca_file)) as port:
        found = await link(pointed(plain_config, broker=port, media=shut))
    assert found.verdict == "bad"
    assert f"media 127.0.0.1:{shut}: không tới được / cannot be reached (Connection refused)" in found.seen
    assert "APN" in found.todo


async def test_a_door_that_never_speaks_tls_is_left_after_the_deadline(commune, plain_config):
    async with served(None) as port:
        found = await link(pointed(plain_config, broker=port))
    assert found.verdict == "bad"
    assert "no TLS handshake" in found.seen


async def test_a_server_of_another_ca_is_told(commune, plain_config, tmp_path):
    other = ca.create_ca(tmp_path / "other", "another")
    async with served(server_side(commune, name="stranger", issuer=other)) as port:
        found = await link(pointed(plain_config, broker=port))
    assert found.verdict == "bad"
    assert "not of the pinned roots" in found.seen
    assert "site.json" in found.todo


async def test_a_server_that_refuses_our_certificate_is_told_though_the_handshake_went_well(commune, plain_config, tmp_path):
    ca.create_ca(tmp_path / "other", "another")
    async with served(server_side(commune, clients=tmp_path / "other" / ca.CERTIFICATE)) as port:
        found = await link(pointed(plain_config, broker=port))
    assert found.verdict == "bad"
    assert "refuses this node's certificate" in found.seen
    assert "operator" in found.todo


async def test_dates_count_only_under_a_clock_that_can_tell(tmp_path):
    past = Commune(tmp_path / "past", certified=datetime.now(UTC) - timedelta(days=4_000))
    config = load(past.nodes[past.add_node("52.24076.001")])
    async with served(server_side(past)) as port:
        config = pointed(config, broker=port)
        assert (await link(config, clock_usable=False)).verdict == "good"
        found = await link(config, clock_usable=True)
    assert (found.verdict, "expired" in found.seen) == ("bad", True)


async def test_a_node_without_a_certificate_tries_the_enrol_address_and_shows_nothing(commune, plain_config):
    plain_config.path(plain_config.identity.certificate).unlink()
    plain_config.path("claim").write_text("k7m2-9qtd-x4ja")
    async with served(server_side(commune)) as port:
        url = f"https://127.0.0.1:{port}"
        config = structs.replace(pointed(plain_config, broker=port), enrol=EnrolAddress(url, "claim"))
        found = await link(config)
    assert found.verdict == "good"
    assert f"enrol 127.0.0.1:{port}: " in found.seen


async def test_the_addresses_that_the_agent_goes_by_are_those_that_are_tried(commune, plain_config, tmp_path):
    shut = free_port()
    async with served(server_side(commune, clients=commune.ca_file)) as port:
        card = pointed(plain_config, broker=shut)
        reach = Reach(brokers=(Endpoint(host="127.0.0.1", port=port),), media_url=f"https://127.0.0.1:{port}")
        Uplink(tmp_path).lay(reach)
        assert (await link(doors.gone_by(card, tmp_path))).verdict == "good"
        (tmp_path / "way.json").write_text("{")
        assert (await link(doors.gone_by(card, tmp_path))).verdict == "bad"
        Uplink(tmp_path).lay(Reach())
        assert doors.gone_by(card, tmp_path) == card
