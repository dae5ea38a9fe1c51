"""A controller on real parts inside the test's own loop: database, signer, papers, nodes that report under their own keys."""

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec

from controller.__main__ import build, origins
from controller.actions import documents, nodes, people, second_factor
from controller.area_tree import DEMO_SETTLEMENTS, area_no
from controller.config import load
from controller.core import totp
from controller.core.access import Duty
from controller.init import InitOptions, initialise
from controller.listening import ServerTls, bind_tcp, https_server
from controller.parts import SYSTEM, Parts
from controller.reports import Received, Reports
from controller.signing_site import create_site
from controller.store import orders
from controller.store import people as stored_people
from controller.web.app import create_app
from protocol import keys
from protocol.bulletins import Item, Programme, ProgrammeBody
from protocol.documents import ChainLink, Key, Person, Power, Role
from protocol.envelope import digest_of, seal
from protocol.messages import TYPES
from protocol.reports import Alive, Health, Held, OrderResult, PlayRecord
from protocol.seen import Slot
from protocol.topics import topic
from provisioning import ceremony, enrol

COMMUNES = ("52.24076", "52.24100", "52.24109", "52.24112")
NODES = (
    ("52.24076.001", "Cụm loa chợ Phú Túc"),
    ("52.24076.002", "Cụm loa nhà rông Buôn Mlah"),
    ("52.24100.001", "Cụm loa trường học Buôn Jứ"),
    ("52.24109.001", "Cụm loa Buôn Tieng"),
)
OFFICERS = (("lan", "Nguyễn Thị Lan", "officer"), ("h.yer", "Rơ Ô H'Yer", "officer"), ("tuan", "Lê Anh Tuấn", "operator"))
DUTIES = {
    "officer": (Duty("emergency", "52"), Duty("author", "52")),
    "operator": (Duty("operator", "52"), Duty("technician", "52"), Duty("auditor", "52")),
}
PASSWORD = "mua-lu-thang-muoi"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Master:
    """The state folder that every test copies, with the private keys of its nodes."""

    folder: Path
    first_passwords: dict[str, str] = field(default_factory=dict)
    phones: dict[str, bytes] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    report_keys: dict[str, object] = field(default_factory=dict)


async def make_master(folder: Path) -> Master:
    made = Master(folder)
    settlements = DEMO_SETTLEMENTS.read_text(encoding="utf-8")
    initialise(folder, InitOptions(province=52, broker_port=0, https_port=0, settlements_csv=settlements))
    parts = build(load(folder))
    try:
        await _trust(parts)
        for settlement, name in NODES:
            await _node(parts, made, settlement, name)
        for name, full_name, role in OFFICERS:
            made.first_passwords[name] = (await people.create(parts, SYSTEM, name, full_name, DUTIES[role])).first_password
        for name, _, _ in OFFICERS[1:]:
            session = await people.change_password(parts, name, made.first_passwords[name], PASSWORD)
            await _phone(parts, made, session)
    finally:
        parts.database.close()
    return made


async def _phone(parts: Parts, made: Master, session) -> None:
    """The person sets up the codes of their telephone."""
    secret = second_factor.begin(parts, session)
    code = totp.code_at(secret, totp.step_of(parts.now_ms()))
    assert await second_factor.finish(parts, session, code, people.Caller())
    made.phones[session.person.name] = secret


CHAIR = keys.new_key()
DEPUTY = keys.new_key()
SIGNERS = {"h.yer": keys.new_key(), "lan": keys.new_key(), "tuan": keys.new_key()}
"""The officers' own keys, as their browsers would hold them."""


def _sealed(payload) -> bytes:
    return seal(payload, [keys.sealer(CHAIR), keys.sealer(DEPUTY)])


async def _trust(parts: Parts) -> None:
    both = ("chu-tich", "pho")
    root = ceremony.build_root(
        area="52",
        area_no=area_no("52"),
        persons=tuple(Person(id=name, name=name) for name in both),
        keys=(Key(public=keys.public_hex(CHAIR), person=both[0]), Key(public=keys.public_hex(DEPUTY), person=both[1])),
        root=Role(persons=both, threshold=2),
        delegate=Role(persons=both, threshold=2),
        placement=Role(persons=both, threshold=1),
        now_ms=now_ms(),
    )
    await documents.pin_root(parts, SYSTEM, _sealed(root), digest_of("root", msgspec.json.encode(root)))
    await _grants(parts, {})


