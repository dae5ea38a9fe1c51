"""What differs between the two places: how a card is written, and how the loudspeaker is listened to. QEMU, and a bench."""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attr
import numpy as np
from labgrid import target_factory
from labgrid.driver import Driver
from msgspec import structs

from provisioning.device import BlockDevice
from provisioning.flash import Flashed, flash, read_card
from provisioning.images import check_image

RATE: Final = 48_000
MIB: Final = 1 << 20
HEADER_BYTES: Final = 44
"""Of QEMU's wav file; its lengths stay 0 until QEMU ends, so what lies behind it is all samples."""
QUIET: Final = 10 ** (-60 / 20)


def written(path: Path, image: Path, card: Path, more: Mapping[str, bytes]) -> Flashed:
    """As `loa-provision flash` does, read back; `more` lies beside node.toml."""
    node = read_card(card)
    node = structs.replace(node, files={**node.files, **more})
    with BlockDevice(path) as device:
        return flash(device, check_image(image), node=node)


@target_factory.reg_driver
@attr.s(eq=False)
class QemuCard(Driver):  # type: ignore[misc]  # labgrid has no types
    """The card of a node in QEMU: a file of the machine's own; only written while the machine is off."""

    path: str = attr.ib(validator=attr.validators.instance_of(str))
    size_mib: int = attr.ib(default=2560, validator=attr.validators.instance_of(int))

    @property
    def file(self) -> Path:
        """Where it lies."""
        return Path(self.target.env.config.resolve_path(self.path))

    @Driver.check_active  # type: ignore[untyped-decorator]
    def write(self, image: Path, card: Path, more: Mapping[str, bytes]) -> Flashed:
        """A blank card, flashed."""
        self.file.unlink(missing_ok=True)
        with self.file.open("wb") as file:
            file.truncate(self.size_mib * MIB)
        return written(self.file, image, card, more)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Path]:
        """The card in this computer's hands."""
        yield self.file


@target_factory.reg_driver
@attr.s(eq=False)
class MuxCard(Driver):  # type: ignore[misc]
    """The card of a node on the bench, between two computers: a USB-SD-Mux gives it to one of them."""

    bindings = {"mux": "USBSDMuxDriver", "disk": "USBSDMuxDevice"}  # noqa: RUF012  labgrid's way

    @Driver.check_active  # type: ignore[untyped-decorator]
    def write(self, image: Path, card: Path, more: Mapping[str, bytes]) -> Flashed:
        """The card that lies in the mux, flashed; the node has it afterwards."""
        with self.opened() as path:
            return written(path, image, card, more)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Path]:
        """The card in this computer's hands."""
        self.mux.set_mode("host")
        try:
            self.target.await_resources([self.disk])
            yield Path(self.disk.path)
        finally:
            self.mux.set_mode("dut")


def recording(words: str, card: Path, log: Path) -> str:
    """QEMU's words for a card, changed so that each write and flush goes into `log` as well (blklogwrites)."""
    log.unlink(missing_ok=True)
    log.touch()
    plain = f"-drive if=none,id=card,format=raw,file={card},cache=unsafe"
    if plain not in words:
        raise ValueError(f"the place's words name the card otherwise than {plain}")
    kept = (
        f"-blockdev driver=file,node-name=card-file,filename={card} -blockdev driver=raw,node-name=card-raw,file=card-file"
        f" -blockdev driver=file,node-name=log-file,filename={log}"
        " -blockdev driver=blklogwrites,node-name=card,file=card-raw,log=log-file,log-sector-size=512"
    )
    return words.replace(plain, kept)


def with_stick(words: str, stick: Path) -> str:
    """QEMU's words, and a USB stick that the guest may only read."""
    return (
        f"{words} -device qemu-xhci -drive if=none,id=stick,format=raw,readonly=on,file={stick} -device usb-storage,drive=stick"
    )


@attr.s(eq=False)
class Listener(Driver):  # type: ignore[misc]
    """Samples that go on being written to a file: 48 kHz, 16 bit, one channel."""

    path: str = attr.ib(validator=attr.validators.instance_of(str))

    @property
    def file(self) -> Path:
        """Where they lie."""
        return Path(self.target.env.config.resolve_path(self.path))

    def mark(self) -> int:
        """Here the listening begins."""
        return self.file.stat().st_size if self.file.exists() else 0

    def since(self, mark: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """All samples (-1 to 1) after a mark; after a power cut QEMU begins the file anew, and so do we."""
        content = self.file.read_bytes()
        content = content[max(mark if mark <= len(content) else 0, HEADER_BYTES) :]
        return np.frombuffer(content[: len(content) // 2 * 2], dtype="<i2").astype(np.float64) / 32768


@target_factory.reg_driver
@attr.s(eq=False)
class QemuSound(Listener):
    """What QEMU's sound card plays. The file grows only while something plays: it has no silence and no time in it."""


@target_factory.reg_driver
@attr.s(eq=False)
class CapturedSound(Listener):
    """What a USB sound card hears at the node's loudspeaker terminals, by arecord."""

    device: str = attr.ib(default="default", validator=attr.validators.instance_of(str))

    def on_activate(self) -> None:
        """Listen from now on."""
        words = ["arecord", "-q", "-D", self.device, "-f", "S16_LE", "-r", str(RATE), "-c", "1", "-t", "wav", str(self.file)]
        self._child = subprocess.Popen(words)

    def on_deactivate(self) -> None:
        """Stop listening."""
        self._child.terminate()
        self._child.wait()


def tone_s(samples: np.ndarray[Any, np.dtype[np.float64]], hertz: float) -> float:
    """For how long (s) a tone holds at least nine tenths of the energy, above -60 dBFS, in blocks of a quarter of a second.

    Not without a gap: under emulation the card runs dry now and then.
    """
    length = RATE // 4
    near = round(hertz / 4)
    found = 0
    for start in range(0, len(samples) - length, length):
        block = samples[start : start + length] * np.hanning(length)
        power = np.abs(np.fft.rfft(block)) ** 2
        loud = float(np.sqrt(np.mean(block**2))) > QUIET
        found += loud and power[max(near - 3, 0) : near + 4].sum() > 0.9 * power.sum()
    return found / 4


def sounded_s(samples: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """For how long (s) anything louder than -60 dBFS sounded, in blocks of 10 ms."""
    blocks = samples[: len(samples) // 480 * 480].reshape(-1, 480)
    return float((np.sqrt((blocks**2).mean(axis=1)) > QUIET).sum() / 100) if len(blocks) else 0.0
