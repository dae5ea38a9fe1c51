"""One commune for tests and benches: a root of two persons, grants, an officer's key, a broker with its CA, nodes' folders."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from controller import ca, init, mosquitto
from protocol import keys, topics
from protocol.bulletins import Item, Programme, ProgrammeBody
from protocol.documents import ChainLink, Hours, Key, Network, NetworkBody, Person, Power, Role, Station, StationBody
from protocol.envelope import digest_of, seal
from protocol.messages import Sealed
from protocol.orders import Clip, ExerciseStart, ExerciseStop, Lift, Start, Stop, Text
from provisioning import ceremony, enrol

NUMBERS = {"52": 1, "52.24076": 2, "52.24076.001": 3, "52.24076.002": 4, "52.24100": 5, "52.24100.001": 6}
NUMBERS |= {f"52.24076.{number:03}": 100 + number for number in range(3, 20)}
COMMUNES = ("52.24076", "52.24100")
NODE_LIFE = timedelta(days=5 * 365)
"""A world that was made years ago meets a broker of today."""
EVERY_DAY = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
TEXT = "Nước sông Ba dâng cao, đề nghị bà con chuyển đến trường học ngay."


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def free_port() -> int:
    return init.free_port("127.0.0.1")


class Commune:
    """Makes everything in one folder. Officers: `chair` and `deputy` at the root, `officer` in each commune."""

    def __init__(
        self, folder: Path, *, host: str = "127.0.0.1", port: int | None = None, certified: datetime | None = None
    ) -> None:
        self.folder = folder
        self.certified = certified
        self.host = host
        self.port = port or free_port()
        self.media_url = f"https://{host}:{free_port()}"
        self.people = {name: keys.new_key() for name in ("chair", "deputy", "officer", "second")}
        self.last_seq = 0
        self.nodes: dict[str, Path] = {}
        self._make_trust()
        self.ca = ca.create_ca(folder / "ca", "test CA", now=certified)
        self.broker = mosquitto.Broker(self._broker_config())

    # --- trust ---

    def sealer(self, name: str):
        return keys.sealer(self.people[name])

    def key_of(self, name: str) -> Key:
        return Key(public=keys.public_hex(self.people[name]), person=name)

    def seq(self) -> int:
        self.last_seq = max(now_ms(), self.last_seq + 1)
        return self.last_seq

    def _make_trust(self) -> None:
        both = ("chair", "deputy")
        persons = tuple(Person(id=name, name=name) for name in both)
        root = ceremony.build_root(
            area="52",
            area_no=1,
            persons=persons,
            keys=tuple(self.key_of(name) for name in both),
            root=Role(persons=both, threshold=2),
            delegate=Role(persons=both, threshold=2),
            placement=Role(persons=both, threshold=1),
            now_ms=now_ms() - 3_600_000,
        )
        self.root = seal(root, [self.sealer(name) for name in both])
        self.root_digest = digest_of("root", __import__("msgspec").json.encode(root))
        self.grants = {area: self._grant(area) for area in ("52", *COMMUNES)}

    def _grant(self, area: str) -> bytes:
        names = ("officer", "second")
        powers = (
            Power(power="programme", persons=names, classes=("normal", "priority")),
            Power(power="station", persons=names),
            Power(power="emergency", persons=names, classes=("emergency",), threshold=2 if area == "52" else 1),
            Power(power="stop", persons=names, threshold=2 if area == "52" else 1),
            Power(power="exercise", persons=names),
            Power(power="network", persons=names, threshold=2),
        )
        grant = ceremony.build_grant(
            area=area,
            area_no=NUMBERS[area],
            persons=tuple(Person(id=name, name=name) for name in names),
            keys=tuple(self.key_of(name) for name in names),
            powers=powers,
            until_ms=now_ms() + 86_400_000 * 365,
            now_ms=now_ms() - 3_600_000,
        )
        return seal(grant, [self.sealer("chair"), self.sealer("deputy")])

    # --- broker ---

    def issue(self, name: str, *, server_names=()) -> tuple[Path, Path]:
        home = self.folder / "tls"
        home.mkdir(exist_ok=True)
        issued = ca.issue(self.ca, name, server_names=server_names, now=self.certified)
        cert, key = home / f"{name}.crt", home / f"{name}.key"
        cert.write_bytes(issued.cert_pem)
        key.write_bytes(issued.key_pem)
        return cert, key

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca" / ca.CERTIFICATE

    def another_broker(self) -> mosquitto.Broker:
        """One of the same CA, on a port of its own; it is not running yet."""
        return mosquitto.Broker(self._broker_config("broker-2", free_port()))

    def _broker_config(self, folder: str = "broker", port: int | None = None):
        cert, key = self.issue("broker", server_names=(self.host, "localhost"))
        return mosquitto.write_config(
            self.folder / folder,
            port=port or self.port,
            bind=self.host,
            ca=self.ca_file,
            cert=cert,
            key=key,
            operators=("operator-test",),
        )

    # --- nodes ---

    def add_node(self, settlement: str, *, sink: str | None = None, amplifier: str = "none", node: str | None = None) -> str:
        node = node or enrol.draw_node_id(secrets.token_bytes)
        fresh = enrol.begin(self.folder / "nodes" / node, node)
        links = [ChainLink(area=area, area_no=NUMBERS[area], level=level) for area, level in _chain(settlement)]
        chain = (*links, ChainLink(area=node, area_no=1000 + len(self.nodes), level="node"))
        placement = ceremony.build_placement(chain=chain, report_key=fresh.report_key, now_ms=now_ms() - 60_000)
        documents = [("placement.json", seal(placement, [self.sealer("chair")]))]
        documents += [(f"grant-{link.area}.json", self.grants[link.area]) for link in links if link.area in self.grants]
        clock = fresh.folder / "clock-in-step"
        clock.touch()
        toml = enrol.finish(
            fresh,
            certificate_pem=ca.issue_for_request(self.ca, fresh.request_pem, node, life=NODE_LIFE, now=self.certified),
            links=enrol.Links(
                ca_pem=self.ca_file.read_bytes(),
                root=self.root,
                root_digest=self.root_digest,
                broker_host=self.host,
                broker_port=self.port,
                media_url=self.media_url,
                documents=tuple(documents),
            ),
            board=enrol.Board(sink=sink or f"wav:{fresh.folder / 'out.wav'}", amplifier=amplifier, clock=str(clock)),
        )
        self.nodes[node] = toml
        return node

    def clock_file(self, node: str) -> Path:
        return self.nodes[node].parent / "clock-in-step"

    def wav(self, node: str) -> Path:
        return self.nodes[node].parent / "out.wav"

    # --- what people say ---

    def seal_as(self, payload: Sealed, *who: str) -> bytes:
        return seal(payload, [self.sealer(name) for name in who or ("officer",)])

    def _common(self, area: str, authority: str | None, purpose: str) -> dict:
        commune = ".".join(area.split(".")[:2])
        return {
            "authority": authority or (commune if commune in COMMUNES else "52"),
            "area": area,
            "area_no": NUMBERS.get(area, 0),
            "seq": self.seq(),
            "purpose": purpose,
        }

    def start(self, area: str, *, authority: str | None = None, exercise: bool = False, **more) -> Start | ExerciseStart:
        kind = ExerciseStart if exercise else Start
        common = self._common(area, authority, "exercise" if exercise else "live")
        longest_ms = 600_000
        fields = {
            "incident": secrets.token_hex(8),
            "issuing_body": "Ủy ban nhân dân xã Phú Túc",
            "text": (Text(lang="vi", text=TEXT),),
            "risk": 3,
            "accept_until_ms": common["seq"] + longest_ms,
        }
        return kind(**common, **(fields | more))

    def stop(self, area: str, incident: str | None = None, *, authority: str | None = None, exercise: bool = False, **more):
        common = self._common(area, authority, "exercise" if exercise else "live")
        return (ExerciseStop if exercise else Stop)(**(common | more), incident=incident)

    def lift(self, area: str, *, authority: str | None = None) -> Lift:
        return Lift(**self._common(area, authority, "live"))

    def station(self, area: str = "52.24076", **more) -> Station:
        body = {"hours": (Hours(days=EVERY_DAY, from_min=0, to_min=1440),)} | more
        return Station(**self._document(area), body=StationBody(**body))

    def network(self, node: str, **body) -> Network:
        number = 1000 + list(self.nodes).index(node)
        fields = self._document(node) | {"authority": "52.24076", "area_no": number}
        return Network(**fields, body=NetworkBody(**body))

    def programme(self, *items: Item, area: str = "52.24076", **more) -> Programme:
        return Programme(**(self._document(area) | more), body=ProgrammeBody(items=items))

    def _document(self, area: str) -> dict:
        common = self._common(area, None, "routine")
        begin = common["seq"] - 60_000
        return common | {"subject": area, "valid_from_ms": begin, "valid_until_ms": begin + 30 * 86_400_000}


def _chain(settlement: str):
    parts = settlement.split(".")
    return [(".".join(parts[: depth + 1]), level) for depth, level in enumerate(("province", "commune", "settlement"))]


def order_topic(order) -> str:
    return topics.topic("order", area=order.area, incident=order.incident or topics.WHOLE_AREA)


class AgentProcess:
    """A real `loa-agent` process of one node; what it logs goes into a file beside its configuration."""

    def __init__(
        self,
        toml: Path,
        *arguments: str,
        prefix: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        module: str = "edge_agent",
    ) -> None:
        self.toml = toml
        self.log = toml.parent / "agent.log"
        with self.log.open("ab") as log:
            words = [*prefix, sys.executable, "-m", module, "--config", str(toml), *arguments]
            self.child = subprocess.Popen(words, stderr=log, stdin=subprocess.DEVNULL, env=environment)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(20)

    def stop(self) -> int:
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *_exc) -> None:
        if self.child.poll() is None:
            self.stop()


def sidecar(wav: Path) -> dict:
    return json.loads(Path(f"{wav}.json").read_text())


__all__ = ["AgentProcess", "Clip", "Commune", "now_ms", "order_topic", "sidecar"]
