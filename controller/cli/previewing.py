"""A timetable ahead on the terminal: a table a day and group of clusters, then what somebody should know, in two languages."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from rich.text import Text

from controller.actions.preview_views import NodeGroup, PlanLine, PreviewRequest, PreviewView
from controller.cli.library import seconds
from controller.cli.link import Link
from controller.cli.programme_file import HERE, start_of
from controller.core import finding_words as words
from controller.core.findings import Finding
from controller.ffmpeg import FfmpegFailed, probe
from protocol.bulletins import Programme
from provisioning.errors import InputRefused
from provisioning.terminal import print_table, say

PREVIEW_PATH: Final = "/v1/preview"
UNKNOWN_SHA256: Final = "0" * 64
"""Stands for a file that is not in the library yet (a preview or a dry run adds nothing)."""
OUTCOMES: Final = {
    "plays": ("phát · plays", ""),
    "late": ("muộn · late", "yellow"),
    "cut": ("bị cắt · cut", "red"),
    "interrupted": ("bị ngắt · interrupted", "yellow"),
    "skipped": ("KHÔNG PHÁT · SKIPPED", "bold red"),
    "shown": ("hiện trên bảng · shown", "cyan"),
}
STYLES: Final = {"error": "bold red", "warning": "yellow", "note": "cyan"}
SIGNS: Final = {"error": "✕", "warning": "!", "note": "·"}
WEEKDAYS: Final = ("Thứ Hai", "Thứ Ba", "Thứ Tư", "Thứ Năm", "Thứ Sáu", "Thứ Bảy", "Chủ nhật")
NODES_NAMED: Final = 4


def day_of(text: str) -> int:
    """Midnight of a day written dd/mm/yyyy, UTC ms. Raises InputRefused."""
    try:
        return start_of(dt.datetime.strptime(text, "%d/%m/%Y").replace(tzinfo=HERE).date())
    except ValueError as error:
        raise InputRefused(f"{text!r} is no day: write it as dd/mm/yyyy") from error


def of_draft(
    link: Link,
    programme: Programme,
    *,
    area: str | None = None,
    days: int = 7,
    from_ms: int | None = None,
    node: str | None = None,
) -> PreviewView:
    """What serve makes of a draft beside everything in force. Raises ServeSilent or ServeRefused."""
    request = PreviewRequest(programme=programme, area=area, days=days, from_ms=from_ms, node=node, pending=(UNKNOWN_SHA256,))
    return link.post(PREVIEW_PATH, request, PreviewView)


def length_of(path: Path) -> int:
    """How many ms a sound file says it lasts; one second when it does not say."""
    try:
        declared_s = asyncio.run(probe(path)).declared_s
    except FfmpegFailed:
        return 1_000
    return 1_000 if declared_s is None else max(1, round(declared_s * 1_000))


def show(view: PreviewView) -> None:
    """Every occurrence, a table for each group of clusters and day."""
    for group in view.groups:
        for day, lines in groupby(group.lines, key=lambda line: words.local(line.begins_ms or line.planned_ms).date()):
            title = f"{WEEKDAYS[day.weekday()]} {words.written(day)} · {_nodes(group)}"
            columns = ("giờ · time", "bản tin · bulletin", "loại · class", "của · of", "dài · length", "", "vì sao · why")
            print_table(columns, [_row(line) for line in lines], title=title)


def _nodes(group: NodeGroup) -> str:
    names = [name for _, name in group.nodes[:NODES_NAMED]]
    more = f" +{len(group.nodes) - NODES_NAMED}" if len(group.nodes) > NODES_NAMED else ""
    return ", ".join(names) + more


def _row(line: PlanLine) -> tuple[str | Text, ...]:
    outcome, style = OUTCOMES[line.outcome]
    class_vi, class_en = words.CLASSES[line.class_]
    begins = words.clock(line.begins_ms if line.begins_ms is not None else line.planned_ms)
    planned = words.clock(line.planned_ms)
    whose = line.authority_name if line.authority == line.area else f"{line.authority_name} → {line.area_name}"
    return (
        begins if begins == planned else f"{begins} ({planned})",
        line.title,
        f"{class_vi} · {class_en}",
        whose,
        seconds(line.length_ms),
        Text(outcome, style=style),
        f"{line.why_vi} · {line.why_en}" if line.why_vi else "",
    )


def show_findings(found: Sequence[Finding]) -> None:
    """Each finding in two lines: Vietnamese, English."""
    for each in found:
        say(f"{SIGNS[each.severity]} {each.vi}", style=STYLES[each.severity])
        say(f"  {each.en}", style="dim")


def show_tomorrow(view: PreviewView) -> None:
    """Tomorrow's first sound, which somebody should have meant."""
    if view.first_tomorrow_ms is not None:
        at = words.clock(view.first_tomorrow_ms)
        say(f"Âm thanh đầu tiên ngày mai lúc {at}: «{view.first_tomorrow}».", style="bold")
        say(f"  The first sound tomorrow is at {at}: “{view.first_tomorrow}”.", style="dim")


def refuse(view: PreviewView) -> None:
    """Raises InputRefused when the draft cannot be meant at all."""
    if view.refusals:
        first, more = view.refusals[0], len(view.refusals) - 1
        rest = f" (và {more} điều nữa · and {more} more)" if more else ""
        raise InputRefused(f"{first.vi} · {first.en}{rest}; chưa công bố gì · nothing was published")


def refuse_unseen(found: Sequence[Finding]) -> None:
    """With --yes nobody looks: errors then need --accept-findings. Raises InputRefused."""
    errors = [each for each in found if each.severity == "error"]
    if errors:
        raise InputRefused(
            f"{len(errors)} findings must be seen by a person first, as: {errors[0].vi} · {errors[0].en} "
            "Nothing was published: look with --dry-run, then correct it, answer without --yes, or say --accept-findings"
        )
