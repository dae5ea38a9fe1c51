"""Waiting for something to become true, with a generous deadline and a word for the failure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


async def until(look: Callable[[], Found], within_s: float = 20.0, what: str = "it") -> Found:
    """Look every 20 ms until what is found is true; return it. Raises AssertionError in the end."""
    deadline_s = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"{what} did not happen within {within_s:.0f} s"
        await asyncio.sleep(0.02)
