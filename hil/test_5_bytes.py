"""What a release costs on the wire, beside other ways to bring the same image: all of it, chunks (casync), a patch (zstd)."""

import subprocess
from pathlib import Path
from typing import Final

import msgspec
import pytest

from hil.made import Made
from hil.office import Office
from hil.strategy import NodeStrategy
from hil.updating import AGENT_ONLY, update
from provisioning.image.tools import call

SECURITY: Final = 0.2
"""Of the bundle's bytes."""


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
    print(f"{name}: {figures}")
    (made.folder / f"bytes-{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    assert figures["streamed"] <= most


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
