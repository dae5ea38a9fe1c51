"""A timetable ahead and what is found in it: on the world of the golden vectors, with the node's own functions."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from controller.core.finding_words import SENTENCES
from controller.core.findings import Surroundings, findings
from controller.core.objections import objections
from controller.core.preview import DRAFT, Draft, gather, lay_out_sites
from controller.core.world import AreaKnown, NodeKnown, Standing, World
from protocol.bulletins import Item, ItemRef, LineIn, Media, Programme, ProgrammeBody, Relay, Shown, Spoken, Variant
from protocol.documents import Hours, Maintenance, SpecialArea, Station
from protocol.recurrence import WEEKDAYS
from tests.protocol import vector_world as vectors
from tests.protocol.vector_world import COMMUNE, DAY_MS, ELSEWHERE, HAMLET, NEIGHBOUR, NODE, OTHER, PROVINCE, T0

HERE = ZoneInfo("Asia/Ho_Chi_Minh")
MIDNIGHT = T0 + 17 * 3_600_000  # Monday 02/03/2026 00:00 here
WEEK = MIDNIGHT + 7 * DAY_MS
SOUND = "5a" * 32


def bulletin(name: str, hour: int, minute: int = 0, *, minutes: float = 3, days: str = "FREQ=DAILY", **more) -> Item:
    media = Media(sha256=SOUND, bytes=1_000, samples=round(minutes * 60 * 48_000))
    fields = {"id": name, "title": name.capitalize(), "rrule": f"{days};BYHOUR={hour};BYMINUTE={minute}"}
    return Item(**(fields | {"variants": (Variant(lang="vi", media=media),)} | more))


def programme(*items: Item, area: str = COMMUNE, authority: str | None = None, **more) -> Programme:
    fields = vectors.lasting(area, authority or area, T0, valid_until_ms=T0 + 45 * DAY_MS, body=ProgrammeBody(items=items))
    return Programme(**(fields | more))


def rules(*hours: tuple[int, int], **body) -> Station:
    made = vectors.station()
    hours = tuple(Hours(days=WEEKDAYS, from_min=begin, to_min=end) for begin, end in hours or ((300, 1_260),))
    return structs.replace(made, body=structs.replace(made.body, hours=hours, **body))


def world(*documents) -> World:
    levels = {PROVINCE: "province", COMMUNE: "commune", OTHER: "commune"}
    areas = []
    for area, number in vectors.NUMBERS.items():
        parent = area.rpartition(".")[0] or None
        areas.append(AreaKnown(id=area, no=number, level=levels.get(area, "settlement"), name=f"Nơi {area}", parent=parent))
    nodes = [
        NodeKnown(id=node, area_no=7, name=f"Cụm {node}", settlement=place, report_key="00" * 32)
        for node, place in vectors.PLACES.items()
    ]
    papers = [vectors.placement(node) for node in (NODE, NEIGHBOUR)] + [vectors.placement(ELSEWHERE, place="52.24100.001")]
    standing = [
        Standing(digest=f"{number:064x}", document=document, raw=b"") for number, document in enumerate([*papers, *documents])
    ]
    return World(areas, nodes, standing)


def around(*, media=(SOUND,), now_ms: int = MIDNIGHT - 3_600_000) -> Surroundings:
    return Surroundings(names={}, known_media=frozenset(media), now_ms=now_ms, from_ms=MIDNIGHT, to_ms=WEEK)


def laid(of: World, area: str = COMMUNE, **more):
    return lay_out_sites(gather(of, area, MIDNIGHT, **more), MIDNIGHT, WEEK)


def found(of: World, area: str = COMMUNE, **more) -> dict[str, str]:
    """The English sentence of each finding by its code; Vietnamese ones are looked at where their words matter."""
    return {each.code: each.en for each in findings(laid(of, area, **more), around())}


def clock(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, HERE):%a %H:%M}"


# --- which documents meet where ---


def test_nodes_with_the_same_documents_are_one_site_and_every_ancestor_counts():
    made = world(
        rules(),
        programme(bulletin("xa", 5, 30)),
        programme(bulletin("tinh", 17), area=PROVINCE),
        programme(bulletin("buon", 6), area=HAMLET, authority=COMMUNE),
    )
    sites = laid(made)
    titles = {each.site.nodes: sorted({line.planned.item.id for line in each.lines}) for each in sites}
    assert titles == {(NODE,): ["buon", "tinh", "xa"], (NEIGHBOUR,): ["tinh", "xa"]}
    both = laid(world(rules(), programme(bulletin("xa", 5, 30))))
    assert [sorted(each.site.nodes) for each in both] == [sorted([NODE, NEIGHBOUR])]
    assert [clock(line.begins_ms) for line in both[0].lines][:2] == ["Mon 05:30", "Tue 05:30"]


def test_work_on_one_pole_makes_a_site_of_its_own():
    work = (Maintenance(area=NODE, until_ms=MIDNIGHT + DAY_MS),)
    sites = laid(world(rules(maintenance=work), programme(bulletin("xa", 5, 30))))
    outcomes = {each.site.nodes: [line.outcome for line in each.lines][:2] for each in sites}
    assert outcomes == {(NODE,): ["skipped", "plays"], (NEIGHBOUR,): ["plays", "plays"]}
    lower = (SpecialArea(area=HAMLET, place="school", volume_cdb=-600),)
    assert len(laid(world(rules(special=lower), programme(bulletin("xa", 5, 30))))) == 2


def test_another_commune_without_rules_is_silent_and_says_so():
    told = found(world(rules(), programme(bulletin("tinh", 17), area=PROVINCE)), OTHER)
    assert told["no-rules"] == "There are no operating rules (station): no bulletin sounds."
    assert found(world(rules(), programme(bulletin("tinh", 17), area=PROVINCE)), COMMUNE) == {}


def test_a_draft_takes_the_place_of_its_slot_from_its_first_day_on():
    made = world(rules(), programme(bulletin("cu", 6)), programme(bulletin("tinh", 17), area=PROVINCE))
    draft = Draft(programme(bulletin("moi", 7), valid_from_ms=MIDNIGHT + 2 * DAY_MS))
    lines = laid(made, draft=draft)[0].lines
    assert [f"{line.planned.item.id} {clock(line.begins_ms)}" for line in lines][:6] == [
        "cu Mon 06:00",
        "tinh Mon 17:00",
        "cu Tue 06:00",
        "tinh Tue 17:00",
        "moi Wed 07:00",
        "tinh Wed 17:00",
    ]
    assert {line.planned.digest for line in lines if line.planned.item.id == "moi"} == {DRAFT}


def test_what_has_not_begun_leaves_its_predecessor_until_then():
    old = Standing(digest="aa" * 32, document=programme(bulletin("cu", 6)), raw=b"")
    made = world(rules(), programme(bulletin("moi", 7), prev=old.digest, valid_from_ms=MIDNIGHT + DAY_MS))
    digest = next(held.digest for held in made.standing.values() if isinstance(held.document, Programme))
    lines = laid(made, older={digest: old})[0].lines
    assert [f"{line.planned.item.id} {clock(line.begins_ms)}" for line in lines][:2] == ["cu Mon 06:00", "moi Tue 07:00"]


def test_boards_show_what_loudspeakers_pass_over():
    board = bulletin("bang", 8, variants=(Variant(lang="vi", shown=Shown(text="Lịch tiêm chủng", for_s=600)),))
    site = laid(world(rules(), programme(board)))[0]
    assert site.lines == ()
    assert [clock(each.planned_ms) for each in site.shown][:1] == ["Mon 08:00"]


# --- what is found ---


def test_in_one_class_the_later_waits_and_the_finding_says_until_when():
    told = found(world(rules(), programme(bulletin("mot", 6, minutes=6), bulletin("hai", 6, 2, grace_s=600))))
    assert told == {"late": "“Hai” of 06:02 02/03/2026 waits for “Mot” and begins at 06:06 (and 6 times more)."}
    told = found(world(rules(), programme(bulletin("mot", 6, minutes=6), bulletin("hai", 6, 2, grace_s=60))))
    assert told["waits-out"].startswith("“Hai” of 06:02 02/03/2026 is skipped: it would wait for “Mot” longer than its 1:00")


def test_a_higher_class_interrupts_and_the_finding_names_both_classes():
    made = findings(
        laid(world(rules(), programme(bulletin("tin", 6, minutes=6), bulletin("gap", 6, 1, class_="priority")))), around()
    )
    first = made[0]
    assert (first.severity, first.code, first.times, first.nodes) == ("warning", "interrupted", 7, 2)
    assert first.vi.startswith("«Gap» (ưu tiên) ngắt «Tin» (thông thường) lúc 06:01; sau đó «Tin» phát lại từ đầu nếu còn kịp")


def test_quiet_hours_half_inside_cuts_sessions_and_length_are_errors():
    assert found(world(rules(), programme(bulletin("dem", 22))))["quiet"].startswith("“Dem” of 22:00 02/03/2026 does not sound")
    late = programme(bulletin("muon", 20, 58))
    assert "is cut at 21:00 because the station's hours end, with 1:00 unheard" in found(world(rules(), late))["cut"]
    told = found(world(rules(half_inside="refuse"), late))
    assert "half inside: its hours end at 21:00" in told["half-inside"]
    twice = programme(bulletin("sang", 6), bulletin("chieu", 17), bulletin("toi", 20))
    assert "the day's sessions are over: 2" in found(world(rules(sessions_a_day=2), twice))["sessions"]
    told = found(world(rules(session_max_min=15), programme(bulletin("dai", 6, minutes=20))))
    assert told == {"too-long": "“Dai” lasts 20:00, longer than a session of the station (15 min) (and 6 times more)."}
    told = found(world(rules(session_max_min=15), programme(bulletin("mot", 6, minutes=10), bulletin("hai", 6, 11, minutes=10))))
    assert "because its session ends" in told["cut"]


def test_a_bulletin_that_overlaps_itself_is_named_once():
    own = bulletin("tin", 6, minutes=40, rrule="FREQ=DAILY;BYHOUR=6;BYMINUTE=0,30")
    told = found(world(rules(), programme(own)))
    assert set(told) == {"self-overlap"}


def test_missing_files_are_named_with_their_bulletin():
    made = world(rules(), programme(bulletin("tin", 6)))
    told = {each.code: each for each in findings(laid(made), around(media=()))}
    assert told["media"].vi == "Thư viện không có tệp 5a5a5a5a5a5a… của «Tin»: thêm bằng «loa media add» trước đã."


def test_the_first_sound_of_tomorrow_before_five_is_asked_about():
    relay = bulletin("tiep-song", 3, 15, variants=(Variant(lang="vi", relay=Relay(url="https://dai.example.vn/1", max_s=900)),))
    made = findings(laid(world(rules((0, 1_260)), programme(relay))), around())
    assert [(each.severity, each.code, each.times) for each in made] == [("error", "early", 7)]
    assert made[0].vi == "Âm thanh đầu tiên ngày mai lúc 03:15 («Tiep-song»): có đúng ý không (và 6 lần nữa)?"
    assert found(world(rules((0, 1_260)), programme(bulletin("sang", 5)))) == {}


def test_days_without_bulletins_and_ends_are_notes():
    weekly = programme(bulletin("tin", 6, days="FREQ=WEEKLY;BYDAY=MO,WE"), valid_until_ms=MIDNIGHT + 4 * DAY_MS)
    made = {each.code: each for each in findings(laid(world(rules(), weekly)), around())}
    assert made["silent-days"].en == "There is no bulletin on 03/03/2026, 05/03/2026, 06/03/2026, 07/03/2026, 08/03/2026."
    assert made["ends"].en.startswith(f"The programme of {COMMUNE} for {COMMUNE} ends at 00:00 06/03/2026")
    assert {each.severity for each in made.values()} == {"note"}


def test_a_grant_that_ends_ends_its_programmes():
    grant = vectors.grant(COMMUNE, PROVINCE, vectors.commune_body(until_ms=MIDNIGHT + 3 * DAY_MS))
    made = world(grant, rules(), programme(bulletin("tin", 6)))
    assert len(laid(made)[0].lines) == 3
    assert "grant-ends" in found(made)


def test_every_sentence_says_the_same_in_both_languages():
    for code, (vi, en) in SENTENCES.items():
        plain = [set(re.findall(r"\{(\w+)", text)) for text in (vi, en)]
        same = [{name.removesuffix("_vi").removesuffix("_en") for name in names} for names in plain]
        assert same[0] == same[1], code
        assert vi[-1] in ".?", code
        assert vi[-1] == en[-1], code


# --- what is refused at publishing ---

GOOD = bulletin("tin", 6)
HOURLY = f"FREQ=DAILY;BYHOUR={','.join(map(str, range(24)))};BYMINUTE=0,15,30"
CROWD = [bulletin(f"x{number}", 6, minutes=0.5, rrule=f"{HOURLY},{number}") for number in range(31, 35)]
STRANGE = Variant(lang="jr", spoken=Spoken(text="x", fallback=GOOD.variants[0].media))
LOST = Variant(lang="vi", media=Media(sha256="0b" * 32, bytes=1, samples=1))


@pytest.mark.parametrize(
    ("made", "code", "words"),
    [
        (programme(GOOD, area="52.99999"), "area", "52.99999"),
        (programme(GOOD, valid_until_ms=T0 - DAY_MS), "ends-before", "ends"),
        (programme(bulletin("x", 6, days="FREQ=DAILY;UNTIL=20260101T000000")), "until-before", "UNTIL 00:00 01/01/2026"),
        (programme(bulletin("x", 6, days="FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24")), "never", "never sounds"),
        (
            programme(bulletin("x", 6, days="FREQ=DAILY;COUNT=2", exdates_ms=(T0 - 3_600_000, T0 - 3_600_000 + DAY_MS))),
            "excepted",
            "excepted",
        ),
        (programme(bulletin("x", 6, minutes=31, rrule="FREQ=DAILY;BYHOUR=6;BYMINUTE=0,30")), "self-overlap", "31:00"),
        (programme(*CROWD), "too-often", "300"),
        (programme(bulletin("x", 6, variants=(STRANGE,))), "language", "jra"),
        (programme(bulletin("x", 6, variants=(LOST,))), "media", "0b0b0b0b0b0b"),
        (programme(GOOD, body=ProgrammeBody(items=(GOOD,), order=(ItemRef(authority="52", item="ma"),))), "order", "'ma'"),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else None,
)
def test_what_cannot_be_meant_is_one_sentence(made: Programme, code: str, words: str):
    told = list(objections(world(rules()), made, {SOUND}))
    assert [each.code for each in told] == [code]
    assert words in told[0].en
    assert told[0].vi != told[0].en


def test_what_can_be_meant_is_not_objected_to():
    refs = (ItemRef(authority=PROVINCE, item="tinh"), ItemRef(authority=COMMUNE, item="tin"))
    media = GOOD.variants[0].media
    radio = bulletin("dai", 17, variants=(Variant(lang="jra", line=LineIn(source="fm", max_s=1_800, fallback=media)),))
    items = (GOOD, radio, bulletin("gio", 7, rrule="FREQ=DAILY;BYHOUR=7;BYMINUTE=0,3,6,9"))
    made = programme(*items, body=ProgrammeBody(items=items, order=refs))
    wide = programme(bulletin("tinh", 8), area=PROVINCE)
    assert list(objections(world(rules(), wide), made, {SOUND})) == []
    assert list(objections(world(), programme(), set())) == []
