"""What fuzzing found stays found: each target takes its seeds and every input that once broke it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import plain_targets, sound_targets
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated inferred style")  # how the API's routes name their parameters
FOUND = Path(__file__).parent / "found"
ONCE_FOUND = sorted(path for path in FOUND.glob("*/*") if path.is_file())


@pytest.fixture(scope="module", autouse=True)
def _closed():
    yield
    plain_targets.close()
    sound_targets.close()


@pytest.mark.parametrize("name", TARGETS)
def test_every_parser_takes_its_seeds(name):
    seeds = list(TARGETS[name].seeds())
    for data in seeds[:40]:
        TARGETS[name].run(data)
    assert seeds


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in ("sounds", "player")])
@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 40, b"\0{", b"[" * 3_000, b"\x01" + b'{"a":' * 500], ids=repr)
def test_every_parser_refuses_rubbish_with_its_own_error(name, data):
    assert TARGETS[name].run(data) is None


@pytest.mark.parametrize("path", ONCE_FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_broke_a_parser_breaks_it_no_more(path):
    assert TARGETS[path.parent.name].run(path.read_bytes()) is None
