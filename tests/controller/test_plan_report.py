"""Plan against plays: each outcome out of records and their absence, over changes of programme, place and memory."""

from datetime import datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest

from controller.core import plan_words
from controller.core.plan_history import NO_END, Span, Version, expected_of, spans, stays
from controller.core.plan_judging import Play, Presence
from controller.core.plan_report import Asked, Library, NodeFacts, judge_node, merged
from protocol.bulletins import Item, Media, Programme, ProgrammeBody, Spoken, Variant
from protocol.seen import Slot

HERE = ZoneInfo("Asia/Ho_Chi_Minh")
PHU_TUC, IA_DREH, MLAH, JU = "52.24076", "52.24100", "52.24076.002", "52.24100.001"
SLOT = Slot("programme", PHU_TUC, PHU_TUC)
NAMES = {MLAH: "Buôn Mlah", JU: "Buôn Chư Jŭ", PHU_TUC: "xã Phú Túc"}
TITLE = "Bản tin sáng · Tơlơi pơthâo hŏng ƀuôn sang · Tơ̆drong tơroi kơ pơlei"
DAY = timedelta(days=1)


def at(text: str) -> int:
    """Local time as 23/11/2025 05:30:00."""
    return round(datetime.strptime(text, "%d/%m/%Y %H:%M:%S").replace(tzinfo=HERE).timestamp() * 1000)


DAY_BEGINS, DAY_ENDS = at("23/11/2025 00:00:00"), at("24/11/2025 00:00:00")
SIX, NOON, SIX_PM = at("23/11/2025 06:00:00"), at("23/11/2025 12:00:00"), at("23/11/2025 18:00:00")
LATER = at("24/11/2025 08:00:00")


def item(name: str = "sang", hours: str = "6", **more) -> Item:
    spoken = Variant(lang="vi", spoken=Spoken(text="Chào bà con buôn Mlah."))
    jrai = Variant(lang="jra", media=Media(sha256="ab" * 32, bytes=1_000, samples=480_000))
    fields = {"id": name, "title": TITLE, "rrule": f"FREQ=DAILY;BYHOUR={hours};BYMINUTE=0"} | more
    return Item(variants=(spoken, jrai), **fields)


def programme(*items: Item, area: str = PHU_TUC, since: str = "01/11/2025 00:00:00") -> Programme:
    return Programme(
        authority=area,
        area=area,
        area_no=1,
        seq=1,
        purpose="routine",
        subject=area,
        valid_from_ms=at(since),
        valid_until_ms=at(since) + 45 * 86_400_000,
        body=ProgrammeBody(items=items),
    )


def version(digest: str, stored: str, *, slot: Slot = SLOT, valid_from: str = "01/11/2025 00:00:00", in_force: bool = True):
    return Version(
        digest=digest,
        slot=slot,
        stored_ms=at(stored),
        valid_from_ms=at(valid_from),
        valid_until_ms=at(valid_from) + 45 * 86_400_000,
        in_force=in_force,
    )


