"""Run one group in this process and write its figures: each group starts with a fresh process, and some inside a namespace."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

import msgspec

from tests.bench.groups import GROUPS
from tests.bench.place import Options


def main() -> None:
    """Run the group that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--link-pid", type=int, default=0)
    args = parser.parse_args()
    group = next(group for group in GROUPS if group.name == args.group)
    options = Options(folder=args.folder, quick=args.quick, linked=group.need is not None, link_pid=args.link_pid)
    # asyncio ends on SIGINT by cancelling what runs, so that brokers and agents are taken down; SIGTERM means the same here
    signal.signal(signal.SIGTERM, lambda *_frame: signal.raise_signal(signal.SIGINT))
    figures = asyncio.run(group.run(options))
    (args.folder / f"{group.name}.json").write_bytes(msgspec.json.encode(figures))


if __name__ == "__main__":
    main()
