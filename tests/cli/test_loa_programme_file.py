"""The TOML of programmes and stations: what is read, and in which words a mistake is told."""

import datetime as dt
from pathlib import Path

import pytest

from controller.actions.views import MediaView
from controller.cli.orders import find_media
from controller.cli.programme_file import HERE, ProgrammeTable, item_id, programme_body, start_of, station_body
from controller.cli.programmes import PROGRAMME_EXAMPLE
from protocol.bulletins import Programme
from protocol.recurrence import occurrences
from protocol.shape import check_shape
from provisioning.errors import InputRefused
from provisioning.tables import read_toml

SOUND = MediaView(
    sha256="ab" * 32,
    bytes=1000,
    samples=48_000,
    duration_ms=1_000,
    loudness_clufs=-1_600,
    true_peak_cdbtp=-150,
    source_name="a.wav",
    title="Bản tin",
    created_by="an",
    created_ms=1,
)
ITEM = """
[[items]]
title = "Bản tin sáng"
rule = "RRULE:FREQ=DAILY;BYHOUR=5;BYMINUTE=30"
media = "Bản tin"
"""


def body_of(path: Path, text: str):
    path.write_text(text)
    return programme_body(path, read_toml(path, ProgrammeTable), lambda name, _title: find_media([SOUND], name))


def test_an_item_says_what_when_and_how_loud(tmp_path: Path):
    more = 'volume_db = -3.5\nnot_on = [2026-12-25T05:30:00]\nclass = "priority"\non_interrupt = "resume"\n'
    item = body_of(tmp_path / "p.toml", 'area = "52.24076"\n' + ITEM + more).items[0]
    assert (item.id, item.class_, item.volume_cdb, item.on_interrupt) == ("ban-tin-sang", "priority", -350, "resume")
    assert item.rrule == "FREQ=DAILY;BYHOUR=5;BYMINUTE=30"
    assert item.exdates_ms == (1_798_151_400_000,)
    assert (item.variants[0].lang, item.variants[0].media.sha256, item.variants[0].media.samples) == ("vi", "ab" * 32, 48_000)


def test_several_languages_and_a_relay(tmp_path: Path):
    text = """
area = "52.24076"
[[items]]
title = "Hai thứ tiếng"
rule = "FREQ=DAILY;BYHOUR=5;BYMINUTE=30"
[[items.variants]]
media = "Bản tin"
[[items.variants]]
lang = "jra"
relay = {url = "https://dai.example.vn/live", max_s = 600, fallback = "Bản tin"}
"""
    first, second = body_of(tmp_path / "p.toml", text).items[0].variants
    assert (first.lang, first.media.bytes) == ("vi", 1000)
    assert (second.lang, second.relay.max_s, second.relay.fallback.sha256) == ("jra", 600, "ab" * 32)


def test_everything_that_a_bulletin_may_be_can_be_written(tmp_path: Path):
    text = """
area = "52.24076"
authority = "52.24076"
order = [{item = "hop-dan"}, {authority = "52", item = "tin-tinh"}]
[[items]]
title = "Họp dân"
id = "hop-dan"
rule = "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=17;BYMINUTE=0"
issuing_body = "UBND xã Phú Túc"
source_doc = "Số 12/TB-UBND"
risk = 2
from_day = 2026-03-02
repeats = 3
repeat_gap_s = 10
[[items.variants]]
text = "Kính mời bà con đi họp."
[[items.variants]]
lang = "jra"
text = {text = "Iâu rơwang", fallback = "Bản tin"}
[[items.variants]]
relay = {url = "https://dai.example.vn/1", max_s = 600, silence_s = 8}
[[items.variants]]
line = {source = "fm", max_s = 900, silence_s = 5, fallback = "Bản tin"}
[[items.variants]]
shown = {text = "Lịch tiêm chủng", for_s = 60}
"""
    body = body_of(tmp_path / "p.toml", text)
    item = body.items[0]
    assert (item.issuing_body, item.source_doc, item.risk, item.from_day) == ("UBND xã Phú Túc", "Số 12/TB-UBND", 2, "20260302")
    assert (item.repeats, item.repeat_gap_s) == (3, 10)
    own, jrai, relay, line, shown = item.variants
    assert (own.spoken.text, own.spoken.fallback) == ("Kính mời bà con đi họp.", None)
    assert (jrai.lang, jrai.spoken.fallback.sha256) == ("jra", "ab" * 32)
    assert (relay.relay.silence_s, line.line.source, line.line.silence_s, shown.shown.for_s) == (8, "fm", 5, 60)
    assert [(ref.authority, ref.item) for ref in body.order] == [("52.24076", "hop-dan"), ("52", "tin-tinh")]


