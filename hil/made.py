"""What the tests are made of: the keys of a release desk, images of several builds, their bundles. Each is made once."""

import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec
from msgspec import structs

from hil.card import copy_sparse, remove
from provisioning.bundling import SLOT, make_bundle, manifest_of, named_in
from provisioning.image.archive import mirrors
from provisioning.image.build import PROJECT, Builder, Built, cache_folder
from provisioning.image.recipe import CODE, Recipe, digest_of
from provisioning.image.tools import call

EPOCH_S: Final = 1_790_000_000
"""What the image's files are dated: its clock can't be earlier."""


class _Note(msgspec.Struct):
    inputs: str
    built: Built


class Made:
    """Lies in a folder; a second run finds what the first made, unless what it was made from has changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._desk = folder / "desk"
        self._desk.mkdir(parents=True, exist_ok=True)
        self._images: dict[int, Built] = {}

    @property
    def certificate(self) -> Path:
        """Under which this bench's bundles are signed."""
        path = self._desk / "bundles.pem"
        if not path.exists():
            key = ("-newkey", "rsa:2048", "-nodes", "-keyout", str(self.key))
            use = ("-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=codeSigning")
            call(["openssl", "req", "-x509", *key, "-out", path, "-days", "7300", "-subj", "/CN=Loa bench", *use])
        return path

    @property
    def key(self) -> Path:
        """The private half."""
        return self._desk / "bundles.key"

    @property
    def ssh_key(self) -> Path:
        """The technician's key to the node."""
        path = self.folder / "ssh" / "key"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path])
        return path

    @property
    def public_key(self) -> bytes:
        """What lies on the card of it."""
        return self.ssh_key.with_suffix(".pub").read_bytes()

    def built(self, build: int) -> Built:
        """The image of a build number, by the real builder; its slow steps are kept."""
        if build not in self._images:
            main, security = mirrors()
            keyring = self.certificate.read_bytes()
            version = f"2026.11.{build}"
            recipe = Recipe(version=version, build=build, epoch_s=EPOCH_S, mirror=main, security=security, keyring=keyring)
            builder = Builder(recipe, cache=cache_folder(), told=lambda step: print(f"image {version}: {step}", flush=True))
            self._images[build] = self._kept(recipe, self.folder / f"image-{build}", builder)
        return self._images[build]

    def _kept(self, recipe: Recipe, out: Path, builder: Builder) -> Built:
        """The image of an earlier run, when nothing of what it was made from has changed since."""
        sources = [PROJECT / name for name in (*CODE, "provisioning/image", "systemd", "requirements.lock")]
        inputs, note = digest_of(*sources, repr(recipe)), out / "made-from.json"
        if note.exists():
            before = msgspec.json.decode(note.read_bytes(), type=_Note, dec_hook=lambda kind, text: kind(text))
            if before.inputs == inputs and before.built.image.exists() and before.built.rootfs.exists():
                return before.built
            note.unlink()
        built = builder.build(out)
        note.write_bytes(msgspec.json.encode(_Note(inputs, built), enc_hook=str))
        return built

    def image(self, build: int) -> Path:
        """The card's image of it."""
        return self.built(build).image

    def bundle(self, build: int) -> Path:
        """A signed bundle of it."""
        rootfs = self.built(build).rootfs
        path = self.folder / f"{rootfs.stem}.raucb"
        if _is_due(path, rootfs):
            make_bundle(rootfs, path, certificate=self.certificate, key=str(self.key))
        return path

    def twin(self, build: int, version: str) -> Path:
        """The same content under a manifest that calls it by another version, rightly signed."""
        rootfs = self.built(build).rootfs
        path = self.folder / f"twin-{version}.raucb"
        if _is_due(path, rootfs):
            with tempfile.TemporaryDirectory(dir=self.folder) as name:
                content = Path(name) / "content"
                content.mkdir()
                os.link(rootfs, content / f"{SLOT}.img")
                named = structs.replace(named_in(rootfs), version=version)
                (content / "manifest.raucm").write_text(manifest_of(named, f"{SLOT}.img"))
                call(["rauc", "bundle", "--cert", self.certificate, "--key", self.key, content, path])
        return path

    def spoiled(self, build: int, gone: str) -> Path:
        """A signed bundle of a build whose copy lacks a file; `*` is the only name in its folder."""
        whole = self.built(build).rootfs
        path = self.folder / f"spoiled-{build}.raucb"
        if _is_due(path, whole):
            with tempfile.TemporaryDirectory(dir=self.folder) as name:
                rootfs = Path(name) / "rootfs.ext4"
                copy_sparse(whole, rootfs)
                remove(rootfs, gone)
                make_bundle(rootfs, path, certificate=self.certificate, key=str(self.key))
        return path


def _is_due(made: Path, source: Path) -> bool:
    """Whether it is still to be made; one that is older than what it is made from is taken away."""
    if made.exists() and made.stat().st_mtime < source.stat().st_mtime:
        made.unlink()
    return not made.exists()
