"""A commune's office on real parts: a state folder by `loa init`, key files, a signed root and grants, mosquitto, serve."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controller.area_tree import area_no
from protocol import keys
from protocol.documents import Key, Person, Power, Role, Root
from protocol.envelope import seal
from provisioning import ceremony, keyfile
from provisioning.papers import unwrapped

PASSPHRASE = "ba con song vui"
COMMUNE = "52.24076"
SETTLEMENT = "52.24076.001"
UNTIL_MS = 3_000_000_000_000
LOA = [sys.executable, "-c", "from controller.cli import main; main()"]


@dataclass(frozen=True)
class Said:
    """What `loa` said."""

    code: int
    out: str
    err: str

    def json(self):
        assert self.code == 0, self.err
        return json.loads(self.out)


class Papers:
    """Key files of six persons, a root that two signed, grants of province and commune."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "passphrase"
        self.secret.write_text(PASSPHRASE + "\n")
        self.secret.chmod(0o600)
        names = ("an", "binh", "chu-tich", "pho", "tinh-1", "tinh-2")
        self.public = {
            name: keyfile.write_new(self.key(name), person=name, name=f"Ông bà {name}", passphrase=PASSPHRASE).public
            for name in names
        }
        now_ms = time.time_ns() // 1_000_000
        top = ("an", "binh")
        root = ceremony.build_root(
            area="52",
            area_no=area_no("52"),
            persons=self._persons(top),
            keys=self._keys(top),
            root=Role(persons=top, threshold=2),
            delegate=Role(persons=top, threshold=2),
            placement=Role(persons=top, threshold=1),
            now_ms=now_ms,
        )
        self.root = self._seal("root.json", root, top)
        powers = [
            Power(power="emergency", persons=("chu-tich", "pho"), classes=("emergency",)),
            *[Power(power=power, persons=("chu-tich", "pho")) for power in ("stop", "exercise", "station", "network")],
            Power(power="programme", persons=("chu-tich",), classes=("normal", "priority")),
        ]
        self.grant = self._grant(COMMUNE, ("chu-tich", "pho"), tuple(powers), now_ms)
        wide = [Power(power="emergency", persons=("tinh-1", "tinh-2"), classes=("emergency",))]
        wide.append(Power(power="stop", persons=("tinh-1", "tinh-2")))
        self.wide = self._grant("52", ("tinh-1", "tinh-2"), tuple(wide), now_ms)

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def root_document(self) -> Root:
        return unwrapped(self.root.read_bytes(), Root)

    def _persons(self, names: tuple[str, ...]) -> tuple[Person, ...]:
        return tuple(Person(id=name, name=f"Ông bà {name}") for name in names)

    def _keys(self, names: tuple[str, ...]) -> tuple[Key, ...]:
        return tuple(Key(public=self.public[name], person=name) for name in names)

    def _grant(self, area: str, names: tuple[str, ...], powers: tuple[Power, ...], now_ms: int) -> Path:
        grant = ceremony.build_grant(
            area=area,
            area_no=area_no(area),
            persons=self._persons(names),
            keys=self._keys(names),
            powers=powers,
            until_ms=UNTIL_MS,
            now_ms=now_ms,
        )
        return self._seal(f"grant-{area}.json", grant, ("an", "binh"))

    def _seal(self, name: str, payload, signers: tuple[str, ...]) -> Path:
        opened = [keyfile.open_private(self.key(each), PASSPHRASE) for each in signers]
        path = self.folder / name
        path.write_bytes(seal(payload, [keys.sealer(each) for each in opened]))
        return path


class Office:
    """A state folder and everything that runs on it; what it started it ends."""

    def __init__(self, state: Path, papers: Papers) -> None:
        self.state = state
        self.papers = papers
        self.env = os.environ | {"LOA_STATE": str(state), "LOA_PASSPHRASE_FILE": str(papers.secret)}
        self._running: list[subprocess.Popen[bytes]] = []
        made = self.loa("init", "--province", "52", "--broker-port", "0", "--https-port", "0", "--demo-settlements", "--json")
        self.port = made.json()["broker_port"]

    def loa(self, *words: str, faketime: str | None = None, stdin: str = "") -> Said:
        before = ["faketime", "-f", faketime] if faketime else []
        done = subprocess.run(
            [*before, *LOA, *words], env=self.env, input=stdin, capture_output=True, text=True, timeout=110, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def spawn(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        with (self.state.parent / log).open("ab") as out:
            child = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self._running.append(child)
        return child

    def broker(self) -> subprocess.Popen[bytes]:
        child = self.spawn("mosquitto", "-c", str(self.state / "broker" / "mosquitto.conf"), log="broker.log")
        self.until(self._listens, "mosquitto listens")
        return child

    def serve(self) -> subprocess.Popen[bytes]:
        child = self.spawn(*LOA, "serve", log="serve.log")
        self.until(lambda: self.loa("status", "--json").code == 0, "serve answers", child)
        return child

    def trusted(self) -> None:
        """The copies that `loa trust import` keeps, without a serve that could take them."""
        for path in (self.papers.root, self.papers.grant, self.papers.wide):
            (self.state / "trust" / path.name).write_bytes(path.read_bytes())

    def contents(self) -> dict[str, bytes]:
        """Every file of the state folder."""
        return {str(path): path.read_bytes() for path in sorted(self.state.rglob("*")) if path.is_file()}

    def until(self, true: Callable[[], bool], what: str, child: subprocess.Popen[bytes] | None = None) -> None:
        deadline = time.monotonic() + 60
        while not true():
            log = (self.state.parent / "serve.log").read_text()[-3000:] if child else ""
            assert child is None or child.poll() is None, f"ended before {what}: {log}"
            assert time.monotonic() < deadline, f"not within 60 s: {what} {log}"
            time.sleep(0.1)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        for child in reversed(self._running):
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.terminate()
                try:
                    child.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
