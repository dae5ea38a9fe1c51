"""Runs the demo: `python -m demo` stays until Ctrl-C, with `--once` it ends by itself, non-zero when anything was wrong."""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo import judge, words
from demo.processes import StageFailed
from demo.stage import BIN, Stage

FOLDER = Path("build/demo")
BULLETIN_AFTER_S = 15.0
"""Preview, question and signature come before it; a busy machine needs ten seconds for them."""
EMERGENCY_AFTER_S = 5.0
STOP_AFTER_S = 4.0
SETTLE_S = 2.0
TIME_ZONE_S = 7 * 3600
console = Console()


def now_ms() -> int:
    """UTC ms."""
    return time.time_ns() // 1_000_000


def local(at_ms: float) -> str:
    """A time as people here read it."""
    return time.strftime("%H:%M:%S", time.gmtime(at_ms / 1000 + TIME_ZONE_S)) + f".{int(at_ms) % 1000:03d}"


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    began = time.monotonic()
    with console.status(text):
        yield
    console.print(f"  [green]✓[/] {text} [dim]{time.monotonic() - began:.1f} s[/]")


class Demo:
    """The stage, the parts, and the day."""

    def __init__(self) -> None:
        self.stage = Stage(FOLDER.resolve())
        self.page = ("", "", "")

    def prepare(self) -> str:
        """Everything up to three nodes that are alive; returns the digest of the bulletin."""
        stage = self.stage
        with step("Controller: state folder, CA, broker configuration, areas of Gia Lai (loa init)"):
            stage.make_controller()
        with step("Keys of two persons of the province and of an officer, under passphrases (loa-provision key new)"):
            stage.make_keys()
        with step("Root and grants of Phú Túc and Ia Dreh, signed by two persons (loa-provision root, grant)"):
            stage.make_trust()
        with step("Broker and controller (mosquitto, loa serve)"):
            stage.serve()
        with step("Trust, three nodes, a bulletin and operating rules (loa trust, node, media, station)"):
            stage.import_trust()
            stage.add_nodes()
            sha256 = stage.add_bulletin()
            stage.publish_station()
        with step("The week of Phú Cần, its recordings and its preview (loa programme publish, preview)"):
            preview = stage.publish_timetable()
        console.print(preview, highlight=False)
        with step("An officer for the page (loa people add)"):
            name, password = stage.add_officer()
        status = self.stage.api("GET", "/v1/status")
        self.page = (f"https://localhost:{status['https_port']}/", name, password)
        with step("Three nodes (loa-agent)"):
            for number in range(len(words.NODES)):
                toml = stage.folder / f"node-{number + 1}" / "node.toml"
                stage.processes.start(f"node-{number + 1}-agent", BIN / "loa-agent", "--config", toml)
            stage.until(self._all_alive, "the birth of the third node")
        return sha256

    def _all_alive(self) -> bool:
        return sum(
            1 for node in self.stage.api("GET", "/v1/nodes") if node["online"] == "online" and node["holds_current"]
        ) == len(words.NODES)

    def _ailment(self, node: str) -> str:
        """What is wrong with a node as the controller sees it; nothing when it could sound."""
        views = [view for view in self.stage.api("GET", "/v1/nodes") if view["id"] == node]
        if not views or views[0]["online"] != "online":
            return "not there"
        return ", ".join(reason["en"] for reason in views[0]["reasons"] if reason["severity"] > 1)

    def live_a_day(self, sha256: str) -> judge.Day:
        """A bulletin at its time, an emergency for one settlement in the middle of it, a STOP."""
        stage = self.stage
        planned_ms = (now_ms() // 1000) * 1000 + int(BULLETIN_AFTER_S * 1000)
        with step(f"Bulletin signed for {local(planned_ms)} (loa programme publish); waiting for it"):
            left_out = stage.publish_programme(planned_ms, sha256)
            self._sleep_until(planned_ms + EMERGENCY_AFTER_S * 1000)
        if left_out:
            console.print(
                f"  Left out of today's version, for they would sound in the middle of it: {', '.join(sorted(left_out))}"
            )
        with step("Emergency for one settlement, signed by the officer's own key (loa emergency start)"):
            officer = stage.officer
            # six times: a STOP from a busy machine still finds it sounding
            said = ("--text-vi", words.EMERGENCY, "--risk", "3", "--body", words.ISSUING_BODY, "--repeats", "6")
            incident = stage.loa_json("emergency", "start", "--area", words.NODES[0][1], *said, *officer, "--yes")
            confirmed_ms = stage.given_ms("order.start", incident["incident"])
            self._sleep_until(confirmed_ms + STOP_AFTER_S * 1000)
        with step("STOP, signed by the officer's own key (loa emergency stop)"):
            stage.loa("emergency", "stop", "--incident", incident["incident"], *officer, "--yes")
        stopped_ms = stage.given_ms("order.stop", incident["incident"])
        bulletin = next((stage.state / "media").glob(f"*/{sha256}.mka"))
        with step("Waiting for the bulletin to end in the other settlement"):
            length_ms = len(judge.decode(bulletin)) / judge.RATE * 1000
            self._sleep_until(max(planned_ms + length_ms, stopped_ms) + (SETTLE_S + 1.5) * 1000)
        return judge.Day(bulletin, planned_ms, confirmed_ms, stopped_ms)

    def _sleep_until(self, at_ms: float) -> None:
        while now_ms() < at_ms:
            self.stage.processes.check()
            time.sleep(0.05)

    def table(self, day: judge.Day) -> bool:
        """Print what was heard; returns whether all of it is right."""
        names = tuple(name for name, _settlement in words.NODES)
        wavs = tuple(self.stage.folder / f"node-{number + 1}.wav" for number in range(len(names)))
        rows = judge.judge(names, wavs, day, third_ailment=self._ailment(self.stage.nodes[2]))  # type: ignore[arg-type]  # three of each
        shown = Table(title="What was heard, judged from the recordings")
        for column in ("node", "what", "when", "start\nerror ms", "confirm to\nsound ms", "level\ndBFS", "", ""):
            shown.add_column(column, justify="right" if "\n" in column else "left")
        for row in rows:
            shown.add_row(
                row.node,
                row.what,
                local(row.at_ms) if row.at_ms is not None else "",
                f"{row.start_error_ms:+.1f}" if row.start_error_ms is not None else "",
                f"{row.confirm_to_sound_ms:.0f}" if row.confirm_to_sound_ms is not None else "",
                f"{row.level_dbfs:.1f}" if row.level_dbfs is not None else "",
                "[green]✓[/]" if row.right else "[red]✗[/]",
                row.remark,
            )
        console.print(shown)
        address, name, password = self.page
        console.print(f"Page: [bold]{address}[/]   name: [bold]{name}[/]   first password: [bold]{password}[/]")
        console.print(
            f"Recordings: {self.stage.folder}/node-*.wav (the browser will warn: the certificate is of the demo's own CA)"
        )
        return all(row.right for row in rows)

    def stay(self) -> None:
        """Go on until Ctrl-C: the page works, and so does `loa --state build/demo/controller`."""
        console.print("Everything goes on; Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                self.stage.processes.check()
                time.sleep(1)


def main() -> int:
    """Run it; 0 when everything was heard where it should be, and nowhere else."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the table")
    args = parser.parse_args()
    os.umask(0o077)
    demo = Demo()
    try:
        right = demo.table(demo.live_a_day(demo.prepare()))
        if not args.once:
            demo.stay()
    except StageFailed as error:
        console.print(f"[red]The demo stopped:[/] {error}")
        return 1
    finally:
        demo.stage.processes.end()
    return 0 if right else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(main())
