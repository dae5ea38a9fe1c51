"""Two network namespaces with a TUN link between them that is as bad as asked for; taken down at the end."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from tests.bench.place import NODE_SPACE, ROOT, SITE_SPACE, Need


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _forget() -> None:
    for space in (NODE_SPACE, SITE_SPACE):
        subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


@contextlib.contextmanager
def link(need: Need) -> Iterator[int]:
    """Make the link; gives the process id of what carries it (stopped, the link is dark)."""
    _forget()
    for space in (NODE_SPACE, SITE_SPACE):
        _ip("netns", "add", space)
        # its router solicitations would count as the node's data
        _ip("netns", "exec", space, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
        _ip("-n", space, "link", "set", "lo", "up")
    # the node's side is set as its image sets it
    settings = str(ROOT / "systemd" / "loa-agent.sysctl")
    _ip("netns", "exec", NODE_SPACE, "sysctl", "--quiet", "--load", settings)
    words = [sys.executable, str(ROOT / "tests" / "bench" / "tunem.py"), NODE_SPACE, SITE_SPACE]
    words += ["--delay-ms", str(need.delay_ms), "--jitter-ms", str(need.jitter_ms)]
    words += ["--loss", str(need.loss), "--rate-kbit", str(need.rate_kbit)]
    carrier = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert carrier.stdout is not None
        if carrier.stdout.readline().strip() != "up":
            raise OSError("the emulated link did not come up: /dev/net/tun and root are needed")
        yield carrier.pid
    finally:
        carrier.kill()
        carrier.wait()
        _forget()
