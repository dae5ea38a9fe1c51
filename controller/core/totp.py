"""Codes of six digits that change every half minute (RFC 6238, with SHA-1 as every telephone's app has it). Pure."""

import base64
import hmac
from typing import Final
from urllib.parse import quote

STEP_MS: Final = 30_000
DIGITS: Final = 6
DRIFT_STEPS: Final = 1
"""RFC 6238, 5.2: one step before and after, for a telephone that is up to half a minute off."""
SECRET_BYTES: Final = 20
"""RFC 4226, 4: 160 bits."""


def step_of(now_ms: int) -> int:
    """The number of the half minute."""
    return now_ms // STEP_MS


def code_at(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of one step (RFC 4226, 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def matching(secret: bytes, typed: str, now_ms: int, after_step: int) -> int | None:
    """The step whose code was typed, or None. A step up to `after_step` was used before and counts no more."""
    plain = "".join(typed.split())
    found = None
    for step in range(step_of(now_ms) - DRIFT_STEPS, step_of(now_ms) + DRIFT_STEPS + 1):
        same = hmac.compare_digest(code_at(secret, step).encode(), plain.encode())
        if same and step > after_step and found is None:
            found = step
    return found


def written(secret: bytes) -> str:
    """The secret as a person types it: base32 in groups of four."""
    letters = base64.b32encode(secret).decode().rstrip("=")
    return " ".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def address(secret: bytes, name: str, issuer: str) -> str:
    """What the picture holds: otpauth://, as telephones' apps read it."""
    letters = base64.b32encode(secret).decode().rstrip("=")
    label = f"{quote(issuer, safe='')}:{quote(name, safe='')}"
    return f"otpauth://totp/{label}?secret={letters}&issuer={quote(issuer, safe='')}&digits={DIGITS}&period={STEP_MS // 1000}"
