"""Our own certificates and the broker's files, kept up to date without anybody: on a real state folder."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from controller.__main__ import build
from controller.actions import enrolments
from controller.config import load
from controller.doorkeeper import Doorkeeper
from controller.errors import Refused
from controller.init import InitOptions, initialise
from controller.mosquitto import access_list
from controller.parts import SYSTEM
from protocol.enrolment import verifier_of

FOUR_YEARS = timedelta(days=4 * 365)
NODE = "3QBMGF42PY"


@pytest.fixture
async def kept(tmp_path: Path):
    """Parts four years after `loa init`, and who keeps their doors."""
    initialise(tmp_path / "state", InitOptions(province=52, broker_port=0, https_port=0))
    later_ms = time.time_ns() // 1_000_000 + int(FOUR_YEARS.total_seconds() * 1000)
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


def test_names_in_the_access_list_are_node_ids_and_the_revoked_win_over_the_pending():
    text = access_list(pending=iter((NODE, "HTJHZZBA9J")), revoked=iter((NODE,)))
    assert f"user {NODE}\ntopic deny loa/#\n" in text
    assert f"topic deny loa/1/node/{NODE}/receipt" not in text
    assert "user HTJHZZBA9J\ntopic deny loa/1/trust/#\n" in text
    with pytest.raises(ValueError, match="no node id"):
        access_list(pending=("+",))
