"""The real controller of a bench: `loa init`, broker, signer and `loa serve`, asked through its unix socket as `loa` asks."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec
import psutil

from controller import ca
from controller.actions.views import DocumentContext, IncidentView, MediaView, NodeView, RowView, StatusView
from controller.store import media as library
from controller.store.database import Database, url_of
from protocol.bulletins import Item, Media
from protocol.documents import ChainLink
from protocol.orders import Start, Text
from protocol.units import AreaLevel
from provisioning import ceremony, enrol
from tests.bench.words import ISSUING_BODY, Asked, words
from tests.controller.headquarters import NUMBERS, PHU_TUC, SETTLEMENT, Headquarters, now_ms, number

LEVELS: tuple[AreaLevel, ...] = ("province", "commune", "settlement")
LOOK_S = 0.1
RISK = 3


class Office:
    """Controller and nodes' folders in one folder. `start` and enrolments block: nothing is measured meanwhile."""

    def __init__(self, folder: Path, host: str) -> None:
        self.host = host
        self.headquarters = Headquarters(folder, bind=host)
        self.port = self.headquarters.port
        self.ca_file = self.headquarters.state / "ca" / ca.CERTIFICATE
        self.nodes: dict[str, Path] = {}
        self._number = 0
        self._digests: dict[str, str] = {}
        socket = str(self.headquarters.state / "run" / "loa.sock")
        self._http = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=socket), base_url="http://loa", timeout=60)

    def start(self) -> None:
        """Broker, signer, serve; then root and grants."""
        self.headquarters.start()
        self.headquarters.trust()

    async def close(self) -> None:
        """End all of it."""
        await self._http.aclose()
        await asyncio.to_thread(self.headquarters.close)

    def restart_broker(self) -> None:
        """The broker goes, and comes back with what it had saved: every node reconnects."""
        self.headquarters.kill("broker", signal.SIGTERM)
        self.headquarters.start_broker()

    @property
    def serve_process(self) -> psutil.Process:
        """`loa serve` itself."""
        return psutil.Process(self.headquarters.running["serve"].pid)

    def issue(self, name: str) -> tuple[Path, Path]:
        """A client certificate for a peer."""
        home = self.headquarters.folder / "peers"
        home.mkdir(exist_ok=True)
        issued = ca.issue(ca.load_ca(self.headquarters.state / "ca"), name)
        cert, key = home / f"{name}.crt", home / f"{name}.key"
        cert.write_bytes(issued.cert_pem)
        key.write_bytes(issued.key_pem)
        return cert, key

    def operator(self) -> tuple[str, Path, Path]:
        """Name, certificate and key of the operator, who may publish orders beside the controller."""
        tls = self.headquarters.state / "tls"
        return "operator-1", tls / "operator-1.crt", tls / "operator-1.key"

    # --- nodes ---

    def add_node(self, sink: str, amplifier: str = "none") -> str:
        """Enrol and place a node, and write the folder that its agent runs on."""
        quarters = self.headquarters
        node = enrol.draw_node_id(secrets.token_bytes)
        fresh = enrol.begin(quarters.folder / "nodes" / node, node)
        body = {"node": node, "name": f"Cụm loa {node}", "settlement": SETTLEMENT, "report_key": fresh.report_key}
        view: NodeView = quarters.post("/v1/nodes", body, NodeView)
        NUMBERS[node] = view.area_no
        parts = SETTLEMENT.split(".")
        areas = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
        links = [ChainLink(area=area, area_no=number(area), level=level) for area, level in zip(areas, LEVELS, strict=True)]
        chain = (*links, ChainLink(area=node, area_no=view.area_no, level="node"))
        placement = ceremony.build_placement(chain=chain, report_key=fresh.report_key, now_ms=quarters.seq())
        raw = quarters.sealed(placement, "chair")
        quarters.post("/v1/documents", raw)
        clock = fresh.folder / "clock-in-step"
        clock.touch()
        self.nodes[node] = enrol.finish(
            fresh,
            certificate_pem=ca.issue_for_request(ca.load_ca(quarters.state / "ca"), fresh.request_pem, node),
            links=enrol.Links(
                ca_pem=self.ca_file.read_bytes(),
                root=quarters.root_raw,
                root_digest=quarters.root_digest,
                broker_host=self.host,
                broker_port=self.port,
                media_url=f"https://{self.host}:{quarters.made.https_port}",
                documents=(("placement.json", raw),),
            ),
            board=enrol.Board(sink=sink, amplifier=amplifier, clock=str(clock)),
        )
        return node

    # --- what people ask for ---

    @property
    def order_bytes(self) -> int:
        """The size of an order as the signer seals it for one node: what the bare peer sends."""
        node = next(iter(self.nodes))
        return len(self.headquarters.sealed(self._order(node, words(100), sound_max_s=3, repeats=1)))

    def _order(self, node: str, text: str, *, sound_max_s: int, repeats: int) -> Start:
        said = {"risk": RISK, "issuing_body": ISSUING_BODY, "text": (Text(lang="vi", text=text),)}
        limits = {"sound_max_s": sound_max_s, "repeats": repeats}
        order = self.headquarters.start_order(node, authority=PHU_TUC, **said, **limits)
        return msgspec.structs.replace(order, accept_until_ms=order.seq + 600_000)

    async def _ask(self, path: str, body: object) -> bytes:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        reply = await self._http.post(path, content=content)
        if reply.status_code != httpx.codes.OK:
            raise OSError(f"the controller answered {reply.status_code} at {path}: {reply.text[:300]}")
        return reply.content

    async def _look(self, path: str) -> bytes:
        reply = await self._http.get(path)
        if reply.status_code != httpx.codes.OK:
            raise OSError(f"the controller answered {reply.status_code} at {path}: {reply.text[:300]}")
        return reply.content

    async def confirm(self, node: str, *, sound_max_s: int = 3, repeats: int = 1) -> Asked:
        """An officer's key seals an emergency for one node: the clock starts when the sealed order is sent."""
        self._number += 1
        raw = self.headquarters.sealed(self._order(node, words(self._number), sound_max_s=sound_max_s, repeats=repeats))
        at_ns = time.monotonic_ns()
        said = await self._ask("/v1/orders", raw)
        return Asked(at_ns, msgspec.json.decode(said, type=IncidentView).incident)

    async def stop(self, node: str, incident: str) -> int:
        """STOP that incident on a node; returns when the request was sent."""
        raw = self.headquarters.sealed(self.headquarters.stop_order(node, incident, authority=PHU_TUC))
        at_ns = time.monotonic_ns()
        await self._ask("/v1/orders", raw)
        return at_ns

    async def rule(self, items: Sequence[Item]) -> None:
        """Hours round the clock and a programme for the commune, each after what stands there."""
        quarters = self.headquarters
        for document in (
            quarters.station(prev=self._digests.get("station")),
            quarters.programme(*items, area=PHU_TUC, prev=self._digests.get("programme")),
        ):
            said = await self._ask("/v1/documents", quarters.sealed(document))
            self._digests[document.kind] = msgspec.json.decode(said)["digest"]

    # --- what the controller knows ---

    async def row(self, incident: str, node: str) -> RowView | None:
        """How far an incident is on a node."""
        view = msgspec.json.decode(await self._look(f"/v1/incidents/{incident}"), type=IncidentView)
        return next((row for row in view.rows if row.node == node), None)

    async def until_up(self, node: str, since_ms: int, deadline_s: float) -> None:
        """Wait until a node has been heard since an instant and holds what it should. Raises TimeoutError."""
        async with asyncio.timeout(deadline_s):
            while not await self._is_up(node, since_ms):  # noqa: ASYNC110  the API answers questions, it does not call back
                await asyncio.sleep(LOOK_S)

    async def _is_up(self, node: str, since_ms: int) -> bool:
        view = msgspec.json.decode(await self._look(f"/v1/nodes/{node}"), type=NodeView)
        current = all(name.startswith("root ") for name in view.lagging)  # the root is on the card, never late
        return view.online == "online" and (view.heard_at_ms or 0) >= since_ms and current

    async def status(self) -> StatusView:
        """How the controller itself is."""
        return msgspec.json.decode(await self._look("/v1/status"), type=StatusView)

    async def submit(self, raw: bytes) -> None:
        """Hand in an order that officers sealed."""
        await self._ask("/v1/orders", raw)

    async def suspend(self, raw: bytes) -> None:
        """Hand in a suspension, or its lift."""
        await self._ask("/v1/suspends", raw)

    async def hand_in(self, raw: bytes) -> None:
        """Hand in a document."""
        await self._ask("/v1/documents", raw)

    async def document_context(self, kind: str, subject: str, authority: str) -> DocumentContext:
        """What an editor of a document needs."""
        path = f"/v1/documents/context?kind={kind}&subject={subject}&authority={authority}"
        return msgspec.json.decode(await self._look(path), type=DocumentContext)

    async def count(self, incident: str, state: str) -> int:
        """On how many nodes an incident is that far."""
        view = msgspec.json.decode(await self._look(f"/v1/incidents/{incident}"), type=IncidentView)
        return view.counts.get(state, 0)

    async def presence(self, node: str) -> str:
        """Online, lost, unknown or never."""
        return msgspec.json.decode(await self._look(f"/v1/nodes/{node}"), type=NodeView).online

    def into_library(self, path: Path, named: Media) -> None:
        """Put a file into the library as if it had been prepared there (a file of noise would be refused)."""
        home = self.headquarters.state / "media" / named.sha256[:2]
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, home / f"{named.sha256}.mka")
        view = MediaView(
            sha256=named.sha256,
            bytes=named.bytes,
            samples=named.samples,
            duration_ms=named.samples // 48,
            loudness_clufs=-1600,
            true_peak_cdbtp=-100,
            source_name=path.name,
            title=path.name,
            created_by="bench",
            created_ms=now_ms(),
        )
        with contextlib.closing(Database(url_of(self.headquarters.state / "loa.db"))) as database:
            database.run_now(lambda tx: library.add(tx, view))


__all__ = ["Office", "now_ms"]
