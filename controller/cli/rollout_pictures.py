"""A rollout in words and tables: its plan, how far it is, live or once. Vietnamese before English."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from controller.actions.rollout_views import PlanView, RolloutNode, RolloutView
from provisioning.showing import moment
from provisioning.terminal import live_console, print_lines, print_table, say, table, warn

POLL_S: Final = 1.0
MB: Final = 1_000_000
PHASES: Final = {
    "running": "đang chạy/running",
    "paused": "TẠM DỪNG/PAUSED",
    "aborted": "đã bỏ/aborted",
    "ended": "đã xong/ended",
}
STANDS: Final = {
    "open": ("chờ/open", "dim"),
    "offered": ("đã giao/offered", "yellow"),
    "begun": ("đang cài/under way", "cyan"),
    "good": ("tốt/good", "green"),
    "failed": ("HỎNG/FAILED", "bold red"),
    "unreached": ("không gặp/unreached", "magenta"),
    "withdrawn": ("thu lại/withdrawn", "magenta"),
}


def _mb(count: int) -> str:
    return f"{count / MB:,.1f} MB"


def _minute(at_ms: int | None) -> str:
    return "-" if at_ms is None else moment(at_ms)[:16]


def say_plan(view: PlanView) -> None:
    """What would happen."""
    count = sum(len(wave.nodes) for wave in view.waves)
    print_lines(
        [
            ("bản/release", f"{view.version}, build {view.build}, {view.compatible}, {view.release[:16]}…"),
            ("địa bàn/area", f"{view.area_name} ({view.area})"),
            ("cụm loa/nodes", f"{count} / {view.selected}; {view.unreachable} không liên lạc được/unreachable: {_waits(view)}"),
            ("dữ liệu/data", f"≤ {_mb(view.bundle_bytes)} × {count} = {_mb(view.bytes_most)}"),
            ("xong/over", f"≤ {_minute(view.waves[-1].by_ms)}, mỗi đợt một đêm/one night a wave"),
        ]
    )
    rows = [
        (str(number), node.name, node.node, node.settlement_name, node.version or "?", _there(reachable=node.reachable))
        for number, wave in enumerate(view.waves)
        for node in wave.nodes
    ]
    print_table(("đợt/wave", "tên/name", "mã/node", "thôn/settlement", "đang chạy/runs", "liên lạc/link"), rows)
    if view.left_out:
        left = [(each.name, each.node, each.vi, each.en) for each in view.left_out]
        print_table(("tên/name", "mã/node", "không cập nhật vì", "left out because"), left)
    if not view.bundle_here:
        warn("Chưa có tệp phần mềm trong kho: `loa rollout bundle TỆP` / The bundle is not in the library yet.")


def _waits(view: PlanView) -> str:
    return f"chờ đến/open until {_minute(view.deadline_ms)}"


def _there(*, reachable: bool) -> str:
    return "có/online" if reachable else "không/unreachable"


def status_rows(views: Iterable[RolloutView]) -> list[tuple[str, ...]]:
    """One row a rollout."""
    return [
        (
            str(view.id),
            view.version,
            view.area_name,
            PHASES[view.phase],
            f"{view.wave}/{view.waves - 1}",
            f"{view.counts.get('good', 0)}/{sum(view.counts.values())}",
            _minute(view.started_ms),
        )
        for view in views
    ]


def _row(node: RolloutNode) -> tuple[str | Text, ...]:
    words, style = STANDS[node.stand]
    share = f"{100 * node.bytes_done // node.bytes_of} %" if node.bytes_of else ""
    size = f"{_mb(node.bytes_done)} / {_mb(node.bytes_of)}" if node.bytes_of else ""
    return (
        str(node.wave),
        node.name,
        node.settlement_name,
        node.online,
        Text(words, style=style),
        node.state,
        size,
        share,
        _minute(node.since_ms),
        node.reason,
    )


def _title(view: RolloutView) -> str:
    counts = ", ".join(f"{count} {STANDS[stand][0]}" for stand, count in sorted(view.counts.items()))
    why = f" ({view.why})" if view.why else ""
    until = _minute(view.ended_ms) if view.ended_ms is not None else f"ETA {_minute(view.eta_ms)}"
    return (
        f"{view.id}: {view.version} → {view.area_name} · {PHASES[view.phase]}{why} · đợt/wave {view.wave}/{view.waves - 1}"
        f" · {counts} · {_mb(view.bytes_done)} ≤ {_mb(view.bytes_most)} · {until}"
    )


def picture(view: RolloutView) -> Table:
    """Node by node."""
    columns = (
        "đợt/wave",
        "tên/name",
        "thôn/settlement",
        "link",
        "ở đâu/stands",
        "báo/says",
        "dữ liệu/data",
        "%",
        "từ/since",
        "lý do/why",
    )
    return table(columns, [_row(node) for node in view.nodes])


def say_status(view: RolloutView) -> None:
    """Once."""
    say(_title(view), style="bold")
    live_console().print(picture(view))


def watch(look: Callable[[], RolloutView]) -> None:
    """Draw it again and again until it is over."""
    view = look()
    with Live(_whole(view), console=live_console(), auto_refresh=False) as live:
        while view.ended_ms is None:
            time.sleep(POLL_S)
            view = look()
            live.update(_whole(view), refresh=True)


def _whole(view: RolloutView) -> Group:
    return Group(Text(_title(view), style="bold"), picture(view))
