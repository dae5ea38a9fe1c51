"""What is to be heard: a play and its parts, as plain data."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import msgspec

ToneName = Literal["chime_open", "chime_close", "siren", "exercise", "test"]
InputName = Literal["fm", "line"]
How = Literal["ended", "stopped", "max", "failed"]


class Clip(msgspec.Struct, frozen=True, tag="clip"):
    """A recording on disk; cut at ``samples`` (its true length at 48 kHz) when that is known.

    A file that is not there yet is waited for in silence for ``wait_ms`` before it counts as missing.
    """

    path: str
    samples: int | None = None
    gain_cdb: int = 0
    wait_ms: int = 0


class Tone(msgspec.Struct, frozen=True, tag="tone"):
    """A synthesised sound; repeated or cut to ``duration_ms`` when that is given."""

    name: ToneName
    duration_ms: int | None = None


class Stream(msgspec.Struct, frozen=True, tag="stream"):
    """A radio programme relayed from the net (tiếp sóng), for at most ``max_ms`` from its first sample on.

    Lost, it is sought again while time is left. After ``silence_ms`` without sound the fallback is played instead, and
    again until the stream is back; without one the part ends as failed. The player holds ``silence_ms`` within law 5.
    """

    url: str
    max_ms: int
    silence_ms: int
    fallback: Clip | None = None
    start_ms: int = 10_000
    gain_cdb: int = 0


class Input(msgspec.Struct, frozen=True, tag="input"):
    """A programme from an input of the board, which is open only while the part lasts; silence as with `Stream`."""

    source: InputName
    max_ms: int
    silence_ms: int
    fallback: Clip | None = None
    gain_cdb: int = 0


class Speech(msgspec.Struct, frozen=True, tag="speech"):
    """A text for the node's own voice; the driver makes a `Clip` of it, so the child never sees one."""

    lang: str
    text: str


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Silence of a given length."""

    ms: int


class Align(msgspec.Struct, frozen=True, tag="align"):
    """Silence until the next instant ``origin + k * every``, so that neighbouring horns keep one timeline."""

    origin_mono_ns: int
    every_ms: int


Part = Clip | Tone | Stream | Input | Speech | Pause | Align


def stream_fault(url: str) -> str:
    """Why an address is no radio stream that a node relays; empty when it is one."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return "the address holds letters that no address has; write it with %.. codes"
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "the address cannot be read; write https://name/path"
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme or 'no'}:// is no radio address; write one that begins with https:// or http://"
    return "" if named else "the address names no server; write https://name/path"


class Play(msgspec.Struct, frozen=True):
    """One thing to be played from its first part to its last.

    ``at_mono_ns`` None or past means now. ``max_ms`` is the ceiling on its sound in monotonic time.
    ``from_part`` and ``skip_samples`` (of that part) resume a play that was cut; ``quiet_ms`` is how long nothing has
    been heard of it by then with the power on, so that a relay's silence is counted across a replaced player.
    """

    play_id: int
    parts: tuple[Part, ...]
    at_mono_ns: int | None = None
    level_cdb: int = 0
    max_ms: int | None = None
    skip_samples: int = 0
    fade_ms: int = 5
    from_part: int = 0
    quiet_ms: int = 0
