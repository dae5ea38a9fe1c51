"""Targets that nobody sealed: configurations, certificates' requests, files of people, HTTP, sounds, the player's lines."""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from controller import ca, config, media
from controller.__main__ import build
from controller.cli.programme_file import ProgrammeTable, programme_body, station_body
from controller.config import load as load_state
from controller.errors import ConfigWrong
from controller.media_refused import RangeUnsatisfiable
from controller.reports import Received, Reports
from controller.web.app import create_api, create_app
from edge_agent import config as agent
from edge_agent.player import wire
from protocol import topics
from provisioning.errors import InputRefused
from provisioning.tables import read_toml
from tests.core.harness import Node
from tests.fuzz.sealed_targets import node_documents
from tests.protocol import vector_world as world

TOML_WORDS = ("[", "]", "[[", "]]", "=", '"""', "'''", "1979-05-27T07:32:00Z", "inf", "-nan", "0x", "\\u0000", "true", "{ }", "_")
RULE_WORDS = (
    *("FREQ=", "DAILY", "WEEKLY", "MONTHLY", "YEARLY", "BYDAY=", "BYHOUR=", "BYMINUTE=", "BYSECOND=", "BYMONTH=", "BYMONTHDAY="),
    *("INTERVAL=", "COUNT=", "UNTIL=", "MO", "SU", "1MO", "-1SU", "+5FR", "366", "29", "-31", "20260331T235959", ",", ";"),
)
ROOT = Path(__file__).parents[2]


@cache
def folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="loa-fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def written(name: str, data: bytes) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


def names(error: Exception, file: str) -> None:
    """A refusal names the file."""
    assert file in str(error)


# --- configurations ---

NODE_TOML = """[identity]
node = "%s"
certificate = "node.crt"
key = "node.key"
report_key = "report.key"
[pins]
ca = "ca.crt"
root = "root.json"
root_digest = "%s"
documents = ["placement.json"]
[broker]
host = "loa.example"
port = 8883
[controller]
media_url = "https://loa.example:8443"
[board]
sink = "alsa:default"
fm = "plughw:1"
clock = "chrony"
"""


def agent_config(data: bytes) -> None:
    try:
        agent.load(written("node.toml", data))
    except agent.ConfigWrong as error:
        names(error, "node.toml")


def agent_config_seeds() -> Iterator[bytes]:
    for name in ("node.crt", "node.key", "report.key", "ca.crt", "root.json", "placement.json"):
        written(name, b"x")
    yield (NODE_TOML % (world.NODE, "ab" * 32)).encode()


def controller_config(data: bytes) -> None:
    written("loa.toml", data)
    try:
        made = config.load(folder())
    except ConfigWrong as error:
        names(error, "loa.toml")
        return
    assert made.database_url


def controller_config_seeds() -> Iterator[bytes]:
    yield b'province = "52"\nhosts = ["a"]\n[broker]\nport = 8883\n[https]\nbind = "::"\n[signer]\nstarts_a_minute = 20\n'


def programme_file(data: bytes) -> None:
    """The first byte: a programme, or a station's rules."""
    path = written("work.toml", data[1:])

    def nothing(name: str, _title: str) -> None:
        raise InputRefused(f"no sound {name}")

    try:
        if data[:1] == b"s":
            station_body(path)
        else:
            programme_body(path, read_toml(path, ProgrammeTable), nothing)
    except InputRefused as error:
        names(error, "work.toml")


STATION_TOML = b"""sarea = "52.24076"
volume_db = -3.5
sessions_a_day = 3
[[hours]]
from = "05:00"
to = "24:00"
[[special]]
area = "52.24076.001"
place = "school"
volume_db = -6
[[maintenance]]
area = "52.24076"
until = 2026-03-01T07:00:00
"""
PROGRAMME_TOML = b"""parea = "52.24076"
valid_from = 2026-03-01
[[items]]
title = "Ban tin"
rule = "FREQ=DAILY;BYHOUR=5;BYMINUTE=30"
not_on = [2026-03-02T05:30:00]
volume_db = -1.5
[[items.variants]]
lang = "vi"
text = "Xin chao"
[[items.variants]]
lang = "jra"
relay = { url = "https://a.example/x", max_s = 60 }
"""


