"""Plan against plays: each outcome out of the records of a bulletin, or out of their absence."""

import pytest

from controller.core import plan_words
from controller.core.plan_judging import Presence
from controller.core.plan_report import merged
from tests.controller.plan_case import LATER, NAMES, NOON, SIX, SIX_PM, TITLE, Case, item

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
    assert (line.outcome, line.heard_ms, plan_words.reason(line.why)[0]) == ("skipped", 0, "ngoài giờ hoạt động của đài")


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
    assert plan_words.reason("the day's sessions are over: 2") == (
        "đã đủ 2 buổi phát trong ngày",
        "the day's sessions are over: 2",
    )
    assert plan_words.both(plan_words.reason("lý do lạ")) == "lý do lạ"
