"""`python -m edge_agent.check.tone`: sounds the test tone with the node's own player and amplifier, as the agent's user.

A process of its own: it holds the node's memory meanwhile, so no agent sounds beside it, and its end frees card and amplifier.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Final, Literal, NoReturn

import msgspec
from msgspec import Struct

from edge_agent.check.parts import look_at_clock, trust_of
from edge_agent.config import Config, ConfigWrong, load
from edge_agent.drivers.player import PlayerDriver, PlayerKeepsDying
from edge_agent.drivers.store.database import DATABASE, Damaged, Database, code_of
from edge_agent.errors import AmplifierFailed, SpeechUnavailable
from edge_agent.events import Instant, Memory, PlayEnded, PlayerLost, Sounding
from edge_agent.material import check_sink, open_amplifier
from edge_agent.player.score import Play, Tone
from protocol.documents import Placement, Station
from protocol.envelope import payload_of
from protocol.errors import ProtocolError
from protocol.hours import Rules, StationHeld, station_of

TONE_MS: Final = 2_000
DEADLINE_S: Final = 40.0
"""An amplifier takes 4 s at the most; the first start of a player on a Pi some seconds, on a new card some tens."""
HEARD_OUT_S: Final = 0.2
"""A play's end is told when its last sample is handed over: 40 ms of it lie in the card still, and want the amplifier's power."""
STANDING: Final = ("accepted", "sounding")


class Heard(Struct, frozen=True, kw_only=True):
    """What came of it. `outcome`: sounded, or why not; levels in hundredths of dBFS as the player's meter found them."""

    outcome: Literal["sounded", "failed", "alarm", "closed", "no-clock", "busy", "memory"]
    why: str = ""
    played_ms: int = 0
    rms_cdb: int = 0
    peak_cdb: int = 0


class _Mute:
    """No voice is needed for a tone."""

    def path_of(self, lang: str, text: str) -> NoReturn:
        raise SpeechUnavailable(f"{lang}: {len(text)} letters are not said in a test")

    async def clip(self, lang: str, text: str) -> NoReturn:
        self.path_of(lang, text)


async def sound(config: Config) -> Heard:
    """Sound it unless the node's memory says that nothing may. Raises ConfigWrong."""
    path = config.path(config.identity.state) / DATABASE
    with contextlib.ExitStack() as stack:
        if path.exists():
            try:
                database = stack.enter_context(contextlib.closing(Database(path)))
                memory = database.read(0, first_boot=False, media={})
            except (Damaged, sqlite3.Error) as error:
                is_busy = isinstance(error, sqlite3.Error) and code_of(error) == sqlite3.SQLITE_BUSY
                return Heard(outcome="busy" if is_busy else "memory", why=str(error))
            if any(order.state in STANDING for order in memory.orders):
                return Heard(outcome="alarm")
            if (silent := _closed(memory, await look_at_clock(config))) is not None:
                return silent
        return await _play(config)


def _closed(memory: Memory, now: Instant) -> Heard | None:
    """Law 4: outside the station's hours a test is silent too. A node that holds no rules yet has no hours to keep."""
    stations: list[StationHeld] = []
    placements: list[Placement] = []
    for kept in memory.documents:
        with contextlib.suppress(ProtocolError):
            payload = payload_of(kept.raw)
            if isinstance(payload, Station) and not kept.pending:
                stations.append(StationHeld(kept.digest, payload))
            elif isinstance(payload, Placement):
                placements.append(payload)
    if not placements:
        return None
    body = placements[0].body
    areas = [link.area for link in body.chain]
    station = station_of(stations, body.station, areas)
    if station is None:
        return None
    if trust_of(now) == "unknown":
        return Heard(outcome="no-clock")
    return Heard(outcome="closed") if Rules(station.body, areas).open_until(now.wall_ms) is None else None


async def _play(config: Config) -> Heard:
    """Amplifier, its time to warm up, tone, amplifier off: the driver's order, and its end if this is cancelled."""
    over: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
    begun_ns: list[int] = []

    def take(event: object) -> None:
        match event:
            case Sounding(_, mono_ns):
                begun_ns.append(mono_ns)
            case PlayerLost(reason):
                _settle(over, Heard(outcome="failed", why=reason))
            case PlayEnded():
                played_ms = (event.at_mono_ns - begun_ns[0]) // 1_000_000 if begun_ns else 0
                heard = Heard(
                    outcome="sounded" if event.how == "ended" else "failed",
                    why=event.reason,
                    played_ms=played_ms,
                    rms_cdb=event.rms_cdb,
                    peak_cdb=event.peak_cdb,
                )
                _settle(over, heard)

    player = PlayerDriver(
        sink=check_sink(config),
        cache=config.path(config.identity.state) / "player",
        amplifier=open_amplifier(config),
        voice=_Mute(),
        emit=take,
    )
    running = asyncio.create_task(player.run())
    player.start(Play(1, (Tone("test", TONE_MS),)))
    try:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait((running, over), return_when=asyncio.FIRST_COMPLETED)
        if not over.done():
            return await _of_end(running)
        await asyncio.sleep(HEARD_OUT_S)
        return over.result()
    except TimeoutError:
        return Heard(outcome="failed", why=f"no end of the tone within {DEADLINE_S:.0f} s: the card takes no samples")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _of_end(running: asyncio.Task[None]) -> Heard:
    """What ended the driver before the tone; a TaskGroup wraps what its tasks raise."""
    try:
        await running
    except AmplifierFailed as error:
        return Heard(outcome="failed", why=str(error))
    except BaseExceptionGroup as several:
        if several.subgroup((AmplifierFailed, PlayerKeepsDying)) is None:
            raise
        return Heard(outcome="failed", why=str(several.exceptions[0]))
    return Heard(outcome="failed", why="the player ended")


def _settle(over: asyncio.Future[Heard], heard: Heard) -> None:
    if not over.done():
        over.set_result(heard)


async def _until_told(config: Config) -> Heard:
    """SIGTERM and SIGINT end the tone, and the amplifier's power with it."""
    task = asyncio.ensure_future(sound(config))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def main() -> int:
    """Say what came of it as one line of JSON; the configuration was read by whoever called."""
    parser = argparse.ArgumentParser(prog="python -m edge_agent.check.tone", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
    try:
        heard = asyncio.run(_until_told(load(args.config)))
    except ConfigWrong as error:
        heard = Heard(outcome="failed", why=str(error))
    except asyncio.CancelledError:
        return 1
    sys.stdout.write(msgspec.json.encode(heard).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
