"""The real store and fetcher through power cuts: nothing that was answered is lost, nothing is doubled, half or wrong.

LOA_CUTS sets how many (40; the bench takes 1,000).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from controller import ca
from tests.drivers.cuts import POOL
from tests.media_server import Manner, trusted_server

CUTS = int(os.environ.get("LOA_CUTS", "40"))
SEED = int(os.environ.get("LOA_SEED", "20261123"))
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(180 + CUTS * 5)
def test_no_power_cut_loses_doubles_or_damages_anything(tmp_path):
    with trusted_server(tmp_path) as server:
        for number, content in enumerate(POOL):
            name = server.add(content)
            if number % 2:
                server.always[name] = Manner(bytes_a_second=600_000)
        certificate = tmp_path / "ca" / ca.CERTIFICATE
        words = [str(tmp_path / "card"), server.url, str(certificate), str(CUTS), str(SEED)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.drivers.cuts", *words], capture_output=True, text=True, cwd=ROOT, check=False
        )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    sys.stderr.write(f"power cuts: {done.stdout}")
    assert said["broken"] == []
    assert said["cuts"] == CUTS
    assert min(said["orders"], said["sets"], said["sectors"]) > 0, "the cuts came when nothing was written"
