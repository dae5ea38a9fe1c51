"""The demo's week is the real one of Phú Cần, and what would sound beside the judged bulletin is known beforehand."""

import tomllib

from demo import timetable

DIGESTS = {"ban-tin": "aa" * 32, "chuong-trinh-jrai": "bb" * 32}


def items(without=frozenset()):
    return tomllib.loads(timetable.table(DIGESTS, without))["items"]


def test_the_week_is_that_of_phu_can_with_recordings_of_its_own_and_no_outside_radio():
    assert [item["id"] for item in items()] == ["tiep-song", "ban-tin-trua", "ban-tin-chieu", "tieng-jrai"]
    assert [item.get("media") for item in items()[1:3]] == ["aa" * 32] * 2
    assert items()[3]["variants"][0]["media"] == "bb" * 32
    assert items()[0]["variants"][0]["relay"]["url"].startswith("http://127.0.0.1:")
    assert "example" not in timetable.table(DIGESTS).partition("[[items]]")[2]


def test_items_can_be_left_out():
    assert [item["id"] for item in items(frozenset({"ban-tin-chieu", "tiep-song"}))] == ["ban-tin-trua", "tieng-jrai"]


def test_what_sounds_or_begins_within_three_minutes_of_an_instant_is_beside_it():
    def line(item, planned_s, ends_s):
        return {"item": item, "planned_ms": planned_s * 1000, "ends_ms": ends_s and ends_s * 1000}

    lines = [line("before", 0, 100), line("around", 0, 900), line("soon", 1_100, 1_200), line("skipped", 990, None)]
    lines += [line("later", 1_300, 1_400)]
    assert timetable.beside({"groups": [{"lines": lines}]}, 1_000_000) == {"around", "soon", "skipped"}
