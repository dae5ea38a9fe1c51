"""The station's hours against a walk over the minutes; sessions, maintenance and special places by example."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.documents import Hours, Maintenance, SpecialArea, StationBody
from protocol.hours import SESSION_GAP_MS, Aired, Rules, StationHeld, station_of
from protocol.recurrence import WEEKDAYS
from tests.protocol.vector_world import COMMUNE, DAY_MS, HAMLET, NODE, NOW, OTHER, PROVINCE, T0, station

MINUTE_MS = 60_000
VIETNAM_MS = 7 * 3_600_000
DAYS = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True)
ALWAYS = (Hours(days=WEEKDAYS, from_min=0, to_min=1_440),)
SIX_MS = T0 - (T0 + VIETNAM_MS) % DAY_MS + 6 * 3_600_000
"""06:00 in Viet Nam."""


def rules(**body) -> Rules:
    return Rules(StationBody(**({"hours": ALWAYS} | body)), (COMMUNE, HAMLET, NODE))


HOURS = st.builds(
    lambda days, ends: Hours(days=tuple(days), from_min=ends[0], to_min=ends[1]),
    DAYS,
    st.lists(st.sampled_from([*range(0, 1441, 60), 1, 719, 1439]), min_size=2, max_size=2, unique=True).map(sorted),
)


def minute_is_open(hours: list[Hours], at_ms: int) -> bool:
    """The oracle: Vietnam is seven hours ahead all year, and 1970 began on a Thursday."""
    minutes = (at_ms + VIETNAM_MS) // MINUTE_MS
    day, minute = WEEKDAYS[(minutes // 1440 + 3) % 7], minutes % 1440
    return any(day in each.days and each.from_min <= minute < each.to_min for each in hours)


@settings(max_examples=100, deadline=None)
@given(hours=st.lists(HOURS, max_size=4), at_ms=st.integers(T0, T0 + 7 * DAY_MS))
def test_quiet_hours_are_those_of_a_walk_over_the_minutes(hours: list[Hours], at_ms: int):
    body = StationBody(hours=tuple(hours))
    assert (Rules(body, ()).open_until(at_ms) is not None) == minute_is_open(hours, at_ms)
    end_ms = Rules(body, ()).open_until(at_ms)
    if end_ms is None:
        return
    minute_ms = at_ms - at_ms % MINUTE_MS
    while minute_ms < min(end_ms, at_ms + 7 * DAY_MS):
        assert minute_is_open(hours, minute_ms)
        minute_ms += MINUTE_MS
    assert end_ms > at_ms + 7 * DAY_MS or not minute_is_open(hours, end_ms)


def test_open_time_runs_through_midnight_and_adjoining_hours():
    body = StationBody(
        hours=(
            Hours(days=("SU",), from_min=1_380, to_min=1_440),
            Hours(days=("MO",), from_min=0, to_min=30),
            Hours(days=("MO",), from_min=30, to_min=60),
        )
    )
    sunday_2330_ms = T0 + 16 * 3_600_000 + 30 * MINUTE_MS
    assert Rules(body, ()).open_until(sunday_2330_ms) == sunday_2330_ms + 90 * MINUTE_MS


def test_open_all_week_ends_nowhere_near():
    body = StationBody(hours=(Hours(days=WEEKDAYS, from_min=0, to_min=1_440),))
    assert (Rules(body, ()).open_until(NOW) or 0) > NOW + 7 * DAY_MS


def test_a_pause_of_five_minutes_ends_a_session_and_a_shorter_one_does_not():
    here = rules(sessions_a_day=1)
    aired = here.heard(Aired(), SIX_MS, SIX_MS + 10 * MINUTE_MS)
    in_time, too_late = SIX_MS + 10 * MINUTE_MS + SESSION_GAP_MS, SIX_MS + 10 * MINUTE_MS + SESSION_GAP_MS + 1
    assert here.admit(in_time, MINUTE_MS, aired).until_ms is not None
    assert here.admit(too_late, MINUTE_MS, aired).why == "the day's sessions are over: 1"
    assert here.admit(SIX_MS + DAY_MS, MINUTE_MS, aired).until_ms is not None


def test_sessions_are_counted_on_the_day_on_which_they_begin():
    here = rules(sessions_a_day=2)
    aired = Aired()
    for hour in (0, 6, 17, 18):
        at_ms = SIX_MS + hour * 3_600_000
        assert (here.admit(at_ms, MINUTE_MS, aired).until_ms is None) == (hour == 17)
        if hour != 17:
            aired = here.heard(aired, at_ms, at_ms + MINUTE_MS)
    assert aired.sessions == 1


def test_the_minutes_of_a_session_cut_what_is_half_inside_or_refuse_it():
    minutes = {"session_max_min": 15}
    aired = rules().heard(Aired(), SIX_MS, SIX_MS + 10 * MINUTE_MS)
    at_ms = SIX_MS + 11 * MINUTE_MS
    assert rules(**minutes).admit(at_ms, 10 * MINUTE_MS, aired).until_ms == SIX_MS + 15 * MINUTE_MS
    assert (
        rules(**minutes, half_inside="refuse").admit(at_ms, 10 * MINUTE_MS, aired).why.startswith("half inside: its session's 15")
    )
    assert rules(**minutes, half_inside="refuse").admit(at_ms, 4 * MINUTE_MS, aired).until_ms == SIX_MS + 15 * MINUTE_MS
    assert rules(**minutes).admit(SIX_MS + 15 * MINUTE_MS, MINUTE_MS, aired).why == "its session's 15 minutes end at 06:15"


def test_the_end_of_the_hours_cuts_or_refuses_too():
    hours = (Hours(days=WEEKDAYS, from_min=300, to_min=370),)
    assert rules(hours=hours).admit(SIX_MS, 15 * MINUTE_MS, Aired()).until_ms == SIX_MS + 10 * MINUTE_MS
    assert (
        rules(hours=hours, half_inside="refuse").admit(SIX_MS, 15 * MINUTE_MS, Aired()).why
        == "half inside: its hours end at 06:10"
    )
    assert rules(hours=hours).admit(SIX_MS + 10 * MINUTE_MS, MINUTE_MS, Aired()).why == "quiet hours"


def test_maintenance_is_quiet_where_it_is_and_until_it_ends():
    here = rules(maintenance=(Maintenance(area=HAMLET, until_ms=SIX_MS + 90 * MINUTE_MS),))
    assert here.why_quiet(SIX_MS) == "maintenance until 07:30"
    assert here.why_quiet(SIX_MS + 90 * MINUTE_MS) == ""
    assert rules(maintenance=(Maintenance(area="52.24076.009", until_ms=SIX_MS + MINUTE_MS),)).why_quiet(SIX_MS) == ""


def test_beside_a_school_it_is_lower_and_the_lowest_place_counts():
    places = (
        SpecialArea(area=HAMLET, place="school", volume_cdb=-600),
        SpecialArea(area=NODE, place="clinic", volume_cdb=-900),
        SpecialArea(area="52.24076.009", place="worship", volume_cdb=-2_000),
    )
    assert rules(volume_cdb=-100, special=places).volume_cdb == -1_000
    assert rules(volume_cdb=-100).volume_cdb == -100


def test_the_placements_station_holds_else_the_narrowest_areas_and_of_one_area_the_newest():
    chain = (PROVINCE, COMMUNE, HAMLET, NODE)
    held = [StationHeld(area[-4:], station(subject=area)) for area in (PROVINCE, COMMUNE, OTHER)]
    newer = StationHeld("00", station(T0 + 1, subject=COMMUNE, authority=PROVINCE))
    tied = StationHeld("zz", station(subject=COMMUNE, authority=PROVINCE))
    assert station_of(held, OTHER, chain).subject == OTHER
    assert station_of(held, "52.1", chain).subject == COMMUNE
    assert station_of([*held, newer], COMMUNE, chain).seq == T0 + 1
    assert station_of([*held, tied], COMMUNE, chain).authority == PROVINCE
    assert station_of(held[2:], COMMUNE, chain) is None
