"""Labels: what stands where, and what a telephone and an eye find on the printed page."""

import io
import os
import re
import struct
from pathlib import Path

import pytest
import segno
from msgspec import structs
from PIL import Image

from protocol.enrolment import claim_text
from provisioning import enrol
from provisioning.drawing import DPI, Pen, code_box, pdf, px
from provisioning.errors import InputRefused
from provisioning.labels import PANEL_MM, ROWS, SHEET_MM, Label, Panel, lay_out, wrap

NAMES = ("Loa thôn 1", "Buôn Prơ̆ng H’Dơ̆k, ngã ba nhà rông bên sông Ba", "Plei Ƀĭch Kơ̆n Ô̆", "ỄỮẬẶ" * 20, "", "Ia Mlah", "Thôn 7")
LABELS = tuple(
    Label(node=enrol.draw_node_id(os.urandom), claim=claim_text(os.urandom(16)), name=name, settlement="52.24076.001")
    for name in NAMES
)


WIDEST = Label(node="W" * 10, claim=claim_text(b"\xff" * 16), name="W" * 60, settlement="52.24076.001")
WIDEST = structs.replace(WIDEST, claim="".join("W" if letter != "-" else letter for letter in WIDEST.claim))
NARROWEST = structs.replace(WIDEST, node="1" * 10, claim=WIDEST.claim.replace("W", "1"))


@pytest.fixture(scope="module")
def pen() -> Pen:
    return Pen()


@pytest.fixture(scope="module")
def sheets(pen: Pen):
    return lay_out(LABELS, pen.measure)


@pytest.fixture(scope="module")
def pages(pen: Pen, sheets) -> list[Image.Image]:
    return [pen.draw(sheet) for sheet in sheets]


def read_code(page: Image.Image, panel: Panel) -> list[list[bool]]:
    """The modules as a reader samples them: the middle of each."""
    assert panel.code is not None
    left, top, dots = code_box(panel.code)
    size = len(segno.make(panel.code.text, error="m", micro=False).matrix)
    middle = dots // 2
    return [
        [page.getpixel((left + column * dots + middle, top + row * dots + middle)) == 0 for column in range(size)]
        for row in range(size)
    ]


def inked(page: Image.Image, x_mm: float, y_mm: float, wide_mm: float, high_mm: float) -> float:
    """The share of black dots in a rectangle."""
    area = page.crop((px(x_mm), px(y_mm), px(x_mm + wide_mm), px(y_mm + high_mm))).convert("L")
    return area.histogram()[0] / (area.width * area.height)


def test_every_node_name_and_claim_is_laid_out_once_and_on_its_own_label(sheets):
    laid = [label for sheet in sheets for label in sheet.labels]
    assert len(laid) == len(LABELS)
    for label, (outside, inside, flap) in zip(LABELS, laid, strict=True):
        shown = [words.text for words in outside.words]
        assert label.node in shown
        assert "".join("".join(shown).split()).count("".join(label.name.split())) >= 1
        assert label.claim not in "".join(shown)
        assert label.claim in "".join(words.text for words in inside.words)
        assert label.claim not in "".join(words.text for words in flap.words)


def test_the_qr_code_on_the_page_is_segnos_own_of_the_node_id(sheets, pages):
    for sheet, page in zip(sheets, pages, strict=True):
        for outside, *_ in sheet.labels:
            assert outside.code is not None
            expected = [[bool(module) for module in row] for row in segno.make(outside.code.text, error="m", micro=False).matrix]
            assert read_code(page, outside) == expected
            assert outside.code.text in [words.text for words in outside.words]


def test_the_code_keeps_its_quiet_zone(sheets, pages):
    outside = sheets[0].labels[1][0]
    assert outside.code is not None
    left, top, dots = code_box(outside.code)
    wide = dots * len(segno.make(outside.code.text, error="m", micro=False).matrix)
    ring = pages[0].crop((left - 4 * dots, top - 4 * dots, left + wide + 4 * dots, top + wide + 4 * dots)).convert("L")
    ring.paste(255, (4 * dots, 4 * dots, 4 * dots + wide, 4 * dots + wide))
    assert ring.getextrema() == (255, 255)


