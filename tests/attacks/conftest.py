"""The threatened commune with a real broker, the office at its other end, and real agents that are gone when the test is."""

from __future__ import annotations

import contextlib

import pytest

from tests.attacks.threatened import Threatened
from tests.commune import AgentProcess
from tests.flows.conftest import FIRST
from tests.office import Office


@pytest.fixture
async def commune(tmp_path):
    made = Threatened(tmp_path / "commune")
    await made.broker.start()
    yield made
    await made.broker.kill()


@pytest.fixture
async def office(commune):
    async with Office(commune, acknowledges=True) as made:
        yield made


@pytest.fixture
def agents(commune):
    """Start agents by node; what still runs at the end is ended."""
    with contextlib.ExitStack() as stack:

        def start(node: str, *arguments: str, **more) -> AgentProcess:
            return stack.enter_context(AgentProcess(commune.nodes[node], *arguments, **more))

        yield start


@pytest.fixture
def node(commune) -> str:
    return commune.add_node(FIRST)
