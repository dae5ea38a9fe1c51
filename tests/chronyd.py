"""Real chronyd processes that never touch the machine's clock (-x): one that serves its own time, one that follows it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.faked import LIBRARIES

CHRONYD = shutil.which("chronyd") or next((path for path in ("/usr/sbin/chronyd",) if Path(path).exists()), None)
needs_chronyd = pytest.mark.skipif(CHRONYD is None or shutil.which("chronyc") is None, reason="chrony is not installed")


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Chronyd:
    """One process with a private command socket."""

    def __init__(self, *lines: str, ahead_s: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="loa-chrony-"))  # not tmp_path: a socket's path has 107 letters at most
        self.socket = self.folder / "chronyd.sock"
        config = self.folder / "chrony.conf"
        own = (f"bindcmdaddress {self.socket}", f"pidfile {self.folder / 'pid'}", "cmdport 0")
        config.write_text("\n".join((*own, *lines, "")))
        faked = {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": f"+{ahead_s}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        words = [str(CHRONYD), "-x", "-U", "-d", "-F", "0", "-u", getpass.getuser(), "-f", str(config)]
        with (self.folder / "log").open("wb") as log:
            self.child = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | (faked if ahead_s else {}))

    @property
    def chronyc(self) -> tuple[str, ...]:
        return ("chronyc", "-n", "-c", "-h", str(self.socket))

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def end(self) -> None:
        """The daemon is gone."""
        self.child.terminate()
        self.child.wait()

    def close(self) -> None:
        self.end()
        shutil.rmtree(self.folder)


def server(port: int, *, ahead_s: int = 0) -> Chronyd:
    """Serves its own time on loopback, as if it were right."""
    return Chronyd(f"port {port}", "bindaddress 127.0.0.1", "allow 127.0.0.1", "local stratum 3", ahead_s=ahead_s)


def follower(port: int) -> Chronyd:
    """Follows that server; a few tenths of a second are enough to be in step."""
    return Chronyd("port 0", f"server 127.0.0.1 port {port} iburst minpoll -2 maxpoll 0")
