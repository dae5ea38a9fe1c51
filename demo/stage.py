"""Sets the demo's stage with the same commands that people use: keys, root, grants, controller, nodes."""

import contextlib
import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx

from demo import timetable, words
from demo.processes import Processes, StageFailed

Found = TypeVar("Found")
BIN = Path(sys.executable).parent
STEP_DEADLINE_S = 60
MEDIA_DEADLINE_S = 300
UP_DEADLINE_S = 120
"""A slow machine that does something else besides; on an idle one every part is there within three seconds."""


def has_sound_card() -> bool:
    """Whether this machine can sound by itself."""
    cards = Path("/proc/asound/cards")
    return cards.exists() and "no soundcards" not in cards.read_text()


class Stage:
    """One folder with everything of the demo in it, made anew each time."""

    look_every_s = 0.1
    """So often what is waited for is asked again."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        self.folder = folder
        self.state = folder / "controller"
        self.passphrase = folder / "passphrase"
        self.passphrase.write_text(secrets.token_urlsafe(18))
        self.passphrase.chmod(0o600)
        self.processes = Processes(folder)
        self.nodes: list[str] = []
        self.recordings: dict[str, str] = {}

    # --- commands ---

    def run(self, program: str, *arguments: str | Path, deadline_s: float = STEP_DEADLINE_S) -> str:
        """Run one of our commands; returns what it printed. Raises StageFailed."""
        done = subprocess.run(
            [BIN / program, *map(str, arguments)], capture_output=True, text=True, timeout=deadline_s, check=False
        )
        if done.returncode != 0:
            raise StageFailed(f"{program} {' '.join(map(str, arguments))}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
        return done.stdout

    def loa(self, *arguments: str | Path, deadline_s: float = STEP_DEADLINE_S) -> str:
        """`loa ... --state`."""
        return self.run("loa", *arguments, "--state", self.state, deadline_s=deadline_s)

    def loa_json(self, *arguments: str | Path) -> Any:
        """`loa ... --json`, decoded."""
        return json.loads(self.loa(*arguments, "--json"))

    def api(self, method: str, path: str, **content: Any) -> Any:
        """One question to the running `loa serve`, decoded. Raises StageFailed, httpx.HTTPError."""
        transport = httpx.HTTPTransport(uds=str(self.state / "run" / "loa.sock"))
        with httpx.Client(transport=transport, base_url="http://loa", timeout=10) as client:
            answer = client.request(method, path, **content)
            if answer.is_error:
                raise StageFailed(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
            return answer.json()

    def provision(self, *arguments: str | Path) -> str:
        """`loa-provision ...`."""
        return self.run("loa-provision", *arguments)

    def key(self, person: str) -> Path:
        """A person's key file."""
        return self.folder / f"{person}.key"

    def until(self, happened: Callable[[], Found], what: str, deadline_s: float = UP_DEADLINE_S) -> Found:
        """Wait until the answer is something; returns it. Raises StageFailed, also when a part ends meanwhile."""
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            self.processes.check()
            with contextlib.suppress(httpx.HTTPError, OSError, StageFailed, LookupError):
                if answer := happened():
                    return answer
            time.sleep(self.look_every_s)
        raise StageFailed(f"waited {deadline_s:.0f} s for {what}")

    @property
    def officer(self) -> tuple[str | Path, ...]:
        """Words for the officer's own key."""
        return ("--key", self.key(words.OFFICER[0]), "--passphrase-file", self.passphrase)

    def given_ms(self, act: str, incident: str) -> float:
        """When an order was given: the instant at which it reached the controller."""
        found = [entry for entry in self.api("GET", "/v1/audit") if entry["act"] == act and entry["object"] == incident]
        if not found:
            raise StageFailed(f"the controller's log knows no {act} of incident {incident}")
        return float(found[0]["at_ms"])

    # --- steps ---

    def make_controller(self, *hosts: str) -> None:
        """`loa init`, on free ports of this machine; nodes reach it by the first of these names, or as localhost."""
        ports = ("--broker-port", "0", "--https-port", "0", "--enrol-port", "0")
        named = [word for host in (*hosts, "localhost", "127.0.0.1") for word in ("--host", host)]
        self.loa("init", "--province", "52", *named, *ports, "--demo-settlements")

    def make_keys(self) -> None:
        """Two persons of the province at the root, an officer of the commune; each key under its passphrase."""
        for person, name in (*words.ROOT_PERSONS, words.OFFICER):
            secret = ("--passphrase-file", self.passphrase)
            self.provision("key", "new", "--person", person, "--name", name, "--out", self.key(person), *secret)

    def make_trust(self) -> None:
        """The root, signed by both its persons, and the grants of two communes for the officer's key."""
        (first, first_name), (second, second_name) = words.ROOT_PERSONS
        roles = f'{{persons = ["{first}", "{second}"], threshold = 2}}'
        table = f"""area = "52"
[[persons]]
id = "{first}"
name = "{first_name}"
keys = ["{first}.pub"]
[[persons]]
id = "{second}"
name = "{second_name}"
keys = ["{second}.pub"]
[roles]
root = {roles}
delegate = {roles}
release = {roles}
placement = {{persons = ["{first}", "{second}"], threshold = 1}}
"""
        root = self._paper("root", table)
        for commune in (words.COMMUNE, words.OTHER_COMMUNE):
            self._grant(commune, root)

    def _paper(self, name: str, table: str, *more: str | Path) -> Path:
        source, paper = self.folder / f"{name}.toml", self.folder / f"{name}.json"
        source.write_text(table)
        kind = name.partition("-")[0]
        self.provision(kind, "new", source, "--out", paper, "--areas", self.state / "areas.json")
        signers = [word for person, _ in words.ROOT_PERSONS for word in ("--key", self.key(person))]
        self.provision(kind, "sign", paper, *signers, *more, "--passphrase-file", self.passphrase, "--yes")
        return paper

    def _grant(self, commune: str, root: Path) -> None:
        officer, officer_name = words.OFFICER
        second, second_name = words.ROOT_PERSONS[0]
        alone = f'persons = ["{officer}"]'
        table = f"""area = "{commune}"
authority = "root"
until = {time.gmtime().tm_year + 2}-12-31
[[persons]]
id = "{officer}"
name = "{officer_name}"
keys = ["{officer}.pub"]
[[persons]]
id = "{second}"
name = "{second_name}"
keys = ["{second}.pub"]
[[powers]]
power = "network"
persons = ["{officer}", "{second}"]
threshold = 2
[[powers]]
power = "programme"
persons = ["{officer}"]
classes = ["normal", "priority"]
[[powers]]
power = "station"
persons = ["{officer}"]
[[powers]]
power = "emergency"
{alone}
sound_max_s = 600
[[powers]]
power = "exercise"
{alone}
sound_max_s = 600
[[powers]]
power = "stop"
{alone}
"""
        self._paper(f"grant-{commune}", table, "--root", root)

    def serve(self) -> None:
        """Mosquitto and `loa serve`, until they found each other."""
        self.processes.start("broker", "mosquitto", "-c", self.state / "broker" / "mosquitto.conf")
        self.processes.start("serve", BIN / "loa", "serve", "--state", self.state)
        self.until(lambda: self.api("GET", "/v1/status")["broker_connected"], "the controller to reach its broker")

    def import_trust(self) -> None:
        """Root and grants into the controller, which verifies each."""
        papers = [self.folder / "root.json", *sorted(self.folder.glob("grant-*.json"))]
        self.loa("trust", "import", *papers, "--yes")

    def add_nodes(self) -> None:
        """Three nodes with certificate and placement; the clock of this machine is taken as right."""
        clock = self.folder / "clock-is-taken-as-right"
        clock.touch()
        for number, (name, settlement) in enumerate(words.NODES):
            out = self.folder / f"node-{number + 1}"
            sink = f"wav:{self.folder / f'node-{number + 1}.wav'}?max_s=3600"
            if number == 0 and has_sound_card():
                sink = f"alsa:default+{sink}"
            signer = ("--key", self.key(words.ROOT_PERSONS[0][0]), "--passphrase-file", self.passphrase)
            where = ("--name", name, "--settlement", settlement, "--out", out, "--sink", sink, "--clock", clock)
            added = self.loa_json("node", "add", *where, *signer)
            self.nodes.append(added["node"])

    def add_bulletin(self) -> str:
        """The bulletin's sound into the library; returns its digest."""
        raw = self.folder / "bulletin.wav"
        subprocess.run(["espeak-ng", "-v", "vi", "-w", raw, words.BULLETIN], check=True, timeout=STEP_DEADLINE_S)
        return self._add_media(raw, words.BULLETIN_TITLE)

    def publish_station(self) -> None:
        """Both communes' operating rules: open all day, so that the demo sounds whenever it is run."""
        for commune in (words.COMMUNE, words.OTHER_COMMUNE):
            table = f"""area = "{commune}"
[[hours]]
days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
from = "00:00"
to = "24:00"
"""
            self._publish("station", table)

    def publish_timetable(self) -> str:
        """The real week of Phú Cần; returns its preview as `loa` shows it."""
        with ThreadPoolExecutor() as threads:
            self.recordings = dict(zip(timetable.RECORDINGS, threads.map(self._record, timetable.RECORDINGS), strict=True))
        self._publish("programme", timetable.table(self.recordings), "--accept-findings")
        return self.loa("programme", "preview", "--area", words.COMMUNE, "--days", "7")

    def _record(self, name: str) -> str:
        return self._add_media(timetable.record(self.folder, name), timetable.RECORDINGS[name][0])

    def _add_media(self, path: Path, title: str) -> str:
        """Returns its digest. Opus takes ten minutes of speech in about twenty seconds."""
        return str(json.loads(self.loa("media", "add", path, "--title", title, "--json", deadline_s=MEDIA_DEADLINE_S))["sha256"])

    def publish_programme(self, planned_ms: int, sha256: str) -> frozenset[str]:
        """The week with one bulletin more, at one instant, signed by the officer who approves it.

        Returns the items of the week that are left out because they would sound in the middle of it.
        """
        preview = self.loa_json("programme", "preview", "--area", words.COMMUNE, "--days", "2", "--from", self._day(planned_ms))
        left_out = timetable.beside(preview, planned_ms)
        local = time.gmtime(planned_ms / 1000 + 7 * 3600)
        rule = f"FREQ=DAILY;BYHOUR={local.tm_hour};BYMINUTE={local.tm_min};BYSECOND={local.tm_sec}"
        table = f"""{timetable.table(self.recordings, left_out)}
[[items]]
title = "{words.BULLETIN_TITLE}"
rule = "{rule}"
media = "{sha256}"
on_interrupt = "drop"
"""
        # whoever looks at the demo before 05:00 means it
        self._publish("programme", table, "--accept-findings")
        return left_out

    @staticmethod
    def _day(at_ms: int) -> str:
        """The local day before an instant, for what began before midnight."""
        return time.strftime("%d/%m/%Y", time.gmtime(at_ms / 1000 + (7 - 24) * 3600))

    def _publish(self, kind: str, table: str, *more: str) -> None:
        source = self.folder / f"{kind}.toml"
        source.write_text(table)
        self.loa(kind, "publish", source, *self.officer, "--yes", *more)

    def add_officer(self) -> tuple[str, str]:
        """Somebody who may sign in to the page: name and first password."""
        duties = ("--role", "emergency", "--role", "author", "--area", words.COMMUNE)
        added = self.loa_json("person", "add", "canbo", "--full-name", "Cán bộ văn hóa - xã hội xã Phú Túc", *duties)
        return "canbo", str(added["first_password"])