def programme_file_seeds() -> Iterator[bytes]:
    yield STATION_TOML
    yield PROGRAMME_TOML
    yield b"p" + (ROOT / "docs" / "vi-du" / "phu-can.toml").read_bytes()


# --- certificates ---


@cache
def authority() -> ca.Authority:
    return ca.create_ca(folder() / "ca", "fuzz")


def csr(data: bytes) -> None:
    try:
        made = ca.issue_for_request(authority(), data, world.NODE)
    except ca.CaError:
        return
    name = x509.load_pem_x509_certificate(made).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [one.value for one in name] == [world.NODE]


def csr_seeds() -> Iterator[bytes]:
    yield from (path.read_bytes() for path in sorted((Path(__file__).parent / "seeds" / "csr").glob("*.pem")))


def make_csr_seeds() -> None:
    """Requests of several keys and names; made once, so that a run begins as the last one did."""
    keys = {
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "rsa": rsa.generate_private_key(65_537, 2_048),
    }
    home = Path(__file__).parent / "seeds" / "csr"
    home.mkdir(parents=True, exist_ok=True)
    for name, key in keys.items():
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, world.NODE)])
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        signed = builder.sign(key, None if name == "ed25519" else hashes.SHA256())
        (home / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))


# --- what comes unsealed by MQTT ---


@cache
def _node() -> Node:
    return Node(world.NOW, *node_documents())


@cache
def _reports() -> tuple[Reports, asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    return Reports(_parts()), loop


def unsealed(data: bytes) -> None:
    """The records mark at a node, alive and health (and anything on hello and receipt) at the controller."""
    kind = ("records", "alive", "health", "hello", "receipt")[(data[0] if data else 0) % 5]
    topic = topics.topic(kind, node=world.NODE)
    if kind == "records":
        node = _node()
        node.give(world.Sent(data[1:], topic))
        node.run(1)
        return
    reports, loop = _reports()
    loop.run_until_complete(reports.take([Received(topic, data[1:])]))


def unsealed_seeds() -> Iterator[bytes]:
    yield b'\x00{"upto":3}'
    yield b"\x01" + json.dumps({"node": world.NODE, "birth": 1_000_001, "online": True}).encode()
    said = {"node": world.NODE, "at_ms": 1, "clock_state": "good", "disk_free_bytes": 1, "uptime_s": 1}
    yield b"\x02" + json.dumps(said | {"troubles": ["hot"], "refused": {"malformed": 3}, "restarts": {"x": 1}}).encode()
    yield b"\x03{}"


# --- the player's lines ---


def wire_lines(data: bytes) -> None:
    read = wire.report if data[:1] == b"r" else wire.order
    try:
        message = read(data[1:])
    except msgspec.DecodeError:
        return
    assert read(wire.line(message)) == message


def wire_seeds() -> Iterator[bytes]:
    yield b'o{"type":"start","play":{"play_id":1,"parts":[]}}'
    yield b'o{"type":"duck","play_id":1,"gain_cdb":-100,"ramp_ms":3}'
    yield b'r{"type":"beat","mono_ns":1,"playing":[[1,0,3]],"underruns":0}'
    yield b'r{"type":"ended","play_id":1,"how":"ended","reason":"","mono_ns":1,"played_samples":1,"part":0,"rms_cdb":0,"peak_cdb":0,"silent_ms":0}'  # noqa: E501


# --- HTTP ---


@cache
def _parts():
    from controller.area_tree import DEMO_SETTLEMENTS
    from controller.init import InitOptions, initialise

    state = folder() / "state"
    settlements = DEMO_SETTLEMENTS.read_text("utf-8")
    initialise(state, InitOptions(province=52, broker_port=0, https_port=0, settlements_csv=settlements))
    return build(load_state(state))


@cache
def _apps():
    parts = _parts()
    return create_api(parts), create_app(parts)


POSTS = (
    *("/v1/areas/settlements", "/v1/nodes", "/v1/documents", "/v1/root?digest=00", "/v1/orders", "/v1/people"),
    *("/v1/emergencies/service", "/v1/people/x/reset", "/v1/preview", "/v1/people/x/disable"),
)
GETS = ("/v1/areas/search?q=", "/v1/areas/chain?area=", "/v1/nodes/", "/v1/incidents/", "/v1/orders/", "/v1/plays?limit=")
GETS += ("/v1/documents/", "/v1/preview?area=52.24076&days=", "/v1/report/plays?from_ms=", "/media/")


async def _ask(app, method: str, path: str, body: bytes) -> int:
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "query_string": query.encode("utf-8", "replace"),
        "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"host", b"loa.test")],
        "client": ("fuzz", 0),
        "server": ("loa.test", 443),
        "state": {},
    }
    statuses: list[int] = []
    sent = False

    async def receive() -> dict:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


