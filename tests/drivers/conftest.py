"""A commune with its real broker, for drivers that talk to it."""

from __future__ import annotations

import pytest

from tests.commune import Commune


@pytest.fixture
async def commune(tmp_path):
    made = Commune(tmp_path / "commune")
    await made.broker.start()
    yield made
    await made.broker.kill()
