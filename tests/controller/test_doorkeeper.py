"""Our own certificates and the broker's files, kept up to date without anybody: on a real state folder."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest
from cryptography import x509

from controller import ca
from controller.__main__ import build
from controller.actions import enrolments
from controller.config import load
from controller.doorkeeper import AGAIN_S, Doorkeeper
from controller.errors import Refused
from controller.init import InitOptions, initialise
from controller.mosquitto import PID, Broker, BrokerConfig, access_list
from controller.parts import SYSTEM
from controller.roots import load_roots
from protocol.enrolment import verifier_of

FOUR_YEARS = timedelta(days=4 * 365)
NODE = "3QBMGF42PY"
ORDER = "loa/1/area/52.24076/order/00112233aabbccdd"


@pytest.fixture
async def kept(tmp_path: Path, request: pytest.FixtureRequest):
    """Parts four years after `loa init` (or as the test says), and who keeps their doors."""
    initialise(tmp_path / "state", InitOptions(province=52, broker_port=0, https_port=0))
    after: timedelta = getattr(request, "param", FOUR_YEARS)
    later_ms = time.time_ns() // 1_000_000 + int(after.total_seconds() * 1000)
    parts = build(load(tmp_path / "state"), now_ms=lambda: later_ms)
    renewed: list[bool] = []
    with closing(parts.database):
        yield parts, Doorkeeper(parts, lambda: renewed.append(True)), renewed


def end_of(path: Path) -> datetime:
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


async def test_our_own_certificates_are_renewed_at_two_thirds_and_the_broker_gets_its_new_one(kept):
    parts, keeper, renewed = kept
    before = {path.name: path.read_bytes() for path in parts.config.tls.iterdir()}
    await keeper.roots_changed()
    assert renewed == [True]
    for name in ("broker", "https", "controller", "operator-1"):
        assert end_of(parts.config.tls / f"{name}.crt") > datetime.now(UTC) + FOUR_YEARS + timedelta(days=4 * 365)
        assert (parts.config.tls / f"{name}.key").read_bytes() == before[f"{name}.key"]
    assert (parts.config.broker_folder / "broker.crt").read_bytes() == (parts.config.tls / "broker.crt").read_bytes()
    assert not keeper.renew_own()


async def test_a_broker_folder_that_cannot_be_written_is_said_to_whoever_revokes(kept):
    parts, keeper, _renewed = kept
    await enrolments.expect(parts, SYSTEM, NODE, verifier_of(NODE, b"x" * 16), replace=False)
    parts.tell_broker = keeper.tell
    for path in parts.config.broker_folder.iterdir():
        path.rename(parts.config.state / path.name)
    parts.config.broker_folder.rmdir()
    with pytest.raises(Refused, match="cannot be written"):
        await enrolments.revoke(parts, SYSTEM, NODE, "stolen")
    assert (await enrolments.one(parts, SYSTEM, NODE)).state == "revoked"


@pytest.mark.parametrize("kept", [timedelta()], indirect=True)
async def test_a_reload_that_the_broker_missed_is_made_good(kept, tmp_path):
    """mosquitto loses a SIGHUP that comes while it reads; here it loses one because nobody knows its number at that moment."""
    parts, keeper, _renewed = kept
    folder, port = parts.config.broker_folder, parts.config.settings.broker.port
    broker = Broker(
        BrokerConfig(folder / "mosquitto.conf", "127.0.0.1", port, folder / "ca.crt", folder / "state", tmp_path / "broker.log")
    )
    await broker.start()
    try:
        issued = ca.issue(load_roots(parts.config.ca_folder).active, "operator-2")
        (parts.config.tls / "operator-2.crt").write_bytes(issued.cert_pem)
        (parts.config.tls / "operator-2.key").write_bytes(issued.key_pem)
        async with client(parts, "operator-2") as sends, client(parts, "controller") as hears:
            await hears.subscribe("loa/1/area/#", qos=1)
            number = folder / "state" / PID
            number.rename(tmp_path / PID)
            await keeper.tell()
            await sends.publish(ORDER, b"early", qos=1)
            (tmp_path / PID).rename(number)

            async def sent_until_heard() -> bytes:
                while not len(hears.messages):
                    await sends.publish(ORDER, b"late", qos=1)
                    await asyncio.sleep(0.2)
                return (await anext(aiter(hears.messages))).payload

            assert await asyncio.wait_for(sent_until_heard(), AGAIN_S + 10) == b"late"
    finally:
        await broker.stop()


def client(parts, name: str) -> aiomqtt.Client:
    tls = parts.config.tls
    context = ca.client_context(parts.config.broker_folder / "ca.crt", tls / f"{name}.crt", tls / f"{name}.key")
    port = parts.config.settings.broker.port
    return aiomqtt.Client("127.0.0.1", port, identifier=name, protocol=aiomqtt.ProtocolVersion.V5, tls_context=context)


def test_names_in_the_access_list_are_node_ids_and_the_revoked_win_over_the_pending():
    text = access_list(pending=iter((NODE, "HTJHZZBA9J")), revoked=iter((NODE,)))
    assert f"user {NODE}\ntopic deny loa/#\n" in text
    assert f"topic deny loa/1/node/{NODE}/receipt" not in text
    assert "user HTJHZZBA9J\ntopic deny loa/1/trust/#\n" in text
    with pytest.raises(ValueError, match="no node id"):
        access_list(pending=("+",))
