"""`loa-agent status --config node.toml`: who this node is and how far its enrolment is, from its files alone."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from edge_agent.config import Config, ConfigWrong, load
from edge_agent.drivers.enrol import IdentityBroken, digits, read_dates
from edge_agent.material import names_of
from protocol.checks import CONFIG_WRONG

PLACED: Final = "placed"
"""An empty file in the memory's folder: the agent, which alone may open its database, says by it that a placement is held."""
STEPS: Final = {
    "new": "chưa khởi động lần nào: chưa có khóa / never started: no keys yet",
    "asking": "chưa có chứng chỉ, đang xin / no certificate yet, asking for one",
    "pending": "chờ duyệt: chưa nghe ai / pending: it obeys nobody yet",
    "placed": "đã có vị trí được ký / placed",
}


class Enrolled(Struct, frozen=True):
    """How far a node is; its six digits once it has keys, and until when (UTC ms) its certificate counts once it has one."""

    step: Literal["new", "asking", "pending", "placed"]
    digits: str = ""
    until_ms: int | None = None

    @property
    def until(self) -> str:
        """The same for people to read; empty without a certificate."""
        return "" if self.until_ms is None else f"{datetime.fromtimestamp(self.until_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def main(words: list[str]) -> int:
    """Print it; 78 when the configuration is wrong."""
    parser = argparse.ArgumentParser(prog="loa-agent status", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the node's node.toml")
    args = parser.parse_args(words)
    try:
        lines = _lines(load(args.config))
    except (ConfigWrong, IdentityBroken) as error:
        print(f"loa-agent: {error}", file=sys.stderr)  # noqa: T201  one sentence for whoever asks by hand
        return CONFIG_WRONG
    for name, value in lines:
        print(f"{name:<28}{value}")  # noqa: T201  this is what was asked for
    return 0


def enrolled(config: Config) -> Enrolled:
    """Read it off the files. Raises ConfigWrong, IdentityBroken."""
    identity = config.identity
    if not config.path(identity.key).exists() or not config.path(identity.report_key).exists():
        return Enrolled("new")
    names = names_of(config)
    shown = digits(names)
    if not names.certificate.exists():
        return Enrolled("asking", shown)
    placed = (config.path(identity.state) / PLACED).exists()
    return Enrolled("placed" if placed else "pending", shown, read_dates(names.certificate).until_ms)


def _lines(config: Config) -> list[tuple[str, str]]:
    found = enrolled(config)
    told = (
        ("sáu số / digits", found.digits),
        ("chứng chỉ đến / certificate", found.until),
        ("trạng thái / state", STEPS[found.step]),
    )
    return [("node", config.identity.node), *((name, value) for name, value in told if value)]
