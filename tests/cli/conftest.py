"""Fixtures: the papers of a ceremony, and an office on them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from loa_office import Office, Papers


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def office(tmp_path: Path, papers: Papers) -> Iterator[Office]:
    made = Office(tmp_path / "state", papers)
    yield made
    made.close()
