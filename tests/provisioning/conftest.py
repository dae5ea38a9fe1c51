"""A ceremony on real files with the real program: three persons with keys, a signed root, a grant's table."""

import functools
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSPHRASE = "ba con song vui"
ROOT_TOML = """
area = "52"
area_no = 100000052

[[persons]]
id = "an"
name = "Nguyễn Văn An"
keys = ["an.pub"]

[[persons]]
id = "binh"
name = "Siu Bình"
keys = ["binh.pub"]

[[persons]]
id = "chi"
name = "Rơ Châm Chi"
keys = ["chi.pub"]

[roles]
root = {persons = ["an", "binh", "chi"], threshold = 2}
delegate = {persons = ["an", "binh", "chi"], threshold = 2}
placement = {persons = ["an", "binh"], threshold = 1}
"""
GRANT_TOML = """
area = "52.24076"
area_no = 24076000
until = 2090-12-31

[[persons]]
id = "chu-tich"
name = "Chủ tịch UBND xã Phú Túc"
keys = ["chu-tich.pub"]

[[powers]]
power = "emergency"
persons = ["chu-tich"]
sound_max_s = 3600

[[powers]]
power = "stop"
persons = ["chu-tich"]
"""


@dataclass(frozen=True)
class Said:
    """What a program said."""

    code: int
    out: str
    err: str


Provision = Callable[..., Said]


def run_provision(folder: Path, *words: str, stdin: str = "") -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "provisioning", *words],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def _done(said: Said) -> None:
    assert said.code == 0, said.err


@pytest.fixture(scope="session")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four persons with key files, made once and copied for each test."""
    folder = tmp_path_factory.mktemp("ceremony")
    (folder / "passphrase").write_text(PASSPHRASE + "\n")
    (folder / "passphrase").chmod(0o600)
    secret = ("--passphrase-file", "passphrase")
    for person in ("an", "binh", "chi", "chu-tich"):
        _done(run_provision(folder, "key", "new", "--person", person, "--name", person, "--out", f"{person}.key", *secret))
    (folder / "root.toml").write_text(ROOT_TOML)
    (folder / "grant.toml").write_text(GRANT_TOML)
    return folder


@pytest.fixture(scope="session")
def crowned(ceremony: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a root that two of three persons signed, one after the other."""
    folder = tmp_path_factory.mktemp("crowned") / "here"
    shutil.copytree(ceremony, folder)
    _done(run_provision(folder, "root", "new", "root.toml", "--out", "root.json"))
    for person in ("an", "binh"):
        words = ("root", "sign", "root.json", "--key", f"{person}.key", "--passphrase-file", "passphrase", "--yes")
        _done(run_provision(folder, *words))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    secret.chmod(0o600)
    return tmp_path


@pytest.fixture
def provision(tmp_path: Path) -> Provision:
    """Run loa-provision in the test's folder, without a terminal."""
    return functools.partial(run_provision, tmp_path)


@pytest.fixture
def people(ceremony: Path, tmp_path: Path) -> Path:
    shutil.copytree(ceremony, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def root(crowned: Path, tmp_path: Path) -> Path:
    shutil.copytree(crowned, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def at_terminal(folder: Path) -> Callable[..., tuple[int, str]]:
    """Run loa-provision at a real pseudo-terminal, typing one line at each question; gives status and all that was shown."""

    def run(*words: str, lines: tuple[str, ...]) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            [sys.executable, "-m", "provisioning", *words],
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        shown, fresh, typed, deadline = "", "", 0, time.monotonic() + 110
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                said = os.read(ours, 4096).decode(errors="replace")
            except OSError:
                break
            shown, fresh = shown + said, fresh + said
            if typed < len(lines) and fresh.rstrip("\r\n").endswith(": "):
                fresh = ""  # what is shown from now on is the echo, and then the next question
                os.write(ours, lines[typed].encode() + b"\n")
                typed += 1
        os.close(ours)
        return child.wait(timeout=30), shown

    return run
