"""`make simulate SEEDS=n`: many seeds over two processes, every law watched; `SEED=123 VERBOSE=1` replays one aloud."""

import argparse
import gc
import os
import resource
import sys
import time
from multiprocessing import get_context

from tests.simulation.faults import DENSE, Rates
from tests.simulation.world import Outcome, World

PROCESSES = 2
LONG_DAYS, DENSE_DAYS, DENSE_EVERY = 60, 4, 4
SHOWN = 3
GOALS = (
    ("node-years per second", 0.28),
    ("plays per node-year", 2_500),
    ("faults per node-year", 50),
    ("emergencies per node-year", 5),
)


def world_of(seed: int, *, aloud: bool = False) -> World:
    """Two months of three nodes; every fourth seed a few days into which a year's misfortunes fall."""
    if seed % DENSE_EVERY == 0:
        return World(seed, DENSE_DAYS, DENSE, aloud=aloud)
    return World(seed, LONG_DAYS, Rates(), aloud=aloud)


def play(seed: int) -> Outcome:
    """One seed; a failure carries its transcript."""
    return world_of(seed).run()


def _settle() -> None:
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _many(first: int, count: int) -> int:
    began_s = time.monotonic()
    total, broken, emergencies_heard = Outcome(0), [], 0
    done = 0
    with get_context("fork").Pool(PROCESSES, initializer=_settle) as pool:
        for outcome in pool.imap_unordered(play, range(first, first + count)):
            done += 1
            total.node_years += outcome.node_years
            total.plays += outcome.plays
            total.faults += outcome.faults
            emergencies_heard += outcome.emergencies
            if outcome.broken:
                broken.append(outcome)
                _tell(outcome, whole=len(broken) <= SHOWN)
            if done % 100 == 0:
                print(f"{done} of {count} seeds, {total.node_years:.0f} node-years", flush=True)
    seconds = time.monotonic() - began_s
    years = total.node_years or 1e-9
    figures = (total.node_years / seconds, total.plays / years, total.faults / years, emergencies_heard / years)
    print(f"{count} seeds from {first}: {total.node_years:.1f} node-years in {seconds:.0f} s on {os.cpu_count()} cores")
    for (name, goal), figure in zip(GOALS, figures, strict=True):
        print(f"  {name:28} {figure:12,.2f}   goal {goal:,}   {'holds' if figure >= goal else 'MISSED'}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"  of processor time {years / (used.ru_utime + used.ru_stime):.3f} node-years per second and core")
    print(f"  plays {total.plays:,}, faults {total.faults:,}, emergencies heard {emergencies_heard:,}")
    print(f"  broken laws: {len(broken)}{''.join(f' [seed {one.seed}]' for one in broken[:20])}")
    return 1 if broken else 0


def _tell(outcome: Outcome, *, whole: bool) -> None:
    print(f"BROKEN in seed {outcome.seed}: {outcome.broken}", flush=True)
    if whole:
        print("\n".join(outcome.transcript))
        print(f"replay: make simulate SEED={outcome.seed} VERBOSE=1", flush=True)


def _one(seed: int, *, aloud: bool) -> int:
    outcome = world_of(seed, aloud=aloud).run()
    if outcome.broken:
        _tell(outcome, whole=not aloud)
    print(f"seed {seed}: {outcome.node_years:.2f} node-years, {outcome.plays} plays, {outcome.emergencies} emergencies heard,")
    print(f"  {outcome.faults} faults, digest {outcome.digest}, {outcome.broken or 'no law broken'}")
    return 1 if outcome.broken else 0


def main() -> int:
    """The exit code says whether a law was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--verbose", action="store_true", help="print everything that happens")
    args = parser.parse_args()
    return _many(args.first, args.seeds) if args.seed is None else _one(args.seed, aloud=args.verbose)


if __name__ == "__main__":
    sys.exit(main())
