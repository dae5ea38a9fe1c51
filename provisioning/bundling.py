"""A root file system becomes a RAUC bundle: format verity, with the block hashes that let a node fetch only what changed."""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from msgspec import Struct

from provisioning.bundle import BundleFile, read_bundle
from provisioning.errors import InputRefused
from provisioning.files import refuse_existing
from provisioning.image.tools import call

OS_RELEASE: Final = "/usr/lib/os-release"
SLOT: Final = "rootfs"
_WORD: Final = re.compile(r"^(IMAGE_ID|IMAGE_VERSION|BUILD_ID)=[\"']?([0-9A-Za-z.+~-]+)[\"']?$", re.MULTILINE)


class Named(Struct, frozen=True, kw_only=True):
    """What a root file system says of itself: which machine it is for, its version, its build."""

    compatible: str
    version: str
    build: int


def named_in(rootfs: Path) -> Named:
    """Read os-release out of an ext4 image, without mounting it. Raises InputRefused."""
    if not rootfs.is_file():
        raise InputRefused(f"{rootfs} does not exist: name the .ext4 file that `loa-provision image build` made")
    text = call(["debugfs", "-R", f"cat {OS_RELEASE}", rootfs])
    words = dict(_WORD.findall(text))
    if len(words) != len(("IMAGE_ID", "IMAGE_VERSION", "BUILD_ID")) or not words["BUILD_ID"].isdecimal():
        raise InputRefused(
            f"{rootfs} is no node's root file system: its {OS_RELEASE} names no IMAGE_ID, IMAGE_VERSION and BUILD_ID"
        )
    return Named(compatible=words["IMAGE_ID"], version=words["IMAGE_VERSION"], build=int(words["BUILD_ID"]))


def manifest_of(named: Named, file: str) -> str:
    """RAUC's manifest of it."""
    return f"""[update]
compatible={named.compatible}
version={named.version}
build={named.build}

[bundle]
format=verity

[image.{SLOT}]
filename={file}
adaptive=block-hash-index
"""


def make_bundle(rootfs: Path, out: Path, *, certificate: Path, key: str) -> BundleFile:
    """Sign a root file system into a bundle, whole or not at all. `key`: a PEM file or a pkcs11: URI. Raises InputRefused."""
    refuse_existing(out, "bundle")
    named = named_in(rootfs)
    if not certificate.is_file() or not (key.startswith("pkcs11:") or Path(key).is_file()):
        raise InputRefused(f"certificate {certificate} or key {key} does not exist: name the PEM files that sign bundles")
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".bundle-") as name:
            content = Path(name) / "content"
            content.mkdir()
            _lay(rootfs, content / f"{SLOT}.img")
            (content / "manifest.raucm").write_text(manifest_of(named, f"{SLOT}.img"), encoding="utf-8")
            made = Path(name) / "made.raucb"
            call(["rauc", "bundle", "--cert", certificate, "--key", key, content, made])
            found = read_bundle(made)
            made.rename(out)
    except OSError as error:
        raise InputRefused(f"cannot write in {out.parent} ({error.strerror}): make the folder, or room in it") from error
    return found


def _lay(rootfs: Path, place: Path) -> None:
    """The same file under the name that the manifest has; a copy where the folder lies on another disk."""
    try:
        os.link(rootfs.resolve(), place)
    except OSError:
        shutil.copyfile(rootfs, place)
