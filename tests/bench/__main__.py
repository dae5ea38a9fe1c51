"""`make bench`: measure the product's figures beside their limits, show them, keep them in build/bench.json.

ONLY=confirm,stop for some groups; BENCH_QUICK=1 for a short pass that proves nothing about p99.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench.groups import GROUPS, Group
from tests.bench.link import link
from tests.bench.measure import Figure
from tests.bench.place import ROOT, SITE_SPACE, is_root

RESULT = ROOT / "build" / "bench.json"
PATIENCE = 4
"""A group that takes so many times its announced length has failed."""


GOODBYE_S = 60


def chosen(only: str) -> list[Group]:
    """The groups that ONLY names: `confirm` is also `confirm-3g`. Raises SystemExit for a name that is none."""
    words = [word for word in only.split(",") if word]
    for word in words:
        if not any(_named(group, word) for group in GROUPS):
            raise SystemExit(f"bench: there is no group `{word}`; there are {', '.join(group.name for group in GROUPS)}")
    return [group for group in GROUPS if not words or any(_named(group, word) for word in words)]


def _named(group: Group, word: str) -> bool:
    return group.name == word or group.name.startswith(f"{word}-")


def machine() -> str:
    """What the figures were measured on."""
    broker = subprocess.run(["mosquitto", "-h"], check=False, capture_output=True, text=True).stdout.partition("\n")[0]
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, {broker}, load {load:.1f} at the start"


def run_group(group: Group, folder: Path, *, quick: bool) -> list[Figure]:
    """Run one group in its own process, inside the link's namespace when it needs one. A failure is a figure that fails."""
    words = [sys.executable, "-m", "tests.bench.one", group.name, "--folder", str(folder)]
    words += ["--quick"] if quick else []
    try:
        with contextlib.ExitStack() as stack:
            if group.need is not None:
                words += ["--link-pid", str(stack.enter_context(link(group.need)))]
                words = ["ip", "netns", "exec", SITE_SPACE, *words]
            _run(words, PATIENCE * (group.quick_s if quick else group.full_s) + 120)
        return msgspec.json.decode((folder / f"{group.name}.json").read_bytes(), type=list[Figure])
    except (OSError, subprocess.SubprocessError) as error:
        note = f"could not run: {error}"[:200]
        return [Figure(name=group.name, unit="", n=0, p50=None, p99=None, goal=None, holds=False, note=note)]


def _run(words: Sequence[str], deadline_s: float) -> None:
    """Run to the end; ended early, it takes its brokers and agents down first. Raises CalledProcessError, TimeoutExpired."""
    with subprocess.Popen(words, cwd=ROOT) as child:
        try:
            code = child.wait(deadline_s)
        except BaseException:
            child.terminate()
            try:
                child.wait(GOODBYE_S)
            except subprocess.TimeoutExpired:
                child.kill()
            raise
    if code != 0:
        raise subprocess.CalledProcessError(code, words)


def show(figures: Sequence[Figure], caption: str, *, quick: bool) -> None:
    """The same as build/bench.json, for people."""
    table = Table(title="loa bench", caption=caption, caption_justify="left", expand=True)
    for heading in ("figure", "n", "p50", "p99", "goal", "limit, same run", "its p99", "ratio", ""):
        table.add_column(heading, justify="left" if heading in ("figure", "limit, same run") else "right", overflow="fold")
    for figure in figures:
        judged = figure.judged if figure.judged != "p99" else ""
        table.add_row(
            f"{figure.name}\n[dim]{figure.note}[/dim]" if figure.note else figure.name,
            str(figure.n),
            _text(figure.p50),
            _text(figure.p99),
            f"{'' if figure.goal is None else '<= '}{_text(figure.goal)} {figure.unit} {judged}".strip(),
            figure.limit_name,
            _text(figure.limit_p99),
            _text(figure.ratio),
            _verdict(figure),
        )
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    if quick:
        console.print("A quick run: few samples, so it proves nothing about p99. Only a full run counts.")


def _verdict(figure: Figure) -> str:
    if not figure.holds:
        return "[red]MISSED[/red]"
    return "" if figure.goal is None and figure.ratio is None else "[green]holds[/green]"


def _text(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def main() -> int:
    """Run what was asked for; 0 when every figure holds."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", help="groups, separated by commas")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs of agents and brokers")
    args = parser.parse_args()
    quick = os.environ.get("BENCH_QUICK", "") not in ("", "0")
    groups = chosen(args.only)
    total_s = sum(group.quick_s if quick else group.full_s for group in groups)
    print(f"bench: {len(groups)} groups, about {max(1, round(total_s / 60))} minutes{' (quick)' if quick else ''}", flush=True)
    facts = machine()
    print(f"on {facts}", flush=True)
    if not is_root() and any(group.need for group in groups):
        print("bench: the emulated links need root (namespaces and TUN): run it with sudo, or leave those groups out with ONLY=")
        return 1
    signal.signal(signal.SIGTERM, lambda *_frame: signal.raise_signal(signal.SIGINT))
    folder = Path(tempfile.mkdtemp(prefix="loa-bench-"))
    figures: list[Figure] = []
    for number, group in enumerate(groups, 1):
        seconds = group.quick_s if quick else group.full_s
        print(f"[{number}/{len(groups)}] {group.name}: {group.about} (about {seconds} s)", flush=True)
        began_s = time.monotonic()
        figures += run_group(group, folder, quick=quick)
        print(f"    took {time.monotonic() - began_s:.0f} s", flush=True)
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))
    show(figures, facts, quick=quick)
    missed = [figure.name for figure in figures if not figure.holds]
    if args.keep or missed:
        print(f"logs are in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(figures) - len(missed)} of {len(figures)} figures hold" + (f"; missed: {', '.join(missed)}" if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("bench: ended early")
