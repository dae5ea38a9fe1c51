"""Which bulletin goes first, what it interrupts, and a timetable laid out ahead."""

from msgspec import structs

from protocol.bulletins import ItemRef, ProgrammeBody
from protocol.documents import Hours, StationBody
from protocol.hours import Rules
from protocol.programme import Planned, interrupts, lay_out, length_ms, rank, written_order
from protocol.recurrence import WEEKDAYS
from tests.protocol.vector_world import COMMUNE, NOW, T0, item, programme

MINUTE_MS = 60_000
RULES = Rules(StationBody(hours=(Hours(days=WEEKDAYS, from_min=0, to_min=1_440),)), ())


def bulletin(name: str, minutes: float = 2, **more):
    made = item(name)
    media = structs.replace(made.variants[0].media, samples=round(minutes * 60 * 48_000))
    return structs.replace(made, variants=(structs.replace(made.variants[0], media=media),), **more)


def planned(made, at_min: float = 0, authority: str = COMMUNE) -> Planned:
    at_ms = NOW + round(at_min * MINUTE_MS)
    return Planned(item=made, subject=COMMUNE, authority=authority, digest="00", planned_ms=at_ms)


def told(*given: Planned, order=None, rules=RULES) -> list[str]:
    def minute(at_ms: int | None) -> str:
        return "-" if at_ms is None else f"{(at_ms - NOW) / MINUTE_MS:g}"

    return [
        f"{line.planned.item.id} {line.outcome} {minute(line.begins_ms)}-{minute(line.ends_ms)}"
        for line in lay_out(given, rules, order or {})
    ]


def test_a_higher_class_goes_before_a_higher_level():
    urgent = structs.replace(item(class_="priority"), level="settlement")
    central = structs.replace(item(), level="central")
    ranks = [rank(each, COMMUNE, NOW, {}) for each in (urgent, central, item())]
    assert ranks == sorted(ranks, reverse=True)


def test_the_communes_written_order_goes_before_the_level_but_never_before_the_class():
    own, theirs = bulletin("cua-xa", class_="priority"), bulletin("cua-tinh", class_="priority", level="province")
    assert rank(theirs, "52", NOW, {}) > rank(own, COMMUNE, NOW, {})
    wish = (ItemRef(authority=COMMUNE, item="cua-xa"), ItemRef(authority="52", item="cua-tinh"))
    made = structs.replace(programme(T0, own), body=ProgrammeBody(items=(own,), order=wish))
    order = written_order([made], COMMUNE)
    assert rank(own, COMMUNE, NOW, order) > rank(theirs, "52", NOW, order)
    plain = structs.replace(own, class_="normal")
    assert rank(theirs, "52", NOW, order) > rank(plain, COMMUNE, NOW, order)
    assert written_order([structs.replace(made, authority="52")], COMMUNE) == {}


def test_in_one_class_the_later_waits_and_is_late_or_skipped_by_its_grace():
    lines = told(planned(bulletin("mot", 6)), planned(bulletin("hai", grace_s=600), 1), planned(bulletin("ba", grace_s=120), 2))
    assert lines == ["mot plays 0-6", "ba skipped ---", "hai late 6-8"]


def test_a_higher_class_interrupts_and_the_other_does_as_it_says():
    first = planned(bulletin("gap", class_="priority"), 1)
    assert interrupts(first.item, bulletin("x"))
    assert told(planned(bulletin("tin", 5, on_interrupt="resume")), first) == [
        "tin interrupted 0-1",
        "gap plays 1-3",
        "tin late 3-7",
    ]
    assert told(planned(bulletin("tin", 5, on_interrupt="restart")), first)[-1] == "tin late 3-8"
    assert told(planned(bulletin("tin", 5, on_interrupt="drop")), first) == ["tin interrupted 0-1", "gap plays 1-3"]


def test_repeats_and_their_gaps_count_in_the_length():
    assert length_ms(bulletin("tin", 2, repeats=3, repeat_gap_s=30)) == 7 * MINUTE_MS


def test_without_rules_nothing_is_laid_out_as_heard():
    assert told(planned(bulletin("tin")), rules=None) == ["tin skipped ---"]


def test_a_line_names_the_bulletin_that_it_waited_or_gave_way_for():
    first, second = planned(bulletin("mot", 6)), planned(bulletin("hai", grace_s=600), 1, authority="52")
    lines = {line.planned.item.id: line.because for line in lay_out([first, second], RULES, {})}
    assert lines == {"mot": None, "hai": first}
    urgent = planned(bulletin("gap", class_="priority"), 1)
    assert lay_out([first, urgent], RULES, {})[0].because is urgent


def test_who_interrupts_goes_on_with_the_session_of_what_it_interrupts():
    once = Rules(StationBody(hours=(Hours(days=WEEKDAYS, from_min=0, to_min=1_440),), sessions_a_day=1), ())
    first, second = planned(bulletin("dau", 4)), planned(bulletin("tin", 8, on_interrupt="drop"), 8)
    lines = told(first, second, planned(bulletin("gap", class_="priority"), 14), rules=once)
    assert lines == ["dau plays 0-4", "tin interrupted 8-14", "gap plays 14-16"]


def test_of_equals_the_names_decide_also_after_an_interruption():
    one, two = planned(bulletin("a", 5, grace_s=900)), planned(bulletin("b", 5, grace_s=900))
    lines = told(two, one, planned(bulletin("gap", class_="priority"), 2))
    assert lines == ["a interrupted 0-2", "gap plays 2-4", "a late 4-9", "b late 9-14"]
    assert rank(bulletin("a"), "52", NOW, {}) > rank(bulletin("a"), COMMUNE, NOW, {}) > rank(bulletin("b"), COMMUNE, NOW, {})
