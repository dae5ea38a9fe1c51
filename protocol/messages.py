"""The table of sealed kinds: payload type, shape, size cap."""

from typing import Any, Final

from protocol.bulletins import Programme
from protocol.documents import AnyDocument, Grant, Network, Placement, Root, Station
from protocol.orders import AnyOrder, Exercise, Order
from protocol.passing import Suspend, TimeToken
from protocol.release import Release
from protocol.reports import FetchStatement, Hello, Receipt

Sealed = AnyDocument | Release | AnyOrder | Suspend | TimeToken | Hello | Receipt | FetchStatement

TYPES: Final[dict[str, Any]] = {
    "root": Root,
    "grant": Grant,
    "placement": Placement,
    "network": Network,
    "station": Station,
    "programme": Programme,
    "release": Release,
    "order": Order,
    "exercise": Exercise,
    "suspend": Suspend,
    "time": TimeToken,
    "hello": Hello,
    "receipt": Receipt,
    "fetch": FetchStatement,
}
CAP_BYTES: Final[dict[str, int]] = dict.fromkeys(TYPES, 32_768) | {
    "order": 8_192,
    "exercise": 8_192,
    "programme": 131_072,
}


def payload_type(kind: str) -> str:
    """The DSSE payload type of a kind."""
    return f"application/vnd.loa.{kind}.v1+json"


KIND_OF_TYPE: Final[dict[str, str]] = {payload_type(kind): kind for kind in TYPES}
