"""The states of one occurrence of a bulletin, drawn from the code: the real `decide` lives through situations, and is watched.

`python -m tests.core.transitions` writes the diagram into the two pages in docs/ that have the marks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_agent.commands import PutRecord, Save
from edge_agent.core.state import OccurrenceKey, Playing
from edge_agent.events import Booted, Event
from protocol.bulletins import Shown, Variant
from protocol.reports import PlayRecord
from tests.core.agreement import recording
from tests.core.harness import Node
from tests.core.people import COMMUNE, MEDIA, NOON, item, programme, settled, start, station, stop

BEGIN, END = "<!-- states: drawn by python -m tests.core.transitions -->", "<!-- end of states -->"
PAGES: Final = {"what-plays-when.md": 0, "khi-nao-phat-gi.md": 1}
DOCS: Final = Path(__file__).parents[2] / "docs"
NAMES: Final = {
    "planned": ("planned", "đã lên lịch"),
    "waiting": ("its time has come: it waits", "đến giờ, đang chờ"),
    "saving": ("its record goes to disk", "đang ghi sổ phát"),
    "told": ("the player is told", "đã giao cho máy phát"),
    "sounding": ("sounding", "đang phát"),
    "fading": ("being ended before its time", "đang bị ngắt"),
    "played": ("played", "đã phát hết"),
    "max": ("cut by the hours or its session", "hết giờ phát nên bị cắt"),
    "interrupted": ("interrupted for good", "bị chen ngang, bỏ hẳn"),
    "skipped": ("skipped, with its reason", "bỏ qua, có ghi lý do"),
    "stopped": ("stopped", "bị dừng"),
    "failed": ("the player could not", "máy phát không phát được"),
    "cut": ("power was cut", "mất điện giữa chừng"),
}
NOTHING: Final = "[*]"
ENDS: Final = ("played", "max", "interrupted", "skipped", "stopped", "failed", "cut")
EVENTS: Final = {
    "Woke": ("time", "đến giờ"),
    "Saved": ("on disk", "đã ghi xong"),
    "SaveFailed": ("the disk fails", "thẻ nhớ lỗi"),
    "Sounding": ("first sample", "bắt đầu có tiếng"),
    "PlayEnded": ("the player ended", "máy phát báo xong"),
    "Arrived": ("an order or document", "có lệnh hoặc văn bản mới"),
    "MediaStored": ("its set is whole", "đủ tệp"),
    "Booted": ("power is back", "có điện lại"),
}


class Watched(Node):
    """Notes, turn by turn, what became of every occurrence; `seen` is (from, event, to)."""

    seen: set[tuple[str, str, str]]

    def __init__(self, *more, **named) -> None:
        self.seen = set()
        self.where: dict[OccurrenceKey, str] = {}
        super().__init__(*more, **named)

    def happen(self, event: Event) -> None:
        before = len(self.commands)
        super().happen(event)
        now = self._states()
        closed = self._on_the_card() if isinstance(event, Booted) else _closed(self.commands[before:])
        for key in {**self.where, **now, **closed}:
            old = self.where.get(key, NOTHING)
            new = now.get(key) or closed.get(key) or (old if old in ENDS else NOTHING)
            if old != new:
                self.seen.add((old, type(event).__name__, new))
                self.where[key] = new

    def _states(self) -> dict[OccurrenceKey, str]:
        state = self.state
        found = {due.key: "planned" for due in state.upcoming}
        found |= {due.key: "waiting" for due in state.queue}
        return found | {playing.due.key: _phase(playing) for playing in state.plays.values() if playing.due is not None}

    def _on_the_card(self) -> dict[OccurrenceKey, str]:
        return {_key(record): record.ending for record, _open in self.card.records.values() if record.incident is None}


def _phase(playing: Playing) -> str:
    if playing.phase == "told":
        return "told" if playing.begun_ns is None else "sounding"
    return "fading" if playing.phase == "ending" else "saving"


def _key(record: PlayRecord) -> OccurrenceKey:
    return record.area, record.authority, record.item, record.planned_ms


def _closed(commands) -> dict[OccurrenceKey, str]:
    writes = [write for save in commands if isinstance(save, Save) for write in save.writes if isinstance(write, PutRecord)]
    return {_key(put.record): put.record.ending for put in writes if not put.is_open and put.record.incident is None}


# --- situations ---


BEFORE = NOON - 60_000


def node_with(*items, hours=((0, 1440),), **rules) -> Watched:
    node = Watched(BEFORE, *settled(programme(*items), hours=hours, rules=rules))
    node.fetched(MEDIA)
    node.online()
    return node


def tin(name: str, at: str, length_s: int, **more):
    return item(name, at, variants=(recording("vi", length_s),), **more)


def _a_day() -> list[Watched]:
    """What the timetable alone brings about."""
    nodes = [
        node_with(tin("mot", "12:00", 60), tin("hai", "12:00", 60), tin("muon", "12:00", 60, grace_s=30)),
        node_with(tin("dai", "12:00", 600), hours=((0, 725),)),
        node_with(tin("dem", "12:00", 60), hours=((0, 600),)),
        node_with(tin("mot", "12:00", 60), tin("hai", "12:10", 60), sessions_a_day=1),
        node_with(item("bang", "12:00", variants=(Variant(lang="vi", shown=Shown(text="Họp", for_s=9)),))),
    ]
    for on_interrupt in ("restart", "resume", "drop"):
        urgent = tin("gap", "12:01", 60, class_="priority")
        nodes.append(node_with(tin("tin", "12:00", 180, on_interrupt=on_interrupt), urgent))
    for node in nodes:
        node.run_to(NOON + 1_200_000)
    return nodes


INSTANTS: Final = {"planned": -30_000, "saving": -1_499, "told": -1_000, "sounding": 10_000, "waiting": 10_000}
"""When (ms after noon) the bulletin is in this state; one that waits does so behind another."""


def _in_every_state(then: Callable[[Watched], None]) -> list[Watched]:
    """The same thing happens while a bulletin is planned, waits, is being saved, is told, sounds."""
    nodes = []
    for state, after_ms in INSTANTS.items():
        others = (tin("truoc", "12:00", 60, level="central"),) if state == "waiting" else ()
        node = node_with(tin("tin", "12:00", 120), *others)
        node.run_to(NOON + after_ms)
        then(node)
        node.run(600)
        nodes.append(node)
    return nodes


def _fails(node: Watched) -> None:
    node.card_fails = lambda _save: True
    node.run(31)
    node.card_fails = lambda _save: False


def _refuses(node: Watched) -> None:
    node.player.refuses = 1


def _loses_its_clock(node: Watched) -> None:
    node.trust_clock("unknown")
    node.run(5)
    node.trust_clock("good")


SITUATIONS: Final[tuple[Callable[[Watched], object], ...]] = (
    lambda node: node.give(start(node.true_ms, repeats=1)),
    lambda node: node.give(stop(node.true_ms, None, area=COMMUNE)),
    lambda node: node.give(programme(seq=node.true_ms)),
    lambda node: node.give(station(((0, 600),), seq=node.true_ms)),
    lambda node: node.power_cut(),
    _fails,
    _refuses,
    _loses_its_clock,
)


def observed() -> set[tuple[str, str, str]]:
    """Every transition that was seen."""
    nodes = _a_day()
    for then in SITUATIONS:
        nodes += _in_every_state(then)  # type: ignore[arg-type]
    return set().union(*(node.seen for node in nodes))


# --- the page ---


def diagram(seen: set[tuple[str, str, str]], language: int) -> str:
    """As Mermaid, in English (0) or Vietnamese (1)."""
    used = [name for name in NAMES if any(name in (old, new) for old, _event, new in seen)]
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{NAMES[name][language]}" as {name}' for name in used]
    places = [NOTHING, *used]
    for old in places:
        for new in places:
            events = sorted(event for before, event, after in seen if (before, after) == (old, new))
            if events:
                lines.append(f"    {old} --> {new}: {', '.join(EVENTS[event][language] for event in events)}")
    lines += [f"    {name} --> {NOTHING}" for name in used if name in ENDS]
    return "\n".join([*lines, "```"])


def drawn(page: str, seen: set[tuple[str, str, str]], language: int) -> str:
    """The page with the diagram as it is now."""
    head, _, rest = page.partition(BEGIN)
    tail = rest.partition(END)[2]
    return f"{head}{BEGIN}\n{diagram(seen, language)}\n{END}{tail}"


def main() -> None:
    seen = observed()
    for name, language in PAGES.items():
        path = DOCS / name
        path.write_text(drawn(path.read_text(encoding="utf-8"), seen, language), encoding="utf-8")


if __name__ == "__main__":
    main()
