"""The kill test of `make test` with many more rounds: agent and player killed with -9 at random instants, nothing may be lost."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.bench.measure import Figure
from tests.bench.place import ROOT, Options, say

VARIABLE = "LOA_KILLS"
PATIENCE_S = 5_400
FAILED = re.compile(r"(\d+) (?:failed|error)")


def _tests() -> list[Path]:
    """The test files that read the variable."""
    return [path for path in (ROOT / "tests").rglob("test_*.py") if VARIABLE in path.read_text(encoding="utf-8")]


def _figure(rounds: int, failures: int, note: str) -> Figure:
    return Figure(
        name="kill -9 of agent and player at random instants",
        unit="failed claims",
        n=rounds,
        p50=None,
        p99=None,
        goal=0,
        holds=rounds > 0 and failures == 0,
        judged="sum",
        value=failures,
        note=note,
    )


async def run(options: Options) -> list[Figure]:
    """Run it with 200 kills (quick: 10) and report what pytest says."""
    kills = options.count(200, 10)
    files = await asyncio.to_thread(_tests)
    if not files:
        return [_figure(0, 0, f"no test under tests/ reads {VARIABLE}: nothing was killed")]
    say(f"{kills} kills in {', '.join(path.name for path in files)}")
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-o",
        f"timeout={PATIENCE_S}",
        *map(str, files),
    ]
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, VARIABLE: str(kills)}
    child = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=environment, cwd=ROOT)
    try:
        output, _nothing = await asyncio.wait_for(child.communicate(), PATIENCE_S)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    lines = output.decode(errors="replace").strip().splitlines()
    await asyncio.to_thread((options.folder / "kills.log").write_bytes, output)
    failures = sum(map(int, FAILED.findall(lines[-1] if lines else "")))
    return [_figure(kills, max(failures, int(child.returncode != 0)), f"pytest: {lines[-1] if lines else 'no output'}")]