async def _grants(parts: Parts, more: dict[str, str]) -> None:
    """Each officer's power in the four communes and the province; `more`: further keys of theirs."""
    both = tuple(SIGNERS)
    for commune in (*COMMUNES, "52"):
        people = (*(Person(id=name, name=name) for name in SIGNERS), Person(id="chu-tich", name="Chủ tịch UBND xã"))
        powers = [Power(power="programme", persons=("chu-tich",), classes=("normal", "priority"))]
        powers += [Power(power="emergency", persons=both, classes=("emergency",), sound_max_s=600)]
        powers += [Power(power=power, persons=both, sound_max_s=600) for power in ("stop", "exercise")]
        grant = ceremony.build_grant(
            area=commune,
            area_no=area_no(commune),
            persons=people,
            keys=(
                *(Key(public=keys.public_hex(key), person=name) for name, key in SIGNERS.items()),
                *(Key(public=public, person=name) for name, public in more.items()),
                Key(public=keys.public_hex(CHAIR), person="chu-tich"),
            ),
            powers=tuple(powers),
            until_ms=now_ms() + 365 * 86_400_000,
            now_ms=now_ms(),
            prev=held.digest if (held := parts.world.standing.get(Slot("grant", commune, "-"))) else None,
        )
        await documents.submit(parts, SYSTEM, _sealed(grant))


async def _node(parts: Parts, made: Master, settlement: str, name: str) -> None:
    node, key = enrol.draw_node_id(secrets.token_bytes), keys.new_key()
    view = await nodes.enrol(parts, SYSTEM, node, name, settlement, keys.public_hex(key))
    chain = (*parts.world.chain_of(settlement), ChainLink(area=node, area_no=view.area_no, level="node"))
    placement = ceremony.build_placement(chain=chain, report_key=keys.public_hex(key), now_ms=now_ms())
    await documents.submit(parts, SYSTEM, _sealed(placement))
    made.nodes[name] = node
    made.report_keys[node] = key


