"""A headquarters for many tests, and one of its own for a test that kills things."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.controller.headquarters import begun


@pytest.fixture(scope="session")
def hq(tmp_path_factory: pytest.TempPathFactory):
    """Shared: tests use nodes and incidents of their own and leave the processes alone."""
    with begun(tmp_path_factory.mktemp("hq")) as made:
        yield made


@pytest.fixture
def own_hq(tmp_path: Path):
    """For tests that kill broker or serve."""
    with begun(tmp_path) as made:
        yield made
