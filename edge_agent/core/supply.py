"""Content ahead of its time: which files are fetched now, which wait for the night, within the link's and the card's budgets.

A set that is needed before the next night ends is fetched at once, the soonest needed first; the rest waits for the window.
While the clock is unusable there is no night and no month: nothing timed plays then, and what is held goes on; but the clock may
come good a minute before a bulletin, so what is missing is fetched at once, against the budget of the month last known.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from edge_agent.commands import Fetch, PutNumber, Want
from edge_agent.core import cache
from edge_agent.core.cache import media_of
from edge_agent.core.night import month_of, next_day_ms, night_at
from edge_agent.core.state import Stored, Turn
from protocol.bulletins import Item, Programme
from protocol.documents import Network, NetworkBody
from protocol.errors import Malformed
from protocol.programme import LONGEST_GRACE_MS, grace_ms, recordings
from protocol.recurrence import DAY_MS
from protocol.seen import Slot

WANTS: Final = 10_000
HOUR_MS: Final = 3_600_000
SAVE_EVERY_BYTES: Final = 4 * 2**20
"""So much may a power cut take from the count; at a 200 MB budget that is fifty writes a month."""
DEFAULT: Final = NetworkBody()


class Lot(Struct, frozen=True, kw_only=True):
    """Missing files that are of use only together: what a set lacks, by when it is needed, and how new its document is."""

    files: Mapping[str, int]
    need_ms: int
    seq: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(self.files.values())


def budgets(turn: Turn) -> NetworkBody:
    """What holds for this node's link and card: its own document, else the defaults."""
    held = turn.state.documents.get(Slot("network", turn.state.node, "-"))
    if held is None or not isinstance(held.payload, Network) or cache.is_past(turn, held):
        return DEFAULT
    return held.payload.body


def keep_up(turn: Turn) -> None:
    """Decide anew what is fetched when something changed, or when a night, its end or a day has come."""
    state, now_ms = turn.state, turn.now.wall_ms
    current = state.supply_from_ms <= now_ms < state.supply_until_ms or not state.clock_usable
    if current and not state.supply_stale and state.supply_usable == state.clock_usable:
        return
    turn.set(supply_stale=False, supply_usable=state.clock_usable)
    body = budgets(turn)
    at_once, until_ms = _look_at_the_clock(turn, body) if state.clock_usable else (True, now_ms)
    lots = sorted(_lots(turn, until_ms), key=lambda lot: (lot.need_ms, -lot.seq))
    fitting = cache.fitting(turn, body.cache_bytes, lots)
    turn.trouble("storage-full", there=cache.is_over(turn, body.cache_bytes) or len(fitting) < len(lots))
    chosen, late = ([lot for lot in some if at_once or lot.need_ms < until_ms] for some in (fitting, lots))
    _tell(turn, body, chosen, late)


def next_wake_ns(turn: Turn) -> list[int]:
    """When a night, its end or a day comes."""
    state = turn.state
    return [turn.mono_ns_of(state.supply_until_ms)] if state.booted and state.clock_usable else []


def _look_at_the_clock(turn: Turn, body: NetworkBody) -> tuple[bool, int]:
    """Whether this node is in its night, and until when that or the next one lasts. A new month begins with its whole budget."""
    state, now_ms = turn.state, turn.now.wall_ms
    try:
        night, month, day_ms = night_at(body, state.node, now_ms), month_of(body, now_ms), next_day_ms(body, now_ms)
    except Malformed:  # a clock beyond the calendar is as good as none
        turn.set(supply_from_ms=now_ms, supply_until_ms=now_ms + HOUR_MS)
        return True, now_ms
    if month != state.spent_month:
        # what came before the first good clock was paid in this month, for all that is known
        turn.set(spent_month=month, spent_bytes=0 if state.spent_month else state.spent_bytes)
    nearest_ms = night.enter_ms if now_ms < night.enter_ms else night.end_ms
    turn.set(supply_from_ms=now_ms, supply_until_ms=min(nearest_ms, day_ms))
    return night.is_open(now_ms), night.end_ms


def _tell(turn: Turn, body: NetworkBody, chosen: list[Lot], late: list[Lot]) -> None:
    """Make room, and tell the fetcher what to bring. An emergency's recordings have the link to themselves, and the reserve."""
    state = turn.state
    clips = state.clips_wanted
    extra = body.emergency_reserve_bytes if clips else 0
    limit = None if body.month_bytes is None else body.month_bytes + extra
    files = dict(clips) if clips else _in_order(chosen)
    used_up = limit is not None and state.spent_bytes >= limit
    turn.trouble("data-budget", there=used_up and bool(files))
    missing = clips.keys() | _in_order(late).keys()
    wants = () if used_up else tuple(Want(sha256, size) for sha256, size in files.items())[:WANTS]
    cache.make_room(turn, body.cache_bytes, sum(want.bytes for want in wants))
    if (state.late_media and not missing) or len(missing) > state.late_media:
        turn.ask_hello(delay_ms=500)
    turn.set(late_media=len(missing))
    if (wants, limit, state.spent_month) != (state.wants, state.fetch_limit, state.fetch_month):
        turn.set(wants=wants, fetch_limit=limit, fetch_month=state.spent_month)
        turn.tell(Fetch(wants, None if limit is None else max(0, limit - state.spent_bytes)))
    if not wants:
        _save_spent(turn)


