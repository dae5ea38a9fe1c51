"""The node, the office and what both are made of, once for a whole run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from hil.made import FOLDER, MADE, Made
from hil.office import Office
from hil.strategy import NodeStrategy

NODE_SEES = os.environ.get("LG_HIL_HOST", "10.0.2.2")
"""How a node reaches this machine; QEMU's user network calls it so."""


@pytest.fixture(scope="session")
def made() -> Made:
    """Images and bundles, made when they are asked for and kept by what they were made from."""
    return Made(MADE)


@pytest.fixture(scope="session")
def office() -> Iterator[Office]:
    opened = Office(FOLDER / "office", NODE_SEES)
    try:
        opened.open()
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="session")
def node(strategy: NodeStrategy, office: Office, made: Made) -> NodeStrategy:
    """One node through the whole run; a test says in which state it needs it."""
    strategy.office, strategy.image, strategy.public_key = office, made.image(1), made.public_key
    return strategy


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Of a test that failed, the machine's console and the controller's log are kept under its name."""
    report = yield
    if call.excinfo is not None and not isinstance(call.excinfo.value, pytest.skip.Exception):
        kept = FOLDER / "failed" / item.name
        kept.mkdir(parents=True, exist_ok=True)
        for path in (FOLDER / "console.log", FOLDER / "office" / "serve.log", FOLDER / "office" / "broker.log"):
            if path.exists():
                shutil.copyfile(path, kept / path.name)
    return report
