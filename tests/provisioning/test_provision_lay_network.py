"""What root does with the agent's words about the network: exactly what they say, or nothing at all. The program as it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edge_agent.drivers.uplink import Uplink
from protocol.documents import Apn, Reach, TimeSource

FILES = Path(__file__).parents[2] / "provisioning" / "image" / "files"
PROGRAM = FILES / "usr/lib/loa/lay-network"
BASE = FILES / "usr/lib/NetworkManager/system-connections/mobile.nmconnection"
NTS, PLAIN = TimeSource(host="time.example.vn", nts=True), TimeSource(host="192.0.2.1")


class Machine:
    """A data partition, the agent's folder, and nmcli and chronyc that write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.run, self.data, self.bin = folder / "run", folder / "data", folder / "bin"
        for each in (self.run, self.data / "network", self.data / "time", self.bin):
            each.mkdir(parents=True)
        self.calls = folder / "calls"
        for name in ("nmcli", "chronyc"):
            (self.bin / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.calls}"\n')
            (self.bin / name).chmod(0o755)

    def lay(self) -> subprocess.CompletedProcess[str]:
        self.calls.write_text("")
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}
        words = [PROGRAM, self.run / "network", self.data, BASE]
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=20, check=False)

    def laid(self) -> dict[str, str]:
        return {str(file.relative_to(self.data)): file.read_text() for file in self.data.rglob("*") if file.is_file()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_the_agent_asks_for_is_laid_and_read_and_asked_again_changes_nothing(machine: Machine):
    Uplink(machine.run).lay(Reach(apn=Apn(name="v-internet", user="loa@node"), time_sources=(NTS, PLAIN)))
    assert machine.lay().returncode == 0
    laid = machine.laid()
    assert laid["network/mobile.nmconnection"] == BASE.read_text().replace(
        "auto-config=true", "apn=v-internet\nusername=loa@node"
    )
    assert laid["time/loa.sources"] == "server 192.0.2.1 iburst\nserver time.example.vn iburst nts\n"
    assert (machine.data / "network/mobile.nmconnection").stat().st_mode & 0o777 == 0o600
    assert (machine.data / "time/loa.sources").stat().st_mode & 0o777 == 0o644
    called = machine.calls.read_text().splitlines()
    assert called == ["nmcli connection reload", "nmcli --wait 0 connection up id mobile", "chronyc reload sources"]
    assert machine.lay().returncode == 0
    assert machine.calls.read_text() == "", "a modem that works is left alone"


def test_what_is_no_longer_asked_for_is_taken_away_so_that_the_firmware_counts_again(machine: Machine):
    uplink = Uplink(machine.run)
    uplink.lay(Reach(apn=Apn(name="v-internet"), time_sources=(PLAIN,)))
    machine.lay()
    uplink.lay(Reach(time_sources=(PLAIN,)))
    assert machine.lay().returncode == 0
    assert list(machine.laid()) == ["time/loa.sources"]
    assert machine.calls.read_text().splitlines()[0] == "nmcli connection reload"
    uplink.lay(Reach())
    assert machine.lay().returncode == 0
    assert machine.laid() == {}
    assert machine.calls.read_text() == "chronyc reload sources\n"


@pytest.mark.parametrize(
    "text",
    [
        "apn v-internet\npassword=x\n",
        "apn v internet\n",
        "apn a/e\n",
        "apn $(reboot)\n",
        "apn a\\nusername=x\n",
        "apn a\napn b\n",
        "user loa\n",
        "apn a\nuser a b\n",
        "server time.vn iburst\n",
        "server -time.vn\n",
        "server a.vn\nserver b.vn\nnts c.vn\nserver d.vn\nnts e.vn\n",
        "pool time.vn\n",
        "include /etc/shadow\n",
        " server time.vn\n",
        "server time.vn\r\n",
        "server time.vn\0\n",
        "server " + "a" * 254 + "\n",
        "server giờ.vn\n",
        "\n" * 2_040 + "server time.example.vn\n",
    ],
)
def test_one_line_that_is_not_exactly_a_word_and_a_name_and_nothing_changes(machine: Machine, text: str):
    Uplink(machine.run).lay(Reach(apn=Apn(name="good"), time_sources=(NTS,)))
    machine.lay()
    before = machine.laid()
    (machine.run / "network").write_bytes(text.encode())
    said = machine.lay()
    assert said.returncode == 1
    assert "nothing is changed" in said.stderr
    assert (machine.laid(), machine.calls.read_text()) == (before, "")


def test_a_word_that_is_gone_with_the_agent_changes_nothing(machine: Machine):
    Uplink(machine.run).lay(Reach(time_sources=(PLAIN,)))
    machine.lay()
    (machine.run / "network").unlink()
    assert machine.lay().returncode == 0
    assert list(machine.laid()) == ["time/loa.sources"]


def test_chrony_and_networkmanager_read_where_it_lays():
    assert "sourcedir /data/time" in (FILES / "etc/chrony/conf.d/loa.conf").read_text().splitlines()
    assert "path=/data/network" in (FILES / "etc/NetworkManager/conf.d/loa.conf").read_text().splitlines()
    folders = (FILES / "usr/lib/tmpfiles.d/loa.conf").read_text()
    assert "d /data/network 0700 root root" in folders
    assert "d /data/time 0755 root root" in folders
    assert "auto-config=true" in BASE.read_text().splitlines(), "the line that an access point takes the place of"
