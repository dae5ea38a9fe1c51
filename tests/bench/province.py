"""The real controller with ten thousand nodes connected: its memory, its processor while they are quiet, one order to all."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.actions.views import DocumentView
from controller.core.world import NodeKnown
from controller.store import documents
from controller.store import world as stored_world
from controller.store.database import Database, Transaction, url_of
from protocol import keys
from protocol.documents import ChainLink, Placement
from protocol.envelope import digest_of, seal
from protocol.reports import Held
from protocol.rules import slot_of
from provisioning import ceremony, enrol
from tests.bench.body import cpu_percent, memory_mb
from tests.bench.crowd import Crowd, allow_files
from tests.bench.measure import Figure, judge, ms
from tests.bench.office import LEVELS, Office
from tests.bench.place import Options, say
from tests.bench.saying import Identity
from tests.bench.swarm import Material
from tests.commune import free_port, now_ms
from tests.controller.headquarters import PHU_TUC, SETTLEMENT, number

NODES = 10_000
QUIET_S = 60.0
HEARD_S = 120.0
HELLO_S = 60.0
"""After an outage nodes come back within about that time: their back-off grows to 30 s, and half as much again by jitter."""
REST_S, LEAST_REST_S = 120.0, 20.0
"""Keep-alives go on while the controller works through what came."""
SETTLE_S = 10.0
LOOK_S = 1.0
AREAS = ("52", PHU_TUC, SETTLEMENT)


def _enrol(office: Office, count: int, common: tuple[Held, ...]) -> tuple[Identity, ...]:
    """Nodes and their placements straight into the database, while serve does not run: 10,000 requests would take minutes."""
    quarters = office.headquarters
    sealers = quarters.sealers("chair")
    made: list[Identity] = []

    def store(tx: Transaction) -> None:
        for _number in range(count):
            seed = secrets.token_bytes(32)
            report_key = keys.public_hex(Ed25519PrivateKey.from_private_bytes(seed))
            node = enrol.draw_node_id(secrets.token_bytes)
            known = NodeKnown(id=node, area_no=0, name=f"Cụm loa {node}", settlement=SETTLEMENT, report_key=report_key)
            area_no = stored_world.enrol(tx, known, now_ms()).area_no
            placement = _placement(node, area_no, report_key)
            raw = seal(placement, sealers)
            digest = digest_of("placement", msgspec.json.encode(placement))
            documents.add(tx, _stored(placement, digest, raw, sealers[0].public_key.keyid), now_ms())
            stored_world.place(tx, placement)
            own = Held(kind="placement", subject=node, authority=placement.authority, seq=placement.seq, digest=digest)
            made.append(Identity(node, seed.hex(), area_no, raw.decode(), (*common, own)))

    with contextlib.closing(Database(url_of(quarters.state / "loa.db"))) as database:
        database.run_now(store)
    return tuple(made)


def _placement(node: str, area_no: int, report_key: str) -> Placement:
    links = [ChainLink(area=area, area_no=number(area), level=level) for area, level in zip(AREAS, LEVELS, strict=True)]
    chain = (*links, ChainLink(area=node, area_no=area_no, level="node"))
    return ceremony.build_placement(chain=chain, report_key=report_key, now_ms=now_ms())


def _stored(placement: Placement, digest: str, raw: bytes, keyid: str) -> documents.DocumentStored:
    return documents.DocumentStored(
        digest=digest,
        slot=slot_of(placement),
        authority=placement.authority,
        seq=placement.seq,
        raw=raw,
        keyids=(keyid,),
        persons=("chair",),
        valid_from_ms=placement.valid_from_ms,
        valid_until_ms=placement.valid_until_ms,
        created_by="bench",
    )


def _plain_door(state: Path) -> int:
    """A second listener without TLS for the simulated nodes; the ACL stays, names are believed."""
    port = free_port()
    file = state / "broker" / "mosquitto.conf"
    text = file.read_text(encoding="utf-8").replace("allow_anonymous false", "allow_anonymous true")
    file.write_text(f"{text}listener {port} 127.0.0.1\nuse_username_as_clientid true\n", encoding="utf-8")
    return port


def _prepare(office: Office, folder: Path, nodes: int) -> Material:
    """Trust through serve, nodes behind its back, then serve again as it starts in such a province."""
    office.start()
    quarters = office.headquarters
    views = [view for view in quarters.get("/v1/documents", list[DocumentView]) if view.in_force]
    chain = [view for view in views if view.kind == "root" or view.subject in AREAS]
    common = tuple(
        Held(kind=view.kind, subject=view.subject, authority=view.authority, seq=view.seq, digest=view.digest) for view in chain
    )
    grants = {
        view.subject: quarters.http.get(f"/v1/documents/{view.digest}").content.decode() for view in chain if view.kind == "grant"
    }
    quarters.kill("serve", signal.SIGTERM)
    say(f"enrolling {nodes} nodes in {folder}")
    identities = _enrol(office, nodes, common)
    quarters.start_serve()
    filters = ("loa/1/area/52/order/+",)
    return Material(
        root=quarters.root_raw.decode(),
        root_digest=quarters.root_digest,
        grants=grants,
        numbers={},
        settlement=SETTLEMENT,
        report_key="",
        filters=filters,
        identities=identities,
    )


async def _online_within(office: Office, nodes: int, seconds: float) -> int:
    """How many nodes the controller has heard: all, or as many as it has by then."""
    end_s = time.monotonic() + seconds
    while (online := (await office.status()).online) < nodes and time.monotonic() < end_s:  # noqa: ASYNC110  it must be asked
        await asyncio.sleep(LOOK_S)
    return online


async def _all_received(office: Office, incident: str, nodes: int, at_ns: int) -> float | None:
    """Milliseconds until the controller shows the order as received by every node."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HEARD_S):
            while await office.count(incident, "received") < nodes:  # noqa: ASYNC110  it must be asked
                await asyncio.sleep(LOOK_S)
            return ms(time.monotonic_ns(), at_ns)
    return None