def test_the_example_in_the_help_is_read(tmp_path: Path):
    text = PROGRAMME_EXAMPLE.partition("\n\n")[2].replace("\\[", "[")
    path = tmp_path / "p.toml"
    path.write_text(text)
    body = programme_body(path, read_toml(path, ProgrammeTable), lambda _name, _title: SOUND)
    assert [len(item.variants) for item in body.items] == [1, 5]


def test_the_timetable_of_phu_can_is_read_and_can_be_meant():
    path = Path(__file__).parents[2] / "docs" / "vi-du" / "phu-can.toml"
    table = read_toml(path, ProgrammeTable)
    body = programme_body(path, table, lambda _name, _title: SOUND)
    begins = start_of(table.valid_from)
    made = Programme(
        authority=table.area, area=table.area, area_no=1, seq=1, purpose="routine", subject=table.area,
        valid_from_ms=begins, valid_until_ms=start_of(table.valid_until), body=body,
    )  # fmt: skip
    check_shape(made)
    week = sorted(occurrences(made, "", begins, begins + 7 * 86_400_000))
    days: dict[str, list[str]] = {}
    for each in week:
        at = dt.datetime.fromtimestamp(each.planned_ms / 1000, HERE)
        days.setdefault(f"{at:%a}", []).append(f"{at:%H:%M}")
    assert days["Mon"] == days["Wed"] == days["Fri"] == ["05:00", "10:45", "16:45", "17:00"]
    assert days["Tue"] == days["Thu"] == ["05:00", "17:00"]
    assert days["Sat"] == days["Sun"] == ["05:00"]


def test_two_items_of_one_title_get_two_ids(tmp_path: Path):
    items = body_of(tmp_path / "p.toml", 'area = "52.24076"\n' + ITEM + ITEM).items
    assert [item.id for item in items] == ["ban-tin-sang", "ban-tin-sang-2"]
    assert item_id("Đài Plei Ơi — 5h", set()) == "dai-plei-oi-5h"
    assert item_id("———", set()) == "item"


def test_a_day_begins_at_midnight_in_viet_nam():
    assert start_of(dt.date(2026, 1, 1)) == 1_767_200_400_000


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('media = "Bản tin"', "", "name its sound"),
        ('media = "Bản tin"', 'media = "Khác"', "no sound 'Khác'"),
        ('media = "Bản tin"', 'media = "Bản tin"\nvolume = 3', "volume"),
        ('media = "Bản tin"', 'media = "Bản tin"\nvolume_db = 99.0', "volume"),
        ('media = "Bản tin"', 'media = "Bản tin"\nid = "Sáng"', "id"),
        ('media = "Bản tin"', 'media = "Bản tin"\nclass = "emergency!"', "class"),
        ('media = "Bản tin"', 'media = "Bản tin"\non_interrupt = "stop"', "on_interrupt"),
        ('title = "Bản tin sáng"', "", "title"),
        ('title = "Bản tin sáng"', 'title = ""', "title"),
        ("[[items]]", "[[item]]", "item"),
        ("[[items]]", "[[items]", "is not TOML"),
    ],
)
def test_a_wrong_programme_is_a_sentence_with_the_file(tmp_path: Path, old, new, sentence):
    path = tmp_path / "p.toml"
    with pytest.raises(InputRefused) as told:
        body_of(path, 'area = "52.24076"\n' + ITEM.replace(old, new, 1))
    assert str(path) in str(told.value)
    assert sentence in str(told.value)


def test_a_title_that_several_sounds_bear_must_be_named_by_digest():
    with pytest.raises(InputRefused, match="2 sounds are titled"):
        find_media([SOUND, SOUND], "Bản tin")


def test_station_hours_are_minutes_of_the_day(tmp_path: Path):
    path = tmp_path / "s.toml"
    path.write_text('area = "52.24076"\nvolume_db = -3\n[[hours]]\ndays = ["MO"]\nfrom = "05:00"\nto = "24:00"\n')
    table, body = station_body(path)
    assert table.area == "52.24076"
    assert (body.volume_cdb, body.hours[0].from_min, body.hours[0].to_min) == (-300, 300, 1440)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('area = "52"\n[[hours]]\nfrom = "5 giờ"\nto = "21:00"', "HH:MM"),
        ('area = "52"\n[[hours]]\nfrom = "22:00"\nto = "05:00"', "split them at midnight"),
        ('area = "52"\n[[hours]]\nfrom = "05:00"', "to"),
        ('area = "52"\n[[hours]]\ndays = ["T2"]\nfrom = "05:00"\nto = "06:00"', "days"),
        ('area = "52"\nemergency_volume_db = -20.0', "emergency_volume"),
        ('area = "52"\nspecial = "market"', "special"),
    ],
)
def test_wrong_rules_of_a_station_are_a_sentence_with_the_file(tmp_path: Path, text, sentence):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(InputRefused) as told:
        station_body(path)
    assert str(path) in str(told.value)
    assert sentence in str(told.value)
