"""One controller's folder is made once; each test runs on its own copy."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web import house as houses


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> houses.Master:
    return asyncio.run(houses.make_master(tmp_path_factory.mktemp("page") / "state"))


@pytest.fixture
async def house(master: houses.Master, tmp_path: Path) -> AsyncIterator[houses.House]:
    async with houses.house(master, tmp_path / "state") as running:
        yield running
