"""An officer's order reaches a node that has no clock: it is sealed again, answering the nonce that the node gave."""

import asyncio
import time
from pathlib import Path

import aiomqtt

from controller.ca import client_context
from protocol import keys
from protocol.envelope import seal
from protocol.orders import Start
from protocol.reports import Hello
from provisioning.papers import payload_in
from tests.cli.loa_office import SETTLEMENT, Office

NONCE = "00c1d2e3f4a5b6c7"


def hello_of(made: dict) -> bytes:
    hello = Hello(
        authority="placement",
        area=made["node"],
        area_no=0,
        seq=time.time_ns() // 1_000_000,
        purpose="routine",
        node=made["node"],
        boot_count=1,
        clock_state="unknown",
        at_ms=1_000,
        nonce=NONCE,
        version="0",
        reads=("order", "exercise"),
    )
    report_key = keys.from_pem((Path(made["folder"]) / "report.key").read_bytes(), None)
    return seal(hello, [keys.sealer(report_key)])


def client_of(office: Office, made: dict) -> aiomqtt.Client:
    folder = Path(made["folder"])
    context = client_context(folder / "ca.pem", folder / "node.crt", folder / "node.key")
    return aiomqtt.Client(
        "127.0.0.1", office.port, identifier=made["node"], protocol=aiomqtt.ProtocolVersion.V5, tls_context=context
    )


async def test_the_same_words_are_sealed_again_with_the_nonce(office: Office):
    office.broker()
    await asyncio.to_thread(office.serve)
    papers = office.papers
    imported = await asyncio.to_thread(office.loa, "trust", "import", str(papers.grant), str(papers.root), "--yes")
    assert imported.code == 0, imported.err
    key = ("--key", str(papers.key("chu-tich")))
    add = ("node", "add", "--name", "Loa", "--settlement", SETTLEMENT, "--out", str(office.state.parent / "n"), "--json")
    made = (await asyncio.to_thread(office.loa, *add, "--key", str(papers.key("an")))).json()
    start = ("emergency", "start", "--area", SETTLEMENT, "--text-vi", "Nước lên.", "--repeats", "7", "--yes", "--json")
    incident = (await asyncio.to_thread(office.loa, *start, *key)).json()["incident"]
    reseal = ("emergency", "reseal", incident, *key, "--json")
    early = await asyncio.to_thread(office.loa, *reseal)
    assert "no node of incident" in early.err
    async with client_of(office, made) as client:
        await client.subscribe(f"loa/1/area/{SETTLEMENT}/order/{incident}", qos=1)
        await client.publish(f"loa/1/node/{made['node']}/hello", hello_of(made), qos=1)
        await asyncio.to_thread(office.until, lambda: office.loa(*reseal).code == 0, "the nonce is known and answered")
        message = await asyncio.wait_for(anext(aiter(client.messages)), 30)
    again = payload_in(message.payload)
    assert isinstance(again, Start)
    assert (again.incident, again.text[0].text, again.repeats, again.answers) == (incident, "Nước lên.", 7, (NONCE,))
