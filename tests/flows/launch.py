"""`loa-agent` as it is, under another wall clock, and with constants of a program that could have been built then.

`python -m tests.flows.launch [--set module:NAME=number]... <the agent's own words>`. The wall clock comes by LD_PRELOAD, which
is taken from the environment first: the player's child keeps the real one, for libfaketime breaks time.sleep (EINVAL).
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from edge_agent.__main__ import main

if __name__ == "__main__":
    os.environ.pop("LD_PRELOAD", None)
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--set", action="append", default=[])
    ours, theirs = parser.parse_known_args()
    for wish in ours.set:
        place, _, value = wish.partition("=")
        module, _, name = place.partition(":")
        found = importlib.import_module(module)
        if not hasattr(found, name):
            raise SystemExit(f"{module} has no {name}")
        setattr(found, name, int(value))
    sys.argv = ["loa-agent", *theirs]
    main()
