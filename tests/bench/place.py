"""Where a bench runs: its options, its folder, the namespaces of its link, and what it says while it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parents[2]
NODE_SPACE = "loa-bench-node"
SITE_SPACE = "loa-bench-site"
SITE_ADDRESS = "10.78.0.2"


class Options(Struct, frozen=True, kw_only=True):
    """How one group runs. `linked`: this process stands in the site's namespace, the nodes' one is across the link."""

    folder: Path
    quick: bool = False
    linked: bool = False
    link_pid: int = 0

    def count(self, full: int, quick: int) -> int:
        """How many samples: all, or a few."""
        return quick if self.quick else full

    @property
    def host(self) -> str:
        """The address of broker and controller."""
        return SITE_ADDRESS if self.linked else "127.0.0.1"

    @property
    def across(self) -> tuple[str, ...]:
        """What goes before a command so that it runs where the nodes are."""
        return ("ip", "netns", "exec", NODE_SPACE) if self.linked else ()


class Need(Struct, frozen=True):
    """A link between two namespaces as tunem makes it; None of these: plain loopback."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    rate_kbit: float = 0.0


MOBILE = Need(delay_ms=150, jitter_ms=20, loss=0.02, rate_kbit=1000)
CLEAN = Need()


def say(text: str) -> None:
    """Progress, for whoever waits."""
    sys.stderr.write(f"    {text}\n")
    sys.stderr.flush()


def is_root() -> bool:
    """Namespaces and TUN need root."""
    return os.geteuid() == 0
