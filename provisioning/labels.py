"""Labels to print and fold: what stands where on an A4 sheet (`lay_out`, which needs fonts alone), for `drawing` to draw.

A label is three panels in a row. The left one is what shows on the machine: node id, QR code of it, name, settlement. The
middle one has the claim; the right one, hatched, folds over it, then both fold behind the first: the claim faces paper.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

SHEET_MM: Final = (210.0, 297.0)
PANEL_MM: Final = (63.0, 45.0)
ROWS: Final = 6
LEFT_MM: Final = (SHEET_MM[0] - 3 * PANEL_MM[0]) / 2
TOP_MM: Final = (SHEET_MM[1] - ROWS * PANEL_MM[1]) / 2
PAD_MM: Final = 3.0
QR_MM: Final = 27.0
LINE_EM: Final = 1.4
"""Capitals with two marks above them need 1.35 em."""
MM_PER_PT: Final = 25.4 / 72
NAME_PT: Final = (11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0)
"""The largest size at which a name fits beside its QR code."""
NODE_PT: Final = (19.0, 17.0, 15.0, 13.0, 11.0)
CLAIM_PT: Final = (14.0, 13.0, 12.0, 11.0, 10.0, 9.0)
"""The largest at which node id and claim fit into their panel: a W is three times as wide as an I, and both are drawn by lot."""

Weight = Literal["regular", "bold"]
Line = tuple[str, float, Weight]
"""Text, points, weight."""
Measure = Callable[[str, float, Weight], float]
"""The width of a text in mm, at so many points."""


class Label(Struct, frozen=True, kw_only=True):
    """What is to be read on one label; `claim` only inside."""

    node: str
    claim: str
    name: str = ""
    settlement: str = ""


class Words(Struct, frozen=True, kw_only=True):
    """A line of text with its upper left corner, in mm from the sheet's."""

    text: str
    x_mm: float
    y_mm: float
    size_pt: float
    weight: Weight = "regular"


class Code(Struct, frozen=True, kw_only=True):
    """A QR code in a square, its quiet zone inside."""

    text: str
    x_mm: float
    y_mm: float
    side_mm: float = QR_MM


class Panel(Struct, frozen=True, kw_only=True):
    """One panel of one label; `hatched` hides what lies under it."""

    x_mm: float
    y_mm: float
    words: tuple[Words, ...] = ()
    code: Code | None = None
    hatched: bool = False


