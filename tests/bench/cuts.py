"""The power-cut test of `make test` with many more cuts: store and fetcher killed at any instant, sectors lost or torn."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from tests.bench.measure import Figure
from tests.bench.place import ROOT, Options, say

FILE = "tests/drivers/test_power_cuts.py"
PATIENCE_S = 3_600
SAID = "power cuts: "


async def run(options: Options) -> list[Figure]:
    """1,000 cuts (quick: 60); the goal is that no law breaks."""
    cuts = options.count(1_000, 60)
    say(f"{cuts} power cuts")
    words = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-o", f"timeout={PATIENCE_S}", FILE]
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "LOA_CUTS": str(cuts)}
    child = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=environment, cwd=ROOT)
    try:
        output, _nothing = await asyncio.wait_for(child.communicate(), PATIENCE_S)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    await asyncio.to_thread((options.folder / "cuts.log").write_bytes, output)
    lines = output.decode(errors="replace").splitlines()
    said = next(
        (json.loads(line.partition(SAID)[2]) for line in lines if SAID in line), {"cuts": 0, "broken": ["it said nothing"]}
    )
    broken = len(said["broken"]) or int(child.returncode != 0)
    note = "; ".join(said["broken"]) or ", ".join(
        f"{count} {what}" for what, count in said.items() if what not in ("broken", "cuts")
    )
    return [
        Figure(
            name="power cuts of store and fetcher: kill -9, and unsynced sectors lost or torn",
            unit="broken laws",
            n=said["cuts"],
            p50=None,
            p99=None,
            goal=0,
            holds=broken == 0 and said["cuts"] == cuts,
            judged="sum",
            value=broken,
            note=note,
        )
    ]
