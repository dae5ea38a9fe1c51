"""Draws laid-out labels, black on white at 300 dots an inch, as pages of one PDF.

Letters are shaped, or a mark would stand beside its letter.
"""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import segno
from PIL import Image, ImageDraw, ImageFont, features

from provisioning.errors import InputRefused
from provisioning.labels import PANEL_MM, SHEET_MM, Code, Measure, Panel, Sheet, Weight

DPI: Final = 300
MM_PER_INCH: Final = 25.4
PT_PER_INCH: Final = 72
FONTS: Final = Path("/usr/share/fonts/truetype/noto")
FILES: Final[dict[Weight, str]] = {"regular": "NotoSans-Regular.ttf", "bold": "NotoSans-Bold.ttf"}
QUIET_MODULES: Final = 4
HATCH_MM: Final = 0.9
BLACK, WHITE, MIDDLE = 0, 255, 128
DASH_MM: Final = 1.5
MARGIN: Final = 10
"""Dots of white around words on a hatched panel."""


def px(mm: float) -> int:
    """Millimetres as dots."""
    return round(mm * DPI / MM_PER_INCH)


def modules(text: str) -> tuple[tuple[bool, ...], ...]:
    """The QR code of a text without its quiet zone, row by row; as small and as forgiving as it goes."""
    return tuple(tuple(bool(module) for module in row) for row in segno.make(text, error="m", micro=False).matrix)


class Pen:
    """Fonts that were found. Raises InputRefused when letters could not be drawn as they are written."""

    def __init__(self, folder: Path = FONTS) -> None:
        for name in FILES.values():
            if not (folder / name).is_file():
                raise InputRefused(f"thiếu phông chữ để in nhãn / font {folder / name} is missing: apt install fonts-noto-core")
        if not features.check("raqm"):
            raise InputRefused("thiếu thư viện xếp dấu / letters with two marks cannot be shaped: apt install libfribidi0")
        self._folder = folder

    @cache  # noqa: B019  a handful of sizes, for the life of one command
    def font(self, size_pt: float, weight: Weight) -> ImageFont.FreeTypeFont:
        """A font at that size."""
        path = self._folder / FILES[weight]
        return ImageFont.truetype(path, size_pt * DPI / PT_PER_INCH, layout_engine=ImageFont.Layout.RAQM)

    @property
    def measure(self) -> Measure:
        """How wide a text is drawn, in mm."""
        return lambda text, size_pt, weight: self.font(size_pt, weight).getlength(text) * MM_PER_INCH / DPI

    def draw(self, sheet: Sheet) -> Image.Image:
        """The page, in black and white without greys: what a laser printer prints and a telephone reads."""
        page = Image.new("L", (px(SHEET_MM[0]), px(SHEET_MM[1])), WHITE)
        canvas = ImageDraw.Draw(page)
        for label in sheet.labels:
            _frame(canvas, label)
            for panel in label:
                self._panel(canvas, panel)
        return page.point(lambda grey: WHITE if grey >= MIDDLE else BLACK).convert("1", dither=Image.Dither.NONE)

    def _panel(self, canvas: ImageDraw.ImageDraw, panel: Panel) -> None:
        if panel.hatched:
            _hatch(canvas, panel)
        if panel.code is not None:
            _code(canvas, panel.code)
        for words in panel.words:
            at = (px(words.x_mm), px(words.y_mm))
            font = self.font(words.size_pt, words.weight)
            if panel.hatched:
                left, top, right, bottom = canvas.textbbox(at, words.text, font=font)
                canvas.rectangle((left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN), fill=WHITE)
            canvas.text(at, words.text, font=font, fill=BLACK)


def code_box(code: Code) -> tuple[int, int, int]:
    """Where the first module lies and how many dots a module has: whole ones, so that every module is as wide as the next."""
    count = len(modules(code.text)) + 2 * QUIET_MODULES
    dots = px(code.side_mm) // count
    spare = (px(code.side_mm) - dots * count) // 2 + QUIET_MODULES * dots
    return px(code.x_mm) + spare, px(code.y_mm) + spare, dots


def _code(canvas: ImageDraw.ImageDraw, code: Code) -> None:
    left, top, dots = code_box(code)
    for row, cells in enumerate(modules(code.text)):
        for column, dark in enumerate(cells):
            if dark:
                x, y = left + column * dots, top + row * dots
                canvas.rectangle((x, y, x + dots - 1, y + dots - 1), fill=BLACK)


def _hatch(canvas: ImageDraw.ImageDraw, panel: Panel) -> None:
    """Crossing lines, so that the claim cannot be read through the paper against a lamp."""
    left, top, wide, high = px(panel.x_mm), px(panel.y_mm), px(PANEL_MM[0]), px(PANEL_MM[1])
    tile = Image.new("L", (wide, high), WHITE)
    lines = ImageDraw.Draw(tile)
    for shift in range(-high, wide + high, px(HATCH_MM)):
        lines.line((shift, 0, shift + high, high), fill=BLACK, width=2)
        lines.line((shift, 0, shift - high, high), fill=BLACK, width=2)
    canvas.bitmap((left, top), Image.eval(tile, lambda grey: WHITE - grey), fill=BLACK)


def _frame(canvas: ImageDraw.ImageDraw, label: tuple[Panel, Panel, Panel]) -> None:
    """Cut along the full line, fold along the dashed ones."""
    top, bottom = px(label[0].y_mm), px(label[0].y_mm + PANEL_MM[1])
    canvas.rectangle((px(label[0].x_mm), top, px(label[2].x_mm + PANEL_MM[0]), bottom), outline=BLACK, width=2)
    for panel in label[1:]:
        for y in range(top, bottom, 2 * px(DASH_MM)):
            canvas.line((px(panel.x_mm), y, px(panel.x_mm), min(y + px(DASH_MM), bottom)), fill=BLACK, width=2)


def pdf(pages: Sequence[Image.Image]) -> bytes:
    """All pages as one PDF, at their real size."""
    out = io.BytesIO()
    pages[0].save(out, "PDF", resolution=DPI, save_all=True, append_images=list(pages[1:]), title="Loa: nhãn / labels")
    return out.getvalue()
