"""Write protocol/vectors/vectors.json: the same bytes every time, for keys come from fixed phrases and Ed25519 is deterministic.

Run `python tests/protocol/make_vectors.py` after a change of the contract, and read the difference.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from protocol.envelope import digest_of
from protocol.keys import public_hex
from tests.protocol.vector_orders import order_cases
from tests.protocol.vector_papers import paper_cases
from tests.protocol.vector_passing import passing_cases
from tests.protocol.vector_releases import release_cases
from tests.protocol.vector_world import ELSEWHERE, NEIGHBOUR, NODE, T0, Sent, payload_of, root, signed, world_documents
from tests.vectors import PATH, key

ABOUT = (
    "Golden bytes of the contract. Every reader begins with the world's documents; each step's bytes arrive on `topic` at "
    "`now_ms` under that clock while `nonces` are out, and must come to `expect`: fresh, duplicate, or the code of an error. "
    "Private keys are SHA-256 of `loa test key <name>`."
)
NAMES = "r1 r2 r3 r4 r5 r6 p1 p1b p2 p3 c1 c2 page h1 d1 t1 v1 v2 v3 stranger"


def _sent(sent: Sent) -> dict[str, Any]:
    return {"topic": sent.topic, "sealed": base64.b64encode(sent.raw).decode()}


def build() -> str:
    """The text of the whole file."""
    pinned = signed(root(), "r1", "r2")
    report_keys = {node: public_hex(key(f"report {node}")) for node in (NODE, NEIGHBOUR, ELSEWHERE)}
    readers: dict[str, Any] = {
        name: {"node": node, "report_keys": {}, "documents": [_sent(sent) for sent in world_documents(node)]}
        for name, node in (("node", NODE), ("neighbour", NEIGHBOUR), ("elsewhere", ELSEWHERE))
    }
    readers["unplaced"] = {"node": NODE, "report_keys": {}, "documents": []}
    readers["controller"] = {"node": None, "report_keys": report_keys, "documents": []}
    world = {
        "at_ms": T0 + 1,
        "root": {"digest": digest_of("root", payload_of(pinned)), "sealed": base64.b64encode(pinned.raw).decode()},
        "public_keys": {name: public_hex(key(name)) for name in NAMES.split()},
        "readers": readers,
    }
    whole = {"about": ABOUT, "world": world, "cases": [*order_cases(), *paper_cases(), *passing_cases(), *release_cases()]}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(build(), encoding="utf-8")
