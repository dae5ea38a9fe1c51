"""A firmware without an agent that stays up is started again, so that the boot loader counts; all else is left alone (law 8)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

GUARD = Path(__file__).parents[2] / "provisioning/image/files/usr/lib/loa/guard"
UP_S = 1_500


def guarded(folder: Path, *, left: str, state: str = "failed", since_s: int = 0, copy: str = "B") -> bool:
    """Whether the machine is started again; the boot loader's and systemd's programs answer as told."""
    programs, calls = folder / "bin", folder / "calls"
    programs.mkdir(exist_ok=True)
    calls.write_text("")
    answers = {
        "fw_printenv": f'[ "$2" = BOOT_{copy}_LEFT ] && echo {left}' if left else "exit 1",
        "systemctl": f"""case "$1" in
is-active) echo {state}; [ {state} = active ] ;;
show) echo {since_s * 1_000_000} ;;
*) echo "$*" >>{calls} ;;
esac""",
    }
    for name, script in answers.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    (folder / "cmdline").write_text(f"root=PARTUUID=4c6f6131-03 rauc.slot={copy} ro quiet\n")
    (folder / "uptime").write_text(f"{UP_S}.42 2800.10\n")
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    words = [GUARD, folder / "cmdline", folder / "uptime"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return calls.read_text().splitlines() == ["reboot"]


@pytest.mark.parametrize("copy", ["A", "B"])
@pytest.mark.parametrize("state", ["failed", "activating", "inactive"])
def test_a_copy_whose_agent_does_not_run_is_started_again(tmp_path, copy, state):
    assert guarded(tmp_path, left="2", state=state, copy=copy)


def test_an_agent_that_falls_over_again_and_again_counts_as_none(tmp_path):
    assert guarded(tmp_path, left="2", state="active", since_s=UP_S - 5)


def test_an_agent_that_has_run_for_ten_minutes_decides_itself(tmp_path):
    assert not guarded(tmp_path, left="2", state="active", since_s=UP_S - 600)


def test_a_copy_that_was_marked_good_is_left_alone_whatever_its_agent_does(tmp_path):
    assert not guarded(tmp_path, left="3", state="failed")


def test_a_boot_sector_that_cannot_be_read_is_no_mark(tmp_path):
    assert guarded(tmp_path, left="", state="failed")
    assert not guarded(tmp_path, left="", state="active", since_s=10)
