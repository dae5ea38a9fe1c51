"""The areas of Gia Lai, as the official list has them and as people search for them."""

import unicodedata

import pytest

from controller.area_tree import (
    DEMO_SETTLEMENTS,
    OFFICIAL_ID,
    SettlementsWrong,
    area_no,
    fold,
    groupings,
    parse_settlements_csv,
    province_areas,
    search,
)

KRONG_PA = {"52.24076": "Xã Phú Túc", "52.24100": "Xã Ia Dreh", "52.24109": "Xã Uar", "52.24112": "Xã Ia Rsai"}
HEAD = "id,name,level,parent\n"


@pytest.fixture(scope="module")
def gia_lai():
    return province_areas(52)


@pytest.fixture(scope="module")
def settlements():
    return parse_settlements_csv(DEMO_SETTLEMENTS.read_text(encoding="utf-8"), communes=KRONG_PA)


def test_gia_lai_has_135_communes_under_one_province(gia_lai):
    assert gia_lai[0].id == "52"
    assert (gia_lai[0].name, gia_lai[0].name_en, gia_lai[0].level) == ("Tỉnh Gia Lai", "Gia Lai province", "province")
    assert gia_lai[0].parent is None
    communes = gia_lai[1:]
    assert len(communes) == 135
    assert {each.level for each in communes} == {"commune"}
    assert {each.parent for each in communes} == {"52"}
    assert all(each.id == f"52.{each.official_code}" for each in communes)


def test_ids_and_numbers_are_unique_and_in_shape(gia_lai, settlements):
    areas = [*gia_lai, *settlements]
    assert len({each.id for each in areas}) == len({each.no for each in areas}) == len(areas)
    assert all(OFFICIAL_ID.fullmatch(each.id) and 0 < each.no < 2**32 for each in areas)
    assert all(unicodedata.is_normalized("NFC", each.name) for each in areas)


def test_numbers_of_all_provinces_do_not_meet():
    areas = [each for code in (1, 4, 52, 66, 96) for each in province_areas(code)]
    assert len({each.no for each in areas}) == len(areas)
    assert max(each.no for each in areas) < 2**32


def test_a_city_keeps_its_own_title():
    assert province_areas(1)[0].name == "Thành phố Hà Nội"
    assert province_areas(1)[0].id == "01"
    assert province_areas(1)[0].name_en == "Ha Noi city"


def test_an_unknown_province_is_named():
    with pytest.raises(ValueError, match="64 is no province code of today"):
        province_areas(64)


def test_old_krong_pa_is_a_grouping_of_four_communes_and_no_area(gia_lai):
    (district,) = groupings("52")
    assert set(district.area_ids) == set(KRONG_PA)
    assert sum(len(commune.merged) for commune in district.communes) == 14
    names = {each.id: each.name for each in gia_lai}
    assert {area: names[area] for area in district.area_ids} == KRONG_PA
    assert all("Krông Pa" not in each.name for each in gia_lai)
    assert groupings("01") == []


@pytest.mark.parametrize(
    "text", ["krong pa", "Krông Pa", "KRÔNG  PA", "huyện krông pa", unicodedata.normalize("NFD", "Krông Pa")]
)
def test_the_old_district_finds_its_four_communes(gia_lai, text):
    assert {each.id for each in search(gia_lai, text)} == set(KRONG_PA)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("phu tuc", "52.24076"),
        ("Phú Túc", "52.24076"),
        ("xã uar", "52.24109"),
        ("24112", "52.24112"),
        ("52.24100", "52.24100"),
        ("dat bang", "52.24076"),
        ("Chư Rcăm", "52.24112"),
        ("gia lai", "52"),
        ("buon mlah", "52.24076.002"),
        ("chu ju", "52.24112.001"),
    ],
)
def test_a_place_is_found_by_any_of_its_names(gia_lai, settlements, text, first):
    assert search([*gia_lai, *settlements], text)[0].id == first


def test_what_is_nowhere_or_empty_finds_nothing(gia_lai):
    assert search(gia_lai, "  ") == []
    assert search(gia_lai, "sài gòn xyz") == []


def test_folding_knows_the_letters_of_the_highlands():
    assert fold("ĐẮK Ƀơ̆ng Mŏ Ê-đê  ") == "dak bong mo e-de"


def test_the_demonstration_says_so_on_every_line(settlements):
    lines = DEMO_SETTLEMENTS.read_text(encoding="utf-8").splitlines()[1:]
    assert len(lines) == len(settlements) == 13
    assert all(line.endswith("demonstration data") for line in lines)
    assert {each.parent for each in settlements} == set(KRONG_PA)


def test_excels_semicolons_byte_order_mark_and_decomposed_letters_are_read():
    text = (
        "\ufeffID;Name ;level;parent;x\r\n52.24076.009;"
        + unicodedata.normalize("NFD", "Buôn Ơi Yik")
        + ";settlement;52.24076;y\r\n"
    )
    (seed,) = parse_settlements_csv(text)
    assert (seed.id, seed.name, seed.name_en, seed.no) == ("52.24076.009", "Buôn Ơi Yik", "Buon Oi Yik", 24_076_009)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("52.24076,X,settlement,52", "line 2: `52.24076` is no settlement id"),
        ("52.24076.1,X,settlement,52.24076", "line 2: `52.24076.1` is no settlement id"),
        ("٥٢.24076.001,X,settlement,52.24076", "is no settlement id"),
        ("52.24076.001,X,commune,52.24076", "line 2: level `commune`"),
        ("52.24076.001,X,settlement,52.24100", "lies in 52.24076, not in `52.24100`"),
        ("52.99999.001,X,settlement,52.99999", "52.99999 is no commune here"),
        ("52.24076.001,,settlement,52.24076", "needs a name"),
        ("52.24076.001", "level ``"),
        ('52.24076.001,"a\nb",settlement,52.24076', "line 3: 52.24076.001 needs a name"),
        ('52.24076.001,"a"b,settlement,52.24076', "not a table line"),
        ("52.24076.001,A,settlement,52.24076\n52.24076.001,B,settlement,52.24076", "line 3: `52.24076.001` is there twice"),
    ],
)
def test_a_wrong_line_is_named_with_what_to_write(line, sentence):
    with pytest.raises(SettlementsWrong, match=r"(?s).*") as caught:
        parse_settlements_csv(HEAD + line + "\n", communes=KRONG_PA)
    assert sentence in str(caught.value)


def test_all_wrong_lines_are_named_at_once():
    with pytest.raises(SettlementsWrong) as caught:
        parse_settlements_csv(HEAD + "a,b,c,d\n52.24076.001,A,settlement,52.24076\ne,f,g,h\n")
    assert [each.partition(":")[0] for each in caught.value.sentences] == ["line 2", "line 4"]


@pytest.mark.parametrize("text", ["", "name,level\n", "52.24076.001,A,settlement,52.24076\n"])
def test_a_table_without_its_columns_is_refused(text):
    with pytest.raises(SettlementsWrong, match="line 1: no column `id`"):
        parse_settlements_csv(text)


@pytest.mark.parametrize("area", ["5", "52.", "52.24076.", "52.24076.0001", "52/24076", "52\n"])
def test_no_number_for_what_is_no_official_area(area):
    with pytest.raises(ValueError, match="is no official area"):
        area_no(area)