def test_no_line_leaves_its_panel(pen, sheets):
    for sheet in (*sheets, *lay_out([WIDEST, NARROWEST], pen.measure)):
        for panel in (panel for label in sheet.labels for panel in label):
            for words in panel.words:
                assert panel.x_mm < words.x_mm
                assert words.x_mm + pen.measure(words.text, words.size_pt, words.weight) < panel.x_mm + PANEL_MM[0]
                assert panel.y_mm < words.y_mm
                assert words.y_mm + words.size_pt * 1.4 * 25.4 / 72 < panel.y_mm + PANEL_MM[1]


def test_a_claim_is_as_large_as_its_letters_allow(pen):
    (sheet,) = lay_out([WIDEST, NARROWEST], pen.measure)
    wide, narrow = (
        next(words.size_pt for words in inside.words if words.text.startswith(label.claim[:5]))
        for label, (_outside, inside, _flap) in zip((WIDEST, NARROWEST), sheet.labels, strict=True)
    )
    assert 9 <= wide < narrow == 14


def test_marks_stand_above_their_letters_not_beside_them(pen):
    assert pen.measure("ơ̆", 11, "bold") == pytest.approx(pen.measure("ơ", 11, "bold"), rel=0.05)


def test_the_flap_hides_the_claim_under_a_pattern_and_the_rest_is_mostly_white(sheets, pages):
    _, inside, flap = sheets[0].labels[0]
    assert inked(pages[0], flap.x_mm + 2, flap.y_mm + 2, PANEL_MM[0] - 4, 10) > 0.2
    assert 0.01 < inked(pages[0], inside.x_mm + 2, inside.y_mm + 2, PANEL_MM[0] - 4, PANEL_MM[1] - 4) < 0.2


def test_the_pdf_has_a_page_of_a4_for_every_six_labels(sheets, pages):
    assert (len(sheets), len(LABELS), ROWS) == (2, 7, 6)
    content = pdf(pages)
    assert len(re.findall(rb"/Type /Page\b", content)) == 2
    boxes = [tuple(map(float, box.split())) for box in re.findall(rb"/MediaBox \[([^\]]+)\]", content)]
    assert len(boxes) == 2
    for box in boxes:
        assert box[2:] == pytest.approx((SHEET_MM[0] * 72 / 25.4, SHEET_MM[1] * 72 / 25.4), abs=0.5)
    assert pages[0].size == (px(SHEET_MM[0]), px(SHEET_MM[1]))
    assert DPI == 300


TIFF_HEAD = 200


def images_in(content: bytes) -> list[Image.Image]:
    """The pictures of a PDF as its reader sees them: each is fax-coded (group 4), so that a TIFF's head makes it readable."""
    found = []
    for head, coded in re.findall(rb"/Subtype /Image\n(.*?)>>stream\n(.*?)\nendstream", content, re.DOTALL):
        wide, high = (int(re.search(rb"/%s (\d+)" % name, head)[1]) for name in (b"Width", b"Height"))
        white_is_1 = b"/BlackIs1 true" in head and b"/DeviceGray" in head
        shape = ((256, wide), (257, high), (258, 1), (259, 4), (262, int(white_is_1)))
        tags = (*shape, (273, TIFF_HEAD), (277, 1), (278, high), (279, len(coded)))
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        tiff = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
        found.append(Image.open(io.BytesIO(tiff.ljust(TIFF_HEAD, b"\0") + coded)).convert("1"))
    return found


def test_the_pictures_in_the_pdf_are_the_pages_black_on_white(pages):
    read = images_in(pdf(pages))
    assert [each.size for each in read] == [page.size for page in pages]
    for each, page in zip(read, pages, strict=True):
        assert each.tobytes() == page.tobytes()
        assert each.getpixel((0, 0)) == 255


def test_a_word_that_is_wider_than_its_line_is_cut():
    assert wrap("abc defghij", 4, 1, "regular", lambda text, _size, _weight: len(text)) == ["abc", "defg", "hij"]


def test_a_missing_font_is_a_sentence_with_its_package(tmp_path: Path):
    with pytest.raises(InputRefused, match="fonts-noto-core"):
        Pen(tmp_path)
