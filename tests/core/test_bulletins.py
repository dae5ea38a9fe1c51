"""The programme at its times, inside the station's hours, one thing after another, and silent when nobody allows it."""

import pytest
from msgspec import structs

from edge_agent.commands import Clip, Input, Pause, Speech, Stream
from edge_agent.core import score
from protocol.bulletins import ItemRef, LineIn, Relay, Shown, Spoken, Variant
from protocol.documents import Maintenance, SpecialArea
from tests.core.harness import Node
from tests.core.people import (
    HOUR_MS,
    ISSUED,
    MEDIA,
    MIDNIGHT,
    NOON,
    commune,
    item,
    placement,
    programme,
    province,
    settled,
    start,
    station,
)
from tests.protocol import vector_world as world
from tests.protocol.vector_world import COMMUNE, HAMLET


def node_with(*items, at_ms=NOON - 60_000, hours=((0, 1440),), order=(), **rules):
    """`rules`: more of the station's than its hours."""
    node = Node(at_ms, *settled(programme(*items, order=order), hours=hours, rules=rules))
    node.fetched(MEDIA)
    return node.online()


def minutes_of(name, at, length_min, **more):
    """A bulletin of so many minutes."""
    made = item(name, at, **more)
    (variant,) = made.variants
    media = structs.replace(variant.media, samples=48_000 * 60 * length_min)
    return structs.replace(made, variants=(structs.replace(variant, media=media),))


def test_a_bulletin_is_told_before_its_time_and_sounds_at_it():
    node = node_with(item("tin", "12:00"))
    node.run_to(NOON - 1_000)
    assert node.spoken[0].at_mono_ns == node.mono_ns + 1_000_000_000
    assert len(node.card.records) == 1
    assert node.sounds() is None
    node.run_to(NOON + 1)
    assert node.sounds() == "tin"


def test_every_day_of_the_week_and_across_midnight():
    node = node_with(item("tin", "00:00 12:00"), at_ms=NOON - 4_000)
    node.run(6 * 86_400 + 3_600)
    assert [line.split()[1:] for line in node.story()] == [["12:00:00", "played"], ["00:00:00", "played"]] * 6 + [
        ["12:00:00", "played"]
    ]
    assert node.controller.upto() == 13


def test_a_higher_class_goes_first_and_the_other_waits_within_its_grace():
    first = structs.replace(minutes_of("uu-tien", "12:00", 2), class_="priority")
    node = node_with(minutes_of("thuong", "12:00", 2), first, minutes_of("muon", "12:00", 2, grace_s=100))
    node.run_to(NOON + 600_000)
    assert node.story() == ["uu-tien 12:00:00 played", "muon never skipped", "thuong 12:02:00 played"]


def test_nothing_but_an_emergency_sounds_in_quiet_hours():
    node = node_with(item("dem", "03:15"), at_ms=MIDNIGHT, hours=((300, 1200),))
    node.run_to(MIDNIGHT + 4 * HOUR_MS)
    assert node.story() == ["dem never skipped"]
    assert node.controller.records[1].reason == "quiet hours"
    node.give(start(node.true_ms))
    node.run(1)
    assert node.sounds() == "a1"


def test_the_end_of_the_hours_cuts_what_sounds():
    node = node_with(minutes_of("tin", "12:00", 5), hours=((600, 722),))
    node.run_to(NOON + 119_000)
    assert node.sounds() == "tin"
    node.run_to(NOON + 120_010)
    assert node.sounds() is None
    assert node.story() == ["tin 12:00:00 max"]


def test_what_waits_for_an_emergency_into_the_quiet_hours_is_skipped():
    node = node_with(item("tin", "12:00", grace_s=3_600), hours=((600, 725),))
    node.give(start(node.true_ms, repeats=100, sound_max_s=420))
    node.run_to(NOON + 900_000)
    assert [line.split()[-1] for line in node.story()] == ["max", "skipped"]


def test_hours_that_shrink_while_something_sounds_end_it():
    node = node_with(minutes_of("tin", "12:00", 5))
    node.run_to(NOON + 30_000)
    node.give(station(((0, 600),), seq=node.true_ms))
    node.run(1)
    assert node.sounds() is None
    assert node.story() == ["tin 12:00:00 stopped"]