def _in_order(lots: Iterable[Lot]) -> dict[str, int]:
    """The files of several lots, each where it is needed first."""
    files: dict[str, int] = {}
    for lot in lots:
        files |= {sha256: size for sha256, size in lot.files.items() if sha256 not in files}
    return files


# --- what is missing, and by when it is needed ---


def _lots(turn: Turn, until_ms: int) -> list[Lot]:
    state = turn.state
    lots = []
    for slot, stored in state.waiting.items():
        if missing := _missing(turn, stored):
            lots.append(Lot(files=missing, need_ms=_differs_ms(turn, slot, stored, until_ms), seq=stored.payload.seq))
    for stored in state.documents.values():
        if (missing := _missing(turn, stored)) and not cache.is_past(turn, stored):  # a card that lost files of a set in force
            for sha256, size in missing.items():
                using = frozenset(item for item in _items(stored) if _uses(item, sha256))
                need_ms = _first_ms(turn, stored, using, stored.payload.valid_from_ms, until_ms)
                lots.append(Lot(files={sha256: size}, need_ms=need_ms, seq=stored.payload.seq))
    return lots


def _missing(turn: Turn, stored: Stored) -> dict[str, int]:
    if stored.media <= turn.state.media.keys():
        return {}
    return {sha256: size for sha256, size in media_of(stored.payload).items() if sha256 not in turn.state.media}


def _items(stored: Stored | None) -> frozenset[Item]:
    return frozenset(stored.payload.body.items) if stored is not None and isinstance(stored.payload, Programme) else frozenset()


def _uses(item: Item, sha256: str) -> bool:
    return any(media.sha256 == sha256 for variant in item.variants for media in recordings(variant))


def _differs_ms(turn: Turn, slot: Slot, stored: Stored, until_ms: int) -> int:
    """When a waiting set is needed: at the first instant at which it says otherwise than what is in force.

    That is its first bulletin that is new, or the first of the old ones that it no longer has: complete or old holds for both.
    """
    old = turn.state.documents.get(slot)
    from_ms = stored.payload.valid_from_ms
    new = _first_ms(turn, stored, _items(stored) - _items(old), from_ms, until_ms)
    gone = _items(old) - _items(stored)
    return min(new, _first_ms(turn, old, gone, from_ms, until_ms)) if old is not None and gone else new


def _first_ms(turn: Turn, stored: Stored, items: frozenset[Item], from_ms: int, until_ms: int) -> int:
    """The first time from `from_ms` on at which one of these items is due; what lies beyond `until_ms` is not looked for."""
    now_ms = turn.now.wall_ms
    if not turn.state.clock_usable or stored.calendar is None:
        return 0
    graces = {item.id: grace_ms(item) for item in items}
    begin_ms = now_ms - LONGEST_GRACE_MS  # as the plan asks, so that one expansion of the calendar serves both
    try:
        found = stored.calendar.between(begin_ms, min(until_ms, begin_ms + 2 * DAY_MS))
    except Malformed:
        return 0
    dues = (due.planned_ms for due in found if due.item_id in graces and due.planned_ms + graces[due.item_id] >= now_ms)
    return next((planned_ms for planned_ms in dues if planned_ms >= from_ms), max(from_ms, until_ms))


# --- what it costs ---


def received(turn: Turn, count_bytes: int) -> None:
    """The link carried so much for content, whether a file came of it or not."""
    state = turn.state
    spent_bytes = state.spent_bytes + count_bytes
    crossed = state.fetch_limit is not None and state.spent_bytes < state.fetch_limit <= spent_bytes
    turn.set(spent_bytes=spent_bytes, supply_stale=state.supply_stale or crossed)
    if spent_bytes - state.spent_saved_bytes >= SAVE_EVERY_BYTES or crossed:
        _save_spent(turn)


def _save_spent(turn: Turn) -> None:
    state = turn.state
    if (state.spent_month, state.spent_bytes) != (state.spent_saved_month, state.spent_saved_bytes):
        turn.set(spent_saved_month=state.spent_month, spent_saved_bytes=state.spent_bytes)
        turn.save(PutNumber("media_month", state.spent_month), PutNumber("media_bytes", state.spent_bytes))
