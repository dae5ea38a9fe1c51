"""A fetcher in a process of its own, for a test that kills it."""

from __future__ import annotations

import asyncio
import random
import ssl
import sys
from pathlib import Path

from edge_agent.commands import Want
from edge_agent.drivers.fetcher import Fetcher


async def main(url: str, folder: str, ca: str, sha256: str, size: str) -> None:
    context = ssl.create_default_context(cafile=ca)
    fetcher = Fetcher(
        lambda: url, Path(folder), lambda: context, lambda _sha: "Loa x", print, random.Random(1), disk_reserve_bytes=0
    )
    fetcher.fetch((Want(sha256, int(size)),))
    await fetcher.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