def test_hours_that_will_end_sooner_than_when_it_began_end_what_sounds_at_their_end():
    node = node_with(minutes_of("tin", "12:00", 5), hours=((600, 1_200),))
    node.run_to(NOON + 30_000)
    node.give(station(((600, 722),), seq=node.true_ms))
    node.run_to(NOON + 119_000)
    assert node.sounds() == "tin"
    node.run_to(NOON + 120_100)
    assert node.sounds() is None
    assert node.story() == ["tin 12:00:00 stopped"]
    assert node.controller.records[1].reason == "quiet hours"


def test_no_station_no_routine_sound():
    node = Node(NOON - 60_000, placement(), province(), commune(), programme(item("tin", "12:00")))
    node.fetched(MEDIA)
    node.online()
    node.run_to(NOON + 10_000)
    assert not node.spoken
    assert node.controller.records[1].reason.startswith("no operating rules")


def test_a_station_whose_days_are_over_is_no_station():
    node = node_with(item("tin", "12:00"))
    node.give(station(seq=node.true_ms, valid_until_ms=NOON - 10_000))
    node.run_to(NOON + 10_000)
    assert not node.spoken


def test_rules_of_tomorrow_do_not_count_today():
    node = node_with(item("tin", "12:00"))
    node.give(station(((0, 60),), seq=node.true_ms, valid_from_ms=NOON + 12 * HOUR_MS))
    node.run_to(NOON + 1_000)
    assert node.sounds() == "tin"
    assert any(held.kind == "station" and held.pending for held in node.controller.hellos[-1].holds)
    node.run_to(NOON + 24 * HOUR_MS + 1_000)
    assert node.sounds() is None


# --- classes, sessions, maintenance, special places ---


