"""A table of sites (CSV) as people keep it in a spreadsheet: one line, one node. Pure: text in; out sites, or one sentence."""

import csv
import io
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from protocol import node_id
from provisioning.errors import InputRefused

MOST: Final = 500
LONGEST_NAME: Final = 80
"""Letters of a name: more do not fit on a label in a size that can be read from a ladder."""
NAMES: Final = {
    "name": ("name", "ten", "ten cum", "ten cum loa"),
    "settlement": ("settlement", "settlement code", "thon", "thon code", "ma thon", "buon", "ma buon", "to dan pho", "khu vuc"),
    "node": ("node", "node id", "ma", "ma cum", "ma cum loa"),
    "sink": ("sink", "ngo ra", "ngo ra am thanh"),
    "amplifier": ("amplifier", "khuech dai", "tang am"),
}
"""Column to the names it goes by, without marks and in small letters."""
_COLUMN_OF: Final = {alias: column for column, aliases in NAMES.items() for alias in aliases}
NEEDED: Final = {"name": "`tên` (name)", "settlement": "`thôn` (settlement)"}
DELIMITERS: Final = ",;\t"
SETTLEMENT: Final = re.compile(r"[0-9]{2}\.[0-9]{5}\.[0-9]{3}")
SINK: Final = re.compile(r"(alsa|wav|fifo):[^+]+(\+(alsa|wav|fifo):[^+]+)?")
_ON_MS: Final = "on_ms=([0-3]?[0-9]{1,3}|4000)"
_CHIP: Final = r"chip=[^\s&#+%]+"
AMPLIFIER: Final = re.compile(
    rf"none|file:[^?]+(\?{_ON_MS})?|gpio:[0-9]{{1,3}}(\?({_ON_MS}|{_CHIP}|{_ON_MS}&{_CHIP}|{_CHIP}&{_ON_MS}))?"
)
FORMULA: Final = ("=", "+", "@", "-")
"""What a spreadsheet takes for a formula: the list that is written for the operator opens in one."""


class SiteLine(Struct, frozen=True, kw_only=True):
    """One node of the table; what stands empty there is None and left to the command line."""

    line: int
    name: str
    settlement: str
    node: str | None = None
    sink: str | None = None
    amplifier: str | None = None


def check_sink(text: str) -> str:
    """A sink as node.toml takes it. Raises InputRefused: found at a desk, not by a silent node on its pole."""
    if not SINK.fullmatch(text):
        raise InputRefused(
            f"{text!r} không phải ngõ ra / is no sink: alsa:default, alsa:hw:1,0, wav:FILE, fifo:FILE, two joined by `+`"
        )
    return text


def check_amplifier(text: str) -> str:
    """An amplifier as node.toml takes it. Raises InputRefused."""
    if not AMPLIFIER.fullmatch(text):
        raise InputRefused(
            f"{text!r} không phải khuếch đại / is no amplifier: none, gpio:17, gpio:17?on_ms=500 (at most 4000 ms)"
            ", gpio:5?chip=9030000.pl061"
        )
    return text


