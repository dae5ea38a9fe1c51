"""A whole controller for tests: state folder, trust, a real mosquitto, real serve and signer processes, and peers for nodes."""

import contextlib
import hashlib
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec

from controller import ca
from controller.actions.views import DocumentView, IncidentView, NodeView, StatusView
from controller.area_tree import DEMO_SETTLEMENTS
from controller.init import InitOptions, initialise
from controller.signer import new_service_key, take_grant
from protocol import keys
from protocol.bulletins import Programme, ProgrammeBody
from protocol.documents import ChainLink, Grant, Hours, Key, Person, Power, Role, Station, StationBody
from protocol.envelope import digest_of, seal
from protocol.orders import ExerciseStart, Lift, Start, Stop, Text
from provisioning import ceremony, enrol
from tests.fakes.node_peer import NodePeer

PHU_TUC, IA_DREH = "52.24076", "52.24100"
NUMBERS = {"52": 100_000_052, PHU_TUC: 24_076_000, IA_DREH: 24_100_000}
SETTLEMENT = "52.24076.001"
OTHER = "52.24076.002"
RELAY = "Đài truyền thanh xã"
PER_DAY = 6
YEAR_MS = 365 * 86_400_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def number(area: str) -> int:
    return NUMBERS.get(area) or NUMBERS[".".join(area.split(".")[:2])] + int(area.split(".")[2])


