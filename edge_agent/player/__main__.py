"""The player as a child process: orders on stdin, reports on stdout, its log on stderr; without stdin it ends."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from edge_agent.lean import keep_small
from edge_agent.player import plugins, sinks, tones, wire
from edge_agent.player.outlet import AgentGone, Outlet
from edge_agent.player.score import InputName

if TYPE_CHECKING:
    from edge_agent.player.mixer import Mixer

log = logging.getLogger("player")

EX_UNAVAILABLE = 69
SWITCH_S = 0.001
"""A thread that holds the interpreter gives it up after 1 ms, so that the mixer is not late."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edge_agent.player", description=__doc__)
    parser.add_argument("--sink", required=True, help="wav:PATH?max_s=N, fifo:PATH or alsa:DEVICE")
    parser.add_argument(
        "--input", action="append", default=[], metavar="NAME=DEVICE", help="fm= or line= and an ALSA capture device"
    )
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loa-player"
    parser.add_argument("--cache", type=Path, default=default, help="folder for tones and libVLC's plugin list")
    return parser.parse_args()


def _input(word: str) -> tuple[InputName, str]:
    """A name of an input and its device. Raises ValueError."""
    name, _, device = word.partition("=")
    for known in get_args(InputName):
        if name == known and device:
            return known, device
    raise ValueError(f"input {word!r} is none of fm=DEVICE, line=DEVICE; `arecord -L` lists the devices")


def _ask_for_real_time() -> None:
    """The mixer goes before other processes where that is permitted (lateness p99 0.25 ms instead of 4.5)."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError as error:
        log.info("no real-time priority for the mixer: %s", error.strerror)


def main() -> int:
    """Play what is ordered until the agent goes or says so."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(levelname)s: %(message)s")
    arguments = _arguments()
    keep_small()
    sys.setswitchinterval(SWITCH_S)
    outlet = Outlet(os.dup(sys.stdout.fileno()))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not reach the wire
    try:
        sink = sinks.parse(arguments.sink)
        count = plugins.prepare(arguments.cache)
        from edge_agent.player.mixer import Mixer  # after libvlccore, which decides where libVLC finds its plugins

        inputs = dict(_input(word) for word in arguments.input)
        mixer = Mixer(sink, outlet, tones.prepare(arguments.cache), inputs, confined=count > 0)
        sink.open()
    except (OSError, ValueError) as error:
        log.critical("%s", error)
        return EX_UNAVAILABLE
    thread = threading.Thread(target=_read_orders, args=(mixer,), name="orders", daemon=True)
    gc.collect()
    gc.freeze()
    gc.disable()
    thread.start()
    _ask_for_real_time()
    try:
        outlet.send(wire.Ready(os.getpid(), arguments.sink, count))
        mixer.run()
    except AgentGone:
        sink.close()
    except sinks.SinkFailed as error:
        log.critical("%s", error)
        return EX_UNAVAILABLE
    return 0


def _read_orders(mixer: Mixer) -> None:
    for text in iter(lambda: sys.stdin.buffer.readline(wire.MAX_LINE_BYTES), b""):
        try:
            mixer.order(wire.order(text))
        except msgspec.DecodeError as error:
            log.warning("an order cannot be read: %s", error)
    mixer.order(wire.Quit())


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    os._exit(status)  # libVLC's threads may hang at exit; everything of ours is closed