class Case:
    """One node, its plan and its records; what the report says of them."""

    def __init__(self, *items: Item, from_ms: int = DAY_BEGINS, to_ms: int = DAY_ENDS, now_ms: int = LATER) -> None:
        self.asked = Asked(area=PHU_TUC, from_ms=from_ms, to_ms=min(to_ms, now_ms), now_ms=now_ms)
        self.programmes = {"a" * 64: programme(*items)}
        self.versions = [version("a" * 64, "01/11/2025 07:00:00")]
        self.places = [(at("01/11/2025 07:00:00"), ("52", PHU_TUC, MLAH, "N1"))]
        self.presence = Presence(heard_until_ms=now_ms, back_since_ms=0, epoch=0, upto=NO_END)
        self.numbers = count(1)
        self.plays: list[Play] = []

    def play(self, planned_ms: int, ending: str = "played", *, begin_s: float | None = 0, long_s: float = 60, **more) -> None:
        started_ms = None if begin_s is None else planned_ms + round(begin_s * 1000)
        fields = {
            "epoch": 0,
            "record_id": next(self.numbers),
            "boot_count": 1,
            "digest": "a" * 64,
            "item": "sang",
            "area": PHU_TUC,
            "authority": PHU_TUC,
            "purpose": "routine",
            "planned_ms": planned_ms,
            "started_ms": started_ms,
            "ended_ms": planned_ms if started_ms is None else started_ms + round(long_s * 1000),
            "ending": ending,
            "reason": "",
            "rms_cdb": -2_000,
            "silent_ms": 200,
            "clock_state": "good",
        }
        self.plays.append(Play(**(fields | more)))

    def result(self):
        slots: dict[Slot, list[Version]] = {}
        for each in self.versions:
            slots.setdefault(each.slot, []).append(each)
        counted = {slot: spans(found) for slot, found in slots.items()}
        library = Library(
            plans={
                slot: expected_of(slot, found, self.programmes, self.asked.from_ms, self.asked.to_ms)
                for slot, found in counted.items()
            },
            stored_ms={each.digest: each.stored_ms for each in self.versions},
            until_ms={span.digest: span.until_ms for found in counted.values() for span in found},
            titles={(digest, one.id): one.title for digest, each in self.programmes.items() for one in each.body.items},
        )
        facts = NodeFacts(id="N1", name="Cụm loa nhà rông", stays=stays(self.places), presence=self.presence)
        return judge_node(facts, self.plays, library, self.asked, NAMES)

    def report(self, limit: int = 100):
        return merged([self.result()], self.asked, NAMES, limit)

    def line(self):
        (line,) = self.result().lines
        return line


# --- one record, one outcome ---


def test_a_bulletin_that_was_played_on_time_is_played_and_its_sound_counts():
    case = Case(item())
    case.play(SIX)
    line = case.line()
    assert (line.outcome, line.heard_ms, line.tries, line.title) == ("played", 60_000, 1, TITLE)
    report = case.report()
    assert (report.total.expected, report.total.played, report.total.share, report.wrong) == (1, 1, 1.0, 0)


def test_one_that_began_over_a_second_after_its_time_is_late_and_counts_as_played():
    case = Case(item())
    case.play(SIX, begin_s=1.5)
    assert case.line().outcome == "late"
    assert case.report().total.share == 1.0
    assert [line.outcome for line in case.report().lines] == ["late"]


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [("cut", "cut"), ("max", "cut"), ("stopped", "stopped"), ("failed", "failed"), ("interrupted", "interrupted")],
)
def test_an_ending_that_was_not_the_end_is_told_with_its_reason(ending: str, outcome: str):
    case = Case(item())
    case.play(SIX, ending, reason="vì sao")
    assert (case.line().outcome, case.line().why) == (outcome, "vì sao")
    assert case.report().total.share == 0.0


def test_a_skipped_one_keeps_the_reason_that_the_node_gave():
    case = Case(item())
    case.play(SIX, "skipped", begin_s=None, reason="quiet hours")
    line = case.line()
    assert (line.outcome, line.heard_ms, plan_words.reason(line.why)[0]) == ("skipped", 0, "ngoài giờ hoạt động")


def test_played_below_minus_60_dbfs_is_silent_and_no_minute_on_air():
    case = Case(item())
    case.play(SIX, rms_cdb=-6_000)
    assert (case.line().outcome, case.line().heard_ms) == ("silent", 0)


def test_played_with_nearly_all_of_it_silent_is_silent():
    case = Case(item())
    case.play(SIX, silent_ms=55_000)
    assert case.line().outcome == "silent"
    quiet_part = Case(item())
    quiet_part.play(SIX, silent_ms=30_000)
    assert quiet_part.line().outcome == "played"


def test_a_record_without_a_level_is_not_called_silent():
    case = Case(item())
    case.play(SIX, rms_cdb=None)
    assert case.line().outcome == "played"


def test_a_play_under_a_doubtful_clock_is_marked_and_counted():
    case = Case(item())
    case.play(SIX, clock_state="holdover")
    assert (case.line().outcome, case.line().clock_state) == ("played", "holdover")
    assert case.report().total.clock_doubted == 1