def wait(condition, what: str, deadline_s: float = 40.0):
    """Ask again and again until it is true."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if found := condition():
                return found
        time.sleep(0.05)
    raise AssertionError(f"not within {deadline_s:.0f} s: {what}")


class Headquarters:
    """Everything in one folder; officers `chair` and `deputy` at the root, `officer` and `second` in the grants."""

    def __init__(self, folder: Path, *, bind: str = "127.0.0.1") -> None:
        self.folder = folder
        self.state = folder / "state"
        self.bind = bind
        options = InitOptions(
            province=52,
            hosts=(bind,),
            bind=bind,
            broker_port=0,
            https_port=0,
            settlements_csv=DEMO_SETTLEMENTS.read_text("utf-8"),
        )
        self.made = initialise(self.state, options)
        self.port = self.made.broker_port
        self.people = {name: keys.new_key() for name in ("chair", "deputy", "officer", "second")}
        self.service = {area: new_service_key(self.state / "signer", area) for area in (PHU_TUC, IA_DREH)}
        self.contents: tuple[str, ...] = ()
        self.last_seq = 0
        self.sealed_bytes: list[bytes] = []
        self.running: dict[str, subprocess.Popen] = {}
        self.http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.state / "run" / "loa.sock")), base_url="http://loa", timeout=20
        )
        self._make_root()

    # --- processes ---

    def _spawn(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        child = self.running.pop(name)
        child.send_signal(number)
        return child.wait(20)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def start_broker(self) -> None:
        self._spawn("broker", "mosquitto", "-c", str(self.state / "broker" / "mosquitto.conf"))

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((self.bind, self.port)) == 0

        wait(listens, "mosquitto listens")

    def restart_broker_empty(self) -> None:
        """Kill it without a save and start it without memory."""
        self.kill("broker")
        for file in (self.state / "broker").rglob("mosquitto.db*"):
            file.unlink()
        self.start_broker()

    def start_signer(self) -> None:
        self._spawn(
            "signer", sys.executable, "-c", f"from controller.cli import app; app(['signer','--state',{str(self.state)!r}])"
        )
        wait(lambda: self._listens("signer.sock"), "the signer listens")

    def start_serve(self) -> None:
        self._spawn("serve", sys.executable, "-m", "controller", "--state", str(self.state))
        wait(lambda: self._listens("loa.sock"), "serve listens")
        wait(lambda: self.status().broker_connected if "broker" in self.running else self.status(), "serve is linked")

    def _listens(self, name: str) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.state / "run" / name)) == 0

    def start(self) -> None:
        self.start_broker()
        self.start_signer()
        self.start_serve()

    def close(self) -> None:
        self.http.close()
        for name in list(self.running):
            self.kill(name, signal.SIGTERM)

    # --- the API ---

    def get(self, path: str, shape, **params):
        reply = self.http.get(path, params=params)
        assert reply.status_code == 200, reply.text
        return msgspec.json.decode(reply.content, type=shape)

    def post(self, path: str, body, shape=None):
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        reply = self.http.post(path, content=content)
        assert reply.status_code == 200, reply.text
        return msgspec.json.decode(reply.content, type=shape) if shape else reply.json()

    def refused(self, path: str, body) -> dict:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        reply = self.http.post(path, content=content)
        assert reply.status_code >= 400, reply.text
        return reply.json() | {"status": reply.status_code}

    def status(self) -> StatusView:
        return self.get("/v1/status", StatusView)

    def node(self, node: str) -> NodeView:
        return self.get(f"/v1/nodes/{node}", NodeView)

    def incident(self, incident: str) -> IncidentView:
        return self.get(f"/v1/incidents/{incident}", IncidentView)

    def row(self, incident: str, node: str):
        return next(row for row in self.incident(incident).rows if row.node == node)

    def until_row(self, incident: str, node: str, state: str, deadline_s: float = 40.0):
        wait(lambda: self.row(incident, node).state == state, f"{node} is {state} in {incident}", deadline_s)
        return self.row(incident, node)

    # --- trust ---

    def sealers(self, *names: str):
        return [keys.sealer(self.people[name]) for name in names]

    def key_of(self, name: str, **more) -> Key:
        return Key(public=keys.public_hex(self.people[name]), person=name, **more)

    def seq(self) -> int:
        self.last_seq = max(now_ms(), self.last_seq + 1)
        return self.last_seq

    def _make_root(self) -> None:
        both = ("chair", "deputy")
        self.root = ceremony.build_root(
            area="52",
            area_no=NUMBERS["52"],
            persons=tuple(Person(id=name, name=name) for name in both),
            keys=tuple(self.key_of(name) for name in both),
            root=Role(persons=both, threshold=2),
            delegate=Role(persons=both, threshold=2),
            placement=Role(persons=both, threshold=1),
            release=Role(persons=both, threshold=2),
            now_ms=now_ms() - 3_600_000,
        )
        self.root_raw = seal(self.root, self.sealers(*both))
        self.root_digest = digest_of("root", msgspec.json.encode(self.root))

    def grant(self, area: str, *, prev: str | None = None, states: dict[str, str] | None = None) -> Grant:
        names, states = ("officer", "second"), states or {}
        wide = area == "52"
        service = (f"service-{area}",) if self.contents and not wide else ()
        persons = [Person(id=name, name=name) for name in names]
        known = [self.key_of(name, state=states.get(name, "active")) for name in names]
        if service:
            persons.append(Person(id=service[0], name=RELAY, service=True))
            known.append(Key(public=self.service[area], person=service[0]))
        threshold = 2 if wide else 1
        powers = (
            Power(power="programme", persons=names, classes=("normal", "priority")),
            Power(power="station", persons=names),
            Power(power="network", persons=names),
            Power(power="emergency", persons=names, classes=("emergency",), threshold=threshold, sound_max_s=600),
            Power(power="stop", persons=names, threshold=threshold),
            Power(power="exercise", persons=names, sound_max_s=600),
        )
        if service:
            relays = {"persons": service, "sound_max_s": 600, "contents": self.contents, "per_day": PER_DAY}
            powers += (Power(power="emergency", classes=("emergency",), **relays), Power(power="exercise", **relays))
        return ceremony.build_grant(
            area=area,
            area_no=number(area),
            persons=tuple(persons),
            keys=tuple(known),
            powers=powers,
            until_ms=now_ms() + YEAR_MS,
            now_ms=self.seq(),
            prev=prev,
        )

    def trust(self) -> None:
        """Pin the root and hand in the grants of the province and two communes."""
        self.post(f"/v1/root?digest={self.root_digest}", self.root_raw)
        for area in ("52", PHU_TUC, IA_DREH):
            self.post("/v1/documents", seal(self.grant(area), self.sealers("chair", "deputy")), DocumentView)

    def relay(self, *contents: str, prev: dict[str, str]) -> None:
        """Grants that let the communes' service keys start these recordings; the signer gets its copy of each."""
        self.contents = contents
        for area in (PHU_TUC, IA_DREH):
            raw = seal(self.grant(area, prev=prev[area]), self.sealers("chair", "deputy"))
            self.post("/v1/documents", raw, DocumentView)
            take_grant(self.state / "signer", raw)

    # --- nodes ---

    def enrol(self, settlement: str = SETTLEMENT, name: str = "Cụm loa") -> NodePeer:
        """Enrol a node, without a placement yet."""
        node = enrol.draw_node_id(secrets.token_bytes)
        issued = ca.issue(ca.load_ca(self.state / "ca"), node)
        cert, key = self.folder / f"{node}.crt", self.folder / f"{node}.key"
        cert.write_bytes(issued.cert_pem)
        key.write_bytes(issued.key_pem)
        report_key = keys.new_key()
        body = {"node": node, "name": f"{name} {node}", "settlement": settlement, "report_key": keys.public_hex(report_key)}
        view = self.post("/v1/nodes", body, NodeView)
        NUMBERS[node] = view.area_no
        return NodePeer(
            node=node,
            area_no=view.area_no,
            port=self.port,
            ca=self.state / "ca" / ca.CERTIFICATE,
            cert=cert,
            key=key,
            report_key=report_key,
            root=self.root,
        )

    def placement(
        self, peer: NodePeer, settlement: str = SETTLEMENT, *, prev: str | None = None, neighbours: tuple[str, ...] = ()
    ):
        levels = ("province", "commune", "settlement")
        parts = settlement.split(".")
        areas = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
        links = [ChainLink(area=area, area_no=number(area), level=level) for area, level in zip(areas, levels, strict=False)]
        chain = (*links, ChainLink(area=peer.node, area_no=peer.area_no, level="node"))
        made = ceremony.build_placement(chain=chain, report_key=keys.public_hex(peer.report_key), now_ms=self.seq(), prev=prev)
        return msgspec.structs.replace(made, body=msgspec.structs.replace(made.body, neighbours=neighbours))

    def place(self, peer: NodePeer, settlement: str = SETTLEMENT, *, neighbours: tuple[str, ...] = ()) -> None:
        placement = self.placement(peer, settlement, neighbours=neighbours)
        self.post("/v1/documents", seal(placement, self.sealers("chair")), DocumentView)

    def new_node(self, settlement: str = SETTLEMENT) -> NodePeer:
        """Enrolled and placed."""
        peer = self.enrol(settlement)
        self.place(peer, settlement)
        return peer

    # --- what people say ---

    def common(self, area: str, authority: str | None, purpose: str) -> dict:
        return {
            "authority": authority or ".".join(area.split(".")[:2]),
            "area": area,
            "area_no": number(area),
            "seq": self.seq(),
            "purpose": purpose,
        }

    def start_order(self, area: str = SETTLEMENT, *, authority: str | None = None, exercise: bool = False, **more):
        common = self.common(area, authority, "exercise" if exercise else "live")
        fields = {
            "incident": secrets.token_hex(8),
            "issuing_body": "UBND xã Phú Túc",
            "text": (Text(lang="vi", text="Nước sông Ba dâng cao."),),
            "accept_until_ms": common["seq"] + 300_000,
        }
        return (ExerciseStart if exercise else Start)(**(common | fields | more))

    def stop_order(self, area: str = SETTLEMENT, incident: str | None = None, **more) -> Stop:
        return Stop(**(self.common(area, None, "live") | more), incident=incident)

    def lift_order(self, area: str = SETTLEMENT, incident: str | None = None) -> Lift:
        return Lift(**self.common(area, None, "live"), incident=incident)

    def sealed(self, payload, *names: str) -> bytes:
        self.sealed_bytes.append(seal(payload, self.sealers(*(names or ("officer",)))))
        return self.sealed_bytes[-1]

    def station(self, area: str = PHU_TUC, *, prev: str | None = None, **body) -> Station:
        hours = (Hours(days=("MO", "TU", "WE", "TH", "FR", "SA", "SU"), from_min=0, to_min=1440),)
        return Station(**self.document(area, prev), body=StationBody(**({"hours": hours} | body)))

    def programme(self, *items, area: str = PHU_TUC, prev: str | None = None) -> Programme:
        return Programme(**self.document(area, prev), body=ProgrammeBody(items=items))

    def document(self, area: str, prev: str | None) -> dict:
        common = self.common(area, None, "routine")
        return common | {
            "subject": area,
            "prev": prev,
            "valid_from_ms": common["seq"] - 60_000,
            "valid_until_ms": common["seq"] + 30 * 86_400_000,
        }


@contextlib.contextmanager
def begun(folder: Path) -> Iterator[Headquarters]:
    """One that runs, with its root pinned and its grants handed in."""
    made = Headquarters(folder)
    try:
        made.start()
        made.trust()
        yield made
    finally:
        made.close()


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
