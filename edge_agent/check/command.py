"""`loa-agent check --config node.toml`: at the pole, one green or red line for each part, with what to do."""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from edge_agent import status
from edge_agent.check import doors, mobile, parts, unit
from edge_agent.check.sound import sound
from edge_agent.config import Config, ConfigWrong, load
from edge_agent.core.state import VERSION
from edge_agent.drivers.broker import Credentials
from edge_agent.drivers.enrol import IdentityBroken
from edge_agent.material import check_sink, has_slots, open_credentials, open_root
from protocol.checks import CONFIG_WRONG, PARTS, VERDICTS, Check, CheckSheet, Verdict

COLOURS: Final[dict[Verdict, str]] = {"good": "\x1b[32m", "bad": "\x1b[1;31m", "unknown": "\x1b[33m"}
PLAIN: Final = "\x1b[0m"
SIGNALLED: Final = 128


def main(words: list[str]) -> int:
    """Print every check; 1 when one is bad, 78 when the configuration is wrong."""
    parser = argparse.ArgumentParser(prog="loa-agent check", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the node's node.toml")
    parser.add_argument("--silent", action="store_true", help="leave the test tone out, and the agent running")
    parser.add_argument("--json", action="store_true", help="answer in JSON, for programs")
    args = parser.parse_args(words)
    try:
        config = load(args.config)
        check_sink(config)
        open_root(config)
        credentials = open_credentials(config)
        first = asyncio.run(_quiet_checks(config, credentials))
        heard = sound(config.file, silent=args.silent)
    except (ConfigWrong, IdentityBroken) as error:
        print(f"loa-agent: {error}", file=sys.stderr)  # noqa: T201  one sentence for whoever asks by hand
        return CONFIG_WRONG
    except unit.Cut as cut:
        return SIGNALLED + cut.number
    found = {check.name: check for check in (*first, heard)}
    sheet = CheckSheet(node=config.identity.node, version=VERSION, checks=tuple(found[name] for name in PARTS))
    _show(sheet, as_json=args.json)
    return 1 if sheet.is_red else 0


async def _quiet_checks(config: Config, credentials: Credentials) -> list[Check]:
    """Everything that makes no sound; the agent goes on meanwhile."""
    now = await parts.look_at_clock(config)
    usable = parts.trust_of(now) != "unknown"
    link, signal, firmware = await asyncio.gather(
        doors.link(doors.gone_by(config), credentials, clock_usable=usable),
        mobile.signal(mobile.default_interfaces()),
        parts.firmware(has_slots=has_slots(config)),
    )
    return [
        parts.look_at_power(),
        link,
        signal,
        parts.clock(config, now),
        await asyncio.to_thread(parts.storage, config.path(config.identity.state)),
        parts.enrolment(status.enrolled(config), time.time_ns() // 1_000_000, clock_usable=usable),
        firmware,
    ]


def _show(sheet: CheckSheet, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(sheet).decode() + "\n")
        return
    on_terminal = sys.stdout.isatty()
    print(f"cụm loa / node {sheet.node}")  # noqa: T201  this is what was asked for
    for check in sheet.checks:
        verdict = f"{VERDICTS[check.verdict]:<18}"
        shown = f"{COLOURS[check.verdict]}{verdict}{PLAIN}" if on_terminal else verdict
        todo = f" → {check.todo}" if check.todo else ""
        print(f"{shown} {PARTS[check.name]:<27} {check.seen}{todo}")  # noqa: T201
