"""One table: which topic carries which kind, how it is retained, how long it lives, who writes it (contract, "Topics")."""

import re
from typing import Final, Literal

from msgspec import Struct

from protocol.errors import WrongType

ROOT: Final = "loa/1"


class Row(Struct, frozen=True, kw_only=True):
    """One topic of the contract. `expiry` names the field that bounds its life in the broker (None: until replaced)."""

    name: str
    pattern: str
    kinds: tuple[str, ...]
    retained: Literal["yes", "no", "stop"]
    expiry: str | None
    writer: Literal["controller", "node", "timekeeper"]
    qos: Literal[0, 1] = 1


ROWS: Final = (
    Row(name="root", pattern="trust/root", kinds=("root",), retained="yes", expiry=None, writer="controller"),
    Row(name="grant", pattern="trust/grant/<area>", kinds=("grant",), retained="yes", expiry=None, writer="controller"),
    Row(
        name="programme",
        pattern="area/<area>/programme/<authority>",
        kinds=("programme",),
        retained="yes",
        expiry=None,
        writer="controller",
    ),
    Row(name="station", pattern="area/<area>/station", kinds=("station",), retained="yes", expiry=None, writer="controller"),
    Row(
        name="order",
        pattern="area/<area>/order/<incident>",
        kinds=("order", "exercise"),
        retained="stop",
        expiry="accept_until_ms",
        writer="controller",
    ),
    Row(
        name="suspend",
        pattern="area/<area>/suspend/<key>",
        kinds=("suspend",),
        retained="yes",
        expiry="until_ms",
        writer="controller",
    ),
    Row(
        name="placement", pattern="node/<node>/placement", kinds=("placement",), retained="yes", expiry=None, writer="controller"
    ),
    Row(name="network", pattern="node/<node>/network", kinds=("network",), retained="yes", expiry=None, writer="controller"),
    Row(name="release", pattern="node/<node>/release", kinds=("release",), retained="yes", expiry=None, writer="controller"),
    Row(
        name="offer",
        pattern="node/<node>/order/<incident>",
        kinds=("order", "exercise"),
        retained="no",
        expiry="accept_until_ms",
        writer="controller",
    ),
    Row(name="time", pattern="node/<node>/time", kinds=("time",), retained="no", expiry="at_ms", writer="timekeeper"),
    Row(
        name="document",
        pattern="node/<node>/document",
        kinds=("root", "grant", "placement", "network", "station", "programme", "suspend", "release"),
        retained="no",
        expiry=None,
        writer="controller",
    ),
    Row(name="records", pattern="node/<node>/records", kinds=(), retained="no", expiry=None, writer="controller"),
    Row(name="alive", pattern="node/<node>/alive", kinds=(), retained="yes", expiry=None, writer="node"),
    Row(name="hello", pattern="node/<node>/hello", kinds=("hello",), retained="no", expiry=None, writer="node"),
    Row(name="receipt", pattern="node/<node>/receipt", kinds=("receipt",), retained="no", expiry=None, writer="node"),
    Row(name="health", pattern="node/<node>/health", kinds=(), retained="no", expiry=None, writer="node"),
)
BY_NAME: Final = {row.name: row for row in ROWS}
WHOLE_AREA: Final = "all"
"""Stands for the incident in the topic of a STOP or LIFT that names none."""


class Address(Struct, frozen=True, kw_only=True):
    """A topic taken apart."""

    row: Row
    area: str | None = None
    node: str | None = None
    authority: str | None = None
    incident: str | None = None
    key: str | None = None


def _compile(row: Row) -> re.Pattern[str]:
    return re.compile(f"{ROOT}/" + re.sub(r"<(\w+)>", r"(?P<\1>[0-9A-Za-z._-]{1,64})", row.pattern))


_PATTERNS: Final = tuple((row, _compile(row)) for row in ROWS)


def parse(topic: str) -> Address:
    """Take a topic apart. Raises WrongType for one that the table does not have."""
    for row, pattern in _PATTERNS:
        if found := pattern.fullmatch(topic):
            return Address(row=row, **found.groupdict())
    raise WrongType(f"no such topic in the contract: {topic[:100]!r}")


def topic(name: str, **parts: str) -> str:
    """Build the topic of a row: `topic("order", area="52.24076", incident="00ab...")`."""
    return f"{ROOT}/" + re.sub(r"<(\w+)>", lambda part: parts[part.group(1)], BY_NAME[name].pattern)


def node_filters(node: str) -> tuple[str, ...]:
    """What a node always reads, whether it has a placement or not."""
    return (
        topic("root"),
        topic("placement", node=node),
        topic("network", node=node),
        topic("release", node=node),
        topic("offer", node=node, incident="+"),
        topic("document", node=node),
        topic("time", node=node),
        topic("records", node=node),
    )


def area_filters(areas: tuple[str, ...]) -> tuple[str, ...]:
    """What a node reads for the areas of its chain."""
    names: tuple[tuple[str, dict[str, str]], ...] = (
        ("grant", {}),
        ("station", {}),
        ("programme", {"authority": "+"}),
        ("order", {"incident": "+"}),
        ("suspend", {"key": "+"}),
    )
    return tuple(topic(name, area=area, **more) for area in areas for name, more in names)