class Sheet(Struct, frozen=True, kw_only=True):
    """One A4 page: outside, inside, flap of each label."""

    labels: tuple[tuple[Panel, Panel, Panel], ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """Every line that is printed."""
        return tuple(words.text for label in self.labels for panel in label for words in panel.words)


def lay_out(labels: Sequence[Label], measure: Measure) -> tuple[Sheet, ...]:
    """Every label on its place, `ROWS` a sheet, in the order given."""
    sheets = []
    for start in range(0, len(labels), ROWS):
        rows = enumerate(labels[start : start + ROWS])
        sheets.append(Sheet(labels=tuple(_panels(label, TOP_MM + row * PANEL_MM[1], measure) for row, label in rows)))
    return tuple(sheets)


def _panels(label: Label, y_mm: float, measure: Measure) -> tuple[Panel, Panel, Panel]:
    xs = [LEFT_MM + column * PANEL_MM[0] for column in range(3)]
    return (_outside(label, xs[0], y_mm, measure), _inside(label, xs[1], y_mm, measure), _flap(xs[2], y_mm, measure))


def _outside(label: Label, x_mm: float, y_mm: float, measure: Measure) -> Panel:
    left, top = x_mm + PAD_MM, y_mm + PAD_MM
    head = [
        Words(text="LOA  cụm loa / loudspeaker node", x_mm=left, y_mm=top, size_pt=6),
        Words(text=label.node, x_mm=left, y_mm=top + 2.6, size_pt=_fitting([label.node], NODE_PT, measure), weight="bold"),
    ]
    code = Code(text=label.node, x_mm=left - 1, y_mm=y_mm + PANEL_MM[1] - QR_MM - 1.5)
    beside, width = code.x_mm + QR_MM + 1, PANEL_MM[0] - PAD_MM - QR_MM - 3
    settlement: list[Line] = [(f"thôn {label.settlement}", 7.0, "regular")] if label.settlement else []
    for size_pt in NAME_PT:
        lines: list[Line] = [(line, size_pt, "bold") for line in wrap(label.name, width, size_pt, "bold", measure)]
        column = _column([*lines, *settlement], beside, code.y_mm + 1.5)
        if not column or column[-1].y_mm + column[-1].size_pt * MM_PER_PT * LINE_EM <= y_mm + PANEL_MM[1] - 1:
            break
    return Panel(x_mm=x_mm, y_mm=y_mm, words=(*head, *column), code=code)


def _inside(label: Label, x_mm: float, y_mm: float, measure: Measure) -> Panel:
    groups = label.claim.split("-")
    middle = (len(groups) + 1) // 2
    claim = ["-".join(groups[:middle]) + "-", "-".join(groups[middle:])]
    claim_pt = _fitting(claim, CLAIM_PT, measure)
    warning = "Ai có mã này trước khi cụm loa bật lần đầu có thể nhận thay nó. Gấp lại, dán kín."
    lines: list[Line] = [
        ("Mã nhận máy, dùng một lần", 8.0, "bold"),
        (f"one-time claim of {label.node}", 5.5, "regular"),
        *((part, claim_pt, "bold") for part in claim),
        *_wrapped(warning, 7.0, measure),
        *_wrapped("Whoever has it before the node's first start can take its place. Fold and seal.", 5.5, measure),
    ]
    return Panel(x_mm=x_mm, y_mm=y_mm, words=_column(lines, x_mm + PAD_MM, y_mm + PAD_MM))


def _flap(x_mm: float, y_mm: float, measure: Measure) -> Panel:
    lines = [
        *_wrapped("1. Gấp ô này đè lên mã.", 8.0, measure),
        *_wrapped("2. Gấp cả hai ô ra sau nhãn, dán lại.", 8.0, measure),
        *_wrapped("Fold this over the claim, then both behind the label.", 5.5, measure),
    ]
    return Panel(x_mm=x_mm, y_mm=y_mm, words=_column(lines, x_mm + PAD_MM, y_mm + 14), hatched=True)


def _fitting(lines: Sequence[str], sizes_pt: Sequence[float], measure: Measure) -> float:
    """The largest of the sizes at which every line fits between the panel's margins, in bold; else the smallest."""
    inner_mm = PANEL_MM[0] - 2 * PAD_MM
    fits = (size_pt for size_pt in sizes_pt if all(measure(line, size_pt, "bold") <= inner_mm for line in lines))
    return next(fits, sizes_pt[-1])


def _wrapped(text: str, size_pt: float, measure: Measure) -> list[Line]:
    return [(line, size_pt, "regular") for line in wrap(text, PANEL_MM[0] - 2 * PAD_MM, size_pt, "regular", measure)]


def _column(lines: Iterable[Line], x_mm: float, y_mm: float) -> tuple[Words, ...]:
    placed = []
    for text, size_pt, weight in lines:
        placed.append(Words(text=text, x_mm=x_mm, y_mm=y_mm, size_pt=size_pt, weight=weight))
        y_mm += size_pt * MM_PER_PT * LINE_EM
    return tuple(placed)


def wrap(text: str, width_mm: float, size_pt: float, weight: Weight, measure: Measure) -> list[str]:
    """Lines no wider than that; a single word that is too long is cut, for a name must never run into the next panel."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and measure(joined, size_pt, weight) <= width_mm:
            lines[-1] = joined
            continue
        rest = word
        while rest:
            length = len(rest)
            while length > 1 and measure(rest[:length], size_pt, weight) > width_mm:
                length -= 1
            lines.append(rest[:length])
            rest = rest[length:]
    return lines
