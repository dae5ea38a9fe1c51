"""What a release costs on the wire, beside other ways to bring the same image: all of it, chunks (casync), a patch (zstd)."""

import subprocess
from pathlib import Path
from typing import Final

import msgspec
import pytest

from hil.made import Made
from hil.office import Office
from hil.strategy import NodeStrategy
from hil.updating import AGENT_ONLY, BAD_LINK, Cuts, update
from provisioning.image.tools import call

SECURITY: Final = 0.2
"""Of the bundle's bytes."""
CUTS: Final = 10
MORE: Final = 1.02
streamed: dict[str, float] = {}
"""What the releases of this run carried, in parts of their bundles."""


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
@pytest.mark.lg_feature("virtual")
@pytest.mark.parametrize(("name", "old", "most"), [("agent", 1, AGENT_ONLY), ("security", 0, SECURITY)])
def test_what_a_release_carries(
    node: NodeStrategy, office: Office, made: Made, tmp_path: Path, name: str, old: int, most: float
) -> None:
    """From the old image to the same new one: the agent alone, or every package that Debian mended since its point release."""
    node.image = made.image(old)
    try:
        node.transition("flashed")
        node.transition("online")
        office.publish_network(node.node)
        before, after = made.built(old).rootfs, made.built(2).rootfs
        size = made.bundle(2).stat().st_size
        figures = {
            "bundle_bytes": size,
            "packages": len(_packages(before) ^ _packages(after)) // 2,
            "casync": _chunks_bytes(before, after, tmp_path) / size,
            "zstd": _patch_bytes(before, after, tmp_path) / size,
            "streamed": update(node, office, made.bundle(2), "2026.11.2"),
        }
    finally:
        node.image = made.image(1)
        node.transition("off")
    streamed[name] = figures["streamed"]
    print(f"{name}: {figures}")
    (made.folder / f"bytes-{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    assert figures["streamed"] <= most


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.lg_feature("virtual")
def test_a_link_that_is_cut_ten_times_costs_little_more(node: NodeStrategy, office: Office, made: Made) -> None:
    """The agent's release once more from the same old image, over a bad link that goes away while it is written."""
    if "agent" not in streamed:
        pytest.skip("nothing to hold it against: the agent's release was not streamed in this run")
    node.transition("flashed")
    node.transition("online")
    office.publish_network(node.node)
    node.run(f"tc qdisc add dev eth0 root netem {BAD_LINK}")
    cuts = Cuts(node, CUTS)
    part = update(node, office, made.bundle(2), "2026.11.2", while_it_writes=cuts)
    print(f"cut {CUTS} times: {part:.3%} of the bundle, {part / streamed['agent']:.3f} times what it costs uncut")
    node.transition("off")
    assert cuts.left == 0
    assert part <= MORE * streamed["agent"]


def _packages(rootfs: Path) -> set[tuple[str, str]]:
    """Name and version of each, out of dpkg's own list."""
    found, name = set(), ""
    for line in call(["debugfs", "-R", "cat /var/lib/dpkg/status", rootfs]).splitlines():
        key, _, value = line.partition(": ")
        if key == "Package":
            name = value
        elif key == "Version":
            found.add((name, value))
    return found


def _chunks_bytes(before: Path, after: Path, folder: Path) -> int:
    """What casync fetches: the index, and each compressed chunk that the old image has not."""
    store, index = folder / "chunks", folder / "index.caibx"
    call(["casync", "make", f"--store={store}", index, before])
    have = {path.name for path in store.rglob("*.cacnk")}
    call(["casync", "make", f"--store={store}", index, after])
    new = [path.stat().st_size for path in store.rglob("*.cacnk") if path.name not in have]
    return sum(new) + index.stat().st_size


def _patch_bytes(before: Path, after: Path, folder: Path) -> int:
    """What a node would fetch that could hold both whole images in its memory."""
    patch = folder / "patch.zst"
    subprocess.run(["zstd", "-q", "-9", "--long=30", f"--patch-from={before}", after, "-o", patch], check=True, timeout=1800)
    return patch.stat().st_size
