"""What is carried to a node by hand goes through the same door: roots in order, newer only, forgeries refused with a sentence."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from edge_agent.drivers.store.database import Database
from protocol import keys
from protocol.documents import Person, Role, Root
from protocol.envelope import digest_of, payload_of, seal
from protocol.release import Bundle, Release, ReleaseBody
from tests.commune import AgentProcess, Commune, now_ms
from tests.flows.conftest import FIRST


def roots(commune: Commune, count: int, *, signers=("chair", "deputy")) -> list[bytes]:
    """Versions 2 to `count`; every second one has a date before its predecessor's."""
    before = payload_of(commune.root)
    assert isinstance(before, Root)
    made = []
    for version in range(2, count + 1):
        body = msgspec.structs.replace(before.body, version=version)
        prev = digest_of("root", msgspec.json.encode(before))
        seq = now_ms() - (1_000 if version % 2 else 0)
        before = msgspec.structs.replace(before, body=body, seq=seq, prev=prev)
        made.append(seal(before, [commune.sealer(name) for name in signers]))
    return made


def write(folder: Path, raws: list[bytes]) -> Path:
    """In an order of names that is not theirs."""
    folder.mkdir()
    for number, raw in enumerate(reversed(raws)):
        (folder / f"{number}.json").write_bytes(raw + b"\n")
    return folder


def hand_in(commune: Commune, node: str, folder: Path, wait_s: float = 60) -> subprocess.CompletedProcess[str]:
    words = ["import", str(folder), "--config", str(commune.nodes[node]), "--wait-s", str(wait_s)]
    return subprocess.run([sys.executable, "-m", "edge_agent", *words], capture_output=True, text=True, timeout=90, check=False)


def held(commune: Commune, node: str, kind: str) -> list:
    """What the stopped agent's memory holds of a kind."""
    db = Database(commune.nodes[node].parent / "state" / "node.db")
    try:
        memory = db.read(0, first_boot=False, media={})
    finally:
        db.close()
    return [payload_of(kept.raw) for kept in memory.documents if kept.kind == kind]


@pytest.fixture
def alone(tmp_path) -> Commune:
    """A commune whose broker never runs."""
    return Commune(tmp_path / "commune")


def test_a_node_that_missed_four_roots_takes_them_in_order_from_a_stick_without_any_network(alone, tmp_path):
    node = alone.add_node(FIRST)
    stick = write(tmp_path / "stick", [*roots(alone, 5), alone.seal_as(alone.station())])
    with AgentProcess(alone.nodes[node]):
        said = hand_in(alone, node, stick)
    assert said.returncode == 0, said.stderr
    assert "taken or held 5, not needed 0, refused 0, waiting 0" in said.stdout
    (root,) = held(alone, node, "root")
    assert root.body.version == 5
    assert len(held(alone, node, "station")) == 1


def test_the_same_stick_once_more_is_no_trouble_though_the_first_roots_signers_are_gone(alone, tmp_path):
    node = alone.add_node(FIRST)
    for name in ("new-chair", "new-deputy"):
        alone.people[name] = keys.new_key()
    before = payload_of(alone.root)
    names = ("new-chair", "new-deputy")
    role = Role(persons=names, threshold=2)
    body = msgspec.structs.replace(
        before.body,
        version=2,
        persons=tuple(Person(id=name, name=name) for name in names),
        keys=tuple(alone.key_of(name) for name in names),
        root=role,
        delegate=role,
        placement=role,
    )
    second = msgspec.structs.replace(before, body=body, seq=now_ms(), prev=alone.root_digest)
    raw = seal(second, [alone.sealer(name) for name in ("chair", "deputy", *names)])
    stick = write(tmp_path / "stick", [alone.root, raw])
    with AgentProcess(alone.nodes[node]):
        first, again = hand_in(alone, node, stick), hand_in(alone, node, stick)
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "taken or held 2, not needed 0, refused 0, waiting 0" in first.stdout
    assert "taken or held 1, not needed 1, refused 0, waiting 0" in again.stdout
    (root,) = held(alone, node, "root")
    assert root.body.version == 2


