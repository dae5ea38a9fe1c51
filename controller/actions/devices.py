"""Browsers that were let in before: they are held back by their own wrong tries, not by those of strangers on the same account.

Without this, anybody who knows a name could keep its owner out by guessing; an officer must get in when the water comes.
"""

import secrets
from typing import Final

from controller.actions.sessions import Caller
from controller.parts import Parts

PURPOSE: Final = "known browser"


def mark(parts: Parts, name: str) -> str:
    """What a browser keeps after its person was let in: a random number, sealed for that person."""
    return parts.vault.seal(PURPOSE, name, secrets.token_bytes(9))


def key_of(parts: Parts, name: str, caller: Caller) -> str:
    """The key under which a known browser's tries are counted; empty for a stranger."""
    number = parts.vault.open(PURPOSE, name, caller.device) if caller.device else None
    return f"{name} {number.hex()}" if number else ""
