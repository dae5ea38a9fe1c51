"""What is to be heard: a play and its parts, as plain data."""

from __future__ import annotations

from typing import Literal

import msgspec

ToneName = Literal["chime_open", "chime_close", "siren", "exercise", "test"]
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


Part = Clip | Tone | Speech | Pause | Align


class Play(msgspec.Struct, frozen=True):
    """One thing to be played from its first part to its last.

    ``at_mono_ns`` None or past means now. ``max_ms`` is the ceiling on its sound in monotonic time.
    ``from_part`` and ``skip_samples`` (of that part) resume a play that was cut.
    """

    play_id: int
    parts: tuple[Part, ...]
    at_mono_ns: int | None = None
    level_cdb: int = 0
    max_ms: int | None = None
    skip_samples: int = 0
    fade_ms: int = 5
    from_part: int = 0
