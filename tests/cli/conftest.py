"""Fixtures: the papers of a ceremony, and an office on them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.loa_office import Office, Papers


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory, papers: Papers) -> Iterator[Office]:
    """An office where nothing runs and nothing may change: for words that are refused."""
    made = Office(tmp_path_factory.mktemp("still") / "state", papers)
    made.trusted()
    before = made.contents()
    yield made
    made.close()
    assert made.contents() == before


@pytest.fixture
def office(tmp_path: Path, papers: Papers) -> Iterator[Office]:
    made = Office(tmp_path / "state", papers)
    yield made
    made.close()
