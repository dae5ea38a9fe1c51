"""What nodes write into records is shown to officers in Vietnamese."""

import pytest

from controller.core.finding_words import SENTENCES
from controller.core.node_words import in_vietnamese, why
from controller.web.render import _reason
from protocol.documents import Hours, Maintenance, StationBody
from protocol.hours import NO_RULES, Aired, Rules
from protocol.programme import LATE, MUTE
from tests.protocol.vector_world import HAMLET, NOW

MINUTE_MS = 60_000
WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
OPEN = (Hours(days=WEEK, from_min=0, to_min=1_440),)


def refusals():
    """Every way in which the station's rules refuse a bulletin, in their own words."""
    aired = Rules(StationBody(hours=OPEN), ()).heard(Aired(), NOW - 60 * MINUTE_MS, NOW - 50 * MINUTE_MS)
    just_now = Rules(StationBody(hours=OPEN), ()).heard(Aired(), NOW - 10 * MINUTE_MS, NOW)
    bodies = (
        (StationBody(hours=()), Aired()),
        (StationBody(hours=OPEN, maintenance=(Maintenance(area=HAMLET, until_ms=NOW + MINUTE_MS),)), Aired()),
        (StationBody(hours=OPEN, sessions_a_day=1), aired),
        (StationBody(hours=OPEN, session_max_min=10), just_now),
        (StationBody(hours=OPEN, session_max_min=11, half_inside="refuse"), just_now),
    )
    return [Rules(body, (HAMLET,)).admit(NOW, 5 * MINUTE_MS, heard).why for body, heard in bodies]


@pytest.mark.parametrize("words", [*refusals(), NO_RULES, LATE, MUTE])
def test_every_reason_of_the_rules_has_a_finding_and_its_words_in_vietnamese(words):
    code, vi = why(words)
    assert code in SENTENCES
    assert vi
    assert vi != words


def test_a_record_with_several_reasons_is_translated_reason_by_reason_and_the_unknown_stays():
    told = "no voice for jra; stopped by order; a word from a later version"
    assert in_vietnamese(told) == "không có giọng đọc cho jra; dừng theo lệnh; a word from a later version"


def test_the_page_shows_a_records_reason_in_the_visitors_language():
    assert _reason("quiet hours", "vi") == "ngoài giờ hoạt động của đài"
    assert _reason("quiet hours", "en") == "quiet hours"
    assert _reason("not-empowered", "vi") == "người ký không có quyền"
