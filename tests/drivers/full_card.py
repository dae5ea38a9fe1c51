"""A store on a card of a few megabytes, in a mount namespace of its own: prints what became of each step as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from edge_agent.commands import PutOrder, PutRecord
from edge_agent.events import SaveFailed
from tests.drivers.memory_of import document, opened, order, record


def fill(card: Path) -> None:
    """Use up what is left, to the last block."""
    with (card / "filler").open("ab", buffering=0) as file:
        for size in (65_536, 4_096):
            try:
                while True:
                    file.write(b"f" * size)
            except OSError:
                continue


async def main(card: Path) -> dict:
    said = {}
    state = card / "state"
    async with opened(state) as running:
        said["kept before"] = type(await running.save(1, document(1))).__name__
        said["ballast laid"] = (state / "ballast").exists()
        fill(card)
        large = [await running.save(100 + n, document(n, 120_000)) for n in range(2, 8)]
        said["large"] = type(large[-1]).__name__
        routine = [await running.save(200 + n, PutRecord(record(n, item="tin"), is_open=True)) for n in range(1, 400)]
        said["routine"] = type(routine[-1]).__name__
        said["ballast after routine"] = (state / "ballast").exists()
        said["order"] = type(await running.save(2, PutOrder(order(1)), PutRecord(record(900), is_open=True))).__name__
        said["ballast after order"] = (state / "ballast").exists()
    fill(card)
    async with opened(state) as running:
        said["told at start"] = any(isinstance(event, SaveFailed) for event in running.events)
        said["boot count"] = running.memory.boot_count
        said["orders"] = [kept.state for kept in running.memory.orders]
        said["document 1"] = any(kept.raw == b"x" * 600 for kept in running.memory.documents)
        (card / "filler").unlink()
        said["with room again"] = type(await running.save(3, document(9, 100_000))).__name__
        running.store._ballast_due_s = 0.0
        await running.save(4, document(10))
        await asyncio.sleep(0.2)
        said["ballast again"] = (state / "ballast").exists()
    return said


if __name__ == "__main__":
    here = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={sys.argv[2]}k", "card", str(here)], check=True)
    try:
        sys.stdout.write(json.dumps(asyncio.run(main(here))))
        sys.stdout.flush()
    finally:
        os.chdir("/")
