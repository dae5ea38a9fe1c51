"""What lies on the card: what nobody needs stays until room is needed; the least recently needed goes first, none that is due."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from edge_agent.commands import Evict
from edge_agent.core.state import Stored, Turn
from protocol.bulletins import Item, Programme
from protocol.programme import recordings
from protocol.units import Document

FREE_BYTES: Final = 80 * 2**20
"""Kept free beside what is wanted: the fetcher's own reserve for emergencies (64 MiB) and a little more."""


class Sized(Protocol):
    """What has a size."""

    @property
    def bytes(self) -> int:
        """How much room it needs."""


Lots = TypeVar("Lots", bound=Sized)


def media_of(document: Document) -> dict[str, int]:
    """The set of a document: digest and size of every file it names (what boards show is for boards)."""
    return _recordings(document.body.items) if isinstance(document, Programme) else {}


def _recordings(items: Iterable[Item]) -> dict[str, int]:
    return {media.sha256: media.bytes for item in items for variant in item.variants for media in recordings(variant)}


def is_past(turn: Turn, stored: Stored) -> bool:
    """Whether a document's days are over, as far as the clock can tell."""
    return turn.state.clock_usable and turn.now.wall_ms >= stored.payload.valid_until_ms


def touch(turn: Turn, *replaced: Stored | None) -> None:
    """A document left: until now its files were needed, so they go after all that nobody needed before."""
    named = frozenset(sha256 for stored in replaced if stored is not None for sha256 in stored.media)
    media = turn.state.media
    if named:
        rest = {sha256: size for sha256, size in media.items() if sha256 not in named}
        turn.set(media=rest | {sha256: size for sha256, size in media.items() if sha256 in named})


def stored(turn: Turn, sha256: str) -> None:
    """A file came whole; its size is what the documents say of it."""
    size = next((want.bytes for want in turn.state.wants if want.sha256 == sha256), None)
    if size is None:
        held = (*turn.state.waiting.values(), *turn.state.documents.values())
        size = next((media_of(one.payload)[sha256] for one in held if sha256 in one.media), 0)
    free_bytes = turn.state.disk_free_bytes
    turn.set(
        media={**turn.state.media, sha256: size},
        disk_free_bytes=max(0, free_bytes - size) if free_bytes >= 0 else free_bytes,
    )


def evicted(turn: Turn, sha256: str) -> None:
    """A file is off the card."""
    size = turn.state.evicting.get(sha256, 0)
    free_bytes = turn.state.disk_free_bytes
    turn.set(
        evicting={other: size for other, size in turn.state.evicting.items() if other != sha256},
        disk_free_bytes=free_bytes + size if free_bytes >= 0 else free_bytes,
    )


def kept(turn: Turn, sha256: str) -> None:
    """A file that was to go could not be removed: it is still there."""
    size = turn.state.evicting.get(sha256)
    if size is not None:
        turn.set(
            evicting={other: size for other, size in turn.state.evicting.items() if other != sha256},
            media={sha256: size, **turn.state.media},
        )


# --- the quota ---


def _needed(turn: Turn) -> frozenset[str]:
    """What documents in force or waiting, standing emergencies and whatever sounds now name."""
    state = turn.state
    held = [one.media for one in (*state.documents.values(), *state.waiting.values()) if one.media and not is_past(turn, one)]
    clips = [frozenset(clip.sha256 for clip in alarm.start.clips) for alarm in state.alarms.values()]
    sounding = [playing.media for playing in state.plays.values()]
    sounding += [frozenset(_recordings((playing.due.item,))) for playing in state.plays.values() if playing.due is not None]
    return frozenset().union(*held, *clips, *sounding)


def _bytes_needed(turn: Turn) -> int:
    needed = _needed(turn)
    return sum(size for sha256, size in turn.state.media.items() if sha256 in needed)


def is_over(turn: Turn, quota_bytes: int) -> bool:
    """Whether what is needed and here is alone more than the card's quota."""
    return sum(turn.state.media.values()) > quota_bytes and _bytes_needed(turn) > quota_bytes


def fitting(turn: Turn, quota_bytes: int, lots: Sequence[Lots]) -> list[Lots]:
    """Of what is missing, in its order, that which finds room beside all that is needed; half a set would be of no use."""
    if not lots:
        return []
    room_bytes = quota_bytes - _bytes_needed(turn)
    found = []
    for lot in lots:
        if lot.bytes <= room_bytes:
            room_bytes -= lot.bytes
            found.append(lot)
    return found


def make_room(turn: Turn, quota_bytes: int, wanted_bytes: int) -> None:
    """Let go of what nobody needs when the quota, or the card itself, has no room for what is wanted."""
    state = turn.state
    goal_bytes = sum(state.media.values()) + wanted_bytes - quota_bytes
    if state.disk_free_bytes >= 0:
        coming_bytes = sum(state.evicting.values())
        goal_bytes = max(goal_bytes, wanted_bytes + FREE_BYTES - state.disk_free_bytes - coming_bytes)
    if goal_bytes <= 0:
        return
    gone = _least_needed(turn, goal_bytes)
    if gone:
        turn.set(
            media={sha256: size for sha256, size in state.media.items() if sha256 not in gone},
            evicting={**state.evicting, **gone},
        )
        turn.tell(Evict(tuple(gone)))


def _least_needed(turn: Turn, goal_bytes: int) -> Mapping[str, int]:
    """As many files as make that room: those of no document first, then those of documents whose days are over."""
    needed = _needed(turn)
    over = frozenset().union(*(one.media for one in turn.state.documents.values() if one.media))
    spare = [(sha256, size) for sha256, size in turn.state.media.items() if sha256 not in needed]
    gone: dict[str, int] = {}
    for sha256, size in sorted(spare, key=lambda file: file[0] in over):
        if goal_bytes <= 0:
            break
        gone[sha256] = size
        goal_bytes -= size
    return gone
