"""What goes into the image and how the card is laid out. Every figure that boot script, RAUC and fstab share stands here once."""

import hashlib
import re
import zlib
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from provisioning.errors import InputRefused

SUITE: Final = "trixie"
ARCHITECTURE: Final = "arm64"
PYTHON: Final = "3.13"
COMPATIBLE: Final = "loa-node"
COMPONENTS: Final = "main non-free-firmware"
PACKAGES: Final = (
    # the system
    *("systemd-sysv", "udev", "dbus", "kmod", "linux-image-arm64", "initramfs-tools", "zstd", "e2fsprogs", "fdisk", "dosfstools"),
    # two copies of it
    *("rauc", "rauc-service", "libubootenv-tool"),
    # the network and the time
    *("network-manager", "modemmanager", "nftables", "chrony", "ca-certificates", "iproute2", "openssh-server"),
    # sound, a voice for warnings that come as text, pins and the agent's language
    *("python3", "libvlc5", "libvlc-bin", "vlc-plugin-base", "alsa-utils", "espeak-ng"),
    # the Raspberry Pi's own
    *("raspi-firmware", "firmware-brcm80211", "u-boot-rpi"),
)
WHEELS: Final = (
    *("msgspec", "securesystemslib", "cryptography", "cffi", "pycparser", "python-dateutil", "aiomqtt", "paho-mqtt", "tzdata"),
    *("python-vlc", "gpiod", "audioop-lts", "dbus-fast"),
)
"""What edge_agent imports, out of the lock file; the build imports the agent in the image, so that a missing one is seen."""
CODE: Final = ("protocol", "edge_agent")
SECTOR_BYTES: Final = 512
MIB: Final = 1 << 20
DISK_SIGNATURE: Final = 0x4C6F6131
ENV_OFFSET: Final = 0x8000
ENV_BYTES: Final = SECTOR_BYTES
"""One sector: the card writes it whole or not at all."""
ENV: Final = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
BOOT_MIB, SLOT_MIB, DATA_MIB = 96, 900, 256
ROOT_MIB: Final = 704
"""Of a slot so much is file system: each update carries a hash (32 B) of each of its blocks. mke2fs refuses what outgrows it."""
ROOT_UUID: Final = "4c6f6131-0000-4000-8000-000000000002"
DATA_UUID: Final = "4c6f6131-0000-4000-8000-000000000004"
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~-]{0,63}")


class Recipe(Struct, frozen=True, kw_only=True):
    """The inputs of one image; two builds of the same recipe are the same bytes.

    `epoch_s` (Unix seconds) is what every file's time is and what a node without a clock begins with; `mirror` and `security` are
    addresses of Debian's archive, `keyring` the PEM certificates that bundles must be signed under. Without `security` it has the
    packages of the last point release.
    """

    version: str
    build: int
    epoch_s: int
    mirror: str
    security: str | None
    keyring: bytes

    def __post_init__(self) -> None:
        """Refuse what os-release or RAUC could not carry."""
        if not _VERSION.fullmatch(self.version):
            raise InputRefused(f"version {self.version!r}: up to 64 letters, digits and . + ~ -, such as 2026.11.3")
        if self.build < 1:
            raise InputRefused("build is a number from 1 on, higher than that of every release before")
        if b"-----BEGIN CERTIFICATE-----" not in self.keyring:
            raise InputRefused("the keyring holds no PEM certificate: name the one that bundles are signed under")

    @property
    def sources(self) -> tuple[str, ...]:
        """Lines of sources.list."""
        point = f"deb {self.mirror} {SUITE} {COMPONENTS}"
        if self.security is None:
            return (point,)
        later = (f"deb {self.mirror} {SUITE}-updates {COMPONENTS}", f"deb {self.security} {SUITE}-security {COMPONENTS}")
        return (point, *later)


def boot_env() -> bytes:
    """The first state of the boot loader: CRC-32 (little endian), then NAME=value, each ended by NUL, as U-Boot exports it."""
    words = b"".join(f"{name}={value}\0".encode() for name, value in ENV.items()) + b"\0"
    filled = words.ljust(ENV_BYTES - 4, b"\0")
    return zlib.crc32(filled).to_bytes(4, "little") + filled


def digest_of(*inputs: object) -> str:
    """A short name for what a step was made from: texts, bytes, files and folders."""
    total = hashlib.sha256()
    for each in inputs:
        for name, content in _parts(each):
            total.update(f"{len(name)}:{name}:{len(content)}:".encode() + content)
    return total.hexdigest()[:24]


def _parts(each: object) -> list[tuple[str, bytes]]:
    match each:
        case Path() if each.is_dir():
            files = sorted(path for path in each.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
            return [(f"{path.relative_to(each)} {path.stat().st_mode & 0o100:o}", path.read_bytes()) for path in files]
        case Path():
            return [("", each.read_bytes())]
        case bytes():
            return [("", each)]
        case _:
            return [("", msgspec.json.encode(each))]