def read_sites(content: bytes, *, province: str) -> tuple[SiteLine, ...]:
    """Every site of the table, or InputRefused with the first line that is wrong: then nothing of it may be used.

    Comma, semicolon (a Vietnamese Excel writes that) or tab; a byte order mark or none. Text becomes NFC.
    """
    try:
        text = unicodedata.normalize("NFC", content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _wrong(line, "không phải UTF-8: lưu lại là «CSV UTF-8»", "not UTF-8: save the sheet as `CSV UTF-8`") from error
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    sites: list[SiteLine] = []
    try:
        columns = _columns(next(reader, []))
        for cells in reader:
            if any(cell.strip() for cell in cells):
                sites.append(_site(reader.line_num, columns, cells, province))
                _refuse_repeated(sites)
    except csv.Error as error:
        raise _wrong(reader.line_num, "không đọc được: lưu lại là «CSV UTF-8»", f"no line of a table ({error})") from error
    if not sites:
        raise _wrong(2, "bảng không có cụm loa nào", "the table has no site: one line a node")
    if len(sites) > MOST:
        raise _wrong(sites[MOST].line, f"quá {MOST} cụm loa một lần", f"more than {MOST} nodes: make two tables of it")
    return tuple(sites)


def _wrong(line: int, vietnamese: str, english: str) -> InputRefused:
    return InputRefused(f"dòng {line} / line {line}: {vietnamese} / {english}")


def _delimiter(text: str) -> str:
    head = text.partition("\n")[0]
    return max(DELIMITERS, key=head.count)


def fold(text: str) -> str:
    """A column's name without marks, in small letters: `Tên`, `TÊN`, `ten` are one."""
    bare = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    return " ".join(bare.casefold().replace("đ", "d").replace("_", " ").split())


def _columns(head: list[str]) -> list[str]:
    columns = []
    for cell in head:
        column = _COLUMN_OF.get(fold(cell))
        if column is None:
            known = "tên, thôn, mã, ngõ ra, khuếch đại / name, settlement, node, sink, amplifier"
            raise _wrong(1, f"không biết cột {cell.strip()!r}", f"unknown column; known are {known}")
        if column in columns:
            raise _wrong(1, f"cột {cell.strip()!r} có hai lần", "that column is there twice")
        columns.append(column)
    for needed, words in NEEDED.items():
        if needed not in columns:
            raise _wrong(1, f"thiếu cột {words}", "that column is missing: the first line names the columns")
    return columns


def _site(line: int, columns: list[str], cells: list[str], province: str) -> SiteLine:
    if len(cells) != len(columns):
        raise _wrong(
            line, f"có {len(cells)} ô, phải là {len(columns)}", f"{len(cells)} cells where the first line names {len(columns)}"
        )
    found = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
    for check in (_check_name, _check_settlement):
        check(line, found, province)
    try:
        sink = check_sink(found["sink"]) if found.get("sink") else None
        amplifier = check_amplifier(found["amplifier"]) if found.get("amplifier") else None
    except InputRefused as refused:
        raise InputRefused(f"dòng {line} / line {line}: {refused}") from refused
    return SiteLine(
        line=line,
        name=found["name"],
        settlement=found["settlement"],
        node=_node(line, found.get("node", "")),
        sink=sink,
        amplifier=amplifier,
    )


def _check_name(line: int, found: Mapping[str, str], _province: str) -> None:
    name = found["name"]
    if not name:
        raise _wrong(line, "tên để trống", "the name is empty")
    if len(name) > LONGEST_NAME:
        raise _wrong(line, f"tên quá {LONGEST_NAME} chữ", f"the name has {len(name)} letters, {LONGEST_NAME} fit on a label")
    if name.startswith(FORMULA) or not name.isprintable() or "\ufffd" in name:
        raise _wrong(line, f"tên {name!r} có ký tự lạ", "the name holds signs that no name has (or begins like a formula)")


def _check_settlement(line: int, found: Mapping[str, str], province: str) -> None:
    code = found["settlement"]
    if not SETTLEMENT.fullmatch(code):
        raise _wrong(line, f"{code!r} không phải mã thôn", "no settlement code: write it as 52.24076.001 (`loa area search`)")
    if not code.startswith(f"{province}."):
        raise _wrong(
            line, f"thôn {code} không thuộc tỉnh {province}", f"that settlement is not in province {province} of the site file"
        )


def _node(line: int, text: str) -> str | None:
    if not text:
        return None
    if not node_id.is_valid(text.upper()):
        raise _wrong(line, f"{text!r} không phải mã cụm loa", "no node id (10 letters and digits, the last checks the rest)")
    return text.upper()


def _refuse_repeated(sites: list[SiteLine]) -> None:
    """The newest against all before: two nodes of one id, or two of one name in one settlement."""
    last = sites[-1]
    for other in sites[:-1]:
        if last.node is not None and last.node == other.node:
            raise _wrong(last.line, f"mã {last.node} đã có ở dòng {other.line}", f"that node stands in line {other.line} already")
        if (last.name.casefold(), last.settlement) == (other.name.casefold(), other.settlement):
            raise _wrong(last.line, f"trùng tên và thôn với dòng {other.line}", f"name and settlement repeat line {other.line}")
