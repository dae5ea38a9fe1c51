"""`loa report plays`: what was planned beside what was heard; totals first, then what went wrong, the worst first."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from controller.actions.plan_views import LinesView, NodeTally, PlanReport, TallyView
from controller.cli.folder import StateFolder
from controller.cli.link import Link, ServeRefused
from controller.cli.options import DEFAULT_STATE, JsonOption, StateOption
from controller.cli.report_csv import PlanCsv, day, minutes, share, when
from controller.core import plan_words
from provisioning.errors import InputRefused
from provisioning.terminal import live_console, print_json, print_table, say, warn

app = typer.Typer(no_args_is_help=True, help="Reports (báo cáo): plan against plays.")
STYLES: Final = {"missing": "bold red", "silent": "bold red", "failed": "red", "unknown": "yellow", "late": "dim"}
EXCEL_ROWS: Final = 1_048_576
SHORT: Final = {
    "missing": "không rõ lý do",
    "silent": "không tiếng",
    "failed": "hỏng",
    "unknown": "chưa rõ",
    "cut": "bị cắt",
    "outdated": "bản cũ",
    "interrupted": "nhường",
    "stopped": "bị dừng",
    "skipped": "bỏ qua",
    "late": "trễ",
    "pending": "chưa tới hạn",
}


@app.callback()
def reports() -> None:
    """Reports (báo cáo): plan against plays."""


@app.command("plays", epilog="loa report plays --area 52.24076 --from 01/11/2025 --to 30/11/2025 --csv thang-11.csv")
def plays(
    *,
    area: Annotated[str, typer.Option(help="Địa bàn: xã, thôn, cả tỉnh hoặc một cụm loa (an area's id).")],
    first: Annotated[str, typer.Option("--from", help="Từ ngày dd/mm/yyyy; không ghi là hôm nay (first day).")] = "",
    last: Annotated[str, typer.Option("--to", help="Đến hết ngày dd/mm/yyyy (last day, included).")] = "",
    node: Annotated[str | None, typer.Option(help="Chỉ một cụm loa (one node alone).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Nhiều nhất bấy nhiêu dòng sai (at most this many lines).")] = 100,
    csv: Annotated[Path | None, typer.Option(help="Ghi mọi bản tin đã hẹn vào tệp này (for Excel).")] = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Đối chiếu kế hoạch với nhật ký phát: what was planned, what was heard, and what went wrong, the worst first."""
    folder = StateFolder(state).require()
    table = None if csv is None else PlanCsv(csv)
    asked = {"area": area, "first": first, "last": last, "node": node, "limit": limit, "every": int(table is not None)}
    with Link(folder.socket) as link, _written(table):
        found = _follow(link.get_lines("/v1/report/plays/lines", LinesView, **asked), table, quiet=as_json)
    if as_json:
        print_json(found)
        return
    _show(found, limit)
    if table is not None:
        say(f"{table.rows} dòng đã ghi vào {csv} (lines written).")
    if table is not None and table.rows >= EXCEL_ROWS:
        warn(f"Excel chỉ mở được {EXCEL_ROWS} dòng: hãy xuất từng tháng hoặc từng xã (Excel opens no more lines than that).")


@contextmanager
def _written(table: PlanCsv | None) -> Iterator[None]:
    """The file appears when all of it is there, or not at all."""
    if table is None:
        yield
        return
    try:
        with table:
            yield
    except OSError as error:
        raise InputRefused(f"cannot write {table.path} ({error.strerror}): nothing was kept of it") from error


