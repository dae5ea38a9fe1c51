"""The laws hold in a few hundred short seeds; a seed is the same in every run. `make simulate` is the long run."""

import os
import subprocess
import sys

import pytest

from tests.simulation.faults import DENSE
from tests.simulation.world import World

BLOCK = 20
FIRST = 100_001
"""Other seeds than those of the long run."""


def short(seed, days=1.0):
    return World(seed, days, DENSE).run()


@pytest.mark.parametrize("block", range(10))
def test_every_law_holds_in_a_day_of_many_misfortunes(block):
    begin = FIRST + block * BLOCK
    outcomes = [short(seed) for seed in range(begin, begin + BLOCK)]
    for outcome in outcomes:
        assert not outcome.broken, "\n".join([outcome.broken, *outcome.transcript])
    assert sum(outcome.plays for outcome in outcomes) > 100, "a world in which nothing sounds breaks no law"
    assert sum(outcome.emergencies for outcome in outcomes) > 20
    assert sum(outcome.faults for outcome in outcomes) > 200


def test_a_seed_is_the_same_in_every_run_and_another_is_not():
    first, again, other = short(7), short(7), short(8)
    assert first.digest == again.digest
    assert first.digest != other.digest


def test_a_replay_in_another_process_is_the_same_whatever_its_hashes():
    words = [sys.executable, "-m", "tests.simulation", "--seed", "8"]
    said = [
        subprocess.run(words, env=os.environ | {"PYTHONHASHSEED": hashes}, capture_output=True, text=True, check=True).stdout
        for hashes in ("1", "2")
    ]
    assert "digest" in said[0]
    assert said[0] == said[1]