async def run(options: Options) -> list[Figure]:
    """Connect, count the cost of quiet, then one order for the province, sealed by two officers, receipts and all."""
    nodes = options.count(NODES, 1_000)
    quiet_s = QUIET_S / 3 if options.quick else QUIET_S
    allow_files(nodes)
    rest_s = max(LEAST_REST_S, REST_S * nodes / NODES)
    folder = options.folder / "province"
    await asyncio.to_thread(folder.mkdir)
    office = await asyncio.to_thread(Office, folder, options.host)
    there = Crowd()
    try:
        port = await asyncio.to_thread(_plain_door, office.headquarters.state)
        material = await asyncio.to_thread(_prepare, office, folder, nodes)
        say("connecting")
        await there.start(port, nodes, material, folder)
        await there.tell(f"hello {HELLO_S * nodes / NODES:.0f}")
        began_s = time.monotonic()
        await there.answers()
        await there.tell(f"rest {rest_s:.0f}")
        heard = await _online_within(office, nodes, rest_s)
        heard_s = time.monotonic() - began_s
        say(f"{heard} of {nodes} heard after {heard_s:.0f} s")
        await there.answers()
        await there.tell(f"rest {quiet_s + SETTLE_S:.0f}")
        await asyncio.sleep(SETTLE_S / 2)
        serve = [office.serve_process]
        percent = sum(await cpu_percent(serve, quiet_s))
        memory = memory_mb(serve)[0]
        await there.answers()
        figures = await _one_order(office, there, nodes)
    finally:
        await there.close()
        await office.close()
    beside = f"{nodes} nodes connected, {heard} heard; {quiet_s:.0f} s of quiet"
    return [
        judge("controller's memory, nodes connected", [memory], unit="MB", percent=100, note=beside),
        judge("controller's processor, nodes quiet", [percent], unit="% of a core", percent=100, note=beside),
        judge(
            "every node heard by the controller",
            [heard_s] if heard == nodes else [],
            unit="s",
            percent=100,
            lost=int(heard < nodes),
            note=f"{heard} of {nodes}; their alive and hello spread over {HELLO_S * nodes / NODES:.0f} s",
        ),
        *figures,
    ]


async def _one_order(office: Office, there: Crowd, nodes: int) -> list[Figure]:
    quarters = office.headquarters
    order = quarters.start_order("52", authority="52", sound_max_s=600, repeats=1)
    raw = quarters.sealed(order, "officer", "second")
    await there.listen("answer")
    await asyncio.sleep(1)
    at_ns = time.monotonic_ns()
    await office.submit(raw)
    seen = await there.rounds()
    await there.tell(f"rest {REST_S:.0f}")
    received_ms = await _all_received(office, order.incident, nodes, at_ns)
    arrived = [ms(came_ns, at_ns) for part in seen for came_ns in part.arrived_ns]
    refused = sum(part.refused for part in seen)
    return [
        judge(
            "order through the controller to every node",
            arrived,
            lost=nodes - len(arrived) + refused,
            note="from POST /v1/orders to arrival, on cores that the nodes share",
        ),
        judge(
            "order shown as received by every node",
            [] if received_ms is None else [received_ms / 1000],
            unit="s",
            percent=100,
            lost=int(received_ms is None),
            note="all receipts sealed, sent, verified, stored; on the cores of this machine",
        ),
    ]
