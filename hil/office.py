"""The other end of the line: a real controller and broker, people with keys, a release desk, set up by their own commands."""

import contextlib
import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from controller.media import path_of
from demo import words
from demo.stage import Stage
from provisioning.image.tools import call
from tests import chronyd

SETTLEMENT: Final = "52.24076.001"
HOUR_S: Final = 3_600
STICK_KIB: Final = 1 << 20


class Office(Stage):
    """`host` is how the node reaches this machine. Everything lives in `folder`, made anew."""

    look_every_s = 1.0

    def __init__(self, folder: Path, host: str) -> None:
        super().__init__(folder)
        self.host = host
        self.ntp_port = chronyd.free_udp_port()
        self.releases: list[Path] = []
        self._clock: chronyd.Chronyd | None = None

    # --- coming up and going down ---

    def open(self) -> None:
        """`loa init`, keys, trust, mosquitto, `loa serve`, operating rules, a server of the time."""
        self.make_controller(self.host)
        self.make_keys()
        self.make_trust()
        self.serve()
        self.import_trust()
        self.publish_station()
        self.start_clock()

    def start_clock(self) -> None:
        """From now on a node can learn the time."""
        if self._clock is None:
            self._clock = chronyd.server(self.ntp_port)

    def close(self) -> None:
        """End everything that was started."""
        self.processes.end()
        if self._clock is not None:
            self._clock.close()

    # --- nodes ---

    def make_card(self, *, sink: str, amplifier: str) -> tuple[str, Path]:
        """A new node's id and its card's folder; the controller expects it. Each call is another node."""
        desk = self.folder / f"desk-{len(self.nodes)}"
        site = self.folder / "site.json"
        site.unlink(missing_ok=True)
        self.loa("node", "site", "--out", site)
        root = json.loads(self.provision("show", self.folder / "root.json", "--json"))
        board = ("--sink", sink, "--amplifier", amplifier)
        self.provision("node", "new", "--site", site, "--out", desk, "--pin", root["digest"], *board)
        (expected,) = desk.glob("*.expect.json")
        self.loa("node", "expect", expected)
        node = expected.name.partition(".")[0]
        self.nodes.append(node)
        return node, desk / node

    def approve(self, node: str, digits: str) -> None:
        """As the holder of the placement key does, having heard the six digits by telephone."""
        signer = ("--key", self.key(words.ROOT_PERSONS[0][0]), "--passphrase-file", self.passphrase)
        where = ("--name", "Loa thử", "--settlement", SETTLEMENT, "--digits", digits)
        self.loa("node", "approve", node, *where, *signer)

    def publish_network(self, node: str, *brokers: str) -> None:
        """A node's window and budgets, by two persons: open for ten hours: a node enters somewhere in its first third.

        `brokers`: another way to the controller than the card says.
        """
        opens, ends = (time.strftime("%H:00", time.gmtime(time.time() + (7 + hours) * HOUR_S)) for hours in (-10, 9))
        table = f'fetch_from = "{opens}"\nfetch_to = "{ends}"\nmonth_mb = 4000\n'
        if brokers:
            table += f"brokers = {json.dumps(brokers)}\n"
        source = self.folder / "network.toml"
        source.write_text(table)
        signers = [word for person in (words.OFFICER[0], words.ROOT_PERSONS[0][0]) for word in ("--key", self.key(person))]
        self.loa("network", "publish", source, "--node", node, *signers, "--passphrase-file", self.passphrase, "--yes")

    def node(self, node: str) -> dict[str, Any]:
        """What the controller knows of it; raises LookupError when it knows nothing."""
        for view in self.api("GET", "/v1/nodes"):
            if view["id"] == node:
                return dict(view)
        raise LookupError(node)

    def is_online(self, node: str) -> bool:
        """Whether it is there, as the officers' page says."""
        return bool(self.node(node)["online"] == "online")

    # --- the officer ---

    def start_emergency(self, *, clip: str | None = None, repeats: int = 1) -> tuple[str, float]:
        """The settlement's emergency under the officer's key; its incident, and when it was given (Unix seconds)."""
        said = ("--clip", clip) if clip else ("--text-vi", words.EMERGENCY)
        more = ("--risk", "3", "--body", words.ISSUING_BODY, "--repeats", str(repeats), "--yes")
        begun = self.loa_json("emergency", "start", "--area", SETTLEMENT, *said, *more, *self.officer)
        incident = str(begun["incident"])
        return incident, self.given_ms("order.start", incident) / 1000

    def stop_emergency(self, incident: str) -> None:
        """The STOP of it."""
        self.loa("emergency", "stop", "--incident", incident, *self.officer, "--yes")

    def add_tone(self, hertz: int, seconds: int, title: str) -> str:
        """A tone into the library; its digest."""
        raw = self.folder / f"{title}.wav"
        tone = f"sine=frequency={hertz}:duration={seconds}:sample_rate=48000"
        subprocess.run(["ffmpeg", "-y", "-v", "error", "-f", "lavfi", "-i", tone, "-ac", "1", raw], check=True, timeout=60)
        return self._add_media(raw, title)

    def publish_bulletins(self, sha256: str, *instants_s: float) -> None:
        """A programme with an item for each instant, every day at its time of day."""
        table = f'area = "{words.COMMUNE}"\n'
        for number, at_s in enumerate(instants_s, 1):
            local = time.gmtime(at_s + 7 * HOUR_S)
            rule = f"FREQ=DAILY;BYHOUR={local.tm_hour};BYMINUTE={local.tm_min};BYSECOND={local.tm_sec}"
            table += f'[[items]]\ntitle = "Bản tin thử {number}"\nrule = "{rule}"\nmedia = "{sha256}"\n'
        self._publish("programme", table, "--accept-findings")

    def write_stick(self, node: str, version: str, image: Path) -> None:
        """All that a node needs, and a firmware, on a FAT file system; by the operator's command."""
        folder = self.folder / "stick"
        shutil.rmtree(folder, ignore_errors=True)
        self.loa("export", folder, "--for-node", node, "--release", version)
        image.unlink(missing_ok=True)
        call(["mkfs.vfat", "-n", "LOA", "-C", image, str(STICK_KIB)])
        call(["mcopy", "-i", image, *sorted(folder.iterdir()), "::"])

    # --- the release desk and the operator ---

    def release(self, bundle: Path) -> None:
        """A release of a bundle, after the one before, signed by two persons; the controller has it, and the bundle."""
        paper = self.folder / f"release-{len(self.releases)}.json"
        before = ("--old", self.releases[-1]) if self.releases else ("--floor", "0")
        self.provision("release", "new", bundle, "--root", self.folder / "root.json", "--out", paper, *before)
        signers = [word for person, _ in words.ROOT_PERSONS for word in ("--key", self.key(person))]
        how = ("--root", self.folder / "root.json", "--bundle", bundle, "--passphrase-file", self.passphrase, "--yes")
        self.provision("release", "sign", paper, *signers, *how)
        self.loa("trust", "import", paper, "--yes")
        self.loa("rollout", "bundle", bundle)
        self.releases.append(paper)

    def roll_out(self, version: str, node: str) -> int:
        """Begin; its number."""
        begun = self.loa_json("rollout", "start", version, "--node", node, "--canary", node, "--yes")
        return int(begun["id"])

    @contextlib.contextmanager
    def lying_about(self, bundle: Path, other: bytes) -> Iterator[None]:
        """Meanwhile the controller gives these bytes under the bundle's name."""
        with bundle.open("rb") as file:
            kept = path_of(self.state / "media", hashlib.file_digest(file, "sha256").hexdigest())
        true = kept.with_name(f".true-{kept.name}")
        kept.rename(true)
        try:
            kept.write_bytes(other)
            yield
        finally:
            true.replace(kept)
