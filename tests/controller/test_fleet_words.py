"""What is wrong with a node is said in words, in both languages; every trouble that a node can name has them."""

import re
from pathlib import Path

from controller.core.fleet import _SAID, _TROUBLES, _trouble


def test_every_trouble_of_the_node_is_worded():
    core = "".join(path.read_text() for path in Path("edge_agent/core").glob("*.py"))
    named = set(re.findall(r'trouble\(\s*"([a-z-]+)"', core))
    named |= {f"{driver}-failed" for driver in re.findall(r'may_fail\("(\w+)"', Path("edge_agent/__main__.py").read_text())}
    assert len(named) > 8
    assert named <= set(_TROUBLES) | set(_SAID)


def test_a_trouble_that_is_not_known_here_is_still_shown():
    reason = _trouble("tilted-mast")
    assert "tilted-mast" in reason.vi
    assert "tilted-mast" in reason.en
