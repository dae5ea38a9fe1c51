"""The area tree of a province: province and communes from the official codes, settlements from people's own lists.

Districts ended on 1 July 2025. They are kept as groupings (a set of communes one may address together, an old name one
may search by); no placement chain has them.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from vietnam_provinces import Province, ProvinceCode, Ward

Level = Literal["province", "commune", "settlement", "node"]
OFFICIAL_ID: Final = re.compile(r"[0-9]{2}(\.[0-9]{5}(\.[0-9]{3})?)?")
SEEDS: Final = Path(__file__).parent / "seeds"
DEMO_SETTLEMENTS: Final = SEEDS / "krong_pa_settlements.csv"
NAME_LETTERS: Final = 200
COLUMNS: Final = ("id", "name", "level", "parent")
_DEPTH: Final[dict[int, Level]] = {2: "province", 8: "commune", 12: "settlement"}
_ENGLISH: Final = {"tỉnh": "province", "thành phố trung ương": "city", "xã": "commune", "phường": "ward"}
_STROKES: Final = str.maketrans({"đ": "d", "ð": "d", "ƀ": "b", "ł": "l"})
"""Letters that are not a base and a mark: Vietnamese đ (and the eth often typed for it), Bahnar and Ede ƀ."""


class AreaSeed(msgspec.Struct, frozen=True, kw_only=True):
    """One area as it is first entered. `no` is its number for short forms; `old_names` are what people still call it."""

    id: str
    no: int
    level: Level
    name: str
    name_en: str
    parent: str | None
    official_code: str | None
    old_names: tuple[str, ...] = ()


class FormerCommune(msgspec.Struct, frozen=True):
    """A commune of today and those that were merged into it."""

    id: str
    merged: tuple[str, ...]


class Grouping(msgspec.Struct, frozen=True):
    """A former district: communes that are still addressed together."""

    id: str
    name: str
    name_en: str
    province: str
    ended_on: str
    source: str
    communes: tuple[FormerCommune, ...]

    @property
    def area_ids(self) -> tuple[str, ...]:
        """The communes of the grouping."""
        return tuple(commune.id for commune in self.communes)


class SettlementsWrong(ValueError):
    """A list of settlements cannot be taken; one sentence for each wrong line, all at once."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


def province_areas(code: int) -> list[AreaSeed]:
    """The province and its communes. Raises ValueError for a code that is no province of today."""
    try:
        province = Province.from_code(ProvinceCode(code))
    except ValueError as error:
        raise ValueError(f"{code} is no province code of today (Gia Lai is 52): see the list of 34 provinces") from error
    top = f"{code:02d}"
    kind = province.division_type.value
    name = province.name if province.name.casefold().startswith("thành phố") else f"{kind.capitalize()} {province.name}"
    seeds = [_official(top, name, None, kind, top)]
    old = _old_names()
    for ward in sorted(Ward.iter_by_province(ProvinceCode(code)), key=lambda each: each.code.value):
        area_id = f"{top}.{ward.code.value:05d}"
        kind = ward.division_type.value
        seeds.append(_official(area_id, ward.name, top, kind, area_id[3:], old.get(area_id, ())))
    return seeds


def groupings(province: str | None = None) -> list[Grouping]:
    """The former districts we know, of one province or of all."""
    known = msgspec.json.decode((SEEDS / "former_districts.json").read_bytes(), type=list[Grouping])
    return [each for each in known if province in (None, each.province)]


def area_no(area_id: str) -> int:
    """The number of an official area for short forms: commune code x 1000 + settlement; a province 100,000,000 + code.

    Commune codes are unique in the country and never reused, so the number needs no table. Raises ValueError otherwise.
    """
    if not OFFICIAL_ID.fullmatch(area_id):
        raise ValueError(f"`{area_id}` is no official area: write `52`, `52.24076` or `52.24076.001`")
    parts = area_id.split(".")
    if len(parts) == 1:
        return 100_000_000 + int(parts[0])
    return int(parts[1]) * 1000 + int(parts[2] if parts[2:] else 0)


