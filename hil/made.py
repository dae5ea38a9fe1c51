"""What the tests are made of: the keys of a release desk, images of several builds, their bundles. Each is made once."""

import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
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

FOLDER: Final = Path(os.environ.get("LG_HIL_FOLDER", "build/hil")).resolve()
"""Where a lane's machine has its card, its sound and its console."""
MADE: Final = Path(os.environ.get("LG_HIL_MADE", FOLDER)).resolve()
"""Images, bundles and keys, which all lanes share."""
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
        """The image of a build number, by the real builder; its slow steps are kept. 0 is the last point release of Debian's."""
        if build not in self._images:
            with self._alone():
                self._images[build] = self._build(build)
        return self._images[build]

    def _build(self, build: int) -> Built:
        main, security = mirrors()
        version = f"2026.11.{build}" if build else "2026.10.1"
        recipe = Recipe(
            version=version,
            build=max(build, 1),
            epoch_s=EPOCH_S,
            mirror=main,
            security=security if build else None,
            keyring=self.certificate.read_bytes(),
        )
        code = PROJECT if build <= 1 else self._changed_code(build)
        told = functools.partial(print, f"image {version}:", flush=True)
        builder = Builder(recipe, cache=cache_folder(), told=told, code=code)
        return self._kept(recipe, self.folder / f"image-{build}", builder)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One lane makes, the other waits and finds it made."""
        with (self.folder / "making").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _changed_code(self, build: int) -> Path:
        """The agent, a line more in each of its modules: no release of the agent alone changes more files than that."""
        folder = self.folder / f"code-{build}"
        shutil.rmtree(folder, ignore_errors=True)
        for name in CODE:
            shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for module in folder.rglob("*.py"):
            module.write_text(f"{module.read_text()}# build {build}\n")
        return folder

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
        return self._bundle(f"{rootfs.stem}.raucb", rootfs, lambda path, _work: self._sign(rootfs, path))

    def twin(self, build: int, version: str) -> Path:
        """The same content under a manifest that calls it by another version, rightly signed."""
        rootfs = self.built(build).rootfs

        def make(path: Path, work: Path) -> None:
            os.link(rootfs, work / f"{SLOT}.img")
            named = structs.replace(named_in(rootfs), version=version)
            (work / "manifest.raucm").write_text(manifest_of(named, f"{SLOT}.img"))
            call(["rauc", "bundle", "--cert", self.certificate, "--key", self.key, work, path])

        return self._bundle(f"twin-{version}.raucb", rootfs, make)

    def spoiled(self, build: int, gone: str) -> Path:
        """A signed bundle of a build whose copy lacks a file; `*` is the only name in its folder."""
        whole = self.built(build).rootfs

        def make(path: Path, work: Path) -> None:
            rootfs = work / "rootfs.ext4"
            copy_sparse(whole, rootfs)
            remove(rootfs, gone)
            self._sign(rootfs, path)

        return self._bundle(f"spoiled-{build}.raucb", whole, make)

    def _sign(self, rootfs: Path, path: Path) -> None:
        make_bundle(rootfs, path, certificate=self.certificate, key=str(self.key))

    def _bundle(self, name: str, source: Path, make: Callable[[Path, Path], None]) -> Path:
        """Made in a folder of its own unless it is there; one that is older than what it is made from is made anew."""
        path = self.folder / name
        with self._alone():
            self._make_unless_there(path, source, make)
        return path

    def _make_unless_there(self, path: Path, source: Path, make: Callable[[Path, Path], None]) -> None:
        if path.exists() and path.stat().st_mtime < source.stat().st_mtime:
            path.unlink()
        if not path.exists():
            half = path.with_name(f"half-{path.name}")
            half.unlink(missing_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder) as work:
                make(half, Path(work))
                half.rename(path)
