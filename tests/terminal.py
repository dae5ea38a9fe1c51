"""A program that writes to a terminal: what it said there, colours and all."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path


def said_on_terminal(words: Sequence[str | Path], deadline_s: float = 60) -> tuple[int, str]:
    """Its status, and its words; it is asked nothing."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(words, stdout=theirs, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:  # a terminal whose other end is closed
        pass
    os.close(ours)
    return child.wait(deadline_s), said.decode(errors="replace")
