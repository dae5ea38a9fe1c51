"""Virtual time: what is to happen when, in one queue; ties in the order in which they were asked for."""

import heapq
from collections.abc import Callable

MS_NS = 1_000_000


class Clockwork:
    """`now_ns` is the true time since 1970."""

    def __init__(self, begin_ms: int) -> None:
        self.now_ns = begin_ms * MS_NS
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    @property
    def now_ms(self) -> int:
        return self.now_ns // MS_NS

    def at(self, at_ns: int, do: Callable[[], None]) -> None:
        """Let something happen at an instant, now if that is past."""
        self._count += 1
        heapq.heappush(self._queue, (max(at_ns, self.now_ns), self._count, do))

    def after_ms(self, delay_ms: float, do: Callable[[], None]) -> None:
        self.at(self.now_ns + round(delay_ms * MS_NS), do)

    def run_to(self, until_ms: int) -> None:
        """Jump from event to event."""
        queue, until_ns, pop = self._queue, until_ms * MS_NS, heapq.heappop
        while queue and queue[0][0] <= until_ns:
            self.now_ns, _, do = pop(queue)
            do()
        self.now_ns = until_ns
