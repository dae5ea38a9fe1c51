"""The threatened commune in place of a peaceful one; the rest is as in tests/flows."""

from __future__ import annotations

import pytest

from tests.attacks.threatened import Threatened
from tests.flows.conftest import agents, node, office

__all__ = ["agents", "commune", "node", "office"]


@pytest.fixture
async def commune(tmp_path):
    made = Threatened(tmp_path / "commune")
    await made.broker.start()
    yield made
    await made.broker.kill()
