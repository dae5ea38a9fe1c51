"""A headquarters for many tests, and one of its own for a test that kills things."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.controller.headquarters import Headquarters


@pytest.fixture(scope="session")
def hq(tmp_path_factory: pytest.TempPathFactory):
    """Shared: tests use nodes and incidents of their own and leave the processes alone."""
    made = Headquarters(tmp_path_factory.mktemp("hq"))
    try:
        made.start()
        made.trust()
        yield made
    finally:
        made.close()


@pytest.fixture
def own_hq(tmp_path: Path):
    """For tests that kill broker or serve."""
    made = Headquarters(tmp_path)
    try:
        made.start()
        made.trust()
        yield made
    finally:
        made.close()