def _follow(told: Iterator[LinesView], table: PlanCsv | None, *, quiet: bool) -> PlanReport:
    """Read node by node, with a bar for long ranges. Raises ServeRefused when serve ended early."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=live_console(), disable=quiet, transient=True) as progress:
        task = progress.add_task("cụm loa (nodes)", total=None)
        for each in told:
            progress.update(task, completed=each.done, total=each.of)
            if table is not None:
                table.take(each)
            if each.report is not None:
                return each.report
    raise ServeRefused("serve ended without a report: see its log, then ask again")


def _wrong(tally: TallyView) -> str:
    return ", ".join(f"{number} {SHORT[name]}" for name, number in tally.outcomes.items() if name in SHORT)


def _counts(tally: TallyView) -> tuple[str, ...]:
    return str(tally.expected), str(tally.played), share(tally.share), minutes(tally.heard_ms), _wrong(tally)


COUNTS: Final = ("hẹn (planned)", "đã phát (played)", "tỷ lệ (share)", "phút (minutes)", "không đạt (not as planned)")


def _show(found: PlanReport, limit: int) -> None:
    days = day(found.from_ms) if found.to_ms - found.from_ms <= _DAY_MS else f"{day(found.from_ms)} - {day(found.to_ms - 1)}"
    say(f"Đối chiếu kế hoạch (plan against plays): {found.area_name}, {days}", style="bold")
    if not found.total.expected and not found.extra:
        say(_empty(found))
    if found.total.expected:
        print_table(("", *COUNTS), [("tất cả (total)", *_counts(found.total))])
        _table("thôn, buôn (settlement)", [(each.name, each.tally) for each in found.settlements], limit)
        _table("cụm loa (node)", [(each.name, each.tally) for each in found.nodes], limit)
        _table("bản tin (bulletin)", [(each.title, each.tally) for each in found.bulletins], limit)
        if found.total.clock_doubted:
            say(f"{found.total.clock_doubted} bản tin phát khi đồng hồ chưa tin chắc (under a doubtful clock).", style="yellow")
    _apart(found.nodes)
    _show_lines(found)


_DAY_MS: Final = 86_400_000


def _empty(found: PlanReport) -> str:
    if not found.nodes:
        return "Khi đó chưa có cụm loa nào đứng ở địa bàn này. No node stood in this area then."
    if found.total.outcomes.get("pending"):
        return "Các bản tin đã hẹn đều chưa tới hạn. What is planned is not over yet."
    return "Không có bản tin nào được hẹn phát trong những ngày này. Nothing was planned on these days."


def _table(what: str, counted: list[tuple[str, TallyView]], limit: int) -> None:
    """The worst of them; the rest is counted, and whole in the JSON."""
    title = f"{limit} / {len(counted)}, kém nhất trước (the worst of them)" if len(counted) > limit else ""
    print_table((what, *COUNTS), [(name, *_counts(tally)) for name, tally in counted[:limit]], title=title)


def _apart(nodes: tuple[NodeTally, ...]) -> None:
    for words, number, sounded_ms in (
        ("Khẩn cấp (emergencies)", sum(each.emergencies for each in nodes), sum(each.emergency_ms for each in nodes)),
        ("Diễn tập (exercises)", sum(each.exercises for each in nodes), sum(each.exercise_ms for each in nodes)),
    ):
        if number:
            say(f"{words}: {number} lượt (plays), {minutes(sounded_ms)} phút (minutes); tính riêng (counted apart).")


def _show_lines(found: PlanReport) -> None:
    if found.lines:
        title = f"Không đạt, nặng nhất trước (worst first): {len(found.lines)} / {found.wrong}"
        rows = [
            (
                Text(plan_words.both(plan_words.OUTCOMES[line.outcome]), style=STYLES.get(line.outcome, "")),
                when(line.planned_ms),
                f"{line.node_name} ({line.node})",
                line.settlement_name,
                line.title,
                minutes(line.heard_ms) if line.heard_ms else "",
                plan_words.both(plan_words.reason(line.why)),
            )
            for line in found.lines
        ]
        columns = (
            "kết quả (outcome)",
            "hẹn (planned)",
            "cụm loa (node)",
            "thôn, buôn",
            "bản tin (bulletin)",
            "phút",
            "lý do (why)",
        )
        print_table(columns, rows, title=title)
    if found.extras:
        title = f"Ngoài kế hoạch (plays that no plan explains): {len(found.extras)} / {found.extra}"
        shown = [
            (
                when(each.planned_ms),
                f"{each.node_name} ({each.node})",
                each.title,
                minutes(each.heard_ms),
                plan_words.both(plan_words.EXTRA_WHYS[each.why]),
            )
            for each in found.extras
        ]
        print_table(("hẹn (planned)", "cụm loa (node)", "bản tin (bulletin)", "phút", "vì sao (why)"), shown, title=title)