def test_a_higher_class_begins_at_its_time_and_what_it_interrupted_does_as_it_says():
    for on_interrupt, then in (("restart", "12:03:00 played"), ("resume", "12:03:00 played"), ("drop", None)):
        first = structs.replace(minutes_of("gap", "12:01", 2), class_="priority")
        node = node_with(minutes_of("tin", "12:00", 4, on_interrupt=on_interrupt), first)
        node.run_to(NOON + 90_000)
        assert node.sounds() == "gap"
        node.run_to(NOON + 900_000)
        lines = [line for line in node.story() if line.startswith("tin")]
        assert lines == ["tin 12:00:00 interrupted", *([f"tin {then}"] if then else [])]
        if then:
            begun = node.player.heard[-1]
            assert (begun.play.from_part, begun.play.skip_samples // 48_000) == ((0, 60) if on_interrupt == "resume" else (0, 0))


def test_the_written_order_of_the_commune_decides_between_two_of_a_class():
    mine, other = minutes_of("cua-xa", "12:00", 1), minutes_of("khac", "12:00", 1, level="province")
    wish = (ItemRef(authority=COMMUNE, item="cua-xa"),)
    node = node_with(mine, other)
    node.run_to(NOON + 600_000)
    assert [line.split()[0] for line in node.story()] == ["khac", "cua-xa"]
    node = node_with(mine, other, order=wish)
    node.run_to(NOON + 600_000)
    assert [line.split()[0] for line in node.story()] == ["cua-xa", "khac"]


def test_sessions_a_day_are_counted_also_over_a_power_cut():
    times = minutes_of("tin", "12:00 12:04 12:20", 1)
    node = node_with(times, sessions_a_day=1)
    node.run_to(NOON + 120_000)
    node.power_cut()
    node.online()
    node.run_to(NOON + 1_800_000)
    assert node.story() == ["tin 12:00:00 played", "tin 12:04:00 played", "tin never skipped"]
    assert node.controller.records[3].reason == "the day's sessions are over: 1"


def test_the_minutes_of_a_session_cut_what_would_go_on_or_refuse_it_whole():
    items = (minutes_of("mot", "12:00", 3), minutes_of("hai", "12:03", 3, grace_s=600))
    node = node_with(*items, session_max_min=5)
    node.run_to(NOON + 900_000)
    assert node.story() == ["mot 12:00:00 played", "hai 12:03:00 max"]
    node = node_with(*items, session_max_min=5, half_inside="refuse")
    node.run_to(NOON + 900_000)
    assert node.story() == ["mot 12:00:00 played", "hai never skipped"]


def test_in_maintenance_nothing_but_an_emergency_sounds():
    node = node_with(minutes_of("tin", "12:00", 1), maintenance=(Maintenance(area=HAMLET, until_ms=NOON + HOUR_MS),))
    node.run_to(NOON + 400_000)
    assert node.story() == ["tin never skipped"]
    assert node.controller.records[1].reason == "maintenance until 13:00"
    node.give(start(node.true_ms))
    node.run(1)
    assert node.sounds() == "a1"


def test_beside_a_school_bulletins_sound_lower_and_emergencies_do_not():
    node = node_with(minutes_of("tin", "12:00", 1), special=(SpecialArea(area=HAMLET, place="school", volume_cdb=-900),))
    node.run_to(NOON + 90_000)
    node.give(start(node.true_ms))
    node.run(1)
    assert [play.level_cdb for play in node.spoken] == [-900, 0]


def test_a_bulletin_is_said_as_often_as_it_says():
    node = node_with(minutes_of("tin", "12:00", 1, repeats=3, repeat_gap_s=30))
    node.run_to(NOON + 600_000)
    (record,) = node.controller.records.values()
    assert (record.ended_ms - record.started_ms) // 1000 == 240


def test_each_way_of_saying_becomes_its_own_part_with_its_recording_for_when_it_fails():
    media = item("x", "12:00").variants[0].media
    made = item(
        "tin",
        "12:00",
        variants=(
            Variant(lang="vi", spoken=Spoken(text="Mời bà con nghe.")),
            Variant(lang="jra", spoken=Spoken(text="Rơi jơlan", fallback=media)),
            Variant(lang="vi", relay=Relay(url="https://phat-thanh.example/vov1", max_s=60, silence_s=3, fallback=media)),
            Variant(lang="vi", line=LineIn(source="fm", max_s=30)),
            Variant(lang="vi", shown=Shown(text="bảng tin", for_s=10)),
        ),
    )
    scored = score.of_item(made, "/media")
    recording = Clip(score.media_path("/media", MEDIA), samples=media.samples)
    assert [part for part in scored.parts if not isinstance(part, Pause)] == [
        Speech("vi", "Mời bà con nghe."),
        recording,
        Stream("https://phat-thanh.example/vov1", 60_000, 3_000, recording),
        Input("fm", 30_000, 4_000),
    ]
    assert scored.unsaid == ("vi",)


# --- programmes come and go ---


def test_a_programme_is_pending_until_its_set_is_whole_and_yesterdays_plays():
    node = node_with(item("cu", "12:00 12:10"))
    node.fetched(MEDIA)
    media = structs.replace(world.item().variants[0].media, sha256="7b" * 32)
    new = item(
        "moi",
        "12:00 12:10",
        variants=(Variant(lang="vi", media=media), Variant(lang="bdq", media=world.item().variants[0].media)),
    )
    node.give(programme(new, seq=node.true_ms))
    node.run_to(NOON + 5_000)
    assert node.sounds() == "cu"
    assert [want.sha256 for want in node.wants] == ["7b" * 32]
    assert node.controller.hellos[-1].missing_media == 1
    node.fetched("7b" * 32)
    node.run_to(NOON + 10 * 60_000 + 5_000)
    assert node.sounds() == "moi"
    assert [held.pending for held in node.controller.hellos[-1].holds if held.kind == "programme"] == [False]


def test_a_programme_of_tomorrow_waits_for_its_day():
    node = node_with(item("cu", "12:00"))
    node.give(programme(item("moi", "12:00"), seq=node.true_ms, valid_from_ms=NOON + 12 * HOUR_MS))
    node.run_to(NOON + 5_000)
    assert node.sounds() == "cu"
    node.run_to(NOON + 24 * HOUR_MS + 5_000)
    assert node.sounds() == "moi"


def test_a_newer_programme_overtakes_one_that_still_waits():
    node = node_with(item("cu", "12:00"))
    media = structs.replace(world.item().variants[0].media, sha256="7b" * 32)
    node.give(programme(item("cho", "12:00", variants=(Variant(lang="vi", media=media),)), seq=node.true_ms))
    node.give(programme(item("moi", "12:00"), seq=node.true_ms + 1))
    node.run(2)
    assert node.wants == ()
    node.fetched("7b" * 32)
    node.run_to(NOON + 5_000)
    assert node.sounds() == "moi"
    assert len(node.card.documents) == 6


def test_an_empty_programme_withdraws_what_sounds():
    node = node_with(minutes_of("tin", "12:00", 5))
    node.run_to(NOON + 30_000)
    node.give(programme(seq=node.true_ms))
    node.run(1)
    assert node.sounds() is None
    assert node.story() == ["tin 12:00:00 stopped"]
    assert node.controller.records[1].reason.startswith("withdrawn")


def test_a_newer_programme_with_the_same_item_lets_it_go_on():
    tin = minutes_of("tin", "12:00", 5)
    node = node_with(tin)
    node.run_to(NOON + 30_000)
    node.give(programme(tin, item("them", "12:30"), seq=node.true_ms))
    node.run_to(NOON + 600_000)
    assert node.story() == ["tin 12:00:00 played"]


def test_an_older_programme_never_comes_back():
    node = node_with(item("tin", "12:00"))
    node.give(programme(seq=node.true_ms))
    node.give(programme(item("tin", "12:00"), seq=node.true_ms - 5_000))
    node.run(1)
    node.power_cut()
    node.give(programme(item("tin", "12:00"), seq=node.true_ms - 20_000))
    node.run_to(NOON + 10_000)
    assert not node.spoken


@pytest.mark.parametrize("state", ["stolen", "retired"])
def test_a_grant_that_calls_a_key_stolen_ends_what_it_signed_and_retired_does_not(state):
    node = node_with(minutes_of("tin", "12:00", 5))
    node.give(start(node.true_ms, "a1", repeats=1))
    node.run_to(NOON + 10_000)
    assert node.sounds() == "tin"
    node.give(commune(seq=node.true_ms, first=state))
    node.run(2)
    stolen = state == "stolen"
    assert (node.sounds() is None) == stolen
    assert not [held for held in node.controller.hellos[-1].holds if held.kind == "programme"] or not stolen
    assert any(kept.kind == "programme" for kept in node.card.documents.values()) != stolen
    assert any(kept.kind == "station" for kept in node.card.documents.values()) != stolen


def test_a_grant_that_calls_a_key_stolen_ends_its_emergency():
    node = node_with()
    node.give(start(node.true_ms, repeats=100))
    node.run(2)
    node.give(commune(seq=node.true_ms, first="stolen"))
    node.run(1)
    assert node.sounds() is None
    assert node.controller.results_of("a1")[-1] == "stopped"


def test_an_item_whose_record_cannot_be_kept_is_not_begun():
    node = node_with(item("tin", "12:00 12:10"))
    node.run_to(NOON - 3_000)
    node.card_fails = lambda _save: True
    node.run_to(NOON + 10_000)
    assert not node.spoken
    node.card_fails = lambda _save: False
    node.run_to(NOON + 11 * 60_000)
    assert node.story() == ["tin never skipped", "tin 12:10:00 open"]
    assert node.controller.upto() == 1, "no number is missing: the controller counts without gaps"


def test_a_long_item_does_not_turn_the_processor_in_circles():
    node = node_with(minutes_of("dai", "12:00", 60), item("tin", "12:05", grace_s=60), at_ms=NOON - 60_000)
    node.run_to(NOON + 50 * 60_000)
    assert node.turns < 51 * 12 + 200


def test_documents_dated_in_force_are_named_with_their_digests_in_the_hello():
    node = node_with(item("tin", "12:00"))
    holds = node.controller.hellos[-1].holds
    assert sorted(held.kind for held in holds) == ["grant", "grant", "grant", "placement", "programme", "station"]
    assert {held.digest for held in holds} == {kept.digest for kept in node.card.documents.values()}
    hellos = len(node.controller.hellos)
    node.give(station(seq=ISSUED + 1))
    node.run(4)
    assert len(node.controller.hellos) == hellos + 1


def test_what_interrupts_is_not_late_itself_although_it_has_no_grace():
    urgent = structs.replace(minutes_of("gap", "12:02", 1, grace_s=0), class_="priority")
    node = node_with(minutes_of("tin", "12:00", 5), urgent)
    node.run_to(NOON + 240_000)
    assert node.story()[:2] == ["tin 12:00:00 interrupted", "gap 12:02:00 played"]
