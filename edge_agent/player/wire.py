"""The lines between the agent and its player: one JSON object each, both ways."""

from __future__ import annotations

import msgspec

from edge_agent.player.score import How, Play

MAX_LINE_BYTES = 64 * 1024
"""No play needs more: an emergency in six languages with three repeats is under 8 kB."""


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Play this, now or at its instant."""

    play: Play


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Fade this play out and forget it."""

    play_id: int
    fade_ms: int = 5


class Duck(msgspec.Struct, frozen=True, tag="duck"):
    """Bring this play to a level, as a ramp; 0 is its own level."""

    play_id: int
    gain_cdb: int
    ramp_ms: int


class Quit(msgspec.Struct, frozen=True, tag="quit"):
    """End cleanly."""


Order = Start | Stop | Duck | Quit


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The sink is open and libVLC is loaded."""

    pid: int
    sink: str
    plugins: int


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The first sample of the play is heard at this instant."""

    play_id: int
    mono_ns: int


class PartStarted(msgspec.Struct, frozen=True, tag="part"):
    """A part begins at this instant; ``rest_ms`` is how long it is silent by intention (pauses only)."""

    play_id: int
    part: int
    mono_ns: int
    rest_ms: int = 0


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The play's last sample is heard at this instant; levels are of what was sent, in hundredths of dBFS.

    ``played_samples`` counts the whole play; ``part`` and ``part_samples`` are where it would go on.
    """

    play_id: int
    how: How
    reason: str
    mono_ns: int
    played_samples: int
    part: int
    rms_cdb: int
    peak_cdb: int
    silent_ms: int
    part_samples: int = 0


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """Where a play is: how many samples of which part have been sent."""

    play_id: int
    part: int
    samples: int


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """The mixer thread lives."""

    mono_ns: int
    playing: tuple[Progress, ...]
    underruns: int


Report = Ready | Started | PartStarted | Ended | Beat

_encoder = msgspec.json.Encoder()
_orders: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
_reports: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


def line(message: Order | Report) -> bytes:
    """One message as one line."""
    return _encoder.encode(message) + b"\n"


def order(text: bytes) -> Order:
    """Read a line of the agent. Raises msgspec.DecodeError."""
    try:
        return _orders.decode(text)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def report(text: bytes) -> Report:
    """Read a line of the player. Raises msgspec.DecodeError."""
    try:
        return _reports.decode(text)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
