"""A node's folder without a broker, and a systemd that keeps its agent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent.config import Config, load
from tests.commune import Commune
from tests.fakes.systemd import Systemd

SETTLEMENT = "52.24076.001"


@pytest.fixture
def commune(tmp_path) -> Commune:
    return Commune(tmp_path / "commune")


@pytest.fixture
def toml(commune, tmp_path) -> Path:
    amplifier = f"file:{tmp_path / 'amp.log'}?on_ms=300"
    return commune.nodes[commune.add_node(SETTLEMENT, amplifier=amplifier)]


@pytest.fixture
def plain_config(toml) -> Config:
    return load(toml)


@pytest.fixture
def systemd(tmp_path, toml):
    if os.geteuid() != 0:
        pytest.skip("only root may sound the test tone")
    with Systemd(tmp_path / "systemd", toml) as made:
        yield made
