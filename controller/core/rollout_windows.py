"""When nodes fetch what can wait: the end of the window that comes next, and so how many nights a rollout takes. Pure."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from protocol.documents import NetworkBody

DAY_MIN: Final = 1_440
DEFAULT: Final = NetworkBody()


def window_end_ms(network: NetworkBody, now_ms: int) -> int:
    """When the window that holds this instant, or else the next one, ends."""
    here = dt.datetime.fromtimestamp(now_ms / 1000, ZoneInfo(network.tz))
    minute, start, end = here.hour * 60 + here.minute, network.fetch_from_min, network.fetch_to_min
    length = (end - start) % DAY_MIN or DAY_MIN
    since = (minute - start) % DAY_MIN
    left = length - since if since < length else DAY_MIN - since + length
    return now_ms - (here.second * 1000) + left * 60_000


def ends_of(waves: Iterable[Sequence[str]], networks: Mapping[str, NetworkBody], now_ms: int) -> list[int]:
    """When each wave is over, if each begins when the one before ended and takes the next window of each of its nodes."""
    found, at_ms = [], now_ms
    for wave in waves:
        at_ms = max((window_end_ms(networks.get(node, DEFAULT), at_ms) for node in wave), default=at_ms)
        found.append(at_ms)
    return found
