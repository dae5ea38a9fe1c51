"""A field on real processes; shared where tests only add nodes of their own."""

from __future__ import annotations

import contextlib
import re

import pytest

from tests.commune import AgentProcess
from tests.controller.headquarters import Headquarters
from tests.enrol.field import Field


def set_life(hq: Headquarters, life_s: int) -> None:
    """Certificates that live so short, for the tests' sake."""
    file = hq.state / "loa.toml"
    file.write_text(re.sub(r"(\[enrol\]\n)", rf"\1life_s = {life_s}\n", file.read_text()))


@pytest.fixture(scope="session")
def field(tmp_path_factory):
    hq = Headquarters(tmp_path_factory.mktemp("field"))
    try:
        hq.start()
        hq.trust()
        yield Field(hq)
    finally:
        hq.close()


@pytest.fixture
def brief(tmp_path):
    """Certificates live twenty seconds here."""
    hq = Headquarters(tmp_path)
    try:
        set_life(hq, 20)
        hq.start()
        hq.trust()
        yield Field(hq)
    finally:
        hq.close()


@pytest.fixture
def agents():
    """What still runs at the end is ended."""
    with contextlib.ExitStack() as stack:

        def started(agent: AgentProcess) -> AgentProcess:
            return stack.enter_context(agent)

        yield started


@pytest.fixture
def own_field(tmp_path):
    """For tests that end its processes."""
    hq = Headquarters(tmp_path)
    try:
        hq.start()
        hq.trust()
        yield Field(hq)
    finally:
        hq.close()
