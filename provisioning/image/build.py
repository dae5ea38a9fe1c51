"""From a recipe to an image: each step is named, and kept by the digest of what it was made from."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from provisioning.errors import InputRefused
from provisioning.image import wheels
from provisioning.image.ext4 import make_ext4
from provisioning.image.inventory import bill
from provisioning.image.kernel import board_trees, prune
from provisioning.image.recipe import (
    ARCHITECTURE,
    BOOT_MIB,
    CODE,
    COMPATIBLE,
    DATA_MIB,
    DATA_UUID,
    DISK_SIGNATURE,
    ENV_OFFSET,
    MIB,
    PACKAGES,
    ROOT_MIB,
    ROOT_UUID,
    SLOT_MIB,
    SUITE,
    Recipe,
    boot_env,
    digest_of,
)
from provisioning.image.tools import call, lay, need_programs, within

HERE: Final = Path(__file__).parent
FILES: Final = HERE / "files"
PROJECT: Final = HERE.parent.parent
UNITS: Final = PROJECT / "systemd"
LOCK: Final = PROJECT / "requirements.lock"
KEPT: Final = 3
"""Of each step, so many results stay in the cache."""
UNWANTED: Final = ("doc/*", "man/*", "info/*", "locale/*", "lintian/*", "bug/*", "doc-base/*")
INSTALLED: Final = (
    ("loa-agent.service", "etc/systemd/system/loa-agent.service"),
    ("loa-agent.sysusers", "usr/lib/sysusers.d/loa-agent.conf"),
    ("loa-agent.udev", "etc/udev/rules.d/60-loa-agent.rules"),
    ("loa-agent.sysctl", "etc/sysctl.d/60-loa-agent.conf"),
    ("loa-agent.dbus.conf", "etc/dbus-1/system.d/loa-agent.conf"),
    ("loa-network.path", "etc/systemd/system/loa-network.path"),
    ("loa-network.service", "etc/systemd/system/loa-network.service"),
    ("loa-restart.path", "etc/systemd/system/loa-restart.path"),
    ("loa-restart.service", "etc/systemd/system/loa-restart.service"),
)
LAUNCHER: Final = """#!/usr/bin/python3 -I
from edge_agent.__main__ import main