def api(data: bytes) -> None:
    """The first byte chooses the route; what follows is the body, or the end of the address. 500 is a fault (503: no signer)."""
    api_app, page_app = _apps()
    loop = _reports()[1]
    number = data[0] if data else 0
    if number % 2:
        path = GETS[number // 2 % len(GETS)] + data[1:].decode("utf-8", "replace")
        where = page_app if path.startswith("/media/") else api_app
        status = loop.run_until_complete(_ask(where, "GET", path, b""))
    else:
        status = loop.run_until_complete(_ask(api_app, "POST", POSTS[number // 2 % len(POSTS)], data[1:]))
    assert status < 500 or status == 503, f"HTTP {status}"


def api_seeds() -> Iterator[bytes]:
    _apps()  # takes seconds, and is no input's fault
    bodies = {
        0: {"csv": "52.24076,001,Buôn A\n", "dry_run": True},
        1: {"node": world.NODE, "name": "Cụm", "settlement": "52.24076.001", "report_key": "ab" * 32},
        5: {"areas": ["52.24076.001"], "hazard": "flood", "text": [{"lang": "vi", "text": "Lũ"}]},
        6: {"draft": "x", "second": "lan", "second_password": "y"},
        7: {"incident": "00000000000000a1", "areas": ["52.24076"], "reason": "x"},
        8: {"areas": ["52.24076"]},
        9: {"name": "lan", "full_name": "Lan", "role": "officer"},
        11: {"area": "52.24076", "days": 7, "programme": {"items": []}},
    }
    for number, body in bodies.items():
        yield bytes([2 * number]) + json.dumps(body, ensure_ascii=False).encode()
    for index, tail in enumerate(
        ("phu", "52.24076.001", world.NODE, "0" * 16, "ab" * 32, "5", "ab" * 32, "3", "0&to_ms=1", "ab" * 32)
    ):
        yield bytes([2 * index + 1]) + tail.encode()


def ranges(data: bytes) -> None:
    for size in (0, 1, 1_000_000):
        try:
            found = media.parse_range(data.decode("latin-1"), size)
        except RangeUnsatisfiable:
            continue
        assert found is None or 0 <= found[0] <= found[1] < size


def range_seeds() -> Iterator[bytes]:
    yield from (b"bytes=0-499", b"bytes=-500", b"bytes=9500-", b"bytes=0-0,-1", b"BYTES = 1-2")


def close() -> None:
    """End what was started for these targets."""
    if _parts.cache_info().currsize:
        _parts().database.close()
        _reports()[1].close()
        for each in (_parts, _apps, _reports):
            each.cache_clear()