def test_what_a_sleeping_node_was_given_is_taken_in_when_it_starts(alone, tmp_path):
    node = alone.add_node(FIRST)
    stick = write(tmp_path / "stick", roots(alone, 3))
    said = hand_in(alone, node, stick, wait_s=0)
    assert said.returncode == 3
    assert "waiting 2" in said.stdout
    inbox = alone.nodes[node].parent / "state" / "import"
    with AgentProcess(alone.nodes[node]):
        deadline_s = time.monotonic() + 60
        while list(inbox.glob("*.json")):
            assert time.monotonic() < deadline_s, "the agent took nothing"
            time.sleep(0.1)
    (root,) = held(alone, node, "root")
    assert root.body.version == 3
    assert not list(inbox.glob("*.refused"))


def test_a_forged_root_and_a_gap_in_the_chain_are_refused_with_their_sentences(alone, tmp_path):
    node = alone.add_node(FIRST)
    alone.people["stranger"] = keys.new_key()
    forged = roots(alone, 2, signers=("stranger",))
    gap = roots(alone, 3)[1:]
    stick = write(tmp_path / "stick", [*forged, *gap])
    (stick / "notes.json").write_text("{}")
    with AgentProcess(alone.nodes[node]):
        said = hand_in(alone, node, stick)
    assert said.returncode == 1
    assert "bad-signature" in said.stderr
    assert "does not follow 1" in said.stderr
    assert "left out, no sealed document: notes.json" in said.stderr
    assert held(alone, node, "root") == [], "the pinned root stays: nothing newer was stored"


def test_a_folder_without_documents_is_a_sentence(alone, tmp_path):
    node = alone.add_node(FIRST)
    said = hand_in(alone, node, tmp_path)
    assert (said.returncode, "holds no sealed documents" in said.stderr) == (1, True)


def release_of(commune: Commune, content: bytes) -> bytes:
    body = ReleaseBody(
        version="2026.11.7",
        build=7,
        floor=1,
        bundle=Bundle(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)),
        manifest="3d" * 32,
    )
    made = Release(**(commune._document("52") | {"subject": "loa-node"}), body=body)
    return commune.seal_as(made)


def test_firmware_on_the_stick_is_copied_whole_beside_the_release_that_names_it(alone, tmp_path):
    node, content = alone.add_node(FIRST), os.urandom(3_000_000)
    stick = write(tmp_path / "stick", [release_of(alone, content)])
    (stick / "right.raucb").write_bytes(content)
    (stick / "rotten.raucb").write_bytes(content[:-1] + b"\0")
    (stick / "other.raucb").write_bytes(content[:-1])
    said = hand_in(alone, node, stick, wait_s=0)
    folder = alone.nodes[node].parent / "state" / "bundle"
    (laid,) = folder.iterdir()
    assert laid.read_bytes() == content
    assert laid.name == f"{hashlib.sha256(content).hexdigest()}.whole"
    assert "other.raucb: trên thẻ không có bản phát hành nào" in said.stderr
    assert "no release on the stick is about it" in said.stderr
    assert "rotten.raucb: tệp không đúng bản phát hành" in said.stderr
    assert "its content is not what release 2026.11.7 names" in said.stderr
    assert "right.raucb" not in said.stderr
    assert "2026.11.7" in said.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give itself away")
def test_root_follows_no_link_that_the_agents_user_laid(alone, tmp_path):
    node = alone.add_node(FIRST)
    state = alone.nodes[node].parent / "state"
    state.mkdir(exist_ok=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (state / "import").symlink_to(elsewhere)
    for folder in (tmp_path, *[each for each in state.parents if each.is_relative_to(tmp_path)]):
        folder.chmod(0o755)
    os.chown(state, 65_534, 65_534)
    said = hand_in(alone, node, write(tmp_path / "stick", roots(alone, 2)), wait_s=0)
    assert said.returncode == 1
    assert "cannot be written" in said.stderr
    assert list(elsewhere.iterdir()) == []
    assert elsewhere.stat().st_uid == 0
