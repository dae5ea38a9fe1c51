"""`loa-provision check` over a real ssh on the loopback: the node's own answer, and a sentence where there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from protocol.checks import PARTS, CheckSheet
from tests.audio import read_wav, sounding_runs
from tests.commune import Commune, free_port
from tests.terminal import said_on_terminal

BIN = Path(sys.executable).parent
SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")


class Pole:
    """A node's folder, and the ssh that lets the technician's key in, as the image's does."""

    def __init__(self, folder: Path) -> None:
        commune = Commune(folder / "commune")
        self.node = commune.add_node("52.24076.001")
        self.toml = commune.nodes[self.node]
        self.home = folder / "ssh"
        self.home.mkdir()
        self.port = free_port()
        for name in ("host", "mine", "strange"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.home / name], check=True)
        shutil.copy(self.home / "mine.pub", self.home / "authorized_keys")
        settings = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "AuthorizedKeysFile": self.home / "authorized_keys",
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "UsePAM": "no",
            "StrictModes": "no",
            "PidFile": "none",
        }
        (self.home / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd's own folder of privilege separation; systemd makes it elsewhere
        self.sshd: subprocess.Popen[bytes] | None = None
        self.serve("host")

    def serve(self, key: str) -> None:
        """Listen under this host key."""
        self.stop()
        words = [str(SSHD), "-D", "-e", "-f", self.home / "config", "-h", self.home / key]
        self.sshd = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        deadline_s = time.monotonic() + 20
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert time.monotonic() < deadline_s, "sshd does not listen"
            time.sleep(0.05)

    def stop(self) -> None:
        if self.sshd is not None:
            self.sshd.terminate()
            self.sshd.wait(10)

    def words(self, *more: str, key: str = "mine", address: str = "127.0.0.1") -> list[str]:
        where = ["--port", str(self.port), "-i", str(self.home / key), "--config", str(self.toml)]
        return [str(BIN / "loa-provision"), "check", address, *where, "--agent", str(BIN / "loa-agent"), *more]

    def check(self, *more: str, **other: str) -> subprocess.CompletedProcess[str]:
        """A technician's computer without a known host, or keys of its own."""
        clean = os.environ | {"SSH_AUTH_SOCK": ""}
        return subprocess.run(
            self.words(*more, **other),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=clean,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture(scope="module")
def pole(tmp_path_factory):
    if SSHD is None or os.geteuid() != 0:
        pytest.skip("a real sshd that lets root in (apt: openssh-server), and root")
    made = Pole(tmp_path_factory.mktemp("pole"))
    yield made
    made.stop()


def test_the_nodes_own_answer_comes_as_one_table_with_status_1_for_red(pole):
    done = pole.check("--silent")
    assert done.returncode == 1, done.stderr
    assert f"cụm loa / node {pole.node}" in done.stdout
    assert [name for name in PARTS.values() if name.split(" / ")[0] in done.stdout] == list(PARTS.values())
    assert "HỎNG / BAD" in done.stdout
    assert not done.stderr


def test_the_same_in_json_for_programs(pole):
    done = pole.check("--silent", "--json")
    sheet = msgspec.json.decode(done.stdout, type=CheckSheet)
    assert (sheet.node, tuple(check.name for check in sheet.checks)) == (pole.node, tuple(PARTS))
    assert done.returncode == (1 if sheet.is_red else 0)


def test_the_tone_sounds_through_ssh_after_its_warning(pole):
    done = pole.check("--json")
    sheet = msgspec.json.decode(done.stdout, type=CheckSheet)
    assert next(check for check in sheet.checks if check.name == "sound").verdict == "good"
    assert done.stderr.startswith("LOA SẮP KÊU")
    _, samples = read_wav(pole.toml.parent / "out.wav")
    assert len(sounding_runs(samples)) == 1


def test_on_a_terminal_the_table_has_colours(pole):
    _, said = said_on_terminal(pole.words("--silent"))
    assert "\x1b[1;31mHỎNG" in said


@pytest.mark.parametrize(
    ("more", "other", "words"),
    [
        ((), {"key": "strange"}, "authorized_keys"),
        (("--port", "1"), {}, "look at cable and address"),
        (("--agent", "/nonexistent/loa-agent"), {}, "no answer of a check (status 127)"),
        ((), {"address": "root@127.0.0.1"}, "is no address"),
        ((), {"address": "-oProxyCommand=touch"}, ""),
        ((), {"key": "none"}, "there is no key file"),
    ],
)
def test_where_no_answer_comes_it_is_one_sentence_with_what_to_do(pole, more, other, words):
    done = pole.check("--silent", *more, **other)
    assert done.returncode != 0
    assert done.stdout == ""
    assert words in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_wrong_configuration_is_the_nodes_own_sentence_and_status_78(pole):
    done = pole.check("--silent", "--config", "/nonexistent/node.toml")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("loa-agent: /nonexistent/node.toml: there is no such file")


def test_the_next_node_at_the_same_address_is_checked_like_the_first(pole):
    pole.check("--silent")
    pole.serve("strange")
    done = pole.check("--silent", "--json")
    assert msgspec.json.decode(done.stdout, type=CheckSheet).node == pole.node
    assert not done.stderr
