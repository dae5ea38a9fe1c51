"""A small node made of real protocol code: its own certificate, trust and memory; no sound. Tests drive it and read its diary."""

import asyncio
import contextlib
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from controller.ca import client_context
from protocol import keys, topics
from protocol.documents import Grant, Placement, Root
from protocol.envelope import Opened, digest_of, seal, unseal
from protocol.errors import ProtocolError
from protocol.orders import ExerciseStart, ExerciseStop, Start, Stop
from protocol.passing import Suspend, TimeToken
from protocol.release import Release
from protocol.reports import (
    Alive,
    FetchStatement,
    Health,
    Held,
    Hello,
    IncidentState,
    NetworkState,
    OrderResult,
    PlayRecord,
    Receipt,
    RecordMark,
    UpdateState,
)
from protocol.rules import Clock, Me, document_mark, mark_of, slot_of
from protocol.seen import Seen
from protocol.suspension import mark_of_suspend, slot_of_suspend
from protocol.trust import Suspension, Trust
from protocol.units import Document


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class NodePeer:
    """One node. `answers`: whether it sends receipts; `sounds`: whether a START goes on from received to sounding.

    `update_ends`: how a release ends on it, good or rolled-back; `update_stays`: the state in which it stays until that is "".
    """

    node: str
    area_no: int
    port: int
    ca: Path
    cert: Path
    key: Path
    report_key: object
    root: Root
    host: str = "127.0.0.1"
    answers: bool = True
    sounds: bool = True
    clock_state: str = "good"
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    boot_count: int = 1
    amnesia: bool = False
    first_record_id: int = 1
    last_record_id: int = 0
    boot: str | None = None
    orders: int = 0
    troubles: tuple[str, ...] = ()
    network: NetworkState | None = None
    version: str = "peer"
    update_ends: str = "good"
    update_stays: str = ""
    updating: UpdateState | None = None
    update_diary: list[str] = field(default_factory=list)
    diary: list[tuple[str, str, str]] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    incidents: dict[str, IncidentState] = field(default_factory=dict)
    held: dict[object, Held] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    hellos: int = 0
    told: dict[tuple[object, ...], PlayRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trust = Trust(self.root)
        digest = digest_of("root", msgspec.json.encode(self.root))
        slot = slot_of(self.root)
        self.seen = self.seen.with_document(slot, document_mark(self.root, digest))
        self.held[slot] = Held(kind="root", subject=self.root.subject, authority="root", seq=self.root.seq, digest=digest)
        self.seq = 0
        self.birth = 0
        self.client: aiomqtt.Client | None = None
        self._news = asyncio.Event()
        self._update: asyncio.Task | None = None

    # --- what it says ---

    def common(self) -> dict:
        self.seq = max(now_ms(), self.seq + 1)
        return {
            "authority": "placement",
            "area": self.node,
            "area_no": self.area_no,
            "seq": self.seq,
            "purpose": "routine",
            "node": self.node,
            "boot_count": self.boot_count,
            "clock_state": self.clock_state,
            "at_ms": now_ms(),
        }

    def sealed(self, report) -> bytes:
        return seal(report, [keys.sealer(self.report_key)])

    async def say(self, name: str, payload: bytes, *, retain: bool = False) -> None:
        await self.client.publish(topics.topic(name, node=self.node), payload, qos=1, retain=retain)

    async def hello(self) -> None:
        self.hellos += 1
        await self.say("hello", self.sealed(self.hello_now()))

    def hello_now(self) -> Hello:
        return Hello(
            **self.common(),
            nonce=self.nonce,
            version=self.version,
            reads=("root", "grant", "placement", "network", "station", "programme", "order", "exercise"),
            holds=tuple(self.held.values()),
            incidents=tuple(self.incidents.values()),
            amnesia=self.amnesia,
            first_record_id=self.first_record_id,
            last_record_id=self.last_record_id,
            boot=self.boot,
            orders=self.orders,
            troubles=self.troubles,
            network=self.network,
        )

    async def receipt(self, *results: OrderResult, plays: tuple[PlayRecord, ...] = ()) -> bytes:
        """Say it; its hellos know from now on that these records exist, as those of a card do."""
        self.last_record_id = max([self.last_record_id, *(play.record_id for play in plays)])
        raw = self.sealed(Receipt(**self.common(), results=results, plays=plays))
        await self.say("receipt", raw)
        return raw

    async def alive(self, *, online: bool = True, birth: int | None = None, retain: bool = True) -> None:
        alive = Alive(node=self.node, birth=self.birth if birth is None else birth, online=online)
        await self.say("alive", msgspec.json.encode(alive), retain=retain)

    async def health(self, **more) -> None:
        """Say it; a trouble is told by the hellos after it too."""
        self.troubles = more.get("troubles", self.troubles)
        fields = {"disk_free_bytes": 1, "uptime_s": 1, "update": self.updating} | more
        health = Health(node=self.node, at_ms=now_ms(), clock_state=self.clock_state, **fields)
        await self.say("health", msgspec.json.encode(health))

    def statement(self, sha256: str, **more) -> bytes:
        return self.sealed(FetchStatement(**(self.common() | more), sha256=sha256, nonce=secrets.token_hex(8)))

    def play(self, record_id: int, **more) -> PlayRecord:
        """A record as its card keeps it: told again it is the same."""
        key = (record_id, self.boot_count, *sorted((name, str(value)) for name, value in more.items()))
        if key not in self.told:
            self.told[key] = self._played(record_id, **more)
        return self.told[key]

    def _played(self, record_id: int, **more) -> PlayRecord:
        at_ms = now_ms()
        fields = {
            "boot_count": self.boot_count,
            "digest": "ab" * 32,
            "item": "morning",
            "area": "52.24076",
            "authority": "52.24076",
            "purpose": "routine",
            "planned_ms": at_ms,
            "started_ms": at_ms,
            "ended_ms": at_ms + 1000,
            "ending": "played",
            "clock_state": "good",
        }
        return PlayRecord(record_id=record_id, **(fields | more))

    # --- its life ---

    def _client(self) -> aiomqtt.Client:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3_600
        will_properties = Properties(PacketTypes.WILLMESSAGE)
        will_properties.WillDelayInterval = 0
        dead = msgspec.json.encode(Alive(node=self.node, birth=self.birth, online=False))
        will = aiomqtt.Will(topics.topic("alive", node=self.node), dead, 1, True, will_properties)
        context = client_context(self.ca, self.cert, self.key)
        return aiomqtt.Client(
            self.host,
            self.port,
            identifier=self.node,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            keepalive=60,
            properties=properties,
            will=will,
            tls_context=context,
        )

    @contextlib.asynccontextmanager
    async def connected(self, *, may_break: bool = False):
        """Connect, say what there is to say, and live until the block ends; then break off without a word (the will speaks)."""
        self.birth = now_ms()
        client = self._client()
        await client.__aenter__()
        self.client = client
        life = asyncio.create_task(self._live())
        try:
            yield self
        finally:
            self.died = life.exception() if life.done() and not life.cancelled() else None
            if self._update is not None:
                self._update.cancel()
            while not life.done():  # Python 3.11's wait_for may swallow one cancellation
                life.cancel()
                await asyncio.wait([life], timeout=1)
            await self.break_off()
            if self.died is not None and not may_break:
                raise AssertionError(f"the node's own loop ended: {self.died!r}")

    async def break_off(self) -> None:
        """Close the socket without DISCONNECT."""
        client, self.client = self.client, None
        if client is None:
            return
        sock = client._client.socket()
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            asyncio.get_running_loop().remove_writer(sock.fileno())
            sock.close()
        if client._misc_task is not None:
            client._misc_task.cancel()
        if client._disconnected.done():
            client._disconnected.exception()

    async def _live(self) -> None:
        placed = self.trust.placement
        filters = topics.node_filters(self.node) + topics.area_filters(tuple(link.area for link in self.trust.chain))
        await self.client.subscribe([(each, 1) for each in filters])
        await self.alive()
        await self.hello()
        async for message in self.client.messages:
            await self.take(message.topic.value, bytes(message.payload))
            if self.trust.placement is not placed:
                placed = self.trust.placement
                areas = topics.area_filters(tuple(link.area for link in self.trust.chain))
                await self.client.subscribe([(each, 1) for each in areas])
            self._news.set()

    async def until(self, condition, deadline_s: float = 20.0) -> None:
        """Wait until something is true of this node."""
        async with asyncio.timeout(deadline_s):
            while not condition(self):
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self._news.wait()

    async def take(self, topic: str, payload: bytes) -> None:
        if not payload:
            if topic == topics.topic("release", node=self.node):
                await self._withdrawn()
            return
        if topic == topics.topic("records", node=self.node):
            self.marks.append(msgspec.json.decode(payload, type=RecordMark).upto)
            return
        try:
            opened = unseal(
                payload,
                topic=topic,
                trust=self.trust,
                me=Me(self.node, (self.nonce,)),
                now=Clock(now_ms(), self.clock_state),
                seen=self.seen,
            )
        except ProtocolError as error:
            self.diary.append((topic, "refused", error.code))
            await self._refuse(topic, error)
            return
        self.diary.append((topic, opened.kind, "fresh" if opened.fresh else "again"))
        if isinstance(opened.payload, Document):
            await self._hold(opened)
            if isinstance(opened.payload, Release) and opened.fresh:
                self._update = asyncio.create_task(self._updates(opened.digest, opened.payload))
        elif isinstance(opened.payload, Suspend):
            await self._suspend(opened, opened.payload)
        elif isinstance(opened.payload, TimeToken):
            self.opened.append(opened)
        else:
            await self._obey(opened)

    async def _refuse(self, topic: str, error: ProtocolError) -> None:
        if not self.answers:
            return
        result = OrderResult(result="refused", reason=error.code, topic=topic, at_ms=now_ms())
        if error.code == "clock-unusable":
            result = msgspec.structs.replace(result, **self._named(topic))
        await self.receipt(result)

    def _named(self, topic: str) -> dict:
        """A node names the order that it could not judge, so that the controller can answer its nonce."""
        return {"incident": topic.rsplit("/", 1)[-1], "order_seq": self.unjudged_seq} if self.unjudged_seq else {}

    unjudged_seq: int = 0
    died: BaseException | None = None

    async def _hold(self, opened: Opened) -> None:
        document = opened.payload
        if not opened.fresh:
            return
        slot = slot_of(document)
        self.seen = self.seen.with_document(slot, document_mark(document, opened.digest))
        self.held[slot] = Held(
            kind=document.kind, subject=document.subject, authority=document.authority, seq=document.seq, digest=opened.digest
        )
        if isinstance(document, Root | Grant | Placement):
            self.trust = self.trust.with_document(document)
        await self.hello()

    async def _tell(self, digest: str, release: Release, state: str, done: float = 1.0) -> None:
        size = release.body.bundle.bytes
        self.updating = UpdateState(
            release=digest, build=release.body.build, state=state, bytes_done=round(size * done), bytes_of=size
        )
        self.update_diary.append(state)
        await self.health()
        while self.update_stays == state:  # noqa: ASYNC110  a test lets it go by plain assignment
            await asyncio.sleep(0.02)

    async def _updates(self, digest: str, release: Release) -> None:
        """As a node does: fetch, install, restart into the new slot, try it, keep it or go back."""
        before = self.version
        for done in (0.0, 0.5):
            await self._tell(digest, release, "fetching", done)
        await self._tell(digest, release, "installing")
        await self._tell(digest, release, "installed")
        self.version = f"{release.body.version}+{release.body.build}"
        self.boot_count += 1
        await self._tell(digest, release, "trial")
        await self.hello()
        if self.update_ends != "good":
            self.version = before
            self.boot_count += 1
        await self._tell(digest, release, self.update_ends)
        await self.hello()

    async def _withdrawn(self) -> None:
        self.update_diary.append("withdrawn")
        if self.updating is not None and self.updating.state in ("waiting", "fetching") and self._update is not None:
            self._update.cancel()
            self.updating = None
            await self.health()

    async def _suspend(self, opened: Opened, what: Suspend) -> None:
        slot = slot_of_suspend(what)
        self.seen = self.seen.with_document(slot, mark_of_suspend(what, opened.digest))
        self.trust = self.trust.with_suspensions([*self.trust.suspensions, Suspension(what, opened.keyids)])
        self.held[slot] = Held(kind="suspend", subject=what.area, authority=what.authority, seq=what.seq, digest=opened.digest)
        await self.hello()

    async def _obey(self, opened: Opened) -> None:
        order = opened.payload
        if opened.fresh:
            self.seen = self.seen.with_order(mark_of(order, opened.digest, opened.signers))
            self.opened.append(opened)
        if not self.answers:
            return
        common = {"incident": order.incident, "order_seq": order.seq, "digest": opened.digest, "at_ms": now_ms()}
        await self.receipt(OrderResult(result="received", **common))
        if not opened.fresh:
            return
        if isinstance(order, Start | ExerciseStart) and self.sounds:
            self.incidents[order.incident] = IncidentState(incident=order.incident, seq=order.seq, result="sounding")
            await self.receipt(OrderResult(result="sounding", spoken_at_ms=now_ms(), **common))
        if isinstance(order, Stop | ExerciseStop):
            for state in list(self.incidents.values()):
                if order.incident in (None, state.incident) and state.result == "sounding":
                    self.incidents[state.incident] = msgspec.structs.replace(state, result="stopped")
                    ended = OrderResult(incident=state.incident, order_seq=state.seq, result="stopped", at_ms=now_ms())
                    await self.receipt(ended)