# --- several records, one occurrence ---


def test_interrupted_and_resumed_is_one_play_with_all_its_sound():
    case = Case(item(on_interrupt="resume"))
    case.play(SIX, "interrupted", long_s=20)
    case.play(SIX, "interrupted", begin_s=60, long_s=10)
    case.play(SIX, begin_s=120, long_s=30)
    line = case.line()
    assert (line.outcome, line.tries, line.heard_ms) == ("played", 3, 60_000)
    assert (line.started_ms, line.ended_ms) == (SIX, SIX + 150_000)
    assert case.report().extra == 0


def test_interrupted_and_never_taken_up_again_is_interrupted():
    case = Case(item())
    case.play(SIX, "interrupted", long_s=20)
    case.play(SIX, "skipped", begin_s=None, reason="late: its grace is over")
    line = case.line()
    assert (line.outcome, line.tries, line.heard_ms, line.why) == ("interrupted", 2, 20_000, "late: its grace is over")


def test_silent_at_first_and_heard_when_taken_up_again_is_played():
    case = Case(item())
    case.play(SIX, "interrupted", long_s=20, rms_cdb=-9_000)
    case.play(SIX, begin_s=60)
    assert (case.line().outcome, case.line().heard_ms) == ("played", 60_000)


# --- no record ---


def test_no_record_of_a_node_that_has_told_later_ones_without_a_gap_is_missing():
    case = Case(item(hours="6,18"))
    case.play(SIX - 86_400_000)
    case.play(SIX_PM)
    morning, evening = case.result().lines
    assert (morning.outcome, morning.why, evening.outcome) == ("missing", "", "played")


def test_a_missing_one_around_a_restart_says_so():
    case = Case(item(hours="6,18"))
    case.play(SIX - 86_400_000)
    case.play(SIX_PM, boot_count=2)
    assert (case.result().lines[0].outcome, case.result().lines[0].why) == ("missing", "restarted")


def test_a_gap_in_the_numbers_leaves_it_unknown():
    case = Case(item(hours="6,18"))
    case.play(SIX - 86_400_000)
    next(case.numbers)
    case.play(SIX_PM)
    assert (case.result().lines[0].outcome, case.result().lines[0].why) == ("unknown", "records-awaited")


def test_first_numbers_that_are_lacking_leave_it_unknown():
    case = Case(item(hours="6,18"))
    case.play(SIX_PM, record_id=7)
    assert case.result().lines[0].why == "records-awaited"
    whole = Case(item(hours="6,18"))
    whole.play(SIX_PM)
    assert whole.result().lines[0].outcome == "missing"


def test_a_lost_memory_between_two_records_leaves_it_unknown():
    case = Case(item(hours="6,18"))
    case.play(SIX - 86_400_000, record_id=9)
    case.play(SIX_PM, epoch=1, record_id=1)
    assert (case.result().lines[0].outcome, case.result().lines[0].why) == ("unknown", "memory-lost")


def test_a_record_that_the_card_lost_may_have_been_this_one():
    case = Case(item(hours="6,18"))
    case.play(SIX - 86_400_000)
    case.play(0, "cut", begin_s=None, item="lost", ended_ms=NOON)
    case.play(SIX_PM)
    assert (case.result().lines[0].outcome, case.result().lines[0].why) == ("unknown", "memory-lost")


def test_a_dark_node_leaves_it_unknown_and_one_that_is_back_makes_it_missing():
    case = Case(item())
    case.play(SIX - 86_400_000)
    case.presence = Presence(heard_until_ms=SIX - 3_600_000, back_since_ms=0, epoch=0, upto=1)
    assert (case.line().outcome, case.line().why) == ("unknown", "dark")
    case.presence = Presence(heard_until_ms=LATER, back_since_ms=LATER - 30_000, epoch=0, upto=1)
    assert case.line().why == "dark", "it came back this minute: its records may be on their way"
    case.presence = Presence(heard_until_ms=LATER, back_since_ms=SIX_PM, epoch=0, upto=1)
    assert case.line().outcome == "missing"
    case.presence = Presence(heard_until_ms=LATER, back_since_ms=SIX_PM, epoch=0, upto=0)
    assert case.line().why == "records-awaited"
    case.presence = Presence(heard_until_ms=LATER, back_since_ms=SIX_PM, epoch=1, upto=0)
    assert case.line().why == "memory-lost"


