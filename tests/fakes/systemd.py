"""systemctl and systemd-run for one unit: it runs a real agent, and notes what it was asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

CONTROL = """#!/bin/sh
# {name} of a test
echo "$(awk '{{print int($1 * 1000)}}' /proc/uptime) {name} $*" >> {home}/asked
[ -e {home}/broken-{name}-$1 ] && {{ echo "{name}: it is broken" >&2; exit 1; }}
running() {{ [ -e {home}/pid ] && kill -0 "$(cat {home}/pid)" 2>/dev/null; }}
case "{name} $1" in
"systemctl show")
    if running; then state=active; else state=inactive; fi
    printf 'LoadState=loaded\\nActiveState=%s\\nUser={user}\\nSupplementaryGroups=\\n' $state ;;
"systemctl stop")
    case "$2" in *.timer) rm -f {home}/timer; exit 0 ;; esac
    running && kill "$(cat {home}/pid)"
    while running; do sleep 0.05; done ;;
"systemctl start")
    running && exit 0
    {python} -m edge_agent --config {toml} </dev/null >/dev/null 2>>{home}/agent.log &
    echo $! > {home}/pid ;;
"systemd-run --quiet")
    [ -e {home}/timer ] && {{ echo "it was already loaded" >&2; exit 1; }}
    echo "$*" > {home}/timer ;;
esac
exit 0
"""


class Systemd:
    """Its programs lie in `path`, for PATH. `asked` is what they were called with, in order."""

    def __init__(self, home: Path, toml: Path, *, user: str = "") -> None:
        self.home = home
        self.path = home / "bin"
        self.path.mkdir(parents=True)
        for name in ("systemctl", "systemd-run"):
            script = self.path / name
            script.write_text(CONTROL.format(name=name, home=home, python=sys.executable, toml=toml, user=user))
            script.chmod(0o755)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.runs:
            os.kill(self.pid, signal.SIGKILL)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{self.path}:{os.environ['PATH']}"}

    @property
    def pid(self) -> int:
        return int((self.home / "pid").read_text())

    @property
    def runs(self) -> bool:
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return False
        return state != "Z"

    @property
    def timer(self) -> bool:
        """Whether the timer that starts the unit again is armed."""
        return (self.home / "timer").exists()

    @property
    def asked(self) -> list[str]:
        try:
            lines = (self.home / "asked").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line.partition(" ")[2] for line in lines]

    def break_(self, program: str, word: str) -> None:
        (self.home / f"broken-{program}-{word}").touch()

    def start(self) -> int:
        """Start the unit, and wait until its agent holds its memory."""
        subprocess.run([self.path / "systemctl", "start", "loa-agent.service"], check=True)
        deadline_s = time.monotonic() + 60
        while b"link down" not in self._log():
            assert time.monotonic() < deadline_s, self._log()[-500:]
            time.sleep(0.05)
        return self.pid

    def _log(self) -> bytes:
        file = self.home / "agent.log"
        return file.read_bytes() if file.exists() else b""
