"""Plan against plays when programmes, places and days change: what counted when, and what no plan explains."""

from controller.core.plan_history import Span, spans, stays
from controller.core.plan_report import Asked
from protocol.seen import Slot
from tests.controller.plan_case import (
    DAY_BEGINS,
    DAY_ENDS,
    IA_DREH,
    JU,
    LATER,
    MLAH,
    NOON,
    PHU_TUC,
    SIX,
    SIX_PM,
    TITLE,
    Case,
    at,
    item,
    programme,
    version,
)


def test_each_version_counts_from_when_it_was_stored_until_the_next_at_noon():
    case = Case(item(hours="6,18"))
    case.programmes["b" * 64] = programme(item(hours="7,19"))
    case.versions.append(version("b" * 64, "23/11/2025 12:00:00"))
    case.play(SIX)
    case.play(SIX_PM + 3_600_000, digest="b" * 64)
    assert [(line.planned_ms, line.outcome) for line in case.result().lines] == [
        (SIX, "played"),
        (SIX_PM + 3_600_000, "played"),
    ]


def test_a_play_out_of_an_older_version_that_the_node_still_held_is_listed_apart_and_explains_the_hole():
    case = Case(item(hours="6,18"))
    case.programmes["b" * 64] = programme(item(hours="17"))
    case.versions.append(version("b" * 64, "23/11/2025 12:00:00"))
    case.play(SIX)
    case.play(SIX_PM)
    report = case.report()
    (extra,) = report.extras
    assert (extra.planned_ms, extra.why, extra.heard_ms, report.extra, extra.title) == (SIX_PM, "older-version", 60_000, 1, TITLE)
    assert [(line.planned_ms, line.outcome) for line in report.lines] == [(SIX_PM - 3_600_000, "outdated")]
    assert report.total.heard_ms == 60_000


def test_the_same_time_in_an_older_version_is_that_occurrence():
    case = Case(item(hours="18"))
    case.programmes["b" * 64] = programme(item(hours="18"))
    case.versions.append(version("b" * 64, "23/11/2025 12:00:00"))
    case.play(SIX_PM)
    assert (case.line().outcome, case.line().version_differs) == ("played", True)


def test_plays_that_nothing_explains_are_never_dropped():
    case = Case(item())
    case.play(SIX)
    case.play(NOON)
    case.play(NOON + 1, digest="c" * 64, item="la")
    case.versions.append(version("d" * 64, "23/11/2025 12:00:05", in_force=True))
    case.programmes["d" * 64] = programme(item())
    case.play(NOON + 2, digest="d" * 64)
    assert [extra.why for extra in case.result().extras] == ["not-planned", "unknown-document", "version-came-later"]


def test_a_version_waits_for_its_first_day_and_one_replaced_before_it_never_counted():
    first = version("a" * 64, "01/11/2025 07:00:00")
    waits = version("b" * 64, "10/11/2025 07:00:00", valid_from="20/11/2025 00:00:00")
    third = version("c" * 64, "12/11/2025 07:00:00", valid_from="25/11/2025 00:00:00")
    assert [(span.digest[0], span.until_ms) for span in spans([first, waits])] == [
        ("a", at("20/11/2025 00:00:00")),
        ("b", waits.valid_until_ms),
    ]
    assert [span.digest[0] for span in spans([first, waits, third])] == ["a", "c"]
    assert spans([first, waits, third])[0].until_ms == at("25/11/2025 00:00:00")


def test_a_version_whose_signers_lost_their_powers_ends_then_and_the_older_counts_again():
    older = version("a" * 64, "01/11/2025 07:00:00")
    newest = version("b" * 64, "10/11/2025 07:00:00", in_force=False)
    lost_ms = at("15/11/2025 09:00:00")
    assert spans([older, newest], [at("02/11/2025 07:00:00"), lost_ms]) == [
        Span(older.stored_ms, newest.stored_ms, "a" * 64),
        Span(newest.stored_ms, lost_ms, "b" * 64),
        Span(lost_ms, older.valid_until_ms, "a" * 64),
    ]


def test_a_node_that_moved_is_asked_only_for_what_was_planned_where_it_stood():
    case = Case(item(hours="6,18"))
    case.places.append((NOON, ("52", IA_DREH, JU, "N1")))
    case.programmes["e" * 64] = programme(item(hours="19"), area=IA_DREH)
    case.versions.append(version("e" * 64, "01/11/2025 07:00:00", slot=Slot("programme", IA_DREH, IA_DREH)))
    case.play(SIX)
    case.play(SIX_PM + 3_600_000, area=IA_DREH, authority=IA_DREH, digest="e" * 64)
    there = case.report()
    assert [(each.name, each.tally.played) for each in there.settlements] == [("Buôn Mlah", 1)]
    case.asked = Asked(area=IA_DREH, from_ms=DAY_BEGINS, to_ms=DAY_ENDS, now_ms=LATER)
    assert [(each.name, each.tally.played) for each in case.report().settlements] == [("Buôn Chư Jŭ", 1)]
    case.asked = Asked(area="52", from_ms=DAY_BEGINS, to_ms=DAY_ENDS, now_ms=LATER)
    assert [(each.name, each.tally.played) for each in case.report().settlements] == [("Buôn Chư Jŭ", 1), ("Buôn Mlah", 1)]
    case.play(SIX_PM)
    assert [extra.why for extra in case.report().extras] == ["other-place"]


def test_a_retired_node_is_asked_for_nothing_more():
    assert stays([(SIX, ("52", PHU_TUC, MLAH, "N1"))], NOON)[0].until_ms == NOON
    assert stays([(NOON, ("52", PHU_TUC, MLAH, "N1"))], SIX) == []


def test_a_claimed_node_that_nobody_placed_yet_stood_nowhere():
    assert stays([]) == []
    assert stays([], NOON) == []


def test_a_month_end_has_each_of_its_days_once():
    begin, end = at("27/02/2028 00:00:00"), at("02/03/2028 00:00:00")
    case = Case(
        item(rrule="FREQ=MONTHLY;BYMONTHDAY=-1,1,30;BYHOUR=23;BYMINUTE=59"), from_ms=begin, to_ms=end, now_ms=end + 86_400_000
    )
    case.programmes = {"a" * 64: programme(*case.programmes["a" * 64].body.items, since="01/02/2028 00:00:00")}
    case.versions = [version("a" * 64, "01/02/2028 00:00:00", valid_from="01/02/2028 00:00:00")]
    days = [line.planned_ms for line in case.result().lines]
    assert days == [at("29/02/2028 23:59:00"), at("01/03/2028 23:59:00")]
