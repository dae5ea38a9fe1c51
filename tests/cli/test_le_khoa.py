"""docs/le-khoa.md is run as it stands, by copy and paste at a terminal, and each block gives what the page says."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.loa_office import PASSPHRASE, Office, Papers

PAGE = Path(__file__).parents[2] / "docs" / "le-khoa.md"
SHOWN = re.compile(r"^Phải thấy / must show: `(.+)`$")
REFUSED = re.compile(r"^Từ chối / refused: `(.+)`$")
PROGRAMS = {"loa": "controller.cli", "loa-provision": "provisioning.__main__", "loa-agent": "edge_agent.__main__"}
BLOCK_S = 240


@dataclass
class Block:
    """One fenced block and what the page says of it."""

    line: int
    commands: str
    shows: list[str]
    refused: bool = False


def blocks() -> list[Block]:
    found: list[Block] = []
    inside: list[str] | None = None
    for number, line in enumerate(PAGE.read_text("utf-8").splitlines(), 1):
        if inside is not None:
            if line == "```":
                found.append(Block(number - len(inside), "\n".join(inside), []))
                inside = None
            else:
                inside.append(line)
        elif line == "```sh":
            inside = []
        elif told := SHOWN.match(line) or REFUSED.match(line):
            found[-1].shows.append(told[1])
            found[-1].refused |= line.startswith("Từ chối")
    return found


class Desk:
    """A shell at a pseudo-terminal in one folder; every question is answered with yes."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.kept = folder / ".environment"

    def run(self, commands: str) -> tuple[int, str]:
        """Status and all that was shown; what a block exports is there in the next."""
        script = f"set -e -m; [ ! -f {self.kept} ] || . {self.kept}; set -a\n{commands}\nexport -p > {self.kept}\n"
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        shown, answered = "", 0
        end_s = time.monotonic() + BLOCK_S
        while True:
            assert time.monotonic() < end_s, f"not done: {shown[-2000:]}"
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    data = os.read(ours, 65_536)
                except OSError:
                    break
                if not data:
                    break
                shown += data.decode(errors="replace")
                if shown.count("[y/N]: ") > answered:
                    answered += 1
                    os.write(ours, b"y\n")
            elif child.poll() is not None:
                break
        os.close(ours)
        return child.wait(timeout=30), shown


@pytest.fixture
def desk(tmp_path: Path, papers: Papers) -> Desk:
    """An office with serve running, the programs on the PATH, passphrases in a file."""
    office = Office(tmp_path / "state", papers)
    office.broker()
    office.serve()
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copy(office.state / "areas.json", folder)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, module in PROGRAMS.items():
        program = programs / name
        program.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import main\nsys.argv[0] = '{name}'\nmain()\n")
        program.chmod(0o755)
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    secret.chmod(0o600)
    (tmp_path / "tokens").mkdir()
    softhsm = tmp_path / "softhsm2.conf"
    softhsm.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(PAGE.parents[1]),
        "LOA_STATE": str(office.state),
        "LOA_PASSPHRASE_FILE": str(secret),
        "SOFTHSM2_CONF": str(softhsm),
        "COLUMNS": "240",
        "TERM": "dumb",
    }
    yield Desk(folder, environment)
    office.close()


@pytest.mark.timeout(900)
def test_the_ceremony_and_every_recovery_run_from_the_page_by_copy_and_paste(desk: Desk):
    run = blocks()
    assert len(run) > 20
    for block in run:
        status, shown = desk.run(block.commands)
        where = f"line {block.line} of {PAGE.name}:\n{block.commands}\n---\n{shown}"
        assert (status != 0) is block.refused, where
        for words in block.shows:
            assert words in shown.replace("\r", ""), f"{words!r} is not shown by {where}"
        assert PASSPHRASE not in shown
        assert "Traceback" not in shown, where


def test_every_block_says_what_it_must_show():
    silent = [block.line for block in blocks() if not block.shows]
    assert silent == []
