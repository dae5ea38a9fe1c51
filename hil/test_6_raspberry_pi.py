"""The same card in a Raspberry Pi 3, as QEMU knows it: U-Boot from the card, its script, the kernel, the Pi's own device tree."""

import subprocess
import time
from pathlib import Path
from typing import Final

import pytest

from hil.card import Card
from hil.made import Made
from hil.office import Office
from hil.places import MIB, written
from provisioning.image.build import HERE
from provisioning.image.tools import call
from provisioning.memory import read_kept
from provisioning.pulled import taken_out

CARD_MIB: Final = 4096
"""That controller takes powers of two only."""
UP_S: Final = 600
SETTLED_S: Final = 30


@pytest.mark.lg_feature("virtual")
def test_the_card_starts_a_raspberry_pi_3_up_to_the_agent(office: Office, made: Made, tmp_path: Path) -> None:
    """No sound and no network there: what is seen is a login on its serial line, and the start that the agent wrote down."""
    card, console = tmp_path / "card.img", made.folder / "console-pi3.log"
    with card.open("wb") as file:
        file.truncate(CARD_MIB * MIB)
    _node, folder = office.make_card(sink="alsa:default", amplifier="none")
    written(card, made.image(1), folder, {})
    loader, tree = tmp_path / "u-boot-3.bin", tmp_path / "bcm2837-rpi-3-b.dtb"
    boot = f"{card}@@{Card(card).partition(1)[0]}"
    for path in (loader, tree):
        call(["mcopy", "-i", boot, f"::{path.name}", path])
    _leave_out_watchdog(boot, tmp_path)
    console.unlink(missing_ok=True)
    words = ["qemu-system-aarch64", "-M", "raspi3b", "-accel", "tcg,thread=multi", "-display", "none", "-monitor", "none"]
    words += ["-kernel", str(loader), "-dtb", str(tree), "-drive", f"file={card},format=raw,if=sd,cache=unsafe"]
    words += ["-serial", "null", "-serial", f"file:{console}"]
    began = time.monotonic()
    machine = subprocess.Popen(words)
    try:
        office.until(lambda: "login:" in _said(console), "a login on the serial line", UP_S)
        print(f"raspi3b: a login {time.monotonic() - began:.0f} s after power")
        assert "loa: copy A, tries left A 2, B 3" in _said(console)
        time.sleep(SETTLED_S)
        assert machine.poll() is None
    finally:
        machine.kill()
        machine.wait()
    with taken_out(card) as (memory, troubles):
        kept = read_kept(memory)
    assert (kept.boot_count, troubles, kept.troubles) == (1, (), ())


def _leave_out_watchdog(boot: str, folder: Path) -> None:
    """QEMU's Pi resets at the instant at which its watchdog is armed, so its kernel is told not to know it; all else stays."""
    words = (HERE / "boot.cmd").read_text()
    assert words.count(" quiet") == 1
    source, script = folder / "boot.cmd", folder / "boot.scr"
    source.write_text(words.replace(" quiet", " quiet module_blacklist=bcm2835_wdt"))
    call(["mkimage", "-q", "-A", "arm64", "-T", "script", "-C", "none", "-n", "loa", "-d", source, script])
    call(["mcopy", "-o", "-i", boot, script, "::boot.scr"])


def _said(console: Path) -> str:
    return console.read_text(errors="replace") if console.exists() else ""