raise SystemExit(main())
"""
ENABLED: Final = " ".join(
    (
        *("loa-agent.service", "loa-restart.path", "loa-first-start.service", "loa-last-words.service", "loa-grow.service"),
        *("loa-network.path", "loa-guard.timer", "nftables.service"),
    )
)
SETTLE: Final = f"""
systemd-sysusers
systemctl enable --quiet {ENABLED}
systemctl mask --quiet rauc-mark-good.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
systemctl mask --quiet systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
python3 -m compileall -q --invalidation-mode unchecked-hash /opt/loa
/opt/loa/bin/loa-agent --help >/dev/null
rm -f /etc/ssh/ssh_host_*
rm -rf /boot/firmware/* /var/cache/* /var/log/* /var/lib/apt/lists /root/.bash_history /usr/share/python3-wheels
: >/etc/machine-id
ln -sf /run/NetworkManager/resolv.conf /etc/resolv.conf
mkdir -p /data /boot/firmware /etc/loa /var/lib/loa-agent
"""

Told = Callable[[str], None]


def cache_folder() -> Path:
    """Where finished steps are kept unless somebody names another place."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loa-image"


class Built(Struct, frozen=True, kw_only=True):
    """What a build left in its folder, and how long each step took (ms; a step that was kept is not there)."""

    image: Path
    rootfs: Path
    bill: Path
    sums: Path
    root_used_bytes: int
    step_ms: dict[str, int]


class Builder:
    """One build. `told` hears the name of each step as it begins; `code` is the folder that holds the agent's packages."""

    def __init__(self, recipe: Recipe, *, cache: Path, told: Told, code: Path = PROJECT) -> None:
        self._recipe = recipe
        self._code = code
        self._cache = cache
        self._told = told
        self._step_ms: dict[str, int] = {}
        self._fixed = {"SOURCE_DATE_EPOCH": str(recipe.epoch_s), "E2FSPROGS_FAKE_TIME": str(recipe.epoch_s)}

    def build(self, out: Path) -> Built:
        """Make everything in `out`. Raises InputRefused; steps that were done stay in the cache, nothing half lies in `out`."""
        if os.geteuid() != 0:
            raise InputRefused("cần quyền root / building needs root: use sudo")
        need_programs()
        os.umask(0o022)  # what is written on the way carries no right of this computer's own
        self._cache.mkdir(parents=True, exist_ok=True)
        base, packages = self._base(), self._wheels()
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="build-") as name:
            work = Path(name)
            tree = work / "root"
            self._tree(tree, base, packages)
            used = sum(path.lstat().st_blocks * 512 for path in tree.rglob("*"))
            (work / "in").mkdir()
            self._boot(work / "in" / "boot.vfat", tree)
            self._root(work / "in" / "root.ext4", tree)
            self._data(work / "in" / "data.ext4", tree, work / "data")
            sheet = bill(self._recipe, (tree / "var/lib/dpkg/status").read_text(), tree / "opt/loa/lib")
            return self._finish(work, out, sheet, used)

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self._told(name)
        began_ns = time.monotonic_ns()
        yield
        self._step_ms[name] = (time.monotonic_ns() - began_ns) // 1_000_000

    def _kept(self, name: str, digest: str, make: Callable[[Path], None]) -> Path:
        """The result of a step out of the cache, or made now, first beside its name: a broken build leaves nothing there."""
        path = self._cache / f"{name}-{digest}"
        if path.exists():
            os.utime(path)
            return path
        with self._step(name):
            half = self._cache / f"half-{name}-{digest}"
            _remove(half)
            try:
                make(half)
                half.rename(path)
            finally:
                _remove(half)
        older = sorted(self._cache.glob(f"{name}-*"), key=lambda each: each.stat().st_mtime, reverse=True)[KEPT:]
        for each in older:
            _remove(each)
        return path

    def _base(self) -> Path:
        """Debian's packages, unpacked and configured: the one long step."""
        early = FILES / "etc/initramfs-tools"
        words: list[str | Path] = ["mmdebstrap", "--variant=minbase", f"--architectures={ARCHITECTURE}"]
        words += [f"--include={','.join(PACKAGES)}", '--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Retries "3"']
        words += [f"--dpkgopt=path-exclude=/usr/share/{each}" for each in UNWANTED]
        words += ["--dpkgopt=path-include=/usr/share/doc/*/copyright", "--dpkgopt=force-confold", "--format=tar"]

        def make(half: Path) -> None:
            with tempfile.TemporaryDirectory() as name:
                lay(early, Path(name) / early.name)
                hook = f"--essential-hook=copy-in {name}/{early.name} /etc"  # where it lies is no input
                call([*words, hook, SUITE, half, *self._recipe.sources], more=self._fixed)

        return self._kept("base.tar", digest_of(list(map(str, words)), early, self._recipe.sources, self._recipe.epoch_s), make)

    def _wheels(self) -> Path:
        lock = LOCK.read_text(encoding="utf-8")
        return self._kept("wheels", digest_of(wheels.pinned(lock)), lambda half: wheels.fetch(LOCK, half))

    def _tree(self, tree: Path, base: Path, packages: Path) -> None:
        """Debian, the agent and its packages, and our own files over them."""
        with self._step("tree"):
            tree.mkdir()
            words = ("--numeric-owner", "--xattrs", "--xattrs-include=*", "--exclude=./dev/*")  # only real root may make those
            call(["tar", "--extract", *words, "-C", tree, "-f", base])
            lay(FILES, tree)
            for name, place in INSTALLED:
                (tree / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(UNITS / name, tree / place)
            self._agent(tree, packages)
            self._names(tree)
            (tree / "usr/lib/NetworkManager/system-connections/mobile.nmconnection").chmod(0o600)
            depmod = "".join(f"depmod {release}\n" for release in prune(tree))
            within(tree, depmod + SETTLE, epoch_s=self._recipe.epoch_s)
            shutil.rmtree(tree / "dev")
            for name in ("dev", "proc", "sys", "run", "tmp"):
                (tree / name).mkdir(exist_ok=True)
            (tree / "usr/lib/clock-epoch").touch()
            self._date(tree)

    def _agent(self, tree: Path, packages: Path) -> None:
        home = tree / "opt/loa"
        shutil.copytree(packages, home / "lib", ignore=shutil.ignore_patterns("bin", "__pycache__"))
        for name in CODE:
            lay(self._code / name, home / "code" / name)
        (tree / "usr/lib/python3/dist-packages/loa.pth").write_text("/opt/loa/code\n/opt/loa/lib\n")
        (home / "bin").mkdir()
        (home / "bin/loa-agent").write_text(LAUNCHER)
        (home / "bin/loa-agent").chmod(0o755)

    def _names(self, tree: Path) -> None:
        """What the image says of itself, and whose bundles it takes."""
        file = tree / "usr/lib/os-release"
        own = f'IMAGE_ID={COMPATIBLE}\nIMAGE_VERSION="{self._recipe.version}"\nBUILD_ID={self._recipe.build}\n'
        file.write_text(file.read_text().rstrip("\n") + "\n" + own)
        (tree / "etc/rauc/keyring.pem").write_bytes(self._recipe.keyring)
        (tree / "etc/hostname").write_text("loa\n")
        (tree / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 loa\n")

    def _date(self, tree: Path) -> None:
        """No file is younger than the recipe's instant."""
        for path in (tree, *tree.rglob("*")):
            if path.lstat().st_mtime > self._recipe.epoch_s:
                os.utime(path, (self._recipe.epoch_s, self._recipe.epoch_s), follow_symlinks=False)

    def _boot(self, path: Path, tree: Path) -> None:
        """The FAT partition: the Raspberry Pi's firmware, U-Boot, the script that chooses a copy; `loa/` for the technician."""
        with self._step("boot"), tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            firmware = tree / "usr/lib/raspi-firmware"
            for each in (*firmware.glob("start*.elf"), *firmware.glob("fixup*.dat"), firmware / "bootcode.bin"):
                shutil.copy2(each, folder)
            for each in board_trees(tree):
                shutil.copy2(each, folder)
            for board, target in (("rpi_3", "u-boot-3.bin"), ("rpi_4", "u-boot-4.bin"), ("rpi_arm64", "u-boot.bin")):
                shutil.copyfile(tree / f"usr/lib/u-boot/{board}/u-boot.bin", folder / target)
            shutil.copyfile(HERE / "config.txt", folder / "config.txt")
            script = ("-A", "arm64", "-T", "script", "-C", "none", "-n", "loa", "-d", HERE / "boot.cmd", folder / "boot.scr")
            call(["mkimage", "-q", *script], more=self._fixed)
            (folder / "loa").mkdir()
            (folder / "loa/version").write_text(f"{self._recipe.version}\n")
            for each in folder.rglob("*"):
                os.utime(each, (self._recipe.epoch_s, self._recipe.epoch_s))
            shape = ("-F", "32", "-n", "LOA-BOOT", "--invariant", "-C", path, str(BOOT_MIB * 1024))
            call(["mkfs.vfat", *shape], more=self._fixed)
            call(["mcopy", "-s", "-m", "-i", path, *sorted(folder.iterdir()), "::"], more=self._fixed)

    def _root(self, path: Path, tree: Path) -> None:
        with self._step("root"):
            words = ("-O", "^has_journal", "-m", "0")
            make_ext4(path, tree, *words, mib=ROOT_MIB, uuid=ROOT_UUID, epoch_s=self._recipe.epoch_s)

    def _data(self, path: Path, tree: Path, folder: Path) -> None:
        """What outlives every firmware: empty folders, each its user's, as the image's tmpfiles.d names them."""
        people = {line.split(":")[0]: line.split(":")[2] for line in (tree / "etc/passwd").read_text().splitlines()}
        groups = {line.split(":")[0]: line.split(":")[2] for line in (tree / "etc/group").read_text().splitlines()}
        for line in (FILES / "usr/lib/tmpfiles.d/loa.conf").read_text().splitlines():
            if line.startswith("d /data/"):
                _kind, place, mode, user, group, _age = line.split()
                made = folder / Path(place).relative_to("/data")
                made.mkdir(parents=True)
                made.chmod(int(mode, 8))
                os.chown(made, int(people[user]), int(groups[group]))
        self._date(folder)
        # no blocks for root alone: what the agent gives back on a full card (its ballast) would go there
        words = ("-L", "data", "-m", "0")
        make_ext4(path, folder, *words, mib=DATA_MIB, uuid=DATA_UUID, epoch_s=self._recipe.epoch_s)

    def _finish(self, work: Path, out: Path, sheet: bytes, used: int) -> Built:
        """The whole card, its map and its sums."""
        name = f"{COMPATIBLE}-{self._recipe.version}"
        with self._step("card"):
            (work / "in/env.bin").write_bytes(boot_env())
            (work / "card.cfg").write_text(_layout(name))
            for folder in ("none", "tmp", "made"):
                (work / folder).mkdir()
            paths = {"rootpath": "none", "tmppath": "tmp", "inputpath": "in", "outputpath": "made"}
            call(["genimage", "--config", work / "card.cfg", *(f"--{key}={work / place}" for key, place in paths.items())])
            made = work / "made"
            (work / "in/root.ext4").rename(made / f"{name}.ext4")
            call(["bmaptool", "create", "-o", made / f"{name}.img.bmap", made / f"{name}.img"])
            (made / f"{name}.cdx.json").write_bytes(sheet)
            files = sorted(path for path in made.iterdir())
            (made / "SHA256SUMS").write_text("".join(f"{_sha256(path)}  {path.name}\n" for path in files))
            out.mkdir(parents=True, exist_ok=True)
            for path in sorted(made.iterdir()):
                (out / path.name).unlink(missing_ok=True)
                shutil.move(path, out / path.name)
        built = {"image": f"{name}.img", "rootfs": f"{name}.ext4", "bill": f"{name}.cdx.json", "sums": "SHA256SUMS"}
        return Built(**{key: out / file for key, file in built.items()}, root_used_bytes=used, step_ms=self._step_ms)


def _layout(name: str) -> str:
    """Partition 1 boot, 2 and 3 the copies, 4 data; the boot loader's sector between table and first partition."""
    return f"""image {name}.img {{
    hdimage {{
        partition-table-type = "mbr"
        disk-signature = {DISK_SIGNATURE:#x}
        align = 4M
    }}
    partition env {{
        in-partition-table = false
        image = "env.bin"
        offset = {ENV_OFFSET:#x}
    }}
    partition boot {{
        partition-type = 0xC
        bootable = true
        image = "boot.vfat"
        offset = {4 * MIB}
    }}
    partition rootfs-a {{
        partition-type = 0x83
        image = "root.ext4"
        size = {SLOT_MIB}M
    }}
    partition rootfs-b {{
        partition-type = 0x83
        size = {SLOT_MIB}M
    }}
    partition data {{
        partition-type = 0x83
        image = "data.ext4"
    }}
}}
"""


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
