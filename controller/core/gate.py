"""How fast strangers may guess: each source has a few wrong tries, then waits; who proves right is never held up. Pure."""

import ipaddress
from collections import OrderedDict
from typing import Final

TRIES: Final = 10
REFILL_S: Final = 10.0
"""One more wrong try every ten seconds."""
SOURCES: Final = 4_096
"""What is remembered of sources; who was quiet longest is forgotten first."""
V6_PREFIX: Final = 64


def source_of(address: str) -> str:
    """Who counts as one source: an IPv4 address, or the 64 bits of IPv6 that one customer holds."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, V6_PREFIX), strict=False))
    return str(found)


class Gate:
    """Counts wrong tries by source, with times given in seconds of one steady clock."""

    def __init__(self, *, tries: int = TRIES, refill_s: float = REFILL_S, sources: int = SOURCES) -> None:
        self._tries = tries
        self._refill_s = refill_s
        self._sources = sources
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spent(self, source: str, now_s: float) -> float:
        """How many wrong tries are held against it now."""
        count, at_s = self._spent.get(source, (0.0, now_s))
        return max(0.0, count - (now_s - at_s) / self._refill_s)

    def wrong(self, source: str, now_s: float) -> float:
        """One more wrong try. Gives the seconds that this source has to wait, 0 while it has tries left."""
        count = min(self.spent(source, now_s) + 1, self._tries + 1.0)
        self._spent[source] = (count, now_s)
        self._spent.move_to_end(source)
        while len(self._spent) > self._sources:
            self._spent.popitem(last=False)
        return max(0.0, (count - self._tries) * self._refill_s)