@dataclass
class House:
    """A running controller without a broker: what nodes say is handed in as the broker's link would."""

    master: Master
    parts: Parts
    reports: Reports
    records: int = 0

    @property
    def nodes(self) -> dict[str, str]:
        return self.master.nodes

    async def say(self, node: str, kind: str, **fields: object) -> None:
        area = self.parts.world.areas.get(node)
        common = {
            "authority": "placement",
            "area": node,
            "area_no": area.no if area else 0,
            "seq": now_ms(),
            "purpose": "routine",
        }
        common |= {"node": node, "boot_count": 1, "clock_state": "good", "at_ms": now_ms()}
        report = TYPES[kind](**(common | fields))
        raw = seal(report, [keys.sealer(self.master.report_keys[node])])
        await self.reports.take([Received(topic(kind, node=node), raw)])

    async def wakes(self, node: str, **fields: object) -> None:
        alive = Alive(node=node, birth=now_ms(), online=True)
        await self.reports.take([Received(topic("alive", node=node), msgspec.json.encode(alive))])
        holds = tuple(
            Held(kind=one.kind, subject=one.subject, authority=one.authority, seq=one.seq, digest=held.digest)
            for held in self.parts.world.due(node, now_ms())
            for one in (held.document,)
        )
        more = {"nonce": secrets.token_hex(8), "version": "0.1.0", "reads": ("order.v1",), "holds": holds}
        await self.say(node, "hello", **(more | fields))

    async def health(self, node: str, **fields: object) -> None:
        said = Health(**({"node": node, "at_ms": now_ms(), "clock_state": "good", "disk_free_bytes": 1, "uptime_s": 1} | fields))
        await self.reports.take([Received(topic("health", node=node), msgspec.json.encode(said))])

    async def dies(self, node: str) -> None:
        alive = Alive(node=node, birth=now_ms(), online=False)
        await self.reports.take([Received(topic("alive", node=node), msgspec.json.encode(alive))])

    async def result(self, node: str, result: str, incident: str, *, op: str = "START", **fields: object) -> None:
        """The node tells what became of its START (or of the STOP) of an incident."""
        known = await self.parts.database.run(lambda tx: orders.of_key(tx, incident))
        chain = {link.area for link in self.parts.world.chain_of(node)}
        mark = [order.mark for order in known if order.mark.op == op and order.mark.area in chain][-1]
        told = OrderResult(incident=incident, order_seq=mark.seq, result=result, digest=mark.digest, at_ms=now_ms(), **fields)
        await self.say(node, "receipt", results=(told,))

    async def stops(self, node: str, incident: str) -> None:
        """The node was silenced: it tells of the START and of the STOP."""
        await self.result(node, "stopped", incident)
        await self.result(node, "stopped", incident, op="STOP")

    async def play(self, node: str, **fields: object) -> None:
        self.records += 1
        common = {"record_id": self.records, "boot_count": 1, "digest": "0" * 64, "area": "52.24076", "authority": "52.24076"}
        common |= {"purpose": "routine", "planned_ms": now_ms(), "ending": "played", "clock_state": "good"}
        await self.say(node, "receipt", plays=(PlayRecord(**(common | fields)),))

    async def programme(self, commune: str, *items: Item) -> None:
        """The chair signs what plays in a commune, from yesterday on."""
        common = {"authority": commune, "area": commune, "area_no": area_no(commune), "seq": now_ms(), "purpose": "routine"}
        span = {"subject": commune, "valid_from_ms": now_ms() - 86_400_000, "valid_until_ms": now_ms() + 30 * 86_400_000}
        sealed = seal(Programme(**common, **span, body=ProgrammeBody(items=items)), [keys.sealer(CHAIR)])
        await documents.submit(self.parts, SYSTEM, sealed)

    async def officer(self, name: str, password: str) -> None:
        """Somebody who has only the first password takes their own, and sets up their telephone."""
        session = await people.change_password(self.parts, name, self.master.first_passwords[name], password)
        await _phone(self.parts, self.master, session)

    async def code(self, name: str) -> str:
        """What the person's telephone shows. No test waits half a minute between two sign-ins: the last code is forgotten."""

        def forget(tx) -> None:
            found = stored_people.find(tx, name)
            stored_people.set_factor(tx, name, found.factor, 0, now_ms())

        await self.parts.database.run(forget)
        return totp.code_at(self.master.phones[name], totp.step_of(self.parts.now_ms()))

    async def grant(self, **more: str) -> None:
        """The chair and the deputy grant these officers another key of theirs: the public half that their browser shows."""
        await _grants(self.parts, {name.replace("_", "."): public for name, public in more.items()})

    def browser(self) -> httpx.AsyncClient:
        """A browser without scripts."""
        transport = httpx.ASGITransport(app=create_app(self.parts))
        return httpx.AsyncClient(transport=transport, base_url="https://loa.test", follow_redirects=True)


@asynccontextmanager
async def house(master: Master, folder: Path) -> AsyncIterator[House]:
    """Everything on a copy of the master's folder. No signer: the page needs none."""
    shutil.copytree(master.folder, folder)
    config = load(folder)
    parts = build(config)
    parts.broker.connected, parts.ports.signing = True, 8445
    try:
        yield House(master, parts, Reports(parts))
    finally:
        await parts.signer.close()
        parts.database.close()


@asynccontextmanager
async def served(parts: Parts, port: int = 0) -> AsyncIterator[str]:
    """Page and signing page over HTTPS, as `serve` offers them; gives the page's address."""
    listeners = (bind_tcp("127.0.0.1", port), bind_tcp("127.0.0.1", 0))
    parts.ports.https, parts.ports.signing = (listener.getsockname()[1] for listener in listeners)
    tls = ServerTls(parts.config.tls / "https.crt", parts.config.tls / "https.key")
    servers = (https_server(create_app(parts), tls), https_server(create_site(origins(parts)), tls))
    serving = [asyncio.create_task(one.serve([listener])) for one, listener in zip(servers, listeners, strict=True)]
    while not all(server.started for server in servers):  # noqa: ASYNC110  uvicorn tells it by a flag
        await asyncio.sleep(0.01)
    try:
        yield f"https://127.0.0.1:{parts.ports.https}"
    finally:
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*serving)
