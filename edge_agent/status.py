"""`loa-agent status --config node.toml`: who this node is and how far its enrolment is, from its files alone."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edge_agent.config import Config, ConfigWrong, load
from edge_agent.drivers.enrol import IdentityBroken, digits, read_dates
from edge_agent.material import names_of

CONFIG_EXIT: Final = 78
PLACED: Final = "placed"
"""An empty file in the memory's folder: the agent, which alone may open its database, says by it that a placement is held."""


def main(words: list[str]) -> int:
    """Print it; 78 when the configuration is wrong."""
    parser = argparse.ArgumentParser(prog="loa-agent status", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the node's node.toml")
    args = parser.parse_args(words)
    try:
        lines = _lines(load(args.config))
    except (ConfigWrong, IdentityBroken) as error:
        print(f"loa-agent: {error}", file=sys.stderr)  # noqa: T201  one sentence for whoever asks by hand
        return CONFIG_EXIT
    for name, value in lines:
        print(f"{name:<28}{value}")  # noqa: T201  this is what was asked for
    return 0


def _lines(config: Config) -> list[tuple[str, str]]:
    identity = config.identity
    lines = [("node", identity.node)]
    if not config.path(identity.key).exists() or not config.path(identity.report_key).exists():
        return [*lines, ("trạng thái / state", "chưa khởi động lần nào: chưa có khóa / never started: no keys yet")]
    names = names_of(config)
    lines.append(("sáu số / digits", digits(names)))
    if not names.certificate.exists():
        return [*lines, ("trạng thái / state", "chưa có chứng chỉ, đang xin / no certificate yet, asking for one")]
    until = datetime.fromtimestamp(read_dates(names.certificate).until_ms / 1000, UTC)
    lines.append(("chứng chỉ đến / certificate", f"{until:%Y-%m-%d %H:%M} UTC"))
    placed = config.path(config.identity.state) / PLACED
    if placed.exists():
        return [*lines, ("trạng thái / state", "đã có vị trí được ký / placed")]
    return [*lines, ("trạng thái / state", "chờ duyệt: chưa nghe ai / pending: it obeys nobody yet")]
