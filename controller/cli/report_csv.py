"""Plan against plays as a table for Excel: UTF-8 with its mark in front, so that Vietnamese letters show; local times."""

import csv
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from controller.actions.plan_views import ExtraView, LinesView, LineView
from controller.core import plan_words
from provisioning.errors import InputRefused
from provisioning.files import refuse_existing
from provisioning.showing import HERE

COLUMNS: Final = (
    "Ngày hẹn",
    "Giờ hẹn",
    "Thôn, buôn",
    "Cụm loa",
    "Mã cụm loa",
    "Bản tin",
    "Kết quả",
    "Lý do",
    "Bắt đầu",
    "Kết thúc",
    "Số giây nghe được",
    "Số lần phát",
    "Mức âm dBFS",
    "Đồng hồ",
    "Outcome",
    "Reason",
)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def when(at_ms: int | None) -> str:
    """Local time and date, as 05:30:00 23/11/2025."""
    return "" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, HERE):%H:%M:%S %d/%m/%Y}"


def day(at_ms: int) -> str:
    """The local date, as 23/11/2025."""
    return f"{datetime.fromtimestamp(at_ms / 1000, HERE):%d/%m/%Y}"


def minutes(duration_ms: int) -> str:
    """Minutes, as 12,5."""
    return f"{duration_ms / 60_000:.1f}".replace(".", ",")


def share(value: float | None) -> str:
    """Percent, never rounded up to 100, as 99,9 %."""
    if value is None:
        return "-"
    return "100 %" if value == 1 else f"{min(value * 100, 99.9):.1f} %".replace(".", ",")


def _cell(text: str) -> str:
    """Titles and reasons come from others: none may become a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


class PlanCsv:
    """One file, written beside its name and renamed when it is whole. Raises InputRefused."""

    def __init__(self, path: Path) -> None:
        refuse_existing(path, "file")
        self.path = path
        self._part = path.with_name(f".{path.name}.part")
        self.rows = 0

    def __enter__(self) -> Self:
        """Begin with the columns."""
        try:
            self._file = self._part.open("w", encoding="utf-8-sig", newline="")
        except OSError as error:
            raise InputRefused(f"cannot write {self.path} ({error.strerror}): choose another folder") from error
        self._csv = csv.writer(self._file)
        self._csv.writerow(COLUMNS)
        return self

    def take(self, told: LinesView) -> None:
        """All lines of a node, then what no plan explains."""
        for line in told.lines:
            self._row(line, line.settlement_name, line.outcome, plan_words.OUTCOMES[line.outcome], plan_words.reason(line.why))
        for extra in told.extras:
            self._row(extra, "", "extra", ("Ngoài kế hoạch", "No plan explains it"), plan_words.EXTRA_WHYS[extra.why])

    def _row(
        self, line: LineView | ExtraView, settlement: str, code: str, outcome: plan_words.Words, why: plan_words.Words
    ) -> None:
        level = line.rms_cdb if isinstance(line, LineView) else None
        self._csv.writerow(
            (
                day(line.planned_ms),
                when(line.planned_ms)[:8],
                _cell(settlement),
                _cell(line.node_name),
                line.node,
                _cell(line.title),
                outcome[0],
                _cell(why[0]),
                when(line.started_ms),
                when(line.ended_ms),
                round(line.heard_ms / 1000),
                line.tries if isinstance(line, LineView) else 1,
                "" if level is None else f"{level / 100:.1f}".replace(".", ","),
                plan_words.CLOCKS.get(line.clock_state, ("", ""))[0],
                code,
                _cell(why[1]),
            )
        )
        self.rows += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give it its name, or leave nothing behind."""
        self._file.close()
        if kind is None:
            self._part.rename(self.path)
        else:
            self._part.unlink(missing_ok=True)
