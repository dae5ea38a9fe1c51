"""The TOML of `loa network publish`, and the body of a document from it; what nobody could go by is refused by a sentence."""

from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from controller.cli.programme_file import minute_of
from protocol.documents import NetworkBody, Reach
from protocol.errors import Malformed
from protocol.shape import check_reach
from protocol.units import Name
from provisioning.errors import InputRefused
from provisioning.tables import read_toml

MB: Final = 1_000_000
NTS: Final = "nts:"
MOST_BROKERS: Final = 3
MOST_TIME_SOURCES: Final = 4
EXAMPLE: Final = """Example of network.toml (all of it may be left out; MB are millions of bytes):

fetch_from = "22:00"   # content that can wait comes at night
fetch_to = "05:00"
month_mb = 500         # a SIM's budget for content; left out: no limit
emergency_mb = 50      # beside it, for emergencies' recordings alone
cache_mb = 2000        # what all recordings may take on the card

# Đường về máy chủ; bỏ trống: như trong thẻ nhớ của cụm loa. The way to the controller; left out: as the node's card says.
brokers = ["loa.example.vn", "203.0.113.7:8883"]   # tried in this order, at most three
media_url = "https://loa.example.vn:8443"
enrol_url = "https://loa.example.vn:8446"   # where certificates are renewed: a node that is moved needs this too
apn = "v-internet"     # the SIM's access point; it has no password
apn_user = "loa"
time_sources = ["nts:time.example.vn", "ntp.example.vn"]   # beside those of the firmware, at most four
"""


class NetworkTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file may say."""

    tz: Name = "Asia/Ho_Chi_Minh"
    fetch_from: str = "22:00"
    fetch_to: str = "05:00"
    month_mb: int | None = None
    emergency_mb: int = 50
    cache_mb: int = 2_000
    brokers: tuple[str, ...] = ()
    media_url: str | None = None
    enrol_url: str | None = None
    apn: str | None = None
    apn_user: str | None = None
    time_sources: tuple[str, ...] = ()


def body_of(path: Path) -> NetworkBody:
    """Read the file. Raises InputRefused."""
    table = read_toml(path, NetworkTable)
    body = NetworkBody(
        tz=table.tz,
        fetch_from_min=minute_of(path, table.fetch_from),
        fetch_to_min=minute_of(path, table.fetch_to),
        month_bytes=None if table.month_mb is None else table.month_mb * MB,
        emergency_reserve_bytes=table.emergency_mb * MB,
        cache_bytes=table.cache_mb * MB,
        reach=_reach_of(path, table),
    )
    try:
        return msgspec.json.decode(msgspec.json.encode(body), type=NetworkBody)
    except msgspec.ValidationError as error:
        raise InputRefused(f"{path}: {error}") from error


def _reach_of(path: Path, table: NetworkTable) -> Reach | None:
    """How the controller is reached; None when the file says nothing of it. Raises InputRefused."""
    _check_counts(path, table)
    wanted: dict[str, Any] = {}
    if table.brokers:
        wanted["brokers"] = [_broker_of(path, text) for text in table.brokers]
    wanted |= {name: url for name in ("media_url", "enrol_url") if (url := getattr(table, name)) is not None}
    if table.apn is not None:
        wanted["apn"] = {"name": table.apn} | ({} if table.apn_user is None else {"user": table.apn_user})
    if table.time_sources:
        wanted["time_sources"] = [{"host": text.removeprefix(NTS), "nts": text.startswith(NTS)} for text in table.time_sources]
    if not wanted:
        return None
    try:
        reach = msgspec.convert(wanted, Reach)
        check_reach(reach)
    except msgspec.ValidationError as error:
        raise InputRefused(f"{path}: {_remedy(str(error))}; see --help for an example") from error
    except Malformed as error:
        raise InputRefused(f"{path}: {error}; see --help for an example") from error
    return reach


def _check_counts(path: Path, table: NetworkTable) -> None:
    if len(table.brokers) > MOST_BROKERS:
        raise InputRefused(f"{path}: `brokers` names {len(table.brokers)}: name {MOST_BROKERS} at the most")
    if len(table.time_sources) > MOST_TIME_SOURCES:
        raise InputRefused(f"{path}: `time_sources` names {len(table.time_sources)}: name {MOST_TIME_SOURCES} at the most")
    if table.apn_user is not None and table.apn is None:
        raise InputRefused(f"{path}: `apn_user` belongs to an `apn`: name that too, or leave both out")


def _broker_of(path: Path, text: str) -> dict[str, Any]:
    """A name or address, with a port behind a colon unless it is MQTT's own. Raises InputRefused."""
    host, colon, port = text.partition(":")
    if colon and not (port.isascii() and port.isdecimal()):
        raise InputRefused(
            f"{path}: `brokers`: {text!r} is no address: write a name or an IPv4 address, then :port if it is not 8883"
        )
    return {"host": host} | ({"port": int(port)} if colon else {})


def _remedy(error: str) -> str:
    """What to write instead, by the place that msgspec names."""
    for field, remedy in (
        ("port", "`brokers`: a port is 1 to 65535"),
        ("brokers", "`brokers`: write names or IPv4 addresses, each with :port if it is not 8883"),
        ("media_url", "`media_url`: write https://name:port and nothing behind it"),
        ("enrol_url", "`enrol_url`: write https://name:port and nothing behind it"),
        ("apn.user", "`apn_user`: write letters, digits and . _ @ -"),
        ("apn", "`apn`: write the access point's name, of letters, digits and . _ -"),
        ("time_sources", "`time_sources`: write names or IPv4 addresses, with nts: before those that sign the time"),
    ):
        if f".{field}" in error:
            return remedy
    return error