def test_a_node_that_never_told_anything_is_missing_only_while_it_is_there():
    case = Case(item())
    case.presence = Presence(heard_until_ms=LATER, back_since_ms=0, epoch=0, upto=0)
    assert case.line().outcome == "missing"
    case.presence = Presence(heard_until_ms=0, back_since_ms=0, epoch=0, upto=0)
    assert case.line().outcome == "unknown"


def test_what_may_still_begin_is_pending_and_not_expected():
    case = Case(item(), now_ms=SIX + 60_000)
    assert case.line().outcome == "pending"
    report = case.report()
    assert (report.total.expected, report.total.share, report.wrong) == (0, None, 0)


def test_what_is_planned_after_now_is_not_in_the_report():
    assert Case(item(hours="6,18"), now_ms=NOON).report().total.expected == 1


# --- versions and places ---


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


def test_a_month_end_has_each_of_its_days_once():
    begin, end = at("27/02/2028 00:00:00"), at("02/03/2028 00:00:00")
    case = Case(
        item(rrule="FREQ=MONTHLY;BYMONTHDAY=-1,1,30;BYHOUR=23;BYMINUTE=59"), from_ms=begin, to_ms=end, now_ms=end + 86_400_000
    )
    case.programmes = {"a" * 64: programme(*case.programmes["a" * 64].body.items, since="01/02/2028 00:00:00")}
    case.versions = [version("a" * 64, "01/02/2028 00:00:00", valid_from="01/02/2028 00:00:00")]
    days = [line.planned_ms for line in case.result().lines]
    assert days == [at("29/02/2028 23:59:00"), at("01/03/2028 23:59:00")]


# --- counted apart, sorted, empty ---


def test_emergencies_and_exercises_are_counted_apart_from_the_plan():
    case = Case(item())
    case.play(SIX)
    case.play(NOON, purpose="live", item="order", long_s=90)
    case.play(NOON + 600_000, purpose="exercise", item="order", long_s=30)
    report = case.report()
    assert (report.emergencies, report.emergency_ms, report.exercises, report.exercise_ms) == (1, 90_000, 1, 30_000)
    assert (report.total.expected, report.total.heard_ms, report.extra) == (1, 60_000, 0)


def test_the_worst_comes_first_and_the_list_has_a_limit_that_the_totals_have_not():
    case = Case(item(hours="6,7,8,9"))
    case.play(SIX - 86_400_000)
    case.play(SIX, begin_s=5)
    case.play(SIX + 3_600_000, "skipped", begin_s=None)
    case.play(SIX + 3 * 3_600_000, rms_cdb=-7_000)
    report = case.report(limit=3)
    assert [line.outcome for line in report.lines] == ["missing", "silent", "skipped"]
    assert (report.wrong, list(report.total.outcomes)) == (4, ["missing", "silent", "skipped", "late"])
    assert (report.bulletins[0].title, report.bulletins[0].tally.expected) == (TITLE, 4)


def test_nothing_planned_and_nothing_played_is_an_empty_report():
    case = Case()
    report = case.report()
    assert (report.total.expected, report.total.share, report.lines, report.extras) == (0, None, (), ())
    assert [node.tally.expected for node in report.nodes] == [0]
    assert merged([], case.asked, NAMES, 10).nodes == ()


def test_every_outcome_and_reason_has_words_in_both_languages():
    words = {**plan_words.OUTCOMES, **plan_words.EXTRA_WHYS, **plan_words.CLOCKS}
    assert all(vi and en and vi != en for vi, en in words.values())
    assert plan_words.reason("2 sessions a day are over") == ("đã hết số buổi trong ngày", "2 sessions a day are over")
    assert plan_words.both(plan_words.reason("lý do lạ")) == "lý do lạ"
