"""How often one key may begin something, so that whoever stole it cannot drown what others have to say. Pure."""

from collections.abc import Iterable, Mapping

from msgspec import Struct


class Pace(Struct, frozen=True):
    """`burst` at once, and then one every `every_ms`."""

    burst: int
    every_ms: int

    def counted(self, begun_ms: Mapping[str, int], keyids: Iterable[str], now_ms: int) -> dict[str, int] | None:
        """The table with one more by these keys; None when each of them began too much of late.

        The table says until when what each key began lasts, if it kept the pace. One key that still may is enough: a thief
        does not use up what others sign with him. Keys that rest are left out of the new table.
        """
        busy = {keyid: at_ms for keyid, at_ms in begun_ms.items() if at_ms > now_ms}
        names = tuple(keyids)
        if all(busy.get(keyid, now_ms) - now_ms >= self.burst * self.every_ms for keyid in names):
            return None
        return busy | {keyid: busy.get(keyid, now_ms) + self.every_ms for keyid in names}
