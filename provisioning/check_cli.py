"""`loa-provision check ADDRESS`: at the pole, over a cable: the node checks itself, and this shows what it says."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.text import Text

from protocol.checks import CONFIG_WRONG, PARTS, VERDICTS, CheckSheet, Verdict
from provisioning.errors import InputRefused
from provisioning.terminal import print_json, print_table, say

EPILOG: Final = "loa-provision check 10.42.0.17      (-i ~/.ssh/loa: another key; --silent: no test tone)"
AGENT: Final = "/opt/loa/bin/loa-agent"
CONFIG: Final = "/etc/loa/node.toml"
SSH_PORT: Final = 22
CONNECT_S: Final = 10
SILENT_S: Final = 5
SILENCES: Final = 6
"""A node that says nothing for half a minute is gone; its own deadlines are shorter."""
DEADLINE_S: Final = 300
SSH_FAILED: Final = 255
ADDRESS: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.:%_-]*")
COLOURS: Final[dict[Verdict, str]] = {"good": "green", "bad": "bold red", "unknown": "yellow"}


def check_command(
    address: Annotated[str, typer.Argument(help="The node's address on the cable: IPv4, IPv6 (fe80::…%eth0) or a name.")],
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port of its ssh.")] = SSH_PORT,
    identity: Annotated[Path | None, typer.Option("--identity", "-i", help="Log in with this key; else with ssh's own.")] = None,
    config: Annotated[str, typer.Option(help="Where its node.toml lies, on the node.")] = CONFIG,
    agent: Annotated[str, typer.Option(help="Where its loa-agent lies, on the node.")] = AGENT,
    silent: Annotated[bool, typer.Option("--silent", help="Leave the test tone out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")] = False,
) -> None:
    """Check a node through ssh, with the key that its card brought. THE LOUDSPEAKER SOUNDS. Status 1 when a part is bad."""
    if not ADDRESS.fullmatch(address):
        raise InputRefused(f"{address!r} không phải địa chỉ / is no address: write it as 10.42.0.17, without user or port")
    if identity is not None and not identity.is_file():
        raise InputRefused(f"không có tệp khóa / there is no key file {identity}: name the one whose .pub lies on the card")
    asked = shlex.join([agent, "check", "--config", config, "--json", *(["--silent"] if silent else [])])
    sheet = _ask([*_ssh(port, identity), "--", f"root@{address}", asked], address)
    if as_json:
        print_json(sheet)
    else:
        _show(sheet)
    if sheet.is_red:
        raise typer.Exit(1)


def _ssh(port: int, identity: Path | None) -> list[str]:
    """No question is ever asked, and no host is remembered: on the cable one address is each node's in turn.

    Who poses as a node can show a false table and no more: a login by key cannot be passed on, and nothing secret is sent.
    """
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "ForwardAgent": "no",
        "ClearAllForwardings": "yes",
        "ConnectTimeout": CONNECT_S,
        "ServerAliveInterval": SILENT_S,
        "ServerAliveCountMax": SILENCES,
        "LogLevel": "ERROR",
    }
    words = ["ssh", "-T", "-p", str(port), *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    return words if identity is None else [*words, "-o", "IdentitiesOnly=yes", "-i", str(identity)]


def _ask(words: list[str], address: str) -> CheckSheet:
    """What the node answers; its warnings and ssh's go to the terminal as they come. Raises InputRefused, typer.Exit."""
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, timeout=DEADLINE_S)
    except FileNotFoundError as error:
        raise InputRefused("không có lệnh ssh / there is no ssh here: apt install openssh-client") from error
    except subprocess.TimeoutExpired as error:
        raise InputRefused(f"{address}: quá {DEADLINE_S} giây không xong / no end within {DEADLINE_S} s: run it again") from error
    if done.returncode == CONFIG_WRONG:
        raise typer.Exit(CONFIG_WRONG)  # the node has said what is wrong
    if done.returncode == SSH_FAILED:
        raise InputRefused(
            f"{address}: không vào được bằng ssh: xem dây, địa chỉ, thẻ có loa/authorized_keys không"
            " / no ssh: look at cable and address; did the card bring loa/authorized_keys?"
        )
    try:
        return msgspec.json.decode(done.stdout, type=CheckSheet)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRefused(
            f"{address}: trả lời lạ / no answer of a check (status {done.returncode}): phần mềm của cụm cũ hơn lệnh này? / is its"
            " firmware older than this command?"
        ) from error


def _show(sheet: CheckSheet) -> None:
    rows = [
        (Text(VERDICTS[check.verdict], style=COLOURS[check.verdict]), PARTS[check.name], check.seen, check.todo)
        for check in sheet.checks
    ]
    columns = ("", "phần / part", "thấy gì / seen", "làm gì / what to do")
    print_table(columns, rows, title=f"cụm loa / node {sheet.node}, loa-agent {sheet.version}")
    if not sheet.is_red:
        say("Không có phần nào hỏng. / No part is bad.", style="green")