def parse_settlements_csv(text: str, *, communes: Iterable[str] | None = None) -> list[AreaSeed]:
    """Settlements (thôn, buôn, tổ dân phố) from a table with the columns id, name, level, parent; others are ignored.

    Comma or semicolon (a Vietnamese Excel writes the latter), byte order mark or not. `communes`: the parents that exist.
    Raises SettlementsWrong, which names every wrong line.
    """
    text = unicodedata.normalize("NFC", text.removeprefix("\ufeff"))
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if ";" in head else ",", strict=True)
    known = None if communes is None else frozenset(communes)
    seeds: dict[str, AreaSeed] = {}
    wrong: list[str] = []
    try:
        reader.fieldnames = [name.strip().casefold() for name in reader.fieldnames or ()]
        missing = [column for column in COLUMNS if column not in reader.fieldnames]
        if missing:
            raise SettlementsWrong([f"line 1: no column `{missing[0]}`; the first line must be `{','.join(COLUMNS)}`"])
        for row in reader:
            try:
                seed = _settlement({key: (row[key] or "").strip() for key in COLUMNS}, known, seeds.keys())
                seeds[seed.id] = seed
            except ValueError as error:
                wrong.append(f"line {reader.line_num}: {error}")
    except csv.Error as error:
        wrong.append(f"line {reader.line_num}: not a table line ({error}); save the sheet again as CSV UTF-8")
    if wrong:
        raise SettlementsWrong(wrong)
    return list(seeds.values())


def search(areas: Iterable[AreaSeed], text: str) -> list[AreaSeed]:
    """Areas whose name, old name or id has every word of the text, whatever the accents; the closest first."""
    words = fold(text).split()
    found: list[tuple[int, int, AreaSeed]] = []
    for place, area in enumerate(areas if words else ()):
        names = [fold(area.name), fold(area.name_en), *map(fold, area.old_names)]
        every = " ".join([*names, area.id])
        if all(word in every for word in words):
            found.append((_distance(names, area.id, " ".join(words)), place, area))
    return [area for _distance_, _place, area in sorted(found, key=lambda each: each[:2])]


def fold(text: str) -> str:
    """Letters without their marks, lower case, one space between words: `Krông  Pa`, `krong pa` and `KRÔNG PA` are one."""
    bare = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    return " ".join(bare.casefold().translate(_STROKES).split())


def _distance(names: list[str], area_id: str, text: str) -> int:
    """0 the id or a name itself, with or without its kind (`xã`); 1 begins so; 2 has it; 3 only its words."""
    short = [name.partition(" ")[2] for name in names]
    if text == area_id or text in names or text in short:
        return 0
    if any(name.startswith(text) for name in (*names, *short)):
        return 1
    return 2 if any(text in name for name in names) else 3


def _official(area_id: str, name: str, parent: str | None, kind: str, code: str, old_names: tuple[str, ...] = ()) -> AreaSeed:
    name = unicodedata.normalize("NFC", name)
    bare = re.sub(r"(?i)^(tỉnh|thành phố|xã|phường|đặc khu) ", "", name)
    return AreaSeed(
        id=area_id,
        no=area_no(area_id),
        level=_DEPTH[len(area_id)],
        name=name,
        name_en=f"{_plain(bare)} {_ENGLISH.get(kind, 'special zone')}",
        parent=parent,
        official_code=code,
        old_names=old_names,
    )


def _old_names() -> dict[str, tuple[str, ...]]:
    return {commune.id: (each.name, *commune.merged) for each in groupings() for commune in each.communes}


def _plain(text: str) -> str:
    """A name as English text writes it: no marks, the capitals kept."""
    bare = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    return bare.replace("đ", "d").replace("Đ", "D")


def _settlement(row: dict[str, str], communes: frozenset[str] | None, taken: Container[str]) -> AreaSeed:
    """One line. Raises ValueError with what is wrong in it and what to write instead."""
    area_id, name, level, parent = (row[column] for column in COLUMNS)
    if not OFFICIAL_ID.fullmatch(area_id) or _DEPTH[len(area_id)] != "settlement":
        raise ValueError(f"`{area_id}` is no settlement id; write the commune's id and three digits, like 52.24076.001")
    if area_id in taken:
        raise ValueError(f"`{area_id}` is there twice; give each settlement its own number")
    if level != "settlement":
        raise ValueError(f"level `{level}` of {area_id}; only `settlement` comes from a list")
    if parent != area_id.rpartition(".")[0]:
        raise ValueError(f"{area_id} lies in {area_id.rpartition('.')[0]}, not in `{parent}`; correct one of them")
    if communes is not None and parent not in communes:
        raise ValueError(f"{parent} is no commune here; check the commune's code")
    if not name or len(name) > NAME_LETTERS or not name.isprintable():
        raise ValueError(f"{area_id} needs a name of 1 to {NAME_LETTERS} letters on one line")
    return AreaSeed(
        id=area_id, no=area_no(area_id), level="settlement", name=name, name_en=_plain(name), parent=parent, official_code=None
    )
