"""`loa suspend`: through serve, and straight to the broker when serve is silent; `loa timekeeper enrol` and its access."""

import asyncio
import tomllib

import aiomqtt
import pytest
from cryptography import x509

from controller.ca import client_context
from controller.mosquitto import access_list
from protocol.envelope import payload_of
from protocol.passing import Suspend
from tests.cli.loa_office import COMMUNE, SETTLEMENT, Office
from tests.cli.test_loa_without_serve import key

START = ("emergency", "start", "--area", SETTLEMENT, "--text-vi", "Lũ.", "--body", "UBND xã Phú Túc", "--yes")


def suspend(office: Office, *words: str, by: str = "an") -> list[dict]:
    said = office.loa("suspend", *words, *key(office, by), "--passphrase-file", str(office.papers.secret), "--yes", "--json")
    return said.json()


@pytest.fixture
def running(office: Office) -> Office:
    office.broker()
    office.serve()
    papers = office.papers
    assert office.loa("trust", "import", str(papers.wide), str(papers.grant), str(papers.root), "--yes", "--json").code == 0
    return office


def test_a_person_is_suspended_listed_cut_off_and_freed(running: Office) -> None:
    office = running
    (sent,) = suspend(office, "--person", "chu-tich", "--hours", "3", "--reason", "mất máy")
    assert (sent["via"], sent["area"], sent["view"]["in_force"]) == ("serve", COMMUNE, True)
    listed = office.loa("suspend", "--list", "--json").json()
    assert [(view["person"], view["reason"], view["authority"]) for view in listed] == [("chu-tich", "mất máy", "root")]
    assert "SUSPENDED" in office.loa("suspend", "--list").out
    refused = office.loa(*START, *key(office, "chu-tich"), "--json")
    assert refused.code != 0
    assert "suspended" in refused.err
    assert office.loa(*START, *key(office, "pho"), "--json").code == 0
    (freed,) = suspend(office, "--key-id", sent["key_id"][:12], "--lift", by="binh")
    assert freed["view"]["lifts"]
    assert office.loa(*START, *key(office, "chu-tich"), "--json").code == 0


def test_who_may_not_suspend_sends_nothing(running: Office) -> None:
    office = running
    for words, by, why in (
        (("--person", "chu-tich"), "pho", "no grant known here gives"),
        (("--person", "chu-tich", "--authority", COMMUNE), "pho", "not-empowered"),
        (("--person", "nobody"), "an", "no grant kept here names nobody"),
        ((), "an", "either --key-id or --person"),
    ):
        said = office.loa("suspend", *words, *key(office, by), "--passphrase-file", str(office.papers.secret), "--yes")
        assert said.code != 0
        assert why in said.err
    assert office.loa("suspend", "--list", "--json").json() == []


async def test_without_serve_it_goes_straight_to_the_broker_and_serve_takes_it_up(office: Office) -> None:
    office.trusted()
    office.broker()
    tls = office.state / "tls"
    context = client_context(office.state / "ca" / "ca.crt", tls / "controller.crt", tls / "controller.key")
    (sent,) = await asyncio.to_thread(suspend, office, "--person", "chu-tich")
    assert sent["via"] == "broker"
    async with aiomqtt.Client(
        "127.0.0.1", office.port, identifier="controller", protocol=aiomqtt.ProtocolVersion.V5, tls_context=context
    ) as client:
        await client.subscribe("loa/1/area/+/suspend/+", qos=1)
        message = await asyncio.wait_for(anext(aiter(client.messages)), 20)
    assert message.retain
    what = payload_of(message.payload)
    assert isinstance(what, Suspend)
    assert message.topic.value.endswith(what.key_id)
    await asyncio.to_thread(office.serve)
    papers = office.papers
    words = ("trust", "import", str(papers.wide), str(papers.grant), str(papers.root), "--yes")
    (office.state / "trust" / "root.json").unlink()
    assert (await asyncio.to_thread(office.loa, *words)).code == 0


def test_a_timekeeper_is_enrolled_with_no_key_of_its_own_yet(office: Office) -> None:
    out = office.state.parent / "may-bao-gio"
    said = office.loa("timekeeper", "enrol", "--host", "loa.example.vn", "--out", str(out))
    assert said.code == 0, said.err
    toml = tomllib.loads((out / "timekeeper.toml").read_text())
    assert (toml["broker_host"], toml["broker_port"]) == ("loa.example.vn", office.port)
    assert "timekeeper" in x509.load_pem_x509_certificate((out / "timekeeper.crt").read_bytes()).subject.rfc4514_string()
    assert not (out / "time.key").exists()
    refused = office.loa("timekeeper", "run", "--config", str(out / "timekeeper.toml"))
    assert refused.code != 0
    assert str(out) in refused.err


def test_no_operator_is_called_timekeeper() -> None:
    with pytest.raises(ValueError, match="timekeeper"):
        access_list(["timekeeper"])
